"""Chapter 05 on real data: which app is used, by whom, in which circumstances (Frappe).

Each row of the log is asked about beside two apps that its user never used. Two ways to split it:

- **by pair**: every (user, app) pair belongs to one part, used or not. What is asked in the test
  has been told in training in no context, with neither answer.
- **by row**, as the benchmarks do: rows are drawn at random, and seven in eight rows of the test
  have their pair in training too, in another context. (The others give themselves away a little:
  training negatives avoid all apps that the user ever used, those of the test too.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from recsys_book.arguments import NotFinite
from recsys_book.chapters.ch05_wide_and_deep.frappe_examples import (
    AppExamples,
    negatives_for,
    pair_parts,
    row_parts,
    with_negatives,
)
from recsys_book.chapters.ch05_wide_and_deep.lab import (
    Setting,
    make_optimizers,
    moved_up,
    whole_batches,
)
from recsys_book.data.frappe import CONTEXT, Frappe
from recsys_book.layers import FieldLinear
from recsys_book.losses import bce
from recsys_book.metrics import auc, log_loss
from recsys_book.models.dnn import DNN
from recsys_book.models.factorization_machine import FactorizationMachine
from recsys_book.models.wide_and_deep import Bag, Wide, WideAndDeep
from recsys_book.train import History, fit, seeded

FIELDS = ("user", "app", "category", *CONTEXT)
APP = FIELDS.index("app")
#: The paper's family, apps that the user has × app shown; and where and when an app is used.
CROSSES = (
    (Bag(APP), APP),
    *((FIELDS.index(name), APP) for name in CONTEXT if name != "isweekend"),  # weekday tells it
)
LENGTH = 20  # apps of the user, the most used ones
N_NEGATIVES = 2
DIM, HIDDEN, INIT = 16, (128, 64), 0.1
MAX_EPOCHS, PATIENCE = 20, 2
DECAY = 0.9  # of Adam's rate, after every epoch
KNOWN = 2  # an app with fewer pairs (by row: rows) in training has no id of its own
SPLITS = ("by pair", "by row")
TRAIN, VALIDATION, TEST = range(3)

#: What is trained, and by what.
KINDS = {
    "LR": ("LR", "Adam"),
    "FM": ("FM", "Adam"),
    "wide": ("wide", "FTRL"),
    "deep": ("deep", "AdaGrad"),
    "wide & deep": ("joint", "FTRL + AdaGrad"),
    "deep, Adam": ("deep", "Adam"),
}


@dataclass(frozen=True)
class Task:
    """Frappe, cut.

    Attributes:
        data: from `load("frappe")`.
        part: `[M]` int8, of each row: 0 train, 1 validation, 2 test.
        pairs: `[U, N]` int8, of each pair, where the split is by pair; None where it is by row.
        cardinalities: of FIELDS.
    """

    data: Frappe
    part: Tensor
    pairs: Tensor | None
    cardinalities: list[int]

    def draw(self, part: int | tuple[int, ...], seed: int) -> AppExamples:
        """The rows of a part, each with its negatives."""
        if self.pairs is not None:
            return with_negatives(self.data, self.pairs, part, N_NEGATIVES, seed)
        wanted = (part,) if isinstance(part, int) else part
        rows = torch.isin(self.part, torch.tensor(wanted, dtype=torch.int8)).nonzero().squeeze(1)
        return negatives_for(self.data, rows, N_NEGATIVES, seed)


def make_task(data: Frappe, split: str, seed: int = 0) -> Task:
    """Cut it 7 : 1 : 2, see `SPLITS`; the cut is the same on every machine."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be {' or '.join(map(repr, SPLITS))}")
    pairs = pair_parts(data, seed) if split == "by pair" else None
    part = row_parts(data, seed) if pairs is None else pairs[data.user, data.app]
    sizes = [data.n_users + 1, data.n_apps + 1, *data.category.cardinalities]
    return Task(data, part, pairs, [*sizes, *data.context.cardinalities])


