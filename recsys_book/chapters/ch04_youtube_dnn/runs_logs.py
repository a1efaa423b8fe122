"""Chapter 04 on real data: both stages on KuaiRand-Pure, the first one on MovieLens small too.

Everything is cut by time; settings and epochs are chosen on the validation stretch, models are
fitted anew on everything before the test, and tested once. Every model and every loss of the first
stage, with log Q and without, tries the same six drawn settings, every ranker twelve. Three seeds;
rankers are also compared by the bootstrap over people.

Watches: long views on KuaiRand (completed watches are too few), ratings on MovieLens.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from itertools import combinations

import torch

from recsys_book.chapters.ch04_youtube_dnn import candidates, kuairand
from recsys_book.chapters.ch04_youtube_dnn.candidates import TUNED, VARIANTS, best_of_draws
from recsys_book.chapters.ch04_youtube_dnn.watch_time import Recipe as RankerRecipe
from recsys_book.chapters.ch04_youtube_dnn.watch_time import calibration, draws
from recsys_book.data import load
from recsys_book.reproduce import Pieces, piece, wait_for

NAME = "ch04/logs"
SEEDS = (0, 1, 2)
DRAWS, RANKER_DRAWS = 6, 12  # settings tried by each
EPOCHS, PATIENCE = 10, 2  # of the search
RATES = (
    0.0003,
    0.01,
)  # of rankers: lower than on the simulated service, where an epoch is too much
#: Data set → epochs at most and patience of what is tested. On KuaiRand a training may stand at the
#: recall of popularity for three epochs before it goes on.
FINAL = {"kuairand-pure": (15, 5), "ml-latest-small": (10, 3)}
#: Data set → variants compared. MovieLens' question is what a history does for people who are new.
SETS = {
    "kuairand-pure": tuple(VARIANTS),
    "ml-latest-small": ("static user vector", "full softmax", "in-batch", "leaky histories"),
}


def film_task() -> candidates.Task:
    """MovieLens small: every rating a watch, the last two tenths of the time for validation and
    test. Most of its people rate for a day or two: those of the test are nearly all new."""
    log = load("ml-latest-small").ratings
    ordered = log.time.sort().values
    first = lambda share: int(ordered[int(share * len(ordered))])
    return candidates.make_task(log, first(0.8), first(0.9), length=50)


class Work(Pieces):
    """The run: both stages on both data sets."""

    @cache  # noqa: B019 — one for each process, as long as it lives
    def task(self, name: str) -> candidates.Task:
        """The first stage's task on a data set."""
        if name == "ml-latest-small":
            return film_task()
        return kuairand.candidate_task(self.data()[0])

    @cache  # noqa: B019
    def data(self):
        """KuaiRand, its rows as examples of the ranker, and the sizes of their fields."""
        data = load("kuairand-pure")
        return (data, *kuairand.impressions(data))

    # ------------------------------------------------------------ first stage

    @piece
    def choose_first(self, name: str, variant: str) -> dict:
        """A variant's setting on a data set."""
        task = self.task(name)
        run = lambda setting: candidates.run_variant(
            task, variant, setting, 0, test=False, epochs=EPOCHS, patience=PATIENCE
        )
        return best_of_draws(lambda setting: run(setting)["validation"], DRAWS)["best"]

    @piece
    def first(self, name: str, variant: str, seed: int) -> dict:
        """A variant, chosen, refitted and tested."""
        setting = self.choose_first(name, TUNED[variant])
        task = self.task(name)
        epochs, patience = FINAL[name]
        found = candidates.run_variant(
            task, variant, setting, seed, test=True, epochs=epochs, patience=patience
        )
        return {key: found[key] for key in ("recall", "epochs", "validation")}

    @piece
    def random_split(self, name: str, seed: int) -> dict:
        """What a split at random would have reported."""
        epochs = self.first(name, "leaky histories", seed)["epochs"]
        setting = self.choose_first(name, "full softmax")
        return candidates.run_random_split(self.task(name), setting, seed, epochs)

    @piece
    def popular(self, name: str) -> dict:
        """Popularity, and what the task is."""
        task = self.task(name)
        past = task.log[task.log.time < task.test_from]
        score = candidates.popularity(past.item_counts())
        found = candidates.recalls(score, task, task.test, task.test_from)
        known = torch.isin(task.test.user, past.user).double().mean()
        return {
            "recall": found, "test": len(task.test), "left_out": task.n_left_out,
            "watches": len(past), "items": task.log.n_items, "users_known": float(known),
        }  # fmt: skip

    # ------------------------------------------------------------ second stage

    @piece
    def choose_second(self, head: str) -> dict:
        """A head's setting."""
        data, part, sizes = self.data()

        def score(setting: dict) -> float:
            recipe = RankerRecipe(head, epochs=EPOCHS, **setting)
            args = part, data.user, data.n_videos, sizes, recipe
            return kuairand.choose(*args, seed=0).best_score

        settings = draws(RANKER_DRAWS, RATES)
        tried = [score(setting) for setting in settings]
        return {"best": settings[tried.index(max(tried))], "tried": tried}

    @piece
    def fitted(self, head: str, seed: int) -> dict:
        """A ranker, chosen and refitted, and its number of epochs."""
        data, part, sizes = self.data()
        recipe = RankerRecipe(head, epochs=EPOCHS, **self.choose_second(head)["best"])
        args = part, data.user, data.n_videos, sizes, recipe, seed
        predict, epochs = kuairand.choose_and_test(*args)
        return {"predict": predict, "epochs": epochs}

    @piece
    def second(self, seed: int) -> dict:
        """All rankers on the test: figures, and calibration by tenths of the predictions."""
        fitted = {head: self.fitted(head, seed) for head in kuairand.RANKERS}
        wait_for(*fitted.values())
        data, part, _ = self.data()
        rows = part.day >= kuairand.TEST_FROM
        test, users = part[rows], data.user[rows]
        found: dict = {"heads": {}, "calibration": {}}
        scores = {head: one["predict"](test).double() for head, one in fitted.items()}
        for head, one in fitted.items():
            told = kuairand.figures(one["predict"], test, users)
            found["heads"][head] = told | {"epochs": one["epochs"]}
        odds, p = scores["watch time"].exp(), scores["click"].sigmoid()
        guesses = {"odds": odds, "odds · (1 − p)": odds * (1 - p)}
        guesses |= {head: scores[head] for head in ("regression", kuairand.D2Q)}
        for name, predicted in guesses.items():
            table = calibration(predicted, test.minutes.double())
            found["calibration"][name] = table.tolist()
        found["impressions"], found["clicked"] = len(test), float(test.clicked.double().mean())
        return found

    @piece
    def people(self) -> dict:
        """Pairs of rankers by the bootstrap over people, of the mean over trainings."""
        fitted = {(h, seed): self.fitted(h, seed) for h in kuairand.RANKERS for seed in SEEDS}
        wait_for(*fitted.values())
        data, part, _ = self.data()
        rows = part.day >= kuairand.TEST_FROM
        test, users = part[rows], data.user[rows]
        total, wrong = torch.zeros(0), {}
        for head in kuairand.RANKERS:
            every = []
            for seed in SEEDS:
                of, total = kuairand.by_user(
                    fitted[head, seed]["predict"](test), test.minutes, users
                )
                every.append(of)
            wrong[head] = torch.stack(every).mean(0)
        return {
            f"{a} / {b}": kuairand.interval_over_people(wrong[a], wrong[b], total)
            for a, b in combinations(kuairand.RANKERS, 2)
        } | {"n": len(total)}

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        return {
            "settings": {
                name: {
                    v: self.choose_first(name, v) for v in dict.fromkeys(TUNED[v] for v in variants)
                }
                for name, variants in SETS.items()
            },
            "heads": {head: self.choose_second(head) for head in kuairand.RANKERS},
            "labels": kuairand.label_table(load("kuairand-pure")).to_dict("index"),
            "popularity": {name: self.popular(name) for name in SETS},
            "first": {
                name: {v: [self.first(name, v, seed) for seed in SEEDS] for v in variants}
                for name, variants in SETS.items()
            },
            "random_split": {
                name: [self.random_split(name, seed) for seed in SEEDS] for name in SETS
            },
            "second": [self.second(seed) for seed in SEEDS],
            "people": self.people(),
            "recipe": asdict(candidates.Recipe()),
        }


def ready() -> None:
    """What is missing is told before processes start."""
    for name in SETS:
        load(name)


def report(figures: dict) -> None:
    """Print what was found."""
    for name, rows in figures["first"].items():
        print(name, figures["popularity"][name])
        print("  random split", [row["recall"] for row in figures["random_split"][name]])
        for variant, runs in rows.items():
            print(f"  {variant:22}", [run["recall"] for run in runs])
    for row in figures["second"]:
        print(row["heads"])
