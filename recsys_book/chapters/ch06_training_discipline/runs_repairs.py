"""Chapter 06, recorded: a badly trained run repaired, and what the rules of thumb are worth."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from recsys_book.chapters.ch06_training_discipline import repairs as lab
from recsys_book.chapters.ch06_training_discipline.repairs import GRID, STEPS, Recipe
from recsys_book.reproduce.cells import Cells, in_processes
from recsys_book.reproduce.record import Run
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


class Work:
    """The pieces of the run."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    # ------------------------------------------------------------ choosing

    def tune(self, size: int, step: str, world: int) -> list[float]:
        """Validation log-loss of every combination of a step, after what earlier steps chose."""

        def make() -> dict:
            before = self.chosen(size, until=step)
            task = self._task(size, world)
            tried = []
            for values in lab.grid_of(step):
                recipe = lab.recipe_of(step, before | {step: values})
                tried.append(lab.try_recipe(task, recipe))
            return {"tried": tried}

        return self.cells.get(f"tune {size} {step} {world}", make)["tried"]

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

    def story(self, size: int, seed: int) -> dict:
        """Every step in one world."""
        make = lambda: {"steps": lab.story(self._task(size, seed), self.chosen(size), seed)}
        return self.cells.get(f"story {size} {seed}", make)["steps"]

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
        return self._judged(f"curve {name} {value:g} {seed}", recipe, seed) | {
            "epochs": recipe.epochs
        }

    # ------------------------------------------------------------ optimizers

    def try_optimizer(self, name: str, world: int) -> list[float]:
        """Validation log-loss of every rate and number of epochs (and decay, of AdamW)."""

        def make() -> dict:
            task = self._task(RECORDED, world)
            return {"tried": [lab.try_recipe(task, r) for r in self._optimizer_recipes(name)]}

        return self.cells.get(f"try {name} {world}", make)["tried"]

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

    def one_epoch(self, rows_per_value: int, seed: int) -> dict:
        """Loss after every epoch, with a planted field that says nothing; 0 rows: without it."""

        def make() -> dict:
            task = self._task(RECORDED, seed)
            if rows_per_value:
                task = lab.with_planted_field(task, rows_per_value, seed)
            recipe = replace(self.good(), schedule="constant", epochs=CURVE_EPOCHS)
            return {"curves": lab.epoch_curves(task, recipe, seed)}

        return self.cells.get(f"one epoch {rows_per_value} {seed}", make)["curves"]

    def spike(self, name: str, optimizer: str, seed: int) -> dict:
        """A regression with one row out of its unit."""
        lr = SPIKE_OPTIMIZERS[optimizer]

        def make() -> dict:
            task = self._task(LIVE, seed)
            found = lab.spike_run(task, seed, optimizer=optimizer, lr=lr, **SPIKES[name])
            return {"run": found}

        return self.cells.get(f"spike {name} {optimizer} {seed}", make)["run"]

    def calibration(self, per_click: float | None, seed: int) -> dict:
        """Thinned negatives on a log of chance, read raw, undone, and by Platt's line."""

        def make() -> dict:
            world = simulate(n_users=RECORDED, seed=seed)
            task = lab.chance_task(world, seed)
            found = lab.calibration_of(task, self.good(), per_click, world.days, seed)
            return {"readings": found}

        return self.cells.get(f"calibration {per_click} {seed}", make)["readings"]

    # ------------------------------------------------------------ helpers

    def _task(self, size: int, world: int) -> Task:
        return make_task(simulate(n_users=size, seed=world))

    def _judged(self, key: str, recipe: Recipe, seed: int) -> dict:
        def make() -> dict:
            task = self._task(RECORDED, seed)
            trained = lab.train(task, recipe, task.before(task.test_from), seed)
            referee = lab.make_referee(task)
            return {"found": referee.judge(trained.logits(referee.examples))}

        return self.cells.get(key, make)["found"]


def plan() -> dict[tuple, list[tuple]]:
    """Every piece with those it needs."""
    pieces: dict[tuple, list[tuple]] = {}
    for size in (RECORDED, LIVE):
        before: list[tuple] = []
        for step in CHOOSING:
            now = [("tune", size, step, world) for world in TUNING_WORLDS]
            pieces |= {piece: list(before) for piece in now}
            before += now
        for seed in SEEDS:
            pieces["story", size, seed] = list(before)
        if size == RECORDED:
            tuned = list(before)
    for name in OPTIMIZERS:
        tries = [("try_optimizer", name, world) for world in TUNING_WORLDS]
        pieces |= {piece: tuned for piece in tries}
        pieces |= {("optimizer", name, seed): tuned + tries for seed in SEEDS}
    for seed in SEEDS:
        pieces |= {("fault", name, seed): tuned for name in FAULTS}
        pieces |= {("curve", n, v, seed): tuned for n in CURVES for v in (0.0, *GRID[n])}
        pieces |= {("one_epoch", n, seed): tuned for n in (*ROWS_PER_VALUE, 0)}
        pieces |= {("spike", s, o, seed): [] for s in SPIKES for o in SPIKE_OPTIMIZERS}
        pieces |= {("calibration", n, seed): tuned for n in PER_CLICK}
    return pieces


def open_cells() -> Cells:
    """Where the pieces are kept."""
    return Cells(NAME, [SEEDS, TUNING_WORLDS, LIVE, RECORDED, STEPS, GRID, FAULTS, OPTIMIZERS])


def make_worker() -> Work:
    """In each process."""
    return Work(open_cells())


def main() -> None:
    """Run it all, print it, record it."""
    run = Run(NAME, list(SEEDS))
    cells = open_cells()
    in_processes(plan(), make_worker)
    work = Work(cells)
    over = lambda piece, *arguments: [piece(*arguments, seed) for seed in SEEDS]
    figures = {
        "users": {"live": LIVE, "recorded": RECORDED},
        "chosen": {str(size): work.chosen(size) for size in (LIVE, RECORDED)},
        "good": {str(size): asdict(work.good(size)) for size in (LIVE, RECORDED)},
        "story": {str(size): over(work.story, size) for size in (LIVE, RECORDED)},
        "faults": {name: over(work.fault, name) for name in FAULTS},
        "on_the_edge": {str(size): work.on_the_edge(size) for size in (LIVE, RECORDED)},
        "curves": {
            name: {f"{value:g}": over(work.curve, name, value) for value in (0.0, *GRID[name])}
            for name in CURVES
        },
        "optimizers": {
            name: {
                "recipe": asdict(work.optimizer_recipe(name)),
                "found": over(work.optimizer, name),
            }
            for name in OPTIMIZERS
        },
        "one_epoch": {str(n): over(work.one_epoch, n) for n in (*ROWS_PER_VALUE, 0)},
        "spike": {o: {s: over(work.spike, s, o) for s in SPIKES} for o in SPIKE_OPTIMIZERS},
        "calibration": {
            "all" if n is None else f"1:{n:g}": over(work.calibration, n) for n in PER_CLICK
        },
    }
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
    path = run.write(figures, pieces=cells.sums())
    cells.finish()
    print("written to", path)
