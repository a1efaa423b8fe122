"""NeuMF's training speed: this book's loop beside the textbook loop and beside RecBole.

    python -m recsys_book.chapters.ch03_neumf.bench_speed [--recbole PYTHON]

It needs NCF's split of MovieLens-1M.

One model for all: 32 factors, vectors of 64 for the tower, tower 128-64-32, four negatives a
positive drawn anew every epoch, Adam, float32, the training pairs of the NCF split. After every
epoch HR@10 on the validation items, among 99 others drawn once, the same for all. "Examples" are
positives and negatives together.

- ours and RecBole 1.2.1, at the same sizes of a batch, in turn; then each one's quickest size is
  compared. RecBole lives in an environment of its own (it wants older packages), made for instance
  by `pip install "setuptools<81" numpy==1.26.4 "pandas<3" torch==2.13.0 recbole==1.2.1`.
- textbook: a Dataset with __getitem__, a DataLoader with batches of 256 examples, negatives by
  trial and error in Python, the model as most tutorials write it.

Compare within one run only.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from recsys_book.chapters.ch03_neumf.contest import Judge, make_judge
from recsys_book.data import load
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.evaluate import leave_one_out
from recsys_book.losses import bce
from recsys_book.machine import keep_freed_memory, threads_wanted, use_threads
from recsys_book.models.ncf import NeuMF
from recsys_book.sampling import UnseenItems, beside_negatives
from recsys_book.train import fit

FACTORS, N_NEGATIVES = 32, 4
TOWER = (4 * FACTORS, 2 * FACTORS, FACTORS)
TEXTBOOK = {"batch": 256, "lr": 0.001}
#: Examples a step: the learning rate, of ours and of RecBole's.
BATCHES = {1_020: 0.001, 8_190: 0.002, 20_480: 0.004, 81_920: 0.008}


# ---------------------------------------------------------------- the textbook loop


class Pairs(Dataset):
    """Positives and, drawn anew by `draw`, negatives, one example at a time."""

    def __init__(self, users: list[int], items: list[int], n_items: int) -> None:
        self.positives, self.n_items = list(zip(users, items, strict=True)), n_items
        self.seen = set(self.positives)

    def draw(self) -> None:
        self.rows = []
        for user, item in self.positives:
            self.rows.append((user, item, 1.0))
            for _ in range(N_NEGATIVES):
                other = random.randrange(self.n_items)
                while (user, other) in self.seen:
                    other = random.randrange(self.n_items)
                self.rows.append((user, other, 0.0))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, int, float]:
        return self.rows[index]


class TextbookNeuMF(nn.Module):
    """The same model without any of the book's shortcuts."""

    def __init__(self, n_users: int, n_items: int) -> None:
        super().__init__()
        self.p, self.q = nn.Embedding(n_users, FACTORS), nn.Embedding(n_items, FACTORS)
        self.u, self.v = nn.Embedding(n_users, 2 * FACTORS), nn.Embedding(n_items, 2 * FACTORS)
        for table in (self.p, self.q, self.u, self.v):
            nn.init.normal_(table.weight, std=0.01)
        widths = [4 * FACTORS, *TOWER]
        layers = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
            nn.init.xavier_uniform_(layers[-2].weight)
        self.tower, self.output = nn.Sequential(*layers), nn.Linear(2 * FACTORS, 1)

    def forward(self, users, items):
        tower = self.tower(torch.cat([self.u(users), self.v(items)], -1))
        return self.output(torch.cat([self.p(users) * self.q(items), tower], -1)).squeeze(-1)


def textbook(split: NCFSplit, judge: Judge, epochs: int) -> dict:
    """Train the textbook way; seconds of sampling, training and evaluation by epoch."""
    train = split.train
    torch.manual_seed(0)
    random.seed(0)
    data = Pairs(train.user.tolist(), train.item.tolist(), train.n_items)
    model = TextbookNeuMF(train.n_users, train.n_items)
    optimizer = torch.optim.Adam(model.parameters(), lr=TEXTBOOK["lr"])
    loss, told = nn.BCEWithLogitsLoss(), Told("textbook")
    for _ in range(epochs):
        told.start()
        data.draw()
        told.stop("sampling")
        for users, items, labels in DataLoader(data, TEXTBOOK["batch"], shuffle=True):
            optimizer.zero_grad()
            loss(model(users, items), labels.float()).backward()
            optimizer.step()
        told.stop("training")
        told.epoch(len(data), hit_rate(judge, model))
    return told.figures()


# ---------------------------------------------------------------- ours


