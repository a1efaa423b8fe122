"""The NCF split: popularity, the additive model, and a dot product of 8 factors.

Everything is chosen on the validation item: the learning rate from a short list, by the first
seed, and the number of epochs, for each seed. The model is then trained anew on training and
validation pairs for that many epochs, and the test items are scored. The run was recorded twice,
the second time with a falling learning rate, so the test has been looked at more than once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product.lab import one_per_seed
from recsys_book.data import load
from recsys_book.data.interactions import Interactions
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.evaluate import RankingReport, leave_one_out, sampled_candidates
from recsys_book.implicit import train_implicit
from recsys_book.models.baselines import Popularity
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.train import History

NAME = "ch01/additive"
DIMS, SEEDS, RATES = (0, 8), (0, 1, 2), (0.005, 0.01, 0.02)
N_NEGATIVES, BATCH_SIZE = 4, 4_096
MAX_EPOCHS, PATIENCE = 12, 2


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


def choose_and_test(split: NCFSplit, dim: int, seed: int, lr: float) -> tuple[dict, RankingReport]:
    """Choose the number of epochs on validation, refit on everything, score the test set."""
    hit_rate = validation_hit_rate(split)
    _, history = train_mf(split.train, dim, seed, lr=lr, validate=hit_rate)
    n_epochs = history.best_epoch + 1
    model, _ = train_mf(split.train_and_validation, dim, seed, lr=lr, max_epochs=n_epochs)
    chosen = {"epochs": n_epochs, "validation_hit_rate": history.best_score}
    return chosen, leave_one_out(model, split.users, split.test_candidates)


def choose_rate(split: NCFSplit, dim: int) -> float:
    """The learning rate with the best validation hit rate, by the first seed."""
    hit_rate = validation_hit_rate(split)
    best = {
        lr: train_mf(split.train, dim, SEEDS[0], lr=lr, validate=hit_rate)[1].best_score
        for lr in RATES
    }
    return max(best, key=best.get)


def figures() -> dict:
    """What the record holds; printed as it is found."""
    split = load("ncf-ml-1m")
    print(split)
    popularity = Popularity(split.train_and_validation)
    report = leave_one_out(popularity, split.users, split.test_candidates)
    print("popularity   ", report)
    found = {
        "n_repeated_positives": split.n_repeated_positives,
        "popularity": {
            "hit_rate": float(report.hit_rate.mean()),
            "ndcg": float(report.ndcg.mean()),
        },
    }
    for dim in DIMS:
        lr = choose_rate(split, dim)
        rows = []
        for seed in SEEDS:
            chosen, report = choose_and_test(split, dim, seed, lr)
            rows.append(
                chosen
                | {
                    "seed": seed,
                    "hit_rate": float(report.hit_rate.mean()),
                    "ndcg": float(report.ndcg.mean()),
                }
            )
            print(f"dim {dim}, seed {seed}", report, chosen)
        found[f"mf_{dim}"] = {"lr": lr, "runs": rows}
    return found
