"""Chapter 06: examples per second of one model, one change at a time, and what larger batches cost.

Learning rates are tuned for every size of batch on days 20 to 23 of world 100, which no figure
comes from, with the same six tries each. The worlds of the seeds are judged by the same days;
their test is never looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

import torch

from recsys_book.chapters.ch06_training_discipline import speed as lab
from recsys_book.service import simulate
from recsys_book.service.click_models import Task, make_task

NAME = "ch06/speed"
SEEDS, TUNING_WORLD, N_USERS = (0, 1, 2), 100, 2_000
RATES = (0.0015, 0.003, 0.006, 0.012, 0.024, 0.048)  # tried for every size of batch
TRAIN_UNTIL, HELD_UNTIL = 20, 24  # days
EVERY = 3  # of the validation impressions, the share that is looked at: enough, and quick
ROUNDS, SECONDS = 15, 0.8


def cut(seed: int, n_users: int = N_USERS) -> tuple[Task, torch.Tensor, torch.Tensor]:
    """A world, the impressions to train on, and those to look at."""
    task = make_task(simulate(n_users=n_users, seed=seed))
    held = ((task.day >= TRAIN_UNTIL) & (task.day < HELD_UNTIL)).nonzero().squeeze(1)
    return task, task.before(TRAIN_UNTIL), held[::EVERY]


def tune(n_users: int = N_USERS, batch_sizes=lab.BATCH_SIZES, rates=RATES) -> dict[str, dict]:
    """Size of batch → {"rate": the best, "log_loss": one a rate tried}."""
    task, rows, held = cut(TUNING_WORLD, n_users)
    found = {}
    for size in batch_sizes:
        variant = replace(lab.MEMORY, batch_size=size)
        ends = [lab.final(lab.learn(task, rows, held, variant, lr)) for lr in rates]
        best = min(range(len(rates)), key=ends.__getitem__)
        found[str(size)] = {
            "rate": rates[best],
            "log_loss": [end if end < float("inf") else None for end in ends],
        }
        print(f"batch {size:,}: rate {rates[best]}, log-loss {ends[best]:.4f}", flush=True)
    return found


def batches(seed: int, tuned: dict[str, dict], n_users: int = N_USERS) -> dict[str, dict]:
    """Size of batch → rule → {"rate", "looks", "seconds_to_target"}, and "target", the log-loss of
    the smallest batch with its tuned rate at the end, and a little more."""
    task, rows, held = cut(seed, n_users)
    found, known = {}, {}
    for size in (int(key) for key in tuned):
        found[str(size)], variant = {}, replace(lab.MEMORY, batch_size=size)
        for rule in lab.RULES:
            lr = tuned[str(size)]["rate"] if rule == "tuned" else lab.scaled_rate(rule, size)
            key = size, round(lr, 9)
            if key not in known:
                known[key] = lab.learn(task, rows, held, variant, lr, seed=seed)
            found[str(size)][rule] = {"rate": lr, "looks": known[key]}
    smallest = next(iter(found.values()))
    target = lab.final(smallest["tuned"]["looks"]) + lab.WITHIN
    for rules in found.values():
        for run in rules.values():
            run["seconds_to_target"] = lab.seconds_to(run["looks"], target)
    return found | {"target": target}


def prepare() -> None:
    """Before anything else runs: take away what times must not depend on.

    Numbers too small for float32's usual form count as zero, in this thread and those that it
    starts: Adam's averages of rows that no batch touches shrink until they are such numbers, and
    some processors are slow with them. (In the second epoch a step came to take five times as
    long.) And torch.compile finds nothing that was compiled before.
    """
    torch.set_flush_denormal(True)
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"


def race(
    task: Task, rows: torch.Tensor, variants: Mapping[str, lab.Variant], rounds: int
) -> dict[str, dict]:
    """`speed.race`, told line by line."""
    found = lab.race(task, rows, variants, rounds=rounds, seconds=SECONDS)
    for name, row in found.items():
        print(name, row["absent"] or f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})")
    return found


def figures() -> dict:
    """What the record holds; printed as it is found."""
    prepare()
    task, rows, _ = cut(SEEDS[0])
    raced = race(task, rows, lab.VARIANTS, ROUNDS)
    tables = lab.table_sizes(task, rows)
    for row in tables:
        told = ", ".join(f"{name} {row[name]['median']:.1f} ms" for name in lab.ADAMS)
        print(f"{row['rows']:,} rows: {told}", flush=True)
    tuned, runs = tune(), []
    for seed in SEEDS:
        runs.append(batches(seed, tuned))
        for size in tuned:
            ends = {rule: one["looks"][-1]["log_loss"] for rule, one in runs[-1][size].items()}
            print("seed", seed, "batch", size, ends, flush=True)
    return {"race": raced, "tables": tables, "tuned": tuned, "batches": runs}
