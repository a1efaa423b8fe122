"""Chapter 04 on real data: both stages on KuaiRand-Pure, the first one on MovieLens small too.

Everything is cut by time; settings and epochs are chosen on the validation stretch, models are
fitted anew on everything before the test, and tested once. Every model and every loss, with log Q
and without, tries the same six drawn settings. Three seeds.

Watches: long views on KuaiRand (completed watches are too few), ratings on MovieLens.
"""

from __future__ import annotations

from dataclasses import asdict

import torch

from recsys_book.chapters.ch04_youtube_dnn import candidates, kuairand
from recsys_book.chapters.ch04_youtube_dnn.candidates import TUNED, VARIANTS, best_of_draws
from recsys_book.chapters.ch04_youtube_dnn.watch_time import HEADS, Fitted, calibration
from recsys_book.chapters.ch04_youtube_dnn.watch_time import Recipe as RankerRecipe
from recsys_book.data import load
from recsys_book.metrics import auc
from recsys_book.reproduce.cells import Cells, in_processes
from recsys_book.reproduce.record import Run

NAME = "ch04/logs"
SEEDS = (0, 1, 2)
DRAWS = 6  # settings tried by each
EPOCHS, PATIENCE = 10, 2  # of the search
#: Data set → epochs at most and patience of what is tested. On KuaiRand a training may stand at the
#: recall of popularity for three epochs before it goes on.
FINAL = {"kuairand-pure": (15, 5), "ml-latest-small": (10, 3)}
#: Data set → variants compared. MovieLens' question is what a history does for people who are new.
SETS = {
    "kuairand-pure": tuple(VARIANTS),
    "ml-latest-small": (
        "static user vector", "full softmax", "in-batch", "at most 20 a user", "leaky histories",
    ),
}  # fmt: skip


def film_task() -> candidates.Task:
    """MovieLens small: every rating a watch, the last two tenths of the time for validation and
    test. Most of its people rate for a day or two: those of the test are nearly all new."""
    log = load("ml-latest-small").ratings
    ordered = log.time.sort().values
    first = lambda share: int(ordered[int(share * len(ordered))])
    return candidates.make_task(log, first(0.8), first(0.9), length=50)


class Work:
    """The run: each public method is one kind of piece."""

    def __init__(self, cells: Cells) -> None:
        self.cells, self._tasks, self._data = cells, {}, None

    def task(self, name: str) -> candidates.Task:
        """The first stage's task on a data set."""
        if name not in self._tasks:
            make = {"ml-latest-small": film_task}
            make["kuairand-pure"] = lambda: kuairand.candidate_task(self.data()[0])
            self._tasks[name] = make[name]()
        return self._tasks[name]

    def data(self):
        """KuaiRand, its rows as examples of the ranker, and the sizes of their fields."""
        if self._data is None:
            data = load("kuairand-pure")
            self._data = (data, *kuairand.impressions(data))
        return self._data

    # ------------------------------------------------------------ first stage

    def choose_first(self, name: str, variant: str) -> dict:
        """A variant's setting on a data set."""

        def make() -> dict:
            task = self.task(name)
            run = lambda setting: candidates.run_variant(
                task, variant, setting, 0, test=False, epochs=EPOCHS, patience=PATIENCE
            )
            return best_of_draws(lambda setting: run(setting)["validation"], DRAWS)

        return self.cells.get(f"choose {name} {variant}", make)["best"]

    def first(self, name: str, variant: str, seed: int) -> dict:
        """A variant, chosen, refitted and tested."""

        def make() -> dict:
            setting = self.choose_first(name, TUNED[variant])
            task = self.task(name)
            epochs, patience = FINAL[name]
            found = candidates.run_variant(
                task, variant, setting, seed, test=True, epochs=epochs, patience=patience
            )
            return {key: found[key] for key in ("recall", "epochs", "validation")}

        return self.cells.get(f"first {name} {variant} {seed}", make)

    def random_split(self, name: str, seed: int) -> dict:
        """What a split at random would have reported."""

        def make() -> dict:
            epochs = self.first(name, "leaky histories", seed)["epochs"]
            setting = self.choose_first(name, "full softmax")
            return candidates.run_random_split(self.task(name), setting, seed, epochs)

        return self.cells.get(f"random split {name} {seed}", make)

    def popular(self, name: str) -> dict:
        """Popularity, and what the task is."""

        def make() -> dict:
            task = self.task(name)
            past = task.log[task.log.time < task.test_from]
            score = candidates.popularity(past.item_counts())
            found = candidates.recalls(score, task, task.test, task.test_from)
            known = torch.isin(task.test.user, past.user).double().mean()
            return {
                "recall": found, "test": len(task.test), "left_out": task.n_left_out,
                "watches": len(past), "items": task.log.n_items, "users_known": float(known),
            }  # fmt: skip

        return self.cells.get(f"popular {name}", make)

    # ------------------------------------------------------------ second stage

    def choose_second(self, head: str) -> dict:
        """A head's setting."""

        def make() -> dict:
            data, part, sizes = self.data()

            def score(setting: dict) -> float:
                recipe = RankerRecipe(head, epochs=6, **setting)
                args = part, data.user, data.n_videos, sizes, recipe
                return kuairand.choose(*args, seed=0).best_score

            return best_of_draws(score, DRAWS)

        return self.cells.get(f"choose {head}", make)["best"]

    def fitted(self, head: str, seed: int) -> tuple[Fitted, int]:
        """A head, chosen and refitted."""
        data, part, sizes = self.data()
        recipe = RankerRecipe(head, epochs=6, **self.choose_second(head))
        return kuairand.choose_and_test(part, data.user, data.n_videos, sizes, recipe, seed)

    def second(self, seed: int) -> dict:
        """All heads on the test: figures, and calibration by tenths of the predictions."""

        def make() -> dict:
            data, part, _ = self.data()
            rows = part.day >= kuairand.TEST_FROM
            test, users = part[rows], data.user[rows]
            found, logits = {"heads": {}, "calibration": {}}, {}
            for head in HEADS:
                fitted, epochs = self.fitted(head, seed)
                found["heads"][head] = kuairand.figures(fitted, test, users) | {"epochs": epochs}
                logits[head] = fitted.logits(test).double()
            odds, p = logits["watch time"].exp(), logits["click"].sigmoid()
            exact = odds * (1 - p)
            guesses = {"odds": odds, "odds · (1 − p)": exact, "regression": logits["regression"]}
            for name, predicted in guesses.items():
                table = calibration(predicted, test.minutes.double())
                found["calibration"][name] = table.tolist()
            found["impressions"], found["clicked"] = len(test), float(test.clicked.double().mean())
            found["auc of exact"] = auc(test.clicked.float(), exact.float())
            return found

        return self.cells.get(f"second {seed}", make)


