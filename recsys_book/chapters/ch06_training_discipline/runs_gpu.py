"""Chapter 06: what a GPU does for one model: examples per second by the size of the batch, and how
soon the validation log-loss of a small batch is reached.

Wants a CUDA device. The same on one thread and on all cores of that machine stands beside it, as a
GPU comes with more cores than a laptop has.

How soon: a large batch takes fewer steps in an epoch, and gets as many more epochs as it likes. The
learning rate and the number of epochs are chosen for every size of batch on world 100, which no
figure comes from, by how few examples it takes until the target is met; the target is what a batch
of 256 ends with after two epochs, its rate tuned too, and a little more. (A training stops when it
has met the target, so that more epochs mean above all a rate that falls more slowly.) The worlds of
the seeds are judged by the same validation days; their test is never looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from recsys_book.chapters.ch06_training_discipline import speed as lab
from recsys_book.chapters.ch06_training_discipline.runs_speed import (
    N_USERS,
    SEEDS,
    TUNING_WORLD,
    cut,
    prepare,
    race,
)

NAME, ROUNDS = "ch06/gpu", 5
#: Size of batch → learning rates and numbers of epochs tried; the first size sets the target.
GRID: Mapping[int, tuple[Sequence[float], Sequence[int]]] = {
    256: ((0.00075, 0.0015, 0.003, 0.006), (lab.EPOCHS,)),
    1_024: ((0.0015, 0.003, 0.006, 0.012), (2, 4, 8, 16)),
    4_096: ((0.003, 0.006, 0.012, 0.024), (2, 4, 8, 16)),
    16_384: ((0.012, 0.024, 0.048, 0.096), (4, 8, 16, 32)),
}


def where(size: int, device: str, cores: int) -> dict[str, lab.Variant]:
    """Line → how it trains: one thread, all cores, the GPU."""
    one = replace(lab.MEMORY, batch_size=size)
    return {
        "one thread": one,
        "all cores": replace(one, threads=cores),
        "GPU": replace(one, device=device),
    }


def tune(
    n_users: int = N_USERS,
    device: str = "cuda",
    grid: Mapping[int, tuple[Sequence[float], Sequence[int]]] = GRID,
) -> dict[str, dict]:
    """Size of batch → {"rate", "epochs", "tried": [rate, epochs, examples to the target or None,
    log-loss at the last look or None]}."""
    task, rows, held = cut(TUNING_WORLD, n_users)
    found, target = {}, None
    for size, (rates, numbers) in grid.items():
        variant, tried = where(size, device, 1)["GPU"], []
        for rate, n in ((rate, n) for n in numbers for rate in rates):
            looks = lab.learn(task, rows, held, variant, rate, epochs=n, until=target)
            met = target is not None and lab.final(looks) <= target
            end = looks[-1]["log_loss"]
            tried.append([rate, n, looks[-1]["examples"] if met else None, end])
        inf = float("inf")
        # The fewest examples; where the target is never met, or there is none yet, the best end.
        best = min(tried, key=lambda one: (one[2] or inf, inf if one[3] is None else one[3]))
        if target is None:
            target = best[3] + lab.WITHIN
        found[str(size)] = {"rate": best[0], "epochs": best[1], "tried": tried}
        print(f"batch {size:,}: rate {best[0]}, {best[1]} epochs, log-loss {best[3]:.4f}, "
              f"{best[2]} examples", flush=True)  # fmt: skip
    return found


def reach(
    seed: int, tuned: Mapping[str, dict], n_users: int = N_USERS, device: str = "cuda"
) -> dict[str, dict]:
    """ "target", and size of batch → line → {"looks", "seconds_to_target"}."""
    task, rows, held = cut(seed, n_users)
    found, target, cores = {}, None, os.cpu_count() or 1
    for size, chosen in tuned.items():
        found[size] = {}
        for line, variant in where(int(size), device, cores).items():
            looks = lab.learn(
                task, rows, held, variant, chosen["rate"], epochs=chosen["epochs"], until=target,
                seed=seed,
            )  # fmt: skip
            found[size][line] = {"looks": looks}
        if target is None:
            target = lab.final(found[size]["one thread"]["looks"]) + lab.WITHIN
    for lines in found.values():
        for one in lines.values():
            one["seconds_to_target"] = lab.seconds_to(one["looks"], target)
    return found | {"target": target}


def ready() -> None:
    """There must be a CUDA device.

    Raises:
        ValueError: there is none.
    """
    if not torch.cuda.is_available():
        raise ValueError(f"device is the processor alone; {NAME} measures a CUDA device")


def figures() -> dict:
    """What the record holds; printed as it is found."""
    prepare()
    task, rows, _ = cut(SEEDS[0])
    raced = race(task, rows, lab.gpu_variants(), ROUNDS)
    tuned, worlds = tune(), []
    for seed in SEEDS:
        worlds.append(reach(seed, tuned))
        for size in tuned:
            told = {line: one["seconds_to_target"] for line, one in worlds[-1][size].items()}
            print("seed", seed, "batch", size, told, flush=True)
    name = torch.cuda.get_device_name()
    return {"device": name, "race": raced, "tuned": tuned, "reach": worlds}
