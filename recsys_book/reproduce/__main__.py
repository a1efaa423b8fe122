"""python -m recsys_book.reproduce ch03/paper"""

import argparse
from importlib import import_module

from recsys_book import rooms
from recsys_book.machine import threads_wanted, use_threads
from recsys_book.reproduce.record import writable_place


def runs() -> dict[str, str]:
    """Run → the module that works it out: for `ch03/paper`, `runs_paper` in the room ch03_neumf."""
    found = {}
    for room, folder in rooms.rooms().items():
        for path in sorted((rooms.chapters() / folder).iterdir(), key=lambda path: path.name):
            stem, _, kind = path.name.rpartition(".")
            if kind == "py" and stem.startswith("runs_"):
                run = f"{room}/{stem.removeprefix('runs_')}"
                found[run] = f"recsys_book.chapters.{folder}.{stem}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m recsys_book.reproduce",
        description="Repeat a recorded run of the book.",
        epilog=f"The runs: {', '.join(runs())}",
    )
    parser.add_argument("name", choices=list(runs()), metavar="RUN", help="such as ch03/paper")
    parser.add_argument("--quick", action="store_true", help="a first look, where a run has one")
    parser.add_argument(
        "--policy", metavar="MODULE:FUNCTION", help="an entry of your own, where a run takes one"
    )
    arguments = parser.parse_args()
    run = import_module(runs()[arguments.name])
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
