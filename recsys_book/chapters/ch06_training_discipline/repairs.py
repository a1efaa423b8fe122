"""Chapter 06: one badly trained run, repaired step by step.

The task is chapter 00's: the chance of a click on an impression, by the deep model of that chapter,
tested on the last four days. Every step is scored as a share of the learnable, by log-loss: 0 is a
click rate for each film, 1 the oracle. What a step has to choose (how many epochs, which rate, how
much decay) was chosen on validation days of two worlds that no figure comes from.

`STEPS` holds the faults and their repairs. The rest of the module has what the chapter says about
single rules: curves of dropout and weight decay, optimizers, the one-epoch phenomenon on a planted
field, a planted loss spike, and calibration after negatives were thinned out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recsys_book.arguments import NotFinite
from recsys_book.calibration import expected_calibration_error, platt, recalibrate
from recsys_book.losses import bce
from recsys_book.metrics import auc, log_loss, share_of_learnable
from recsys_book.optim import parameter_groups, warmup_cosine
from recsys_book.service import click_models
from recsys_book.service.click_models import ClickModel, Task, make_task
from recsys_book.service.online import run_online
from recsys_book.service.policies import grown, random_policy
from recsys_book.service.world import World
from recsys_book.train import History, fit, seeded

DIM, HIDDEN = 16, (64, 32)
VALIDATION_FROM, TEST_FROM = 20, 24
WARM_UP = 0.1  # share of all steps
FOUND_EPOCHS = 8  # of the run as it was found
TIMESTAMP = 1_790_000_000  # a second of the year 2026


@dataclass(frozen=True)
class Recipe:
    """How the model is trained.

    Attributes:
        per_click: non-clicks kept beside each click, drawn once; None keeps them all.
        undone: the logits read are put right for those left out.
        shuffled: batches are drawn from all rows; otherwise they are cut in the order of the log.
        epochs: how many.
        lr: learning rate, the highest one.
        schedule: "constant", "cosine", or "warm-up and cosine".
        weight_decay: L2 in Adam's gradient.
        decays_biases: biases too.
        dropout: of the hidden layers.
        optimizer: "Adam", "AdamW", "AdaGrad", "SGD" or "SGD with momentum".
        batch_size: impressions a step.
        clip_norm: see `fit`.
    """

    per_click: float | None = None
    undone: bool = True
    shuffled: bool = True
    epochs: int = 3
    lr: float = 0.006
    schedule: str = "warm-up and cosine"
    weight_decay: float = 0.0
    decays_biases: bool = False
    dropout: float = 0.0
    optimizer: str = "Adam"
    batch_size: int = 1_024
    clip_norm: float | None = None


#: The run as it was found: balanced classes, read raw, in the order of the log, for too long, at a
#: constant rate that is too high.
FOUND = Recipe(
    per_click=1.0, undone=False, shuffled=False, epochs=FOUND_EPOCHS, lr=0.03, schedule="constant",
)  # fmt: skip

#: Step → what it changes; values that are None are chosen on the tuning worlds.
STEPS = {
    "as found": {},
    "undo the balancing": {"undone": True},
    "stop in time": {"epochs": None},
    "shuffle": {"shuffled": True, "epochs": None},
    "keep every non-click": {"per_click": None, "epochs": None},
    "a chosen rate": {"lr": None, "epochs": None},
    "warm-up and a falling rate": {"schedule": "warm-up and cosine", "lr": None, "epochs": None},
    "weight decay, not on biases": {"weight_decay": None, "epochs": None},
    "dropout": {"dropout": None, "epochs": None},
}
#: What each choice is made from. A rate that falls to zero, decay and dropout make longer training
#: worth a try.
GRID = {
    "epochs": (1, 2, 3, 4, 6),
    "lr": (0.002, 0.005, 0.01, 0.02),
    "weight_decay": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3),
    "dropout": (0.1, 0.2, 0.3, 0.5),
}
LONGER = (4, 6, 9, 13)


def new_model(cardinalities: Sequence[int], dropout: float, seed: int) -> ClickModel:
    """An untrained model, its start decided by the seed alone."""
    with seeded(seed):
        return ClickModel("DNN", cardinalities, DIM, HIDDEN, dropout)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer, with or without decay on biases."""
    decay = recipe.weight_decay
    if recipe.decays_biases:
        groups = [{"params": list(model.parameters()), "weight_decay": decay}]
    else:
        groups = parameter_groups(model, decay)
    kinds = {
        "Adam": lambda: torch.optim.Adam(groups, lr=recipe.lr),
        "AdamW": lambda: torch.optim.AdamW(groups, lr=recipe.lr),
        "AdaGrad": lambda: torch.optim.Adagrad(groups, lr=recipe.lr),
        "SGD": lambda: torch.optim.SGD(groups, lr=recipe.lr),
        "SGD with momentum": lambda: torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9),
    }
    if recipe.optimizer not in kinds:
        raise ValueError(f"optimizer is {recipe.optimizer!r}; it must be one of {list(kinds)}")
    return kinds[recipe.optimizer]()


