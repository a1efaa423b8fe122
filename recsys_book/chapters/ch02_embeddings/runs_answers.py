"""Chapter 02: whose handwriting the genres are, what counts as "no", how many directions of a long
vector are used, and neighbours of films that people know.

Settings are those of other records: MF's on clicks and by length of `ch02/embeddings`, MF's on
impressions and EASE's of `ch00/simulated`. All of them were chosen in world 100, which no figure
comes from.
"""

from __future__ import annotations

from functools import lru_cache

from recsys_book.chapters.ch02_embeddings import lab
from recsys_book.chapters.ch02_embeddings.answers import (
    Wavering,
    nearest_titles,
    spectrum,
    two_logs,
    what_vectors_know,
    world_of,
)
from recsys_book.data import load
from recsys_book.data.ml_latest_small import MovieLens
from recsys_book.reproduce import Pieces, piece, read_record
from recsys_book.service import simulate
from recsys_book.service.click_models import make_task
from recsys_book.service.loop import Service
from recsys_book.service.world import PREFERENCES

NAME = "ch02/answers"
SEEDS, STARTS = (0, 1, 2, 3, 4), (0, 1, 2)
LENGTHS = (8, 256)
#: Whose neighbours among the films of MovieLens small the page shows.
TITLES = (
    "Toy Story (1995)", "Star Wars: Episode IV - A New Hope (1977)", "Pulp Fiction (1994)",
    "Matrix, The (1999)", "Lion King, The (1994)",
)  # fmt: skip


class Work(Pieces):
    """The pieces of the run."""

    @piece
    def logs(self, seed: int) -> dict:
        """One world, by both logs; see `two_logs`."""
        told = _settings()
        return two_logs(
            make_task(simulate(seed=seed)), told["clicks"], told["impressions"], told["l2"], seed
        )

    @piece
    def handwriting(self, seed: int, preferences: bool, keeps: bool) -> dict[str, float]:
        """Purities of vectors where people prefer genres or do not, and where the service keeps
        its guess of a person's genre or draws another for each list."""
        without = () if preferences else PREFERENCES
        world = world_of(Service if keeps else Wavering, seed, without)
        told = _settings()
        return what_vectors_know(world, seed, told["clicks"], told["impressions"])

    @piece
    def filled(self, key: str, way: str, dim: int, seed: int) -> list[float]:
        """The spectrum of the film vectors, trained as the sweep chose for a length and a way."""
        sweep = read_record("ch02/embeddings")["figures"]["sweep"][key]["ways"]
        films = key == "films"
        log = _films().ratings if films else lab.clicked_before(simulate(seed=seed))
        setting = sweep[way][str(dim)]["setting"]
        return spectrum(lab.train_and_watch(log, dim=dim, **setting, seed=seed).items[-1])

    @piece
    def neighbours(self) -> dict[str, list[str]]:
        """Of five films that many people know, in the vectors of one training."""
        setting = read_record("ch02/embeddings")["figures"]["settings"]["films"]
        films = _films()
        told = lab.train_and_watch(films.ratings, dim=lab.FILM_DIM, **setting, seed=0)
        return nearest_titles(films, told.items[-1], TITLES)

    def figures(self) -> dict:
        """What the record holds."""
        on = {True: "on", False: "off"}
        return {
            "settings": _settings(),
            "neighbours": self.neighbours(),
            "handwriting": {
                f"preferences {on[p]}, guess {on[k]}": [
                    self.handwriting(seed, p, k) for seed in SEEDS
                ]
                for p in (True, False)
                for k in (True, False)
            },
            "two logs": [self.logs(seed) for seed in SEEDS],
            "spectra": {
                key: {
                    way: {
                        str(dim): [self.filled(key, way, dim, seed) for seed in STARTS]
                        for dim in LENGTHS
                    }
                    for way in lab.WAYS[1:]
                }
                for key in ("simulated", "films")
            },
        }


def _settings() -> dict:
    ladder = read_record("ch00/simulated")["figures"]["settings"]
    clicks = read_record("ch02/embeddings")["figures"]["settings"]["simulated"]
    return {
        "clicks": {"dim": lab.DIM} | clicks,
        "impressions": ladder["MF"],
        "l2": ladder["EASE"]["l2"],
    }


@lru_cache(maxsize=1)
def _films() -> MovieLens:
    return load("ml-latest-small")


def ready() -> None:
    """What is missing is told before the work begins."""
    load("ml-latest-small", download=False)


def settings() -> dict:
    """What decides the figures besides the code."""
    return _settings()
