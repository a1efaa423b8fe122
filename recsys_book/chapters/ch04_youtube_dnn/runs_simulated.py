"""Chapter 04 on the simulated service: losses, histories and splits; heads, clickbait and position.

Settings are chosen in world 100, which no figure comes from, from the same drawn settings for every
variant and every head: by recall@50 of the next watch, and by mispredicted watch time, on
validation days. Figures come from worlds 0 to 4; the second stage's are held against the truth.
"""

from __future__ import annotations

from dataclasses import replace

from recsys_book.chapters.ch04_youtube_dnn import candidates, watch_time
from recsys_book.chapters.ch04_youtube_dnn.candidates import TUNED, best_of_draws
from recsys_book.chapters.ch04_youtube_dnn.first_stage import TEST_FROM, fresh_recall, make_task
from recsys_book.chapters.ch04_youtube_dnn.watch_time import HEADS
from recsys_book.chapters.ch04_youtube_dnn.watch_time import Recipe as RankerRecipe
from recsys_book.metrics import mispredicted_watch_time
from recsys_book.reproduce import Pieces, piece
from recsys_book.service import simulate
from recsys_book.service.world import World

NAME = "ch04/simulated"
SEEDS, TUNING_WORLD = (0, 1, 2, 3, 4), 100
LENGTH, SHORT = 30, 5
#: Besides the variants of the real data: histories of the last five watches, and no context.
MORE = {"last 5 watches": "full softmax", "no context": "full softmax"}
#: What is done about the place in the list; the last is another service, whose users look at every
#: place alike.
PLACED = ("untold", "input", "added", "all looked at alike")


class Work(Pieces):
    """The run: each public method is one kind of piece."""

    @piece
    def choose_first(self, variant: str) -> dict:
        """A variant's setting."""
        task = make_task(simulate(seed=TUNING_WORLD))
        run = lambda setting: candidates.run_variant(task, variant, setting, 0, test=False)
        return best_of_draws(lambda setting: run(setting)["validation"])["best"]

    @piece
    def first(self, variant: str, seed: int) -> dict:
        """A variant in one world."""
        setting = self.choose_first((TUNED | MORE)[variant])
        world = simulate(seed=seed)
        task = make_task(world, SHORT if variant == "last 5 watches" else LENGTH)
        found = candidates.run_variant(task, variant, setting, seed, test=True)
        kept = {key: found[key] for key in ("recall", "epochs", "validation")}
        return kept | {"fresh": fresh_recall(world, task, found["model"])}

    @piece
    def random_split(self, seed: int) -> dict:
        """What a split at random would have reported, in one world."""
        task = make_task(simulate(seed=seed))
        epochs = self.first("leaky histories", seed)["epochs"]
        setting = self.choose_first("full softmax")
        return candidates.run_random_split(task, setting, seed, epochs)

    @piece
    def popular(self, seed: int) -> dict:
        """Popularity in one world."""
        task = make_task(simulate(seed=seed))
        past = task.log[task.log.time < task.test_from]
        score = candidates.popularity(past.item_counts())
        found = candidates.recalls(score, task, task.test, task.test_from)
        return {"recall": found, "test": len(task.test), "left_out": task.n_left_out}

    @piece
    def choose_second(self, head: str) -> dict:
        """A head's setting."""
        world = simulate(seed=TUNING_WORLD)
        return best_of_draws(lambda s: second_validation(world, recipe_of(head, s), 0)[1])["best"]

    @piece
    def second(self, head: str, how: str, seed: int) -> dict:
        """A head in one world, held against the truth, by what is done about the place in the list
        (of `PLACED`)."""
        recipe = recipe_of(head, self.choose_second(head))
        world = simulate(seed=seed)
        even = how == "all looked at alike"
        log = simulate(seed=seed, without={"position"}) if even else world
        recipe = replace(recipe, position="untold" if even else how)
        epochs, _ = second_validation(log, recipe, seed)
        part = watch_time.impressions(log)
        fitted = watch_time.train_ranker(part, world.n_films, recipe, seed, epochs=epochs)
        asked = watch_time.requests(world)
        found = watch_time.judge(fitted.logits(asked.examples), asked)
        return found | {"epochs": epochs, "clicked": float(part.clicked.double().mean())}

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        return {
            "settings": {v: self.choose_first(v) for v in dict.fromkeys(TUNED.values())},
            "heads": {head: self.choose_second(head) for head in HEADS},
            "popularity": [self.popular(seed) for seed in SEEDS],
            "first": {v: [self.first(v, seed) for seed in SEEDS] for v in TUNED | MORE},
            "random_split": [self.random_split(seed) for seed in SEEDS],
            "second": {
                head: {how: [self.second(head, how, seed) for seed in SEEDS] for how in PLACED}
                for head in HEADS
            },
        }


def recipe_of(head: str, setting: dict) -> RankerRecipe:
    """A head's recipe from a drawn setting."""
    return RankerRecipe(head, epochs=6, **setting)


def second_validation(world: World, recipe: RankerRecipe, seed: int) -> tuple[int, float]:
    """How many epochs are best on validation days, and 1 − mispredicted watch time there."""
    part = watch_time.impressions(world)
    held_rows = part.day >= TEST_FROM
    past, held, users = part[~held_rows], part[held_rows], world.log.user[held_rows].long()

    def judge(fitted: watch_time.Fitted) -> float:
        predicted = fitted.logits(held, placed=True)  # the log to be predicted has places
        return 1 - mispredicted_watch_time(predicted, held.minutes, users)

    fitted = watch_time.train_ranker(
        past, world.n_films, recipe, seed, validate=judge, patience=2
    )  # fmt: skip
    return fitted.history.best_epoch + 1, fitted.history.best_score


def report(figures: dict) -> None:
    """Print what was found."""
    for variant, runs in figures["first"].items():
        print(f"{variant:22}", [round(run["recall"]["50"], 3) for run in runs])
    print("random split", [row["recall"] for row in figures["random_split"]])
    for head, rows in figures["second"].items():
        for how, runs in rows.items():
            print(head, how, [round(run["spearman"], 3) for run in runs])
