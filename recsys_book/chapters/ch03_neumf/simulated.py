"""Chapter 03 on the simulated service: who ranks better, and when, measured against the oracle.

The judge is the service's (`service/judge.py`): fit on the clicks before day 20, choose by those of
days 20 to 23, fit anew on both, and be tested once by the ten films that the oracle puts first.
Scores are shares of the learnable: 0 is popularity, 1 the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from recsys_book.chapters.ch03_neumf.lab import Setting, fine_tune, make_model
from recsys_book.data.interactions import Interactions
from recsys_book.implicit import train_implicit
from recsys_book.metrics import share_of_learnable
from recsys_book.models.ncf import GMF, NCFMLP, NeuMF
from recsys_book.service.judge import Judge
from recsys_book.train import History, seeded

BATCH = 1_024  # observed pairs a step
MAX_EPOCHS, PATIENCE = 25, 4
SGD_EPOCHS = 6


def learnable(judge: Judge, model) -> float:
    """Share of the learnable of a model: 0 as popularity, 1 as the oracle."""
    with torch.no_grad():
        return share_of_learnable(judge.test(model.score), judge.popularity, 1.0)


def adam(model: nn.Module, log: Interactions, setting: Setting, seed: int, **more) -> History:
    """`train_implicit` with the chapter's schedule; `more` as there."""
    return train_implicit(
        model, log, lr=setting.lr, seed=seed, weight_decay=setting.weight_decay,
        n_negatives=setting.n_negatives, batch_size=setting.batch_size, decay=setting.decay,
        side_by_side=True, **more,
    )  # fmt: skip


def choose_epochs(judge: Judge, make, setting: Setting, seed: int) -> tuple[nn.Module, History]:
    """Train on the training part, with the best epoch's weights in the end.

    Args:
        judge: whose validation decides.
        make: `make(log)`, a new model.
        setting: how to train.
        seed: of order and negatives.
    """
    model = make(judge.train)
    history = adam(
        model, judge.train, setting, seed,
        epochs=setting.epochs or MAX_EPOCHS, patience=PATIENCE, validate=judge.validate,
    )  # fmt: skip
    return model, history


def train_and_test(judge: Judge, make, setting: Setting, seed: int) -> dict:
    """Choose the epochs, fit anew on everything, test once.

    Returns:
        "share" of the learnable, "epochs", "parts": the model of both fits.
    """
    chosen, history = choose_epochs(judge, make, setting, seed)
    epochs = history.best_epoch + 1
    model = refit(judge, make, setting, epochs, seed)
    return {"share": learnable(judge, model), "epochs": epochs, "parts": (chosen, model)}


def refit(judge: Judge, make, setting: Setting, epochs: int, seed: int) -> nn.Module:
    """A new model, fitted on everything before the test, for so many epochs.

    Args:
        judge: whose clicks.
        make: `make(log)`, a new model.
        setting: how to train.
        epochs: how long, chosen on validation before.
        seed: of order and negatives.
    """
    model = make(judge.refit)
    adam(model, judge.refit, setting, seed, epochs=epochs)
    return model


def maker(name: str, setting: Setting, seed: int):
    """`make(log)` for `train_and_test`."""
    return lambda log: make_model(name, log, setting.factors, seed)


def deep_maker(hidden: Sequence[int], factors: int, seed: int):
    """`make(log)` for an MLP of any depth: vectors of half the first layer's width."""

    def make(log: Interactions) -> NCFMLP:
        dim = (hidden[0] if hidden else factors) // 2
        with seeded(seed):
            return NCFMLP(log.n_users, log.n_items, dim, hidden)

    return make


def fuse_and_test(
    judge: Judge,
    gmf: tuple[GMF, GMF],
    mlp: tuple[NCFMLP, NCFMLP],
    *,
    lr: float,
    seed: int,
    alpha: float = 0.5,
) -> dict:
    """NeuMF with pre-training, by the same rule.

    Args:
        judge: who scores.
        gmf: the model fitted on the training part, and the one fitted on everything.
        mlp: the same.
        lr: of SGD.
        seed: of order and negatives.
        alpha: weight of GMF.

    Returns:
        "start" and "share": of the learnable before SGD and after; "epochs" of SGD, chosen on
        validation, 0 if SGD never helped.
    """
    model = NeuMF.from_pretrained(gmf[0], mlp[0], alpha)
    before = judge.validate(model)
    more = {"lr": lr, "seed": seed, "batch_size": BATCH, "amp": False}
    history = fine_tune(model, judge.train, epochs=SGD_EPOCHS, validate=judge.validate, **more)
    epochs = history.best_epoch + 1 if history.best_score > before else 0
    model = NeuMF.from_pretrained(gmf[1], mlp[1], alpha)
    start = learnable(judge, model)
    if epochs:
        fine_tune(model, judge.refit, epochs=epochs, **more)
    return {"start": start, "share": learnable(judge, model), "epochs": epochs, "model": model}


def validation_score(judge: Judge, name: str, setting: Setting) -> float:
    """The best NDCG@10 on validation under a setting."""
    return choose_epochs(judge, maker(name, setting, 0), setting, 0)[1].best_score


def draw_settings(n: int, seed: int = 0) -> list[Setting]:
    """Settings drawn at random from one box, the same for every model that is asked to try them.

    Learning rate from .003 to .05 and L2 from 1e-7 to 1e-4, both evenly on a log scale; 4, 8, 16 or
    32 factors; 2, 4, 8 or 16 negatives a positive. A search that starts somewhere and climbs
    favours the model that the start suits; a box favours none. Drawn rather than laid out as a
    grid, since few of these knobs matter and random draws try each of them at many values (Bergstra
    and Bengio, JMLR 2012).

    Args:
        n: how many.
        seed: of the draws; the first of a longer list are those of a shorter one.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(n):
        rate, penalty, size, negatives = torch.rand(4, generator=generator).tolist()
        found.append(
            Setting(
                lr=float(f"{0.003 * (0.05 / 0.003) ** rate:.2g}"),
                weight_decay=float(f"{1e-7 * 1e3**penalty:.2g}"),
                factors=2 ** (2 + int(4 * size)),
                n_negatives=2 ** (1 + int(4 * negatives)),
                batch_size=BATCH,
            )
        )
    return found
