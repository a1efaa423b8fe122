"""The closing leaderboard: each chapter's model in charge for 14 days, in worlds new to all of it.

Every entry is trained on the log of 28 days and makes the lists of the 14 days after, in the worlds
5 to 9. Settings are those that the chapters' records chose on validation, in the worlds 100 to 102.
Where a record chose the number of epochs anew in each of its own worlds 0 to 4, on the last days of
their logs, the mean of these numbers is taken. So no setting was chosen in a world of this table,
and none by what happens in the 14 days.
"""

from __future__ import annotations

import importlib
from statistics import mean

from recsys_book.chapters.ch04_youtube_dnn.charge import outcome
from recsys_book.chapters.closing.figures import ORACLES, own_table, ranking_table
from recsys_book.chapters.closing.leaderboard import (
    CHAPTERS,
    OF_CHAPTER_05,
    Maker,
    makers,
)
from recsys_book.reproduce import Pieces, piece
from recsys_book.reproduce.record import read_record
from recsys_book.service import run_online, simulate

NAME = "closing/leaderboard"
SEEDS, DAYS = (5, 6, 7, 8, 9), 14


def chosen_settings() -> dict[str, dict]:
    """Entry → the settings that its chapter's record chose."""
    rungs = read_record("ch00/simulated")["figures"]
    ncf = read_record("ch03/simulated")["figures"]
    youtube = read_record("ch04/simulated")["figures"]
    wide = read_record("ch05/simulated")["figures"]
    epochs = lambda runs: {"epochs": round(mean(run["epochs"] for run in runs))}
    of_head = lambda head: youtube["heads"][head] | epochs(youtube["second"][head]["untold"])
    neumf_epochs = [{"epochs": world["epochs"]["NeuMF"]} for world in ncf["worlds"]]
    return {
        "item kNN": rungs["settings"]["ItemKNN"],
        **{name: rungs["settings"][name] for name in ("EASE", "MF", "FM", "DNN")},
        "NeuMF": ncf["settings"]["NeuMF"] | epochs(neumf_epochs),
        "candidates alone": youtube["settings"]["full softmax"]
        | epochs(youtube["first"]["full softmax"]),
        "funnel by clicks": of_head("click"),
        "funnel by watch time": of_head("watch time"),
        **{kind: wide["settings"][kind] for kind in OF_CHAPTER_05},
    }


class Work(Pieces):
    """The run: every entry in every world."""

    @piece
    def in_charge(self, name: str, seed: int) -> dict:
        """One entry in one world."""
        return run_entry(makers(chosen_settings())[name], seed, DAYS)

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        return {
            "days": DAYS,
            "settings": chosen_settings(),
            "entries": {name: [self.in_charge(name, seed) for seed in SEEDS] for name in CHAPTERS},
        }


def run_entry(make_policy: Maker, seed: int, days: int) -> dict:
    """Train an entry on a world's log, put it in charge, and see: `outcome`'s figures.

    Raises:
        ValueError: what `make_policy` gives is no policy, or breaks the rules of a list.
    """
    world = simulate(seed=seed)
    policy = make_policy(world, seed)
    if not callable(policy):
        raise ValueError(
            f"policy is {policy!r}; make_policy(world, seed) must give a function that takes a "
            "request and gives films [B, K]"
        )
    return outcome(world, run_online(world, policy, days, seed=seed))


def report(figures: dict) -> None:
    """Print what was found."""
    for figure in ORACLES:
        print(ranking_table(figures["entries"], figure).to_string())


# ---------------------------------------------------------------- an entry of one's own


def enter(spec: str) -> None:
    """Run an entry of one's own in the record's worlds, and print it beside the recorded ones.

    Nothing is written.

    Args:
        spec: "module:function", where `function(world, seed)` gives a policy.

    Raises:
        ValueError: no such function; no record; a list that breaks the rules.
    """
    name = NAME  # in a variable: this run reads that record and does not depend on it
    make_policy, record = load_maker(spec), read_record(name)
    seeds, days = record["seeds"], record["figures"]["days"]
    rows = []
    for seed in seeds:
        rows.append(run_entry(make_policy, seed, days))
        print(f"world {seed}: {rows[-1]['clicks']:,} clicks, {rows[-1]['hours']:,.0f} hours")
    for figure in ORACLES:
        print()
        print(own_table(record["figures"]["entries"], spec, rows, figure).to_string())


def load_maker(spec: str) -> Maker:
    """The function that "module:function" names.

    Raises:
        ValueError: it is not of that form, there is no such module or function, or it is no
            function.
    """
    module, _, name = spec.partition(":")
    if not (module and name):
        raise ValueError(f"policy is {spec!r}; it must read module:function")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"policy is {spec!r}; module {module!r} cannot be imported: {error}"
        ) from error
    if not hasattr(found, name):
        raise ValueError(f"policy is {spec!r}; module {module!r} has no {name!r}")
    make_policy = getattr(found, name)
    if not callable(make_policy):
        raise ValueError(f"policy is {spec!r}; {name!r} is no function")
    return make_policy
