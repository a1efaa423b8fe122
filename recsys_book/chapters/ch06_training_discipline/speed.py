"""Chapter 06: how fast one model trains, one change at a time, and what a larger batch costs.

The model is chapter 00's DNN on clicks of the simulated service; the measure is examples trained
per second, as a ratio to the plain loop of the textbooks: a Dataset that hands out one example at a
time, a DataLoader with batches of 256 and no workers, float32, one thread, nothing compiled.

How it is measured. Variants take turns (A B C, A B C, …), about a second each, so that what
disturbs the machine disturbs all of them; ratios are taken within a round, and their median and
range are told. That clock is the wall's, as workers are other processes. Where everything runs in
one process the ratio by processor time stands beside it, which hardly sees what else the machine
was doing: where the two disagree, the machine was not quiet (or, with more threads or a GPU, the
work is done by more than one processor). All other times here are of one thread and are processor
time.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler

from recsys_book.arguments import check_positive
from recsys_book.layers import Bags, FieldEmbedding, masked_mean
from recsys_book.losses import bce
from recsys_book.machine import has_bfloat16
from recsys_book.metrics import log_loss
from recsys_book.service.click_models import HISTORY, ClickModel, Examples, Task, logits
from recsys_book.train import seeded

LR = 0.003
WARM_UP = 5  # steps before the clock runs; torch.compile compiles in them


@dataclass(frozen=True)
class Variant:
    """One way to train the same model.

    Attributes:
        base: the variant it differs from, in one thing but for "all together, 1 thread"; None for
            the plain loop.
        loader: "dataset" (one example at a time, by a DataLoader), "memory" (tensors, a permutation
            and slices) or "log" (the same, and the histories are worked out for every batch).
        workers: processes of the DataLoader.
        batch_size: examples in a step.
        threads: of PyTorch.
        checks: whether ids are checked in every step.
        fused: Adam in one kernel.
        sparse: gradients of the tables as the rows touched, and SparseAdam, which leaves the other
            rows alone (Adam would still move them): another algorithm after the first step.
        compiled: torch.compile.
        half: mixed precision, bfloat16 on a processor and float16 on a GPU.
        device: "cpu" or "cuda".
        hidden: widths of the hidden layers.
    """

    base: str | None
    loader: str = "dataset"
    workers: int = 0
    batch_size: int = 256
    threads: int = 1
    checks: bool = True
    fused: bool = False
    sparse: bool = False
    compiled: bool = False
    half: bool = False
    device: str = "cpu"
    hidden: tuple[int, ...] = (128, 64)


PLAIN = Variant(None)
MEMORY = replace(PLAIN, base="plain", loader="memory")
_on = lambda base, variant, **change: replace(variant, base=base, **change)
LARGE = _on("in memory", MEMORY, batch_size=4_096)
UNCHECKED = _on("in memory", MEMORY, checks=False)
#: All that leaves the numbers as they are, on top of the larger batch.
ALL_ON_ONE = _on("batch 4,096", LARGE, fused=True, checks=False, compiled=True)

VARIANTS: Mapping[str, Variant] = {
    "plain": PLAIN,
    "1 worker": _on("plain", PLAIN, workers=1),
    "2 workers": _on("plain", PLAIN, workers=2),
    "plain, batch 4,096": _on("plain", PLAIN, batch_size=4_096),
    "in memory": MEMORY,
    "histories for every batch": _on("in memory", MEMORY, loader="log"),
    "batch 1,024": _on("in memory", MEMORY, batch_size=1_024),
    "batch 4,096": LARGE,
    "batch 16,384": _on("in memory", MEMORY, batch_size=16_384),
    "2 threads": _on("in memory", MEMORY, threads=2),
    "2 threads, batch 4,096": _on("batch 4,096", LARGE, threads=2),
    "fused Adam": _on("in memory", MEMORY, fused=True),
    "sparse gradients": _on("in memory", MEMORY, sparse=True),
    "no checks of ids": UNCHECKED,
    "compiled": _on("no checks of ids", UNCHECKED, compiled=True),
    "bfloat16": _on("in memory", MEMORY, half=True),
    "bfloat16, batch 4,096": _on("batch 4,096", LARGE, half=True),
    "GPU, batch 4,096": _on("batch 4,096", LARGE, device="cuda"),
    "GPU, float16, batch 4,096": _on("GPU, batch 4,096", LARGE, device="cuda", half=True),
    "all together, 1 thread": ALL_ON_ONE,
    "all together, 2 threads": _on("all together, 1 thread", ALL_ON_ONE, threads=2),
}  # fmt: skip

GPU_SIZES = (256, 1_024, 4_096, 16_384, 65_536)  # examples in a batch
WIDE = (2_048, 1_024, 512)
GPU_LINES = ("one thread", "all cores", "GPU", "GPU, float16", "GPU, wide", "GPU, wide, float16")


def gpu_variants(cores: int | None = None) -> dict[str, Variant]:
    """What a GPU and mixed precision change, by the size of the batch.

    Args:
        cores: threads of the line "all cores"; as many as there are, if not given.

    Returns:
        the plain loop, the same on the GPU, every line of GPU_LINES at every size of GPU_SIZES as
        "line, batch size", and at 4,096 what else may help a GPU.
    """
    cores = cores or os.cpu_count() or 1
    found = {"plain": PLAIN, "plain, GPU": _on("plain", PLAIN, device="cuda")}
    for size in GPU_SIZES:
        named = [f"{line}, batch {size:,}" for line in GPU_LINES]
        one = replace(MEMORY, batch_size=size)
        gpu = replace(one, device="cuda")
        wide = replace(gpu, hidden=WIDE)
        found[named[0]] = (
            one if size == PLAIN.batch_size else _on(f"one thread, batch {PLAIN.batch_size:,}", one)
        )
        found[named[1]] = _on(named[0], one, threads=cores)
        found[named[2]] = _on(named[0], gpu)
        found[named[3]] = _on(named[2], gpu, half=True)
        found[named[4]] = _on(named[2], wide)
        found[named[5]] = _on(named[4], wide, half=True)
    at = "GPU, batch 4,096"
    unchecked = _on(at, found[at], checks=False)
    return found | {
        f"{at}, fused Adam": _on(at, found[at], fused=True),
        f"{at}, no checks of ids": unchecked,
        f"{at}, compiled": _on(f"{at}, no checks of ids", unchecked, compiled=True),
    }


def absent(variant: Variant) -> str | None:
    """Why this machine cannot run a variant; None if it can."""
    if variant.device == "cuda" and not torch.cuda.is_available():
        return "no CUDA device here"
    if variant.threads > (os.cpu_count() or 1):
        return f"{variant.threads} threads want as many cores; here are {os.cpu_count()}"
    if variant.compiled and not any(
        shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++", "cl")
    ):
        return "no C++ compiler here, which torch.compile needs"
    if variant.half and variant.device == "cpu" and not has_bfloat16():
        return "this processor does not multiply in bfloat16"
    return None


# ---------------------------------------------------------------- where batches come from


def shuffled(n: int, seed: int, epoch: int) -> Tensor:
    """`[n]` the order of an epoch, the same for every way of loading."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


