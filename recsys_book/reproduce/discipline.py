"""Chapter 06, recorded: a badly trained run repaired, and what the rules of thumb are worth."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from recsys_book.data import simulate
from recsys_book.experiments import repairs as lab
from recsys_book.experiments.ladder import Task, make_task
from recsys_book.experiments.repairs import GRID, STEPS, Recipe
from recsys_book.reproduce.cells import Cells, in_processes
from recsys_book.reproduce.record import Run

NAME = "discipline"
SEEDS, TUNING_WORLDS = (0, 1, 2, 3, 4), (100, 101)
LIVE, RECORDED = 500, 1_000  # users: of what the chapter runs live, and of this record
CHOOSING = tuple(step for step in STEPS if lab.choices_of(step))

#: The good run with one thing changed back, or one rule of thumb followed.
FAULTS = {
    "as it is": {},
    "balanced classes, read raw": {"per_click": 1.0, "undone": False},
    "balanced classes, undone": {"per_click": 1.0},
    "in the order of the log": {"shuffled": False},
    "8 epochs": {"epochs": 8},
    "constant rate": {"schedule": "constant"},
    "no warm-up": {"schedule": "cosine"},
    "three times the rate": {"lr": 3.0},
    "a third of the rate": {"lr": 1 / 3},
    "no weight decay": {"weight_decay": 0.0},
    "decay on biases too": {"decays_biases": True},
    "clipped at 5": {"clip_norm": 5.0},
    "clipped at .5": {"clip_norm": 0.5},
    "dropout .2": {"dropout": 0.2},
}
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7)
DECAYS = (0.0, 1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)

#: Optimizer → what changes, and the rates that it may choose from, as many for each.
OPTIMIZERS = {
    "Adam": ({}, (5e-4, 3e-2)),
    "Adam, no warm-up": ({"schedule": "cosine"}, (5e-4, 3e-2)),
    "AdamW": ({"optimizer": "AdamW"}, (5e-4, 3e-2)),
    "AdaGrad": ({"optimizer": "AdaGrad"}, (3e-3, 3e-1)),
    "SGD with momentum": ({"optimizer": "SGD with momentum"}, (1e-2, 3e0)),
    "SGD": ({"optimizer": "SGD"}, (1e-1, 3e1)),
    "Adam, batches of 8,192": ({"batch_size": 8_192}, (1e-3, 1e-1)),
    "Adam, batches of 8,192, no warm-up": (
        {"batch_size": 8_192, "schedule": "cosine"},
        (1e-3, 1e-1),
    ),
}
N_RATES, OPTIMIZER_EPOCHS = 6, (2, 4, 6)
#: AdamW's decay shrinks weights by rate × decay a step, whatever the gradient: another scale.
ADAMW_DECAYS = (1e-3, 1e-2, 1e-1)
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
            tried = np.array([self.tune(size, step, world) for world in TUNING_WORLDS])
            found[step] = lab.grid_of(step)[int(tried.mean(0).argmin())]
        return found

    def good(self, size: int = RECORDED) -> Recipe:
        """The repaired run: with dropout where that was better on the tuning worlds."""
        last, best = CHOOSING[-2:], []
        for step in last:
            tried = np.array([self.tune(size, step, world) for world in TUNING_WORLDS])
            best.append(tried.mean(0).min())
        return lab.recipe_of(last[int(np.argmin(best))], self.chosen(size))

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
        return self._judged(f"fault {name} {seed}", replace(good, **changes), seed)

    def dropout(self, value: float, seed: int) -> dict:
        """The good run under another dropout."""
        return self._judged(f"dropout {value:g} {seed}", replace(self.good(), dropout=value), seed)

    def decay(self, value: float, biases: bool, seed: int) -> dict:
        """The good run under another weight decay, on biases too or not."""
        recipe = replace(self.good(), weight_decay=value, decays_biases=biases)
        return self._judged(f"decay {value:g} {biases} {seed}", recipe, seed)

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
        """As many for each optimizer: rates × numbers of epochs; AdamW spreads the same number over
        its decays, since the L2 that was chosen means nothing to it."""
        changes, (low, high) = OPTIMIZERS[name]
        good = replace(self.good(), **changes)
        rates = [float(f"{rate:.2g}") for rate in np.geomspace(low, high, N_RATES)]
        recipes = [replace(good, lr=lr, epochs=e) for lr in rates for e in OPTIMIZER_EPOCHS]
        if name == "AdamW":
            n = len(ADAMW_DECAYS)
            recipes = [
                replace(r, weight_decay=ADAMW_DECAYS[(i + i // n) % n])
                for i, r in enumerate(recipes)
            ]
        return recipes

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
        pieces |= {("dropout", value, seed): tuned for value in DROPOUTS}
        pieces |= {("decay", v, biases, seed): tuned for v in DECAYS for biases in (False, True)}
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
    run = Run(NAME, f"python -m recsys_book.reproduce {NAME}", list(SEEDS))
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
        "dropout": {f"{value:g}": over(work.dropout, value) for value in DROPOUTS},
        "decay": {
            kind: {f"{value:g}": over(work.decay, value, biases) for value in DECAYS}
            for kind, biases in (("not on biases", False), ("on biases too", True))
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
    for kind in ("faults", "dropout"):
        for name, rows in figures[kind].items():
            print(f"{kind} {name:30}", share(rows))
    for kind, curve in figures["decay"].items():
        for value, rows in curve.items():
            print(f"decay {kind} {value:8}", share(rows))
    for name, entry in figures["optimizers"].items():
        print(f"{name:36}", entry["recipe"]["lr"], share(entry["found"]))
    path = run.write(figures, pieces=cells.sums())
    cells.finish()
    print("written to", path)