def thinned(label: Tensor, per_click: float | None, seed: int) -> tuple[Tensor, float]:
    """Rows to train on when only some non-clicks are kept.

    Args:
        label: `[M]` 0 or 1.
        per_click: how many non-clicks to keep for each click, on average; None keeps all.
        seed: of the draw.

    Returns:
        positions, and the chance with which a non-click was kept.
    """
    if per_click is None:
        return torch.arange(len(label)), 1.0
    clicks = float(label.sum())
    kept = min(1.0, per_click * clicks / (len(label) - clicks))
    # A stream of its own: order and start are drawn from the seed itself.
    draw = torch.rand(len(label), generator=torch.Generator().manual_seed(10_000 + seed))
    return ((label > 0) | (draw < kept)).nonzero().squeeze(1), kept


@dataclass(frozen=True)
class Trained:
    """A trained model and what is needed to read it.

    Attributes:
        model: the model.
        kept: chance with which a non-click was kept in training.
        undone: whether logits are put right for that.
        history: of the training.
    """

    model: nn.Module
    kept: float
    undone: bool
    history: History

    def logits(self, examples: click_models.Examples) -> Tensor:
        """`[B]` float64, as they are read."""
        found = click_models.logits(self.model, examples)
        return recalibrate(found, self.kept) if self.undone else found


def train(
    task: Task,
    recipe: Recipe,
    rows: Tensor,
    seed: int,
    *,
    validate: Callable[[nn.Module, float], float] | None = None,
    patience: int | None = None,
    checkpoint: str | None = None,
) -> Trained:
    """Train by a recipe on the impressions at `rows`.

    Args:
        task: from `click_models.make_task`.
        recipe: how.
        rows: positions.
        seed: of start, order and draws.
        validate: `validate(model, kept)`, see `fit`.
        patience, checkpoint: see `fit`.
    """
    some, kept = thinned(task.examples.label[rows], recipe.per_click, seed)
    rows = rows[some]
    model = new_model(task.cardinalities, recipe.dropout, seed)
    optimizer = make_optimizer(model, recipe)
    n_steps = math.ceil(len(rows) / recipe.batch_size) * recipe.epochs
    by_step = []
    if recipe.schedule == "warm-up and cosine":
        by_step = [warmup_cosine(optimizer, max(round(WARM_UP * n_steps), 1), n_steps)]
    elif recipe.schedule == "cosine":
        by_step = [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)]
    elif recipe.schedule != "constant":
        raise ValueError(f"schedule is {recipe.schedule!r}; there is no such schedule")

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        order = torch.arange(len(rows))
        if recipe.shuffled:
            order = torch.randperm(len(rows), generator=generator)
        for part in order.split(recipe.batch_size):
            yield (task.examples[rows[part]],)

    history = fit(
        model,
        batches,
        lambda model, batch: bce(model(batch[0]), batch[0].label),
        optimizer,
        step_schedules=by_step,
        validate=None if validate is None else lambda model: validate(model, kept),
        max_epochs=recipe.epochs,
        patience=patience,
        seed=seed,
        clip_norm=recipe.clip_norm,
        checkpoint=checkpoint,
    )
    return Trained(model, kept, recipe.undone, history)


# ---------------------------------------------------------------- the one unit


@dataclass(frozen=True)
class Referee:
    """The test, and the two ends of the scale.

    Attributes:
        examples: the impressions of the last days.
        chance: `[B]` float64, their true chances of a click.
        popularity: log-loss of a click rate for each film (and place in the list).
        oracle: log-loss of the true chances.
    """

    examples: click_models.Examples
    chance: Tensor
    popularity: float
    oracle: float

    def judge(self, logit: Tensor) -> dict[str, float]:
        """ "share" of the learnable, "log_loss", "auc", and "ece": calibration error against the
        true chances, of logits `[B]`."""
        loss = log_loss(self.examples.label, logit)
        return {
            "share": share_of_learnable(loss, self.popularity, self.oracle),
            "log_loss": loss,
            "auc": auc(self.examples.label, logit),
            "ece": expected_calibration_error(self.chance, logit.sigmoid()),
        }


def make_referee(task: Task, seed: int = 0, rows: Tensor | None = None) -> Referee:
    """The referee of a task; popularity is trained as chapter 00 chose, on the impressions at
    `rows` (None for all before the test)."""
    test = (task.day >= task.test_from).nonzero().squeeze(1)
    settings = click_models.Settings(lr=0.04, weight_decay=3e-5, epochs=5)
    rows = task.before(task.test_from) if rows is None else rows
    popularity, _ = click_models.train_click_model(task, "Popularity", settings, rows, seed=seed)
    examples = task.examples[test]
    chance = task.world.log.click_probability[test].double()
    return Referee(
        examples,
        chance,
        log_loss(examples.label, click_models.logits(popularity, examples)),
        log_loss(examples.label, chance.clamp(1e-12, 1 - 1e-9).logit()),
    )