class OneByOne(Dataset):
    """The textbook's data set: an example is a tuple of rows, one a column of `Examples`."""

    def __init__(self, examples: Examples) -> None:
        self.columns = tuple(vars(examples).values())

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, row: int) -> tuple[Tensor, ...]:
        return tuple(column[row] for column in self.columns)


class Shuffled(Sampler):
    """Row by row in the order of `shuffled`, epoch after epoch."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed, self.epoch = n, seed, 0

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        order = shuffled(self.n, self.seed, self.epoch)
        self.epoch += 1
        return iter(order.tolist())


def batches(task: Task, rows: Tensor, variant: Variant, seed: int = 0) -> Iterator[Examples]:
    """Batches without end, epoch after epoch; what does not fill a last batch is dropped.

    Args:
        task: from `make_task`.
        rows: `[M]` positions of the impressions to train on.
        variant: how they are loaded.
        seed: of the order, which is the same for all variants of one batch size.

    Raises:
        ValueError: an unknown loader, fewer rows than fill a batch.
    """
    if len(rows) < variant.batch_size:
        raise ValueError(
            f"rows holds {len(rows)} impressions; a batch wants {variant.batch_size} of them"
        )
    if variant.loader == "dataset":
        return _from_loader(task, rows, variant, seed)
    if variant.loader in ("memory", "log"):
        return _from_memory(task, rows, variant, seed)
    raise ValueError(f"loader is {variant.loader!r}; it must be dataset, memory or log")


def _from_loader(task: Task, rows: Tensor, variant: Variant, seed: int) -> Iterator[Examples]:
    loader = DataLoader(
        OneByOne(task.examples[rows]),
        variant.batch_size,
        sampler=Shuffled(len(rows), seed),
        num_workers=variant.workers,
        persistent_workers=variant.workers > 0,
        drop_last=True,
    )
    while True:
        for columns in loader:
            yield _to(variant.device, Examples(*columns))


def _to(device: str, examples: Examples) -> Examples:
    return Examples(*(column.to(device) for column in vars(examples).values()))


def _from_memory(task: Task, rows: Tensor, variant: Variant, seed: int) -> Iterator[Examples]:
    examples, epoch = _to(variant.device, task.examples[rows]), 0
    n_films = task.world.n_films
    while True:
        order = shuffled(len(rows), seed, epoch)
        for some in order.to(variant.device).split(variant.batch_size):
            if len(some) < variant.batch_size:
                break
            batch = examples[some]
            if variant.loader == "log":
                history = task.world.log.histories(HISTORY, rows[some])
                batch = replace(batch, history=torch.where(history < n_films, history + 1, 0))
            yield batch
        epoch += 1


# ---------------------------------------------------------------- the model, and one step


class SparseLookUp(FieldEmbedding):
    """FieldEmbedding whose table gets the gradient of the rows touched, and no others."""

    def _look_up(self, rows: Tensor) -> Tensor:
        return F.embedding(rows, self.table.weight, sparse=True)


class Unchecked(FieldEmbedding):
    """FieldEmbedding that trusts its ids. A check looks at the values, which also keeps
    torch.compile from making one piece of the model."""

    def forward(self, ids: Tensor, bags: Bags | None = None) -> Tensor:
        """`[B, F + bags, D]`, as FieldEmbedding's."""
        bags = bags or {}
        parts = [ids + self.offsets, *(bag + self.offsets[f] for f, (bag, _) in bags.items())]
        vectors, *members = self._look_up(torch.cat(parts, dim=1)).split(
            [part.shape[1] for part in parts], dim=1
        )
        masks = [mask for _, mask in bags.values()]
        pooled = [masked_mean(m, mask) for m, mask in zip(members, masks, strict=True)]
        return torch.cat([vectors, *(p[:, None] for p in pooled)], dim=1)


