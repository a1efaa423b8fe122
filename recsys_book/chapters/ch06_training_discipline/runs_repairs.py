"""Chapter 06, recorded: a badly trained run repaired, and what the rules of thumb are worth."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from recsys_book.chapters.ch06_training_discipline import repairs as lab
from recsys_book.chapters.ch06_training_discipline.repairs import GRID, STEPS, Recipe
from recsys_book.reproduce import Pieces, piece
from recsys_book.service import simulate
from recsys_book.service.click_models import Task, make_task

NAME = "ch06/repairs"
SEEDS, TUNING_WORLDS = (0, 1, 2, 3, 4), (100, 101)
LIVE, RECORDED = 400, 800  # users: of what the chapter runs live, and of this record
CHOOSING = tuple(step for step in STEPS if lab.choices_of(step))

#: The good run with one thing changed back, or one rule of thumb followed; nothing else is chosen
#: anew.
FAULTS = {
    "as it is": {},
    "balanced classes, read raw": {"per_click": 1.0, "undone": False},
    "balanced classes, undone": {"per_click": 1.0},
    "in the order of the log": {"shuffled": False},
    "twice the epochs": {"epochs": 2.0},
    "constant rate": {"schedule": "constant"},
    "no warm-up": {"schedule": "cosine"},
    "three times the rate": {"lr": 3.0},
    "no weight decay": {"weight_decay": 0.0},
    "decay on biases too": {"decays_biases": True},
    "clipped at 5": {"clip_norm": 5.0},
    "clipped at .5": {"clip_norm": 0.5},
    "dropout .2": {"dropout": 0.2},
}
#: Curves over one choice of a step, each value with the number of epochs best for it on the tuning
#: worlds; the value 0 is the step before.
CURVES = {"weight_decay": "weight decay, not on biases", "dropout": "dropout"}

#: Optimizer → what changes, the rates that it may choose from, and the decays that these are spread
#: over. As many tries for each.
OPTIMIZERS = {
    "Adam": ({}, (5e-4, 3e-2), (0.0, 3e-5, 3e-4)),
    "Adam, no warm-up": ({"schedule": "cosine"}, (5e-4, 3e-2), (0.0, 3e-5, 3e-4)),
    # Its decay shrinks weights by rate × decay a step, whatever the gradient: another scale.
    "AdamW": ({"optimizer": "AdamW"}, (5e-4, 3e-2), (0.0, 1e-2, 1e-1)),
    "AdaGrad": ({"optimizer": "AdaGrad"}, (3e-3, 3e-1), (0.0, 3e-5, 3e-4)),
    "SGD with momentum": ({"optimizer": "SGD with momentum"}, (1e-2, 3e0), (0.0, 3e-5, 3e-4)),
}
N_RATES, OPTIMIZER_EPOCHS = 6, (5, 10)
ROWS_PER_VALUE = (1, 2, 5, 20, 100)
CURVE_EPOCHS = 6
PER_CLICK = (1.0, 4.0, None)
SPIKES = {
    "no spike": {"spiked": False, "clip_norm": None},
    "spike": {"clip_norm": None},
    "spike, clipped at 5": {"clip_norm": 5.0},
    "spike, clipped at 1": {"clip_norm": 1.0},
}
SPIKE_OPTIMIZERS = {"SGD with momentum": 0.02, "Adam": 0.005}


class Work(Pieces):
    """The pieces of the run."""

    # ------------------------------------------------------------ choosing

    @piece
    def tune(self, size: int, step: str, world: int) -> list[float]:
        """Validation log-loss of every combination of a step, after what earlier steps chose."""
        before = self.chosen(size, until=step)
        task = self._task(size, world)
        tried = []
        for values in lab.grid_of(step):
            recipe = lab.recipe_of(step, before | {step: values})
            tried.append(lab.try_recipe(task, recipe))
        return tried

    def chosen(self, size: int, until: str | None = None) -> dict[str, dict]:
        """step → the values that are best on the mean of the tuning worlds."""
        found: dict[str, dict] = {}
        for step in CHOOSING:
            if step == until:
                break
            found[step] = lab.grid_of(step)[int(self._tried(size, step).argmin())]
        return found

    def _tried(self, size: int, step: str) -> np.ndarray:
        """Validation log-loss of a step's combinations, the mean of the tuning worlds."""
        return np.mean([self.tune(size, step, world) for world in TUNING_WORLDS], axis=0)

    def good(self, size: int = RECORDED) -> Recipe:
        """The repaired run: with dropout where that was better on the tuning worlds."""
        best = min(CHOOSING[-2:], key=lambda step: self._tried(size, step).min())
        return lab.recipe_of(best, self.chosen(size))

    def on_the_edge(self, size: int) -> list[str]:
        """Choices that are the largest or smallest on offer: a wider grid might do better."""
        edges = []
        for step, values in self.chosen(size).items():
            grid = lab.grid_of(step)
            for name, value in values.items():
                offered = sorted({c[name] for c in grid})
                if value in (offered[0], offered[-1]):
                    edges.append(f"{step}: {name} {value:g}")
        return edges

    # ------------------------------------------------------------ the story

    @piece
    def story(self, size: int, seed: int) -> dict:
        """Every step in one world."""
        return lab.story(self._task(size, seed), self.chosen(size), seed)

    def fault(self, name: str, seed: int) -> dict:
        """The good run with one thing changed."""
        good, changes = self.good(), dict(FAULTS[name])
        if "lr" in changes:
            changes["lr"] *= good.lr
        if "epochs" in changes:
            changes["epochs"] = max(round(changes["epochs"] * good.epochs), 1)
        return self._judged(f"fault {name} {seed}", replace(good, **changes), seed)

    def curve(self, name: str, value: float, seed: int) -> dict:
        """The run of a step with another value of its choice; 0 is the step before."""
        step = CURVES[name]
        if value == 0:
            before = list(STEPS)[list(STEPS).index(step) - 1]
            recipe = lab.recipe_of(before, self.chosen(RECORDED))
        else:
            tried = self._tried(RECORDED, step)
            grid = lab.grid_of(step)
            best = min((i for i, c in enumerate(grid) if c[name] == value), key=lambda i: tried[i])
            recipe = lab.recipe_of(step, self.chosen(RECORDED) | {step: grid[best]})
        return self._judged(f"curve {name} {value:g} {seed}", recipe, seed, True)

    # ------------------------------------------------------------ optimizers

    @piece
    def try_optimizer(self, name: str, world: int) -> list[float]:
        """Validation log-loss of every rate and number of epochs (and decay, of AdamW)."""
        task = self._task(RECORDED, world)
        return [lab.try_recipe(task, r) for r in self._optimizer_recipes(name)]

    def optimizer(self, name: str, seed: int) -> dict:
        """An optimizer as chosen, in one world."""
        return self._judged(f"optimizer {name} {seed}", self.optimizer_recipe(name), seed)

    def optimizer_recipe(self, name: str) -> Recipe:
        """The best recipe on the mean of the tuning worlds."""
        tried = np.array([self.try_optimizer(name, world) for world in TUNING_WORLDS])
        return self._optimizer_recipes(name)[int(tried.mean(0).argmin())]

    def _optimizer_recipes(self, name: str) -> list[Recipe]:
        """As many for each optimizer: rates × numbers of epochs, spread over its decays. What Adam
        had chosen in the story is nobody's here, but for dropout."""
        changes, (low, high), decays = OPTIMIZERS[name]
        good = replace(self.good(), **changes)
        rates = [float(f"{rate:.2g}") for rate in np.geomspace(low, high, N_RATES)]
        return [
            replace(good, lr=lr, epochs=epochs, weight_decay=decays[(i + j) % len(decays)])
            for i, lr in enumerate(rates)
            for j, epochs in enumerate(OPTIMIZER_EPOCHS)
        ]

    # ------------------------------------------------------------ single phenomena

    @piece
    def one_epoch(self, rows_per_value: int, seed: int) -> dict:
        """Loss after every epoch, with a planted field that says nothing; 0 rows: without it."""
        task = self._task(RECORDED, seed)
        if rows_per_value:
            task = lab.with_planted_field(task, rows_per_value, seed)
        recipe = replace(self.good(), schedule="constant", epochs=CURVE_EPOCHS)
        return lab.epoch_curves(task, recipe, seed)

    @piece
    def spike(self, name: str, optimizer: str, seed: int) -> dict:
        """A regression with one row out of its unit."""
        lr = SPIKE_OPTIMIZERS[optimizer]

        task = self._task(LIVE, seed)
        found = lab.spike_run(task, seed, optimizer=optimizer, lr=lr, **SPIKES[name])
        return found

    @piece
    def calibration(self, per_click: float | None, seed: int) -> dict:
        """Thinned negatives on a log of chance, read raw, undone, and by Platt's line."""
        world = simulate(n_users=RECORDED, seed=seed)
        task = lab.chance_task(world, seed)
        found = lab.calibration_of(task, self.good(), per_click, world.days, seed)
        return found

    # ------------------------------------------------------------ helpers

    def _task(self, size: int, world: int) -> Task:
        return make_task(simulate(n_users=size, seed=world))

    @piece
    def _judged(self, key: str, recipe: Recipe, seed: int, with_epochs: bool = False) -> dict:
        task = self._task(RECORDED, seed)
        trained = lab.train(task, recipe, task.before(task.test_from), seed)
        referee = lab.make_referee(task)
        found = referee.judge(trained.logits(referee.examples))
        return found | ({"epochs": recipe.epochs} if with_epochs else {})

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        over = lambda piece, *arguments: [piece(*arguments, seed) for seed in SEEDS]
        # These need nothing that is chosen: cores have them to do while choices wait for others.
        spikes = {o: {s: over(self.spike, s, o) for s in SPIKES} for o in SPIKE_OPTIMIZERS}
        return {
            "users": {"live": LIVE, "recorded": RECORDED},
            "chosen": {str(size): self.chosen(size) for size in (LIVE, RECORDED)},
            "good": {str(size): asdict(self.good(size)) for size in (LIVE, RECORDED)},
            "story": {str(size): over(self.story, size) for size in (LIVE, RECORDED)},
            "faults": {name: over(self.fault, name) for name in FAULTS},
            "on_the_edge": {str(size): self.on_the_edge(size) for size in (LIVE, RECORDED)},
            "curves": {
                name: {f"{value:g}": over(self.curve, name, value) for value in (0.0, *GRID[name])}
                for name in CURVES
            },
            "optimizers": {
                name: {
                    "recipe": asdict(self.optimizer_recipe(name)),
                    "found": over(self.optimizer, name),
                }
                for name in OPTIMIZERS
            },
            "one_epoch": {str(n): over(self.one_epoch, n) for n in (*ROWS_PER_VALUE, 0)},
            "spike": spikes,
            "calibration": {
                "all" if n is None else f"1:{n:g}": over(self.calibration, n) for n in PER_CLICK
            },
        }


def report(figures: dict) -> None:
    """Print what was found."""
    share = lambda rows: [round(row["share"], 3) for row in rows]
    for size, stories in figures["story"].items():
        for step in STEPS:
            print(size, f"{step:30}", share([story[step] for story in stories]))
    for name, rows in figures["faults"].items():
        print(f"{name:30}", share(rows))
    for kind, curve in figures["curves"].items():
        for value, rows in curve.items():
            print(f"{kind} {value:8}", share(rows))
    print("on the edge of its grid:", figures["on_the_edge"])
    for name, entry in figures["optimizers"].items():
        print(f"{name:36}", entry["recipe"]["lr"], share(entry["found"]))
