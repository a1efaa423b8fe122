"""python -m recsys_book.reproduce ch03/paper"""

from __future__ import annotations

import argparse
import subprocess
import sys

from recsys_book.data.fetch import DataUnavailable
from recsys_book.machine import cores, threads_wanted, use_threads
from recsys_book.reproduce.record import writable_place
from recsys_book.reproduce.runs import hours, module_of, records_of, remake, runs, stale


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m recsys_book.reproduce",
        description="Repeat a recorded run of the book. A run that was stopped goes on.",
        epilog=f"The runs: {', '.join(runs())}",
    )
    parser.add_argument(
        "name", nargs="?", choices=[*runs(), "all"], metavar="RUN",
        help="such as ch03/paper; all: every one whose record is not of the code as it is",
    )  # fmt: skip
    parser.add_argument("--stale", action="store_true", help="name records of other code, and stop")
    parser.add_argument("--quick", action="store_true", help="a first look, where a run has one")
    parser.add_argument(
        "--policy", metavar="MODULE:FUNCTION", help="an entry of your own, where a run takes one"
    )
    arguments = parser.parse_args()
    more = arguments.quick or arguments.policy is not None
    if arguments.stale:
        if arguments.name is not None or more:
            parser.error("--stale stands alone")
        return print_stale()
    if arguments.name is None:
        parser.error("which run? One of them, all, or --stale")
    if arguments.quick and arguments.policy is not None:
        parser.error("--quick and --policy are two things")
    if arguments.name == "all":
        if more:
            parser.error("all takes no --quick and no --policy")
        return remake_all(parser)
    run = module_of(arguments.name)
    if arguments.policy is not None and not hasattr(run, "enter"):
        parser.error(f"{arguments.name} takes no --policy")
    if arguments.quick and not hasattr(run, "quick"):
        parser.error(f"{arguments.name} has no --quick")
    try:
        use_threads(threads_wanted())
        if not more:
            writable_place(arguments.name)
            getattr(run, "ready", lambda: None)()
    except (ValueError, DataUnavailable) as error:
        parser.error(str(error))
    if arguments.policy is not None:
        return run.enter(arguments.policy)
    if arguments.quick:
        return run.quick()
    print("written to", remake(arguments.name))


def print_stale() -> None:
    """A line for each record that is not of the code as it is."""
    found = stale()
    for name, files in found.items():
        if files is None:
            print(f"{name}: its code is not known")
        else:
            print(f"{name}: changed since: {', '.join(files)}")
    print(f"{len(runs()) - len(found)} of {len(runs())} records are of the code as it is")


def remake_all(parser: argparse.ArgumentParser) -> None:
    """Every run whose record is not of the code as it is, each in a process of its own; those whose
    records others read come first. A run that cannot be made is told."""
    names = list(stale())
    took = {name: hours(name) for name in names}
    for name, core_hours in took.items():
        print(f"{name}: {'unknown' if core_hours is None else f'{core_hours:.1f}'} core hours")
    total = sum(core_hours or 0 for core_hours in took.values())
    print(f"{len(names)} of {len(runs())} runs, {total:.1f} core hours as they were recorded;")
    print(f"here are {cores()} cores. What is finished is kept when this is stopped.", flush=True)
    tried: set[str] = set()
    failed = []
    while left := [name for name in stale() if name not in tried]:
        reads = {name: records_of(name) for name in left}
        name = next((n for n in left if not reads[n] & set(left)), left[0])
        print(f"--- {name}", flush=True)
        tried.add(name)
        if subprocess.run([sys.executable, "-m", "recsys_book.reproduce", name]).returncode:
            failed.append(name)
    if failed:
        parser.exit(1, f"not made: {', '.join(failed)}\n")


if __name__ == "__main__":
    main()