def make_model(cardinalities: Sequence[int], variant: Variant, seed: int = 0) -> ClickModel:
    """Chapter 00's DNN, with the same weights at the start whatever the variant.

    Raises:
        ValueError: sparse gradients and no checks at once.
    """
    if variant.sparse and not variant.checks:
        raise ValueError("sparse is True and checks False; one of them at a time")
    with seeded(seed):
        model = ClickModel("DNN", cardinalities, hidden=variant.hidden)
        if variant.sparse or not variant.checks:
            old = model.model.vectors
            kind = SparseLookUp if variant.sparse else Unchecked
            new = kind(old.cardinalities, old.table.embedding_dim)
            new.load_state_dict(old.state_dict())
            model.model.vectors = new
    return model.to(variant.device)


def make_optimizers(
    model: ClickModel, variant: Variant, lr: float = LR, weight_decay: float = 0.0
) -> list[torch.optim.Optimizer]:
    """Adam; with sparse gradients SparseAdam for the table beside it.

    Raises:
        ValueError: weight decay with sparse gradients, which SparseAdam does not know.
    """
    if not variant.sparse:
        return [
            torch.optim.Adam(
                model.parameters(), lr=lr, weight_decay=weight_decay, fused=variant.fused or None
            )
        ]
    if weight_decay:
        raise ValueError(f"weight_decay is {weight_decay}; it must be 0 with sparse gradients")
    table = model.model.vectors.table.weight
    others = [p for p in model.parameters() if p is not table]
    return [torch.optim.SparseAdam([table], lr=lr), torch.optim.Adam(others, lr=lr)]


