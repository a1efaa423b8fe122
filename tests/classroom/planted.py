"""One mistake a chapter, as a student would hand it in, and the name it must be told by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Planted:
    """A wrong answer to one exercise.

    Attributes:
        number: of the exercise.
        code: what stands in its answer cell.
        name: of the misconception.
    """

    number: str
    code: str
    name: str


PLANTED = {
    "chapter_02": Planted(
        "2.3",
        """
def mean_of_watched(vectors, mask):
    watched = vectors * mask[..., None]
    return watched.mean(dim=1)
""",
        "it divides by L",
    ),
}
