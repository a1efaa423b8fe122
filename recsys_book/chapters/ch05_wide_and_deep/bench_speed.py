"""Wide & Deep: training speed and what is found, beside deepctr-torch's WDL and torch-rechub's
WideDeep.

    python -m recsys_book.chapters.ch05_wide_and_deep.bench_speed [--peers PYTHON] [--rows 2000000]

Two million rows of 8 fields of 2,000 values, vectors of 16, hidden layers 256-128-64, one epoch,
then AUC on 200,000 rows more. Planted in the log-odds: an effect of every value; an interaction of
low rank between fields 2 and 3, which a deep side can guess; and effects of 4,000 pairs of values
of fields 0 and 1, each of its own sign, which stand in three rows of ten and can only be
remembered. The oracle knows all of it.

The peers run with PYTHON, of an environment made for instance by
`pip install torch==2.13.0 "setuptools<81" requests deepctr-torch==0.3.0 torch-rechub==0.9.0`;
each at the quickest of several batch sizes and the learning rate with the best AUC, both found on a
quarter of the rows (the rate by the test's AUC, to their favour), and with one optimizer for all,
as their own examples do. Compare within one run only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from recsys_book.losses import bce
from recsys_book.machine import has_bfloat16, keep_freed_memory, threads_wanted, use_threads
from recsys_book.metrics import auc
from recsys_book.models.wide_and_deep import WideAndDeep, wide_and_deep_optimizers
from recsys_book.train import fit

N_FIELDS, N_VALUES, N_PAIRS, DIM, HIDDEN = 8, 2_000, 4_000, 16, (256, 128, 64)
PEERS = ("deepctr", "rechub")
PEER_BATCHES, PEER_RATES = (1_024, 4_096, 16_384), (0.001, 0.003, 0.01)
OURS = {"batch": 8_192, "wide_lr": 0.2, "deep_lr": 0.03, "l1": 0.5}


def make(n_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ids `[M, 8]` from 0, labels `[M]`, true log-odds `[M]`."""
    random = np.random.RandomState(seed)
    ids = random.randint(N_VALUES, size=(n_rows, N_FIELDS))
    pairs = random.permutation(N_VALUES * N_VALUES)[:N_PAIRS]
    sign = random.choice([-1.5, 1.5], size=N_PAIRS)
    planted = random.random_sample(n_rows) < 0.3
    which = random.randint(N_PAIRS, size=n_rows)
    ids[planted, 0] = pairs[which[planted]] // N_VALUES
    ids[planted, 1] = pairs[which[planted]] % N_VALUES
    effects = np.full(N_VALUES * N_VALUES, 0.0)
    effects[pairs] = sign
    single = 0.3 * random.standard_normal((N_FIELDS, N_VALUES))
    left, right = random.standard_normal((2, N_VALUES, 2))
    logit = -0.5 + single[np.arange(N_FIELDS), ids].sum(1)
    logit += 0.7 * (left[ids[:, 2]] * right[ids[:, 3]]).sum(1)
    logit += effects[ids[:, 0] * N_VALUES + ids[:, 1]]
    labels = random.random_sample(n_rows) < 1 / (1 + np.exp(-logit))
    return ids, labels.astype(np.float32), logit


def ours(data: dict, crosses: list, amp: bool) -> tuple[float, np.ndarray]:
    """Rows a second, and logits of the test rows. Ids from 1: 0 is for values never seen."""
    ids, labels = torch.from_numpy(data["ids"]) + 1, torch.from_numpy(data["labels"])
    torch.manual_seed(0)
    model = WideAndDeep([N_VALUES + 1] * N_FIELDS, crosses, DIM, HIDDEN, init_std=0.1, sparse=True)
    optimizers = wide_and_deep_optimizers(
        model, wide_lr=OURS["wide_lr"], deep_lr=OURS["deep_lr"], l1=OURS["l1"],
        batch_size=OURS["batch"],
    )  # fmt: skip

    def batches(epoch, generator):
        for rows in torch.randperm(len(ids), generator=generator).split(OURS["batch"]):
            yield ids[rows], labels[rows]

    start = time.perf_counter()
    fit(
        model, batches, lambda m, batch: bce(m(batch[0]), batch[1]), optimizers, validate=None,
        max_epochs=1, patience=None, amp=amp,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    model.eval()
    with torch.no_grad():
        rows = (torch.from_numpy(data["test_ids"]) + 1).split(16_384)
        logits = torch.cat([model(some) for some in rows])
    return len(ids) / seconds, logits.double().numpy()


def peer(python: str, folder: str, name: str, batch: int, rate: float, n: int) -> tuple:
    """Rows a second and predictions of a peer, trained on the first n rows in its own process."""
    here = Path(__file__).with_name("bench_peers.py")
    command = [python, str(here), folder, name, str(batch), str(rate), str(n)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2_000:]}")
    seconds = json.loads(done.stdout.strip().splitlines()[-1])["seconds"]
    return n / seconds, np.load(Path(folder) / "predicted.npy").astype(np.float64)


def main() -> None:
    use_threads(threads_wanted())  # $RECSYS_BOOK_THREADS, or one
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="Python of an environment with both peers")
    parser.add_argument("--rows", type=int, default=2_000_000)
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_flush_denormal(True)
    n_test = 200_000
    ids, labels, logit = make(arguments.rows + n_test)
    data = {"ids": ids[:-n_test], "labels": labels[:-n_test], "test_ids": ids[-n_test:]}
    true, oracle = torch.from_numpy(labels[-n_test:]), torch.from_numpy(logit[-n_test:])
    tell = lambda name, rate, values: print(
        f"{name:44} {rate:>9,.0f} rows a second   AUC {auc(true, torch.from_numpy(values)):.4f}",
        flush=True,
    )
    print(f"{torch.get_num_threads()} threads; the oracle's AUC is {auc(true, oracle):.4f}")
    for amp in (False, True) if has_bfloat16() else (False,):
        how = "bfloat16" if amp else "float32"
        for name, crosses in (("with the cross (0, 1)", [(0, 1)]), ("without crosses", [])):
            tell(f"ours, {name}, {how}", *ours(data, crosses, amp))
    if not arguments.peers:
        return
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "data.npz", **data)
        for name in PEERS:
            run = lambda *how, name=name: peer(arguments.peers, folder, name, *how)
            few = arguments.rows // 4
            rates = {batch: run(batch, PEER_RATES[0], few)[0] for batch in PEER_BATCHES}
            print(f"  {name}:", {b: f"{r:,.0f}" for b, r in rates.items()}, flush=True)
            best = max(rates, key=rates.get)
            found = {lr: auc(true, torch.from_numpy(run(best, lr, few)[1])) for lr in PEER_RATES}
            lr = max(found, key=found.get)
            tell(f"{name}, batch {best:,}, rate {lr}", *run(best, lr, arguments.rows))


if __name__ == "__main__":
    main()
