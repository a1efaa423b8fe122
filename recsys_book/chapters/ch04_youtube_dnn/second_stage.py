"""Chapter 04's second stage on the simulated service, and both stages in charge of it.

Rankers are taught clicks, minutes by weighted logistic regression, or minutes by plain regression;
they are told what the paper's network is told, or also what the film is, or also who asks; and the
place in the list is dealt with in four ways. Each tries the same twelve drawn settings in world
100, which no figure comes from, and is chosen on its last four days: by log-loss what is taught
clicks, by mispredicted watch time what is taught minutes. In the worlds 0 to 4 the number of epochs
is chosen in the same way, and the ranker is fitted anew on the whole log.

Then it is held against the truth, and put in charge for 14 days behind several first stages: one
that was trained, one that draws films at random, one that knows the truth, or none.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from recsys_book.chapters.ch04_youtube_dnn import charge, watch_time
from recsys_book.chapters.ch04_youtube_dnn.watch_time import HEADS, PLACES, TOLD, Recipe
from recsys_book.reproduce import Pieces, piece, read_record, wait_for
from recsys_book.service import run_online, simulate
from recsys_book.service.online import oracle_policy

SEEDS, TUNING_WORLD = (0, 1, 2, 3, 4), 100
TEST_FROM, DAYS = 24, 14
DRAWS, EPOCHS = 12, 20
#: Besides `PLACES`: another service, whose users look at every place alike.
ALIKE = "all looked at alike"
#: (head, told, place) of every ranker: what it is taught, what it is told, and the place.
RANKERS = (
    *((head, "everything", "added") for head in HEADS),
    *(("click", told, "added") for told in TOLD[:-1]),
    *(("click", "everything", place) for place in (*PLACES, ALIKE) if place != "added"),
)
#: First stage → second stage, in charge. "truth" knows every chance of a click.
IN_CHARGE = (
    *((first, "truth") for first in ("none", "at random", "trained")),
    *((first, "paper") for first in ("none", "truth", "trained")),
    ("trained", "film"), ("trained", "everything"), ("trained", "watch time"), ("trained", "alone"),
)  # fmt: skip


class SecondStage(Pieces):
    """The run: settings, then five worlds."""

    @piece
    def choose(self, head: str, told: str, place: str) -> dict:
        """The best of the drawn settings, and what each scored."""
        world = simulate(seed=TUNING_WORLD)
        drawn, tried = watch_time.draws(DRAWS), []
        for setting in drawn:
            recipe = Recipe(head, position=place, epochs=EPOCHS, **setting)
            tried.append(watch_time.choose(world, recipe, told, 0, TEST_FROM).best_score)
        return {"best": drawn[tried.index(max(tried))], "tried": tried}

    @piece
    def fitted(self, head: str, told: str, place: str, seed: int) -> dict:
        """A ranker of one world, and its number of epochs."""
        even = place == ALIKE
        place = "untold" if even else place
        setting = self.choose(head, told, place)["best"]
        world = simulate(seed=seed, without={"position"} if even else ())
        recipe = Recipe(head, position=place, epochs=EPOCHS, **setting)
        epochs = watch_time.choose(world, recipe, told, seed, TEST_FROM).best_epoch + 1
        part, sizes = watch_time.impressions(world), watch_time.sizes_told(world, told)
        ranker = watch_time.train_ranker(
            part, world.n_films, replace(recipe, epochs=epochs), seed, sizes=sizes
        )
        return {"ranker": ranker, "epochs": epochs}

    @piece
    def judged(self, head: str, told: str, place: str, seed: int) -> dict:
        """A ranker held against the truth."""
        found = self.fitted(head, told, place, seed)
        ranker = found["ranker"]
        asked = watch_time.requests(simulate(seed=seed))
        told_of_it = watch_time.judge(ranker.logits(asked.examples), asked)
        return told_of_it | {"epochs": found["epochs"]}

    @piece
    def in_charge(self, first: str, second: str, seed: int) -> dict:
        """Two stages in charge of one world."""
        ranker = None
        if second not in ("truth", "alone"):
            head, told = ("watch time", TOLD[-1]) if second == "watch time" else ("click", second)
            ranker = self.fitted(head, told, "added", seed)["ranker"]
        world = simulate(seed=seed)
        generator = None
        if first == "trained":
            figures = read_record("ch04/candidates")["figures"]
            epochs = round(mean(run["epochs"] for run in figures["first"]["full softmax"]))
            setting = figures["settings"]["full softmax"]["best"]
            generator = charge.train_generator(world, seed, epochs=epochs, **setting)
        policy = charge.policy_of(world, first, second, generator, ranker, seed)
        return charge.outcome(world, run_online(world, policy, DAYS))

    @piece
    def oracle(self, aim: str, seed: int) -> dict:
        """The best list at every request, by clicks or by minutes."""
        world = simulate(seed=seed)
        return charge.outcome(world, run_online(world, oracle_policy(world, aim), DAYS))

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        chosen = {key: self.choose(*key) for key in RANKERS if key[2] != ALIKE}
        judged = {(key, seed): self.judged(*key, seed) for seed in SEEDS for key in RANKERS}
        charged = {(key, seed): self.in_charge(*key, seed) for seed in SEEDS for key in IN_CHARGE}
        best = {(aim, seed): self.oracle(aim, seed) for seed in SEEDS for aim in ("click", "watch")}
        wait_for(*chosen.values(), *judged.values(), *charged.values(), *best.values())
        by_seed = lambda found, key: [found[key, seed] for seed in SEEDS]
        return {
            "settings": {"/".join(key): found for key, found in chosen.items()},
            "rankers": {"/".join(key): by_seed(judged, key) for key in RANKERS},
            "in charge": {"/".join(key): by_seed(charged, key) for key in IN_CHARGE},
            "oracle": {aim: by_seed(best, aim) for aim in ("click", "watch")},
        }


def report(figures: dict) -> None:
    """Print what was found."""
    for name, rows in figures["rankers"].items():
        told = {key: round(mean(row[key] for row in rows), 3) for key in rows[0]}
        print(name, told)
    best = [row["clicks"] for row in figures["oracle"]["click"]]
    for name, rows in figures["in charge"].items():
        shares = [row["clicks"] / most for row, most in zip(rows, best, strict=True)]
        print(f"{name:24} {mean(shares):.3f} of the oracle's clicks")