class Trainer:
    """A variant at work: one step a call.

    Args:
        task: from `make_task`.
        rows: `[M]` impressions to train on.
        variant: how.
        lr, weight_decay: of Adam.
        seed: of the start and of the order.
    """

    def __init__(
        self,
        task: Task,
        rows: Tensor,
        variant: Variant,
        *,
        lr: float = LR,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.variant = variant
        self.batches = batches(task, rows, variant, seed)
        self.model = make_model(task.cardinalities, variant, seed)
        self.optimizers = make_optimizers(self.model, variant, lr, weight_decay)
        self.call = torch.compile(self.model) if variant.compiled else self.model
        self.scaler = torch.amp.GradScaler(enabled=variant.half and variant.device == "cuda")

    def step(self) -> Tensor:
        """Train on the next batch; its loss."""
        variant, batch = self.variant, next(self.batches)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        kind = torch.float16 if variant.device == "cuda" else torch.bfloat16
        with torch.autocast(variant.device, kind, enabled=variant.half):
            loss = bce(self.call(batch), batch.label)
        self.scaler.scale(loss).backward()
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        return loss.detach()

    def turn(self, seconds: float) -> tuple[float, float]:
        """Train for a while.

        Returns:
            examples per second of the wall's clock, and of this process's processor time.
        """
        torch.set_num_threads(self.variant.threads)
        # What workers have laid ready while others had their turn must not count.
        for _ in range(2 * self.variant.workers + 1):
            self.step()
        self.wait()
        n, began, busy = 0, time.perf_counter(), time.process_time()
        while n == 0 or time.perf_counter() - began < seconds:
            self.step()
            n += self.variant.batch_size
        self.wait()
        return n / (time.perf_counter() - began), n / (time.process_time() - busy)

    def wait(self) -> None:
        """For the GPU, which is told what to do long before it has done it."""
        if self.variant.device == "cuda":
            torch.cuda.synchronize()


# ---------------------------------------------------------------- the race


def race(
    task: Task,
    rows: Tensor,
    variants: Mapping[str, Variant] = VARIANTS,
    *,
    rounds: int = 5,
    seconds: float = 1.0,
) -> dict[str, dict]:
    """Examples per second of every variant, in turns.

    Args:
        task: from `make_task`.
        rows: `[M]` impressions to train on.
        variants: the plain loop among them, as "plain".
        rounds: turns of each.
        seconds: length of a turn.

    Returns:
        name → {"base", "absent": None or why it could not run, and where it ran "rates" and
        "processor_rates": examples per second, one a round (the latter None with workers), "ratio":
        median over rounds of the rate over the plain loop's, "low", "high": the range of it,
        "best_ratio": of the best rounds, "processor_ratio": the median by processor time (None with
        workers), and "warm_up": seconds of the first steps, in which torch.compile compiles}.

    Raises:
        ValueError: no plain loop, rounds or seconds that are not above 0.
    """
    if "plain" not in variants:
        raise ValueError(f"variants are {', '.join(variants)}; 'plain' must be among them")
    check_positive("rounds", rounds)
    check_positive("seconds", seconds)
    found = {name: {"base": v.base, "absent": absent(v)} for name, v in variants.items()}
    trainers: dict[str, Trainer] = {}
    with threads_put_back():
        # The first optimizer of a process loads half of PyTorch; that is nobody's warm-up.
        Trainer(task, rows, variants["plain"]).step()
        for name, variant in variants.items():
            if found[name]["absent"] is None:
                _warm_up(task, rows, name, variant, trainers, found)
        rates = {name: ([], []) for name in trainers}
        for _ in range(rounds):
            for name, trainer in trainers.items():
                for kept, rate in zip(rates[name], trainer.turn(seconds), strict=True):
                    kept.append(rate)
    over = lambda mine, plain: [a / b for a, b in zip(mine, plain, strict=True)]
    for name, (wall, processor) in rates.items():
        ratios, alone = over(wall, rates["plain"][0]), variants[name].workers == 0
        found[name] |= {
            "rates": wall,
            "processor_rates": processor if alone else None,
            "ratio": median(ratios),
            "low": min(ratios),
            "high": max(ratios),
            "best_ratio": max(wall) / max(rates["plain"][0]),
            "processor_ratio": median(over(processor, rates["plain"][1])) if alone else None,
        }
    return found


@contextmanager
def threads_put_back(now: int | None = None) -> Iterator[None]:
    """PyTorch's number of threads is set to `now`, if given, and in the end to what it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(now or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _warm_up(task, rows, name, variant, trainers, found) -> None:
    """First steps of a variant; where its compiling fails, that is why it is absent."""
    torch.set_num_threads(variant.threads)
    began = time.perf_counter()
    trainer = Trainer(task, rows, variant)
    try:
        for _ in range(WARM_UP):
            trainer.step()
    except RuntimeError as error:
        if not variant.compiled:
            raise
        found[name]["absent"] = f"torch.compile failed here: {type(error).__name__}"
        return
    found[name]["warm_up"] = time.perf_counter() - began
    trainers[name] = trainer


ADAMS = {
    "Adam": MEMORY,
    "fused Adam": VARIANTS["fused Adam"],
    "SparseAdam": VARIANTS["sparse gradients"],
}


def table_sizes(
    task: Task,
    rows: Tensor,
    more: Sequence[int] = (0, 30_000, 300_000),
    *,
    rounds: int = 5,
    steps: int = 10,
) -> list[dict]:
    """Milliseconds a step at batch 256, by the number of rows in the table: Adam moves every row in
    every step, also those that no example of the batch has touched.

    Args:
        task: from `make_task`.
        rows: `[M]` impressions to train on.
        more: ids added to the field user, which no example has.
        rounds: turns of each.
        steps: in a turn.

    Returns:
        one dict a size: "rows" in the table, and name of the optimizer → {"median", "low", "high"}.
    """
    found = []
    for extra in more:
        cardinalities = [task.cardinalities[0] + extra, *task.cardinalities[1:]]
        larger = replace(task, cardinalities=cardinalities)
        trainers = {name: Trainer(larger, rows, variant) for name, variant in ADAMS.items()}
        took = {name: [] for name in ADAMS}
        with threads_put_back(1):
            for turn in range(rounds + 1):
                for name, trainer in trainers.items():
                    began = time.process_time()
                    for _ in range(steps):
                        trainer.step()
                    if turn:  # the first warms up
                        took[name].append(1e3 * (time.process_time() - began) / steps)
        figures = {
            name: {"median": median(ms), "low": min(ms), "high": max(ms)}
            for name, ms in took.items()
        }
        found.append({"rows": sum(cardinalities)} | figures)
    return found


# ---------------------------------------------------------------- what a larger batch costs

BATCH_SIZES = (256, 1_024, 4_096, 16_384)
RULES = ("same", "square root", "linear", "tuned")
EPOCHS, WEIGHT_DECAY, DECAY = 2, 1e-4, 0.6  # DECAY: of the rate, after every epoch
LOOKS = 4  # at the validation days, in every epoch
WITHIN = 0.002  # nats: near enough to what the small batch reaches


def scaled_rate(rule: str, batch_size: int, lr: float = LR, base: int = BATCH_SIZES[0]) -> float:
    """The learning rate for a batch, from the one for batches of `base`.

    The gradient's noise falls with the root of the batch; steps become fewer in proportion to it.

    Raises:
        ValueError: another rule than "same", "square root" or "linear".
    """
    power = {"same": 0.0, "square root": 0.5, "linear": 1.0}
    if rule not in power:
        raise ValueError(f"rule is {rule!r}; it must be one of {', '.join(power)}")
    return lr * (batch_size / base) ** power[rule]


def learn(
    task: Task,
    rows: Tensor,
    held: Tensor,
    variant: Variant,
    lr: float,
    *,
    epochs: int = EPOCHS,
    until: float | None = None,
    seed: int = 0,
) -> list[dict]:
    """Train, and look at the validation days several times an epoch.

    Args:
        task: from `make_task`.
        rows: `[M]` impressions to train on.
        held: `[V]` impressions to look at.
        variant: how, the size of the batch among it.
        lr: of the first epoch; it falls evenly after each, in more epochs as far as in EPOCHS
            epochs by DECAY each.
        epochs: how many.
        until: a log-loss at which to stop, if given.
        seed: of start and order.

    Returns:
        a dict a look: "examples" trained on so far, "seconds" of training for it (looking does not
        count; processor time on one thread, the wall's clock on several or a GPU), and "log_loss",
        None once the training has gone to pieces.

    Raises:
        ValueError: an epoch of fewer steps than LOOKS.
    """
    trainer = Trainer(task, rows, variant, lr=lr, weight_decay=WEIGHT_DECAY, seed=seed)
    size, steps = variant.batch_size, len(rows) // variant.batch_size  # an epoch's
    if steps < LOOKS:
        raise ValueError(
            f"batch_size is {size}; {len(rows)} impressions make {steps} steps, and there "
            f"must be {LOOKS} at least"
        )
    alone = variant.device == "cpu" and variant.threads == 1
    clock = time.process_time if alone else time.perf_counter
    looks, seconds, examples = [], 0.0, _to(variant.device, task.examples[held])
    with threads_put_back(variant.threads):
        for epoch in range(epochs):
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = lr * DECAY ** (epoch * EPOCHS / epochs)
            for part in torch.arange(steps).tensor_split(LOOKS):
                trainer.model.train()
                trainer.wait()
                began = clock()
                for _ in part:
                    trainer.step()
                trainer.wait()
                seconds += clock() - began
                done = size * (epoch * steps + int(part[-1]) + 1)
                loss = _loss(trainer.model, examples)
                looks.append({"examples": done, "seconds": seconds, "log_loss": loss})
                if until is not None and loss is not None and loss <= until:
                    return looks
    return looks


def _loss(model: ClickModel, examples: Examples) -> float | None:
    predicted = logits(model, examples)
    return log_loss(examples.label, predicted) if predicted.isfinite().all() else None


def seconds_to(looks: Sequence[dict], target: float) -> float | None:
    """Seconds of training at the first look whose log-loss is at most `target`; None if none is."""
    for one in looks:
        if one["log_loss"] is not None and one["log_loss"] <= target:
            return one["seconds"]
    return None


def final(looks: Sequence[dict]) -> float:
    """Log-loss of the last look; infinity for a training that went to pieces."""
    value = looks[-1]["log_loss"]
    return math.inf if value is None else value