def recipe_of(step: str, chosen: dict[str, dict]) -> Recipe:
    """The recipe after all steps up to this one.

    Args:
        step: one of STEPS.
        chosen: step → the values that the tuning worlds gave, {"epochs": 2, …}.
    """
    if step not in STEPS:
        raise ValueError(f"step is {step!r}; it must be one of {list(STEPS)}")
    recipe = FOUND
    for name, changes in STEPS.items():
        fixed = {k: v for k, v in changes.items() if v is not None or k == "per_click"}
        recipe = replace(recipe, **fixed, **chosen.get(name, {}))
        if name == step:
            return recipe
    raise AssertionError("not reached")


def story(
    task: Task,
    chosen: dict[str, dict],
    seed: int,
    keep: Callable[[str, Trained], None] | None = None,
) -> dict[str, dict[str, float]]:
    """Every step in one world, fitted on all days before the test and scored once.

    Args:
        task: from `click_models.make_task`.
        chosen: see `recipe_of`.
        seed: of start, order and draws.
        keep: called with each step and what it trained, to look at afterwards.

    Returns:
        step → figures of `Referee.judge`.
    """
    referee, rows = make_referee(task), task.before(task.test_from)
    found, trained, before = {}, None, None
    for step in STEPS:
        recipe = recipe_of(step, chosen)
        if before is not None and replace(recipe, undone=before.undone) == before:
            trained = replace(trained, undone=recipe.undone)  # read otherwise, trained the same
        else:
            trained = train(task, recipe, rows, seed)
        before = recipe
        found[step] = referee.judge(trained.logits(referee.examples))
        if keep is not None:
            keep(step, trained)
    return found


# ---------------------------------------------------------------- choosing


def choices_of(step: str) -> tuple[str, ...]:
    """The names of what a step has to choose."""
    return tuple(k for k, v in STEPS[step].items() if v is None and k != "per_click")


def grid_of(step: str) -> list[dict]:
    """All combinations that a step chooses from; how many epochs is one of the choices, since a
    schedule that ends at zero must know it beforehand."""
    combinations: list[dict] = [{}]
    late = list(STEPS).index(step) >= list(STEPS).index("warm-up and a falling rate")
    for name in choices_of(step):
        values = LONGER if name == "epochs" and late else GRID[name]
        combinations = [c | {name: v} for c in combinations for v in values]
    return combinations


def try_recipe(task: Task, recipe: Recipe, seed: int = 0) -> float:
    """Log-loss on validation days, as read; ln 2 where training broke down."""
    held = (task.day >= VALIDATION_FROM) & (task.day < TEST_FROM)
    examples = task.examples[held.nonzero().squeeze(1)]
    try:
        trained = train(task, recipe, task.before(VALIDATION_FROM), seed)
        return log_loss(examples.label, trained.logits(examples))
    except NotFinite:
        return math.log(2)


# ---------------------------------------------------------------- the one-epoch phenomenon


def with_planted_field(task: Task, rows_per_value: int, seed: int) -> Task:
    """The task with one more field that says nothing: before the validation days every value
    stands in so many rows, drawn at random; from then on there are new values only, which is id 0.

    A number of the request, of an advertisement that ran for an hour, of a cookie: services have
    many such fields. Zhang et al.: Towards Understanding the Overfitting Phenomenon of Deep
    Click-Through Rate Models. CIKM 2022, https://doi.org/10.1145/3511808.3557479.

    Args:
        task: from `click_models.make_task`.
        rows_per_value: on average.
        seed: of the draw.
    """
    if rows_per_value < 1:
        raise ValueError(f"rows_per_value is {rows_per_value}; it must be 1 or more")
    n_values = math.ceil(len(task.before(VALIDATION_FROM)) / rows_per_value)
    generator = torch.Generator().manual_seed(20_000 + seed)
    value = torch.randint(1, n_values + 1, (len(task.day),), generator=generator)
    value = torch.where(task.day < VALIDATION_FROM, value, 0)
    ids = torch.cat([task.examples.ids, value[:, None]], dim=1)
    return replace(
        task,
        examples=replace(task.examples, ids=ids),
        cardinalities=[*task.cardinalities, n_values + 1],
    )


