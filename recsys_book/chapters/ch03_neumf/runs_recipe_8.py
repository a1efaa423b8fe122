"""The NCF paper's table by its own recipe: 8 factors, and models of NeuMF's size. See recipe.py."""

from types import MappingProxyType

from recsys_book.chapters.ch03_neumf import recipe
from recsys_book.chapters.ch03_neumf.recipe import report  # noqa: F401

NAME = "ch03/recipe_8"
SEEDS = (0, 1, 2)
#: Numbers for a person and for a film in NeuMF of 8 factors: 8 for GMF, 16 for the tower.
EQUAL = 24


class Work(recipe.Recipe):
    """Rates are searched for; NeuMF, whose parts must have as many seeds, has three."""

    factors = 8
    cells = MappingProxyType(
        {(name, 8): SEEDS for name in ("GMF", "MLP", "NeuMF")}
        | {(name, 8): (0,) for name in ("MLP, 4 layers", "MLP, script", "NeuMF, script", "MF")}
        | {("GMF", 16): (0,), ("MF", EQUAL): (0,), ("GMF", EQUAL): (0,)}
    )
    fused = SEEDS


def ready() -> None:
    """What is missing is told before processes start."""
    print(recipe.prepare())
