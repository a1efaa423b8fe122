"""Chapter 04's first stage on the simulated service, judged by the log and by the truth.

Every loss, and a vector for each person, tries the same drawn settings in world 100, which no
figure comes from, and is chosen by recall@50 of the next watch on validation days. In the worlds 0
to 4 epochs are chosen on validation days as well, each model is fitted anew on everything before
the test, and judged twice: by recall@50 on the log of the last four days, and by what its ten films
are worth to the oracle. Example age, leaky histories and a split at random change one thing in the
full softmax.
"""

from __future__ import annotations

import torch

from recsys_book.chapters.ch04_youtube_dnn import candidates, watch_time
from recsys_book.chapters.ch04_youtube_dnn.candidates import TUNED, best_of_draws
from recsys_book.metrics import share_of_learnable
from recsys_book.reproduce import Pieces, piece, wait_for
from recsys_book.service import simulate
from recsys_book.service.click_models import Cut
from recsys_book.service.log import DAY
from recsys_book.service.oracle import make_ranking
from recsys_book.service.world import World

SEEDS, TUNING_WORLD = (0, 1, 2, 3, 4), 100
VALIDATION_FROM, TEST_FROM = 20, 24
LENGTH, N_USERS = 30, 1_000
EPOCHS = 40
VARIANTS = (
    "static user vector", "full softmax", "sampled", "sampled, no log Q", "in-batch",
    "in-batch, no log Q", "example age", "leaky histories",
)  # fmt: skip
FRESH, AGES = 10, 24  # days since its release: a film counts as fresh; ages that are told apart


def make_task(world: World, length: int = LENGTH) -> candidates.Task:
    """Every click a watch; device and time of day as context."""
    log = world.log
    rows = log.clicked.nonzero().squeeze(1)
    context = torch.stack([log.device[rows], log.daypart[rows]], dim=1).long() + 1
    return candidates.make_task(
        log.clicks(), VALIDATION_FROM * DAY, TEST_FROM * DAY, length=length, context=context,
        cardinalities=watch_time.SIZES[:2],
    )  # fmt: skip


def fresh_recall(world: World, task: candidates.Task, model) -> dict:
    """Recall of test watches of films released in the last days before the test."""
    release = torch.from_numpy(world.film.release_day).long()[task.test.item]
    part = task.test[(release > TEST_FROM - FRESH) & (release < TEST_FROM)]
    found = candidates.recalls(candidates.scorer(model, task), task, part, task.test_from)
    return {"recall": found, "n": len(part)}


def shares(world: World, task: candidates.Task, model) -> dict[str, float]:
    """What a model's ten films are worth by the truth, as shares of the learnable."""
    ranking = make_ranking(Cut(world, TEST_FROM), N_USERS)
    counts = task.log[task.log.time < task.test_from].item_counts().float()
    floor = candidates.by_truth(ranking, task, lambda users: counts.expand(len(users), -1))
    found = candidates.by_truth(ranking, task, model)
    return {how: share_of_learnable(found[how], floor[how], 1.0) for how in found}


class FirstStage(Pieces):
    """The run: a setting for each variant, then five worlds."""

    @piece
    def choose(self, variant: str) -> dict:
        """A variant's setting, and the scores of all that were tried."""
        task = make_task(simulate(seed=TUNING_WORLD))
        run = lambda setting: candidates.run_variant(
            task, variant, setting, 0, test=False, epochs=EPOCHS
        )
        return best_of_draws(lambda setting: run(setting)["validation"])

    @piece
    def first(self, variant: str, seed: int) -> dict:
        """A variant in one world."""
        setting = self.choose(TUNED[variant])["best"]
        world = simulate(seed=seed)
        task = make_task(world)
        found = candidates.run_variant(task, variant, setting, seed, test=True, epochs=EPOCHS)
        model = found["model"]
        told = {key: found[key] for key in ("recall", "epochs", "validation")}
        told |= {"fresh": fresh_recall(world, task, model), "truth": shares(world, task, model)}
        if variant in ("full softmax", "example age"):
            release = torch.from_numpy(world.film.release_day).long()
            told["by age"] = candidates.by_film_age(model, task, release, AGES).tolist()
        return told

    @piece
    def random_split(self, seed: int) -> dict:
        """What a split at random would have reported, in one world."""
        epochs = self.first("leaky histories", seed)["epochs"]
        setting = self.choose("full softmax")["best"]
        task = make_task(simulate(seed=seed))
        return candidates.run_random_split(task, setting, seed, epochs)

    @piece
    def world(self, seed: int) -> dict:
        """One world without a model: popularity, the truth, and the ages of what was watched."""
        world = simulate(seed=seed)
        task = make_task(world)
        past = task.log[task.log.time < task.test_from]
        score = candidates.popularity(past.item_counts())
        release = torch.from_numpy(world.film.release_day).long()
        return {
            "popularity": candidates.recalls(score, task, task.test, task.test_from),
            "oracle": candidates.oracle_recalls(world, task),
            "by age": candidates.watched_by_film_age(task, release, AGES).tolist(),
            "test": len(task.test), "left out": task.n_left_out,
        }  # fmt: skip

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        settings = {
            variant: self.choose(variant) for variant in dict.fromkeys(TUNED[v] for v in VARIANTS)
        }
        rows = {
            (variant, seed): self.first(variant, seed) for seed in SEEDS for variant in VARIANTS
        }
        worlds = [self.world(seed) for seed in SEEDS]
        split = [self.random_split(seed) for seed in SEEDS]
        wait_for(*settings.values(), *rows.values(), *worlds, *split)
        first = {variant: [rows[variant, seed] for seed in SEEDS] for variant in VARIANTS}
        return {"settings": settings, "worlds": worlds, "first": first, "random split": split}


def report(figures: dict) -> None:
    """Print what was found."""
    for variant, runs in figures["first"].items():
        recall = [round(run["recall"]["50"], 3) for run in runs]
        print(f"{variant:22}", recall, [round(run["truth"]["clicks"], 3) for run in runs])
    print("popularity", [world["popularity"] for world in figures["worlds"]])
    print("random split", [row["recall"] for row in figures["random split"]])