def ours(split: NCFSplit, judge: Judge, epochs: int, batch: int) -> dict:
    """Train with the book's `fit`."""
    train, told = split.train, Told(f"ours, batch {batch:,}")
    torch.manual_seed(0)
    model = NeuMF(train.n_users, train.n_items, FACTORS, 2 * FACTORS, TOWER)
    unseen = UnseenItems(train)
    optimizer = torch.optim.Adam(model.parameters(), lr=BATCHES[batch], fused=True)

    def batches(epoch, generator):
        told.start()
        for rows in torch.randperm(len(train), generator=generator).split(
            batch // (1 + N_NEGATIVES)
        ):
            pairs = train.user[rows], train.item[rows]
            examples = beside_negatives(*pairs, unseen, N_NEGATIVES, generator)
            told.stop("sampling")
            yield examples
            told.stop("training")

    def validate(model):
        told.stop("training")
        told.epoch((1 + N_NEGATIVES) * len(train), hit_rate(judge, model))
        return 0.0

    fit(
        model, batches, lambda model, batch: bce(model(batch[0], batch[1]), batch[2]), optimizer,
        validate=validate, max_epochs=epochs, patience=None,
    )  # fmt: skip
    return told.figures()


# ---------------------------------------------------------------- RecBole


def recbole(python: str, split: NCFSplit, judge: Judge, epochs: int, batch: int) -> dict:
    """Train RecBole's NeuMF in its own environment."""
    here = Path(__file__).with_name("bench_recbole.py")
    with tempfile.TemporaryDirectory() as folder:
        arrays = {
            "users": split.train.user.numpy(), "items": split.train.item.numpy(),
            "candidates": judge.candidates.numpy(),
        }  # fmt: skip
        np.savez(Path(folder) / "pairs.npz", **arrays)
        numbers = [str(batch), str(BATCHES[batch]), str(epochs)]
        done = subprocess.run(
            [python, str(here), folder, *numbers], capture_output=True, text=True, cwd=folder
        )
        if done.returncode:
            raise RuntimeError(f"RecBole failed: {done.stderr[-2_000:]}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
    told = Told(f"RecBole, batch {batch:,}")
    for seconds, scoring, hit_rate in zip(
        found["training"], found["evaluation"], found["hit_rate"], strict=True
    ):
        told.add(found["examples"], {"training": seconds, "evaluation": scoring}, hit_rate)
    return told.figures()


# ---------------------------------------------------------------- telling


def hit_rate(judge: Judge, model) -> float:
    """HR@10 on the validation items."""
    return float(leave_one_out(model, judge.split.users, judge.candidates).hit_rate.mean())


class Told:
    """Keeps and prints what an epoch took and reached."""

    def __init__(self, name: str) -> None:
        self.name, self.rows, self.spent = name, [], {}

    def start(self) -> None:
        self.spent, self.last = {}, time.perf_counter()

    def stop(self, part: str) -> None:
        """Put the time since the last call down to a part."""
        now = time.perf_counter()
        self.spent[part] = self.spent.get(part, 0.0) + now - self.last
        self.last = now

    def epoch(self, n: int, hit_rate: float) -> None:
        self.stop("evaluation")
        self.add(n, self.spent, hit_rate)

    def add(self, n: int, spent: dict, hit_rate: float) -> None:
        self.rows.append((n, dict(spent), hit_rate))
        parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in spent.items())
        print(f"  {self.name}, epoch {len(self.rows)}: {parts}; HR@10 {hit_rate:.4f}", flush=True)

    def figures(self) -> dict:
        """Examples a second without evaluation, and HR by epoch."""
        busy = [
            sum(s for part, s in spent.items() if part != "evaluation") for _, spent, _ in self.rows
        ]
        return {
            "name": self.name,
            "rate": sum(n for n, _, _ in self.rows) / sum(busy),
            "hit_rate": [hit_rate for _, _, hit_rate in self.rows],
        }


def main() -> None:
    use_threads(threads_wanted())  # $RECSYS_BOOK_THREADS, or one
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recbole", metavar="PYTHON", help="the Python of RecBole's environment")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), choices=BATCHES)
    parser.add_argument("--no-textbook", action="store_true")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    keep_freed_memory()
    split = load("ncf-ml-1m")
    judge = make_judge(split)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    table, theirs = {}, {}
    for batch in options.batches:
        table[batch] = ours(split, judge, options.epochs, batch)
        if options.recbole:
            theirs[batch] = recbole(options.recbole, split, judge, options.epochs, batch)
    rows = [*table.values(), *theirs.values()]
    if not options.no_textbook:
        rows.append(textbook(split, judge, options.epochs))
    first = max(row["rate"] for row in rows)
    for row in rows:
        hits = " ".join(f"{h:.3f}" for h in row["hit_rate"])
        print(
            f"{row['name']:24s} {row['rate']:>11,.0f} examples a second "
            f"(1 : {first / row['rate']:.1f})  HR@10 by epoch {hits}"
        )
    for batch, row in theirs.items():
        times = table[batch]["rate"] / row["rate"]
        print(f"batch {batch:,}: ours is {times:.2f} times as fast as RecBole's")
    if theirs:
        best = [max(row["rate"] for row in of.values()) for of in (table, theirs)]
        print(f"each at its quickest batch: {best[0] / best[1]:.2f} times as fast")


if __name__ == "__main__":
    main()
