"""python -m recsys_book.reproduce NAME"""

import argparse

from recsys_book.machine import threads_wanted, use_threads
from recsys_book.reproduce import (
    additive,
    cold_start,
    discipline,
    discipline_gpu,
    discipline_speed,
    embeddings,
    ladder,
    ladder_films,
    leaderboard,
    ncf,
    ncf_simulated,
    one_epoch,
    own_log,
    samplers,
    wide_deep,
    wide_deep_simulated,
    xor,
    youtube,
    youtube_serving,
    youtube_simulated,
)
from recsys_book.reproduce.record import writable_place

MODULES = (
    additive, cold_start, discipline, discipline_gpu, discipline_speed, embeddings, ladder,
    ladder_films, leaderboard, ncf, ncf_simulated, one_epoch, own_log, samplers, wide_deep,
    wide_deep_simulated, xor, youtube, youtube_serving, youtube_simulated,
)  # fmt: skip
RUNS = {module.NAME: module for module in MODULES}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m recsys_book.reproduce", description="Repeat a recorded run of the book."
    )
    parser.add_argument("name", choices=sorted(RUNS), help="which run")
    parser.add_argument("--quick", action="store_true", help="a first look, where a run has one")
    parser.add_argument(
        "--policy", metavar="MODULE:FUNCTION", help="an entry of your own, where a run takes one"
    )
    arguments = parser.parse_args()
    run = RUNS[arguments.name]
    use_threads(threads_wanted())
    if arguments.policy is not None:
        if not hasattr(run, "enter"):
            parser.error(f"{arguments.name} takes no --policy")
        return run.enter(arguments.policy)
    if not arguments.quick:
        try:
            writable_place(arguments.name)
        except ValueError as error:
            parser.error(str(error))
        return run.main()
    if not hasattr(run, "quick"):
        parser.error(f"{arguments.name} has no --quick")
    run.quick()


if __name__ == "__main__":
    main()
