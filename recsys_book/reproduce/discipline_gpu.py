"""Chapter 06: examples per second of one model on a GPU, by the size of the batch.

Wants a CUDA device. The same lines on one thread and on all cores of that machine stand beside the
GPU's, as a GPU comes with more cores than a laptop has.
"""

from __future__ import annotations

import os

import torch

from recsys_book.data import simulate
from recsys_book.experiments import speed as lab
from recsys_book.experiments.ladder import make_task
from recsys_book.reproduce.discipline_speed import N_USERS, ROUNDS, SECONDS, TRAIN_UNTIL
from recsys_book.reproduce.record import Run

NAME, SEED = "discipline_gpu", 0


def main() -> None:
    """Run it all, print it, record it.

    Raises:
        ValueError: no CUDA device.
    """
    if not torch.cuda.is_available():
        raise ValueError(f"device is the processor alone; {NAME} measures a CUDA device")
    # What torch.compile takes must not depend on what was compiled before.
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"
    run = Run(NAME, f"python -m recsys_book.reproduce {NAME}", [SEED])
    task = make_task(simulate(n_users=N_USERS, seed=SEED))
    race = lab.race(
        task, task.before(TRAIN_UNTIL), lab.gpu_variants(), rounds=ROUNDS, seconds=SECONDS
    )
    for name, row in race.items():
        print(name, row["absent"] or f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})")
    path = run.write({"device": torch.cuda.get_device_name(), "race": race})
    print("written to", path)