class Encoder:
    """Examples as field models take them.

    An app with only one pair in the rows told (by row: one row) is a stranger and has id 0. Without
    that rule every positive of training would have made its own app known, and strangers would be
    negatives in training, and nowhere else. Users without rows are strangers too; contexts are all
    known.

    The bag of an example holds the user's most used apps in the rows told, without the app of the
    row it was drawn for: a positive would find itself there. Negatives have the bag of their row.
    (Who remembers a user's whole list sees which app is missing; that is no more than training
    rows tell anyway, and in the test nothing is missing.)

    Args:
        task: from `make_task`.
        told: parts whose rows may be known.
    """

    def __init__(self, task: Task, told: tuple[int, ...]) -> None:
        data = self.data = task.data
        rows = torch.isin(task.part, torch.tensor(told, dtype=torch.int8))
        counts = torch.zeros(data.n_users, data.n_apps, dtype=torch.int64)
        counts.index_put_((data.user[rows], data.app[rows]), data.count[rows], accumulate=True)
        top = counts.topk(LENGTH + 1, dim=1)
        self.bag = torch.where(top.values > 0, top.indices + 1, 0)  # [U, LENGTH + 1]
        if task.pairs is not None:
            n_told = (counts > 0).sum(0)  # [N] pairs
        else:
            n_told = torch.bincount(data.app[rows], minlength=data.n_apps)  # [N] rows
        self.app_id = torch.where(n_told >= KNOWN, torch.arange(data.n_apps) + 1, 0)  # [N]
        user_seen = counts.sum(1) > 0
        self.user_id = torch.where(user_seen, torch.arange(data.n_users) + 1, 0)

    def __call__(self, examples: AppExamples) -> tuple[Tensor, Tensor]:
        """`[B, F]` ids and the bag `[B, LENGTH]`, 0 where there is none."""
        data = self.data
        ids = torch.cat(
            [
                self.user_id[examples.user][:, None],
                self.app_id[examples.app][:, None],
                data.category.ids[examples.app],
                data.context.ids[examples.row],
            ],
            dim=1,
        )
        bag = self.bag[examples.user]
        own = data.app[examples.row][:, None] + 1
        bag = bag.masked_fill(bag == own, 0)
        return ids, moved_up(bag)[:, :LENGTH]


def make_model(kind: str, cardinalities: list[int], seed: int) -> nn.Module:
    """An untrained model of a kind."""
    with seeded(seed):
        what = KINDS[kind][0]
        if what == "LR":
            return FieldLinear(cardinalities)
        if what == "FM":
            return FactorizationMachine(cardinalities, DIM, init_std=INIT)
        if what == "wide":
            return Wide(cardinalities, CROSSES, sparse=True)
        if what == "deep":
            return DNN(cardinalities, DIM, HIDDEN, (APP,), init_std=INIT)
        return WideAndDeep(cardinalities, CROSSES, DIM, HIDDEN, (APP,), init_std=INIT, sparse=True)


def train(
    task: Task,
    kind: str,
    setting: Setting,
    told: tuple[int, ...],
    *,
    seed: int,
    epochs: int,
    validate: Callable[[nn.Module], float] | None = None,
) -> tuple[nn.Module, History]:
    """Train a kind on the parts `told`; negatives are drawn anew every epoch."""
    model, encoder = make_model(kind, task.cardinalities, seed), Encoder(task, told)
    optimizers, schedules = make_optimizers(KINDS[kind][1], model, setting, DECAY)

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        examples = task.draw(told, seed=1_000 * (seed + 1) + epoch)
        ids, bag = encoder(examples)
        for some in whole_batches(len(ids), setting.batch_size, generator):
            yield ids[some], bag[some], examples.label[some]

    history = fit(
        model, batches, lambda model, batch: bce(_logits(model, *batch[:2]), batch[2]), optimizers,
        schedules=schedules, validate=validate, max_epochs=epochs,
        patience=PATIENCE if validate else None, seed=seed,
    )  # fmt: skip
    return model, history


def _logits(model: nn.Module, ids: Tensor, bag: Tensor) -> Tensor:
    return model(ids, {APP: (bag, bag > 0)})


@torch.no_grad()
def score(task: Task, model: nn.Module, told: tuple[int, ...], part: int) -> dict[str, float]:
    """AUC and log-loss on a part, whose negatives are drawn once and for all."""
    examples = task.draw(part, seed=10_000 + part)
    ids, bag = Encoder(task, told)(examples)
    model.eval()
    pieces = torch.arange(len(ids)).split(16_384)
    logit = torch.cat([_logits(model, ids[some], bag[some]).double() for some in pieces])
    return {"auc": auc(examples.label, logit), "log_loss": log_loss(examples.label, logit)}


def try_setting(task: Task, kind: str, setting: Setting, seed: int = 0) -> tuple[float, int]:
    """The lowest log-loss on validation, and after how many epochs; ln 2 where it diverged."""
    validate = lambda model: -score(task, model, (TRAIN,), VALIDATION)["log_loss"]
    try:
        _, history = train(
            task, kind, setting, (TRAIN,), seed=seed, epochs=MAX_EPOCHS, validate=validate
        )
    except NotFinite:
        return float(np.log(2)), 1
    return -history.best_score, history.best_epoch + 1


def tested(task: Task, kind: str, setting: Setting, seed: int) -> dict[str, float]:
    """Refitted on training and validation for the setting's epochs, scored once on the test."""
    told = (TRAIN, VALIDATION)
    model, _ = train(task, kind, setting, told, seed=seed, epochs=setting.epochs)
    found = score(task, model, told, TEST)
    wide = model if isinstance(model, Wide) else getattr(model, "wide", None)
    if wide is not None:
        found["weights"] = int(wide.table.weight.count_nonzero())
    return found


def pairs_in_both(task: Task) -> float:
    """Share of the test's rows whose (user, app) pair also stands in training."""
    data, n = task.data, task.data.n_apps
    pair = data.user * n + data.app
    told, asked = pair[task.part == TRAIN], pair[task.part == TEST]
    return float(torch.isin(asked, told).double().mean())