def epoch_curves(task: Task, recipe: Recipe, seed: int) -> dict[str, list[float]]:
    """Log-loss after every epoch, on what was trained on and on validation days.

    Returns:
        "train" and "validation", one figure an epoch.
    """
    rows = task.before(VALIDATION_FROM)
    held = ((task.day >= VALIDATION_FROM) & (task.day < TEST_FROM)).nonzero().squeeze(1)
    parts = {"train": task.examples[rows[::5]], "validation": task.examples[held]}
    curves: dict[str, list[float]] = {name: [] for name in parts}

    def look(model: nn.Module, kept: float) -> float:
        for name, examples in parts.items():
            logit = click_models.logits(model, examples)
            curves[name].append(log_loss(examples.label, logit))
        return -curves["validation"][-1]

    train(task, recipe, rows, seed, validate=look)
    return curves


# ---------------------------------------------------------------- a planted loss spike


def spike_run(
    task: Task, seed: int, *, clip_norm: float | None, spiked: bool = True,
    optimizer: str = "SGD with momentum", lr: float = 0.02, n_steps: int = 80,
) -> dict:  # fmt: skip
    """Regression on hours watched, where one row of one batch holds the second at which watching
    ended, counted from 1970, in the place of how many seconds it lasted.

    Args:
        task: from `click_models.make_task`.
        seed: of start and order.
        clip_norm: see `fit`.
        spiked: whether the row is there at all.
        optimizer, lr: see `Recipe`.
        n_steps: of 512 impressions each; the row comes halfway.

    Returns:
        "losses", one a step, up to where it broke down; "broke" the error's words, or None; "rmse"
        on the test's watched hours, None where it broke.
    """
    rows = task.before(TEST_FROM)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    hours = task.world.log.watch_seconds.float() / 3_600  # [M]
    model = new_model(task.cardinalities, 0.0, seed)
    recipe = Recipe(optimizer=optimizer, lr=lr)
    losses: list[float] = []

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        for step, part in enumerate(order[: n_steps * 512].split(512)):
            target = hours[rows[part]]  # a copy
            if spiked and step == n_steps // 2:
                target[0] = TIMESTAMP / 3_600
            yield task.examples[rows[part]], target

    def loss(model: nn.Module, batch: tuple) -> Tensor:
        value = (model(batch[0]) - batch[1]).square().mean()
        losses.append(float(value.detach()))
        return value

    try:
        fit(
            model, batches, loss, make_optimizer(model, recipe), validate=None, max_epochs=1,
            patience=None, seed=seed, clip_norm=clip_norm,
        )  # fmt: skip
    except NotFinite as error:
        return {"losses": _finite(losses), "broke": str(error), "rmse": None}
    test = (task.day >= TEST_FROM).nonzero().squeeze(1)
    predicted = click_models.logits(model, task.examples[test])
    error = (predicted - hours[test].double()).square().mean().sqrt()
    return {"losses": losses, "broke": None, "rmse": float(error)}


def _finite(values: list[float]) -> list[float]:
    """Those before the first that is no number."""
    end = next((i for i, value in enumerate(values) if not math.isfinite(value)), len(values))
    return values[:end]


# ---------------------------------------------------------------- calibration


def chance_task(world: World, seed: int, days: int = 28) -> Task:
    """A task on the log of some weeks in which chance filled the lists: clicks are rarer there than
    on what a service chose. The first 28 days are the service's, and are not trained on."""
    more = run_online(world, random_policy(world, seed), days, seed=seed)
    return make_task(grown(world, more.log, days), test_from=world.days + days - 4)


def calibration_of(
    task: Task, recipe: Recipe, per_click: float | None, first_day: int, seed: int
) -> dict[str, dict[str, float]]:
    """Train on thinned negatives and read the chances raw, undone, and by Platt's line.

    Args:
        task: whose last four days are the test; the four before are what Platt's line is fitted on.
        recipe: how to train.
        per_click: negatives kept beside each click; None keeps all.
        first_day: of the training.
        seed: of start, order and draws.

    Returns:
        reading → figures of `Referee.judge` (those of "share" against the same test's popularity),
        and "kept".
    """
    day, validation_from = task.day, task.test_from - 4
    rows = ((day >= first_day) & (day < validation_from)).nonzero().squeeze(1)
    referee = make_referee(task, seed, rows)  # of the same days
    trained = train(task, replace(recipe, per_click=per_click, undone=False), rows, seed)
    held = ((day >= validation_from) & (day < task.test_from)).nonzero().squeeze(1)
    slope, intercept = platt(
        click_models.logits(trained.model, task.examples[held]), task.examples.label[held]
    )
    raw = click_models.logits(trained.model, referee.examples)
    readings = {
        "raw": raw,
        "undone": recalibrate(raw, trained.kept),
        "Platt": slope * raw + intercept,
    }
    return {name: referee.judge(logit) for name, logit in readings.items()} | {
        "kept": {"kept": trained.kept, "slope": slope, "intercept": intercept}
    }
