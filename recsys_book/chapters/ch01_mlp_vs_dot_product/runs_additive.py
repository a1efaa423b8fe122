"""The NCF split: popularity, the additive model, and a dot product of 8 factors.

Everything is chosen on the validation item: the learning rate by the first seed (`search`, so it
lies at no edge), and the number of epochs, for each seed. The model is then trained again on
training and validation pairs for that many epochs, and the test items are scored. The test was
looked at in earlier recordings of this run; nothing was chosen by it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import pandas as pd
import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product.lab import one_per_seed
from recsys_book.data import load
from recsys_book.data.interactions import Interactions
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.evaluate import RankingReport, leave_one_out, sampled_candidates
from recsys_book.implicit import train_implicit
from recsys_book.models.baselines import Popularity
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.reproduce import Pieces, piece, table
from recsys_book.search import search
from recsys_book.train import History

NAME = "ch01/additive"
DIMS, SEEDS = (0, 8), (0, 1, 2)
N_NEGATIVES, BATCH_SIZE = 4, 4_096
MAX_EPOCHS, PATIENCE = 20, 3


def train_mf(
    train: Interactions,
    dim: int,
    seed: int,
    *,
    lr: float = 0.02,
    max_epochs: int = MAX_EPOCHS,
    validate: Callable[[MatrixFactorization], float] | None = None,
    device: torch.device | str = "cpu",
) -> tuple[MatrixFactorization, History]:
    """Matrix factorization by BCE on sampled negatives and Adam; dim=0 is the additive model."""
    [model] = one_per_seed(lambda: MatrixFactorization(train.n_users, train.n_items, dim), [seed])
    model, train = model.to(device), train.to(device)
    history = train_implicit(
        model,
        train,
        lr=lr,
        epochs=max_epochs,
        seed=seed,
        n_negatives=N_NEGATIVES,
        batch_size=BATCH_SIZE,
        validate=validate,
        patience=PATIENCE if validate else None,
    )
    return model, history


def validation_hit_rate(split: NCFSplit) -> Callable[[MatrixFactorization], float]:
    """HR@10 of each user's validation item among 99 others, drawn once."""
    candidates = sampled_candidates(split.validation, split.train_and_validation)
    return lambda model: float(leave_one_out(model, split.users, candidates).hit_rate.mean())


class Work(Pieces):
    """The pieces of the run."""

    @piece
    def tried(self, dim: int, lr: float) -> float:
        """HR@10 on validation with the first seed."""
        split = _split()
        _, history = train_mf(
            split.train, dim, SEEDS[0], lr=lr, validate=validation_hit_rate(split)
        )
        return history.best_score

    @piece
    def rate(self, dim: int) -> dict:
        """The learning rate with the best validation hit rate, and all that were tried."""
        found = search(lambda s: self.tried(dim, s["lr"]), {"lr": 0.01}, {"lr": 2.0})
        tried = [[setting["lr"], score] for setting, score in found.tried]
        return {"lr": found.best["lr"], "tried": tried, "settled": found.settled}

    @piece
    def repeated(self) -> int:
        """People whose test film stands among their own 99 in the published file."""
        return _split().n_repeated_positives

    @piece
    def popularity(self) -> list[int]:
        """Whether each person's test film is among the ten most popular of its hundred."""
        split = _split()
        return _hits(
            leave_one_out(
                Popularity(split.train_and_validation), split.users, split.test_candidates
            )
        )

    @piece
    def tested(self, dim: int, seed: int) -> dict:
        """Epochs chosen on validation, refitted on everything, the test films scored."""
        lr, split = self.rate(dim)["lr"], _split()
        hit_rate = validation_hit_rate(split)
        _, history = train_mf(split.train, dim, seed, lr=lr, validate=hit_rate)
        epochs = history.best_epoch + 1
        model, _ = train_mf(split.train_and_validation, dim, seed, lr=lr, max_epochs=epochs)
        report = leave_one_out(model, split.users, split.test_candidates)
        return {"epochs": epochs, "hits": _hits(report)}

    def figures(self) -> dict:
        """What the record holds. "hits" is one text, a digit for each person."""
        rate = lambda hits: sum(hits) / len(hits)
        found = {
            "n_repeated_positives": self.repeated(),
            "popularity": {"hit_rate": rate(self.popularity())},
        }
        rows = [("popularity", 0, _text(self.popularity()))]
        for dim in DIMS:
            tested = [self.tested(dim, seed) for seed in SEEDS]
            rows += [(f"mf_{dim}", s, _text(t["hits"])) for s, t in zip(SEEDS, tested, strict=True)]
            runs = [{"epochs": t["epochs"], "hit_rate": rate(t["hits"])} for t in tested]
            found[f"mf_{dim}"] = self.rate(dim) | {"runs": runs}
        columns = ["model", "seed", "hits"]
        return found | {"hits": table(pd.DataFrame(rows, columns=columns))}


@lru_cache(maxsize=1)
def _split() -> NCFSplit:
    return load("ncf-ml-1m")


def _hits(report: RankingReport) -> list[int]:
    return report.hit_rate.long().tolist()


def _text(hits: list[int]) -> str:
    return "".join(map(str, hits))


def ready() -> None:
    """The data must be at hand before the work begins."""
    load("ncf-ml-1m", download=False)
