"""The NCF paper's table by its own recipe: 32 factors. See recipe.py."""

from types import MappingProxyType

from recsys_book.chapters.ch03_neumf import recipe
from recsys_book.chapters.ch03_neumf.recipe import report  # noqa: F401

NAME = "ch03/recipe_32"
SEEDS = (0,)
NAMES = ("GMF", "MLP", "MLP, 4 layers", "NeuMF", "MLP, script")


class Work(recipe.Recipe):
    """Rates are searched for; the MLP also in the sizes of the official script."""

    factors = 32
    cells = MappingProxyType({(name, 32): SEEDS for name in NAMES})
    fused = SEEDS


def ready() -> None:
    """What is missing is told before processes start."""
    print(recipe.prepare())