def plan() -> dict[tuple, list[tuple]]:
    """Every piece with those it needs."""
    pieces: dict[tuple, list[tuple]] = {}
    for name, variants in SETS.items():
        for variant in dict.fromkeys(TUNED[v] for v in variants):
            pieces["choose_first", name, variant] = []
        pieces["popular", name] = []
    pieces |= {("choose_second", head): [] for head in HEADS}
    for name, variants in SETS.items():
        for variant in variants:
            for seed in SEEDS:
                pieces["first", name, variant, seed] = [("choose_first", name, TUNED[variant])]
        for seed in SEEDS:
            pieces["random_split", name, seed] = [("first", name, "leaky histories", seed)]
    return pieces | {
        ("second", seed): [("choose_second", head) for head in HEADS] for seed in SEEDS
    }


def open_cells() -> Cells:
    """Where the pieces are kept."""
    return Cells(NAME, [SEEDS, DRAWS, EPOCHS, PATIENCE, FINAL, SETS, VARIANTS])


def make_worker() -> Work:
    """In each process."""
    return Work(open_cells())


def main() -> None:
    """Run it all, print it, record it."""
    run = Run(NAME, list(SEEDS))
    for name in SETS:
        load(name)  # at once, before processes start: what is missing is told here
    cells = open_cells()
    in_processes(plan(), make_worker)
    work = Work(cells)
    figures = {
        "settings": {
            name: {v: work.choose_first(name, v) for v in dict.fromkeys(TUNED[v] for v in variants)}
            for name, variants in SETS.items()
        },
        "heads": {head: work.choose_second(head) for head in HEADS},
        "labels": kuairand.label_table(load("kuairand-pure")).to_dict("index"),
        "popularity": {name: work.popular(name) for name in SETS},
        "first": {
            name: {v: [work.first(name, v, seed) for seed in SEEDS] for v in variants}
            for name, variants in SETS.items()
        },
        "random_split": {name: [work.random_split(name, seed) for seed in SEEDS] for name in SETS},
        "second": [work.second(seed) for seed in SEEDS],
        "recipe": asdict(candidates.Recipe()),
    }
    for name, rows in figures["first"].items():
        print(name, figures["popularity"][name])
        print("  random split", [row["recall"] for row in figures["random_split"][name]])
        for variant, runs in rows.items():
            print(f"  {variant:22}", [run["recall"] for run in runs])
    for row in figures["second"]:
        print(row["heads"])
    path = run.write(figures, pieces=cells.sums())
    cells.finish()
    print("written to", path)
