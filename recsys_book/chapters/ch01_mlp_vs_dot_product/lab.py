"""Experiments of chapter 01: XOR, parity, and what a dot product can and cannot do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import xor
from recsys_book.layers import MLP
from recsys_book.losses import bce
from recsys_book.train import seeded


def train_together(
    models: Sequence[nn.Module],
    loss: Callable[[nn.Module], Tensor],
    *,
    steps: int = 600,
    lr: float = 0.05,
    watch: Callable[[int], None] | None = None,
) -> Tensor:
    """Train copies of a model side by side, each as if it were alone.

    Adam scales every parameter by that parameter's own history, and the copies share no parameter:
    the gradient of the summed loss is each copy's own gradient.

    Args:
        models: the copies, differently initialized.
        loss: `loss(model)` on the whole (small) data set.
        steps: of Adam.
        lr: learning rate.
        watch: called with the step's number before each step, and once after the last.

    Returns:
        `[number of models]` final losses.
    """
    optimizer = torch.optim.Adam([p for model in models for p in model.parameters()], lr=lr)
    for step in range(steps):
        if watch is not None:
            watch(step)
        total = sum(loss(model) for model in models)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    if watch is not None:
        watch(steps)
    with torch.no_grad():
        return torch.stack([loss(model) for model in models])


def one_per_seed(make: Callable[[], nn.Module], seeds: Sequence[int]) -> list[nn.Module]:
    """A model for each seed, which alone decides its start."""
    models = []
    for seed in seeds:
        with seeded(seed):
            models.append(make())
    return models


# ---------------------------------------------------------------- learning a dot product


def dot_product_examples(n: int, dim: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pairs of random vectors and their dot product, scaled to standard deviation 1.

    Returns:
        inputs `[n, 2 dim]` (the two vectors, concatenated) and targets `[n]`.
    """
    p, q = torch.randn(2, n, dim, generator=generator)
    return torch.cat([p, q], dim=1), (p * q).sum(1) / math.sqrt(dim)


def learn_dot_product(
    width: int,
    n_examples: int,
    *,
    dim: int = 16,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 1_500,
    batch_size: int = 256,
    lr: float = 3e-3,
) -> list[float]:
    """How far an MLP with two hidden layers stays from the dot product it is shown.

    After Rendle, Krichene, Zhang, Anderson: Neural Collaborative Filtering vs. Matrix
    Factorization Revisited. RecSys 2020, https://doi.org/10.1145/3383313.3412488. Their
    target carries noise; this one carries none, which is easier for the MLP.

    Args:
        width: of both hidden layers.
        n_examples: size of the training set.
        dim: length of the two vectors.
        seeds: of data, initialization and batches.
        steps: of Adam, with a cosine schedule to zero; the same for every size of training set.
        batch_size: examples a step.
        lr: highest learning rate.

    Returns:
        RMSE on 10,000 fresh examples, one per seed. Always answering the mean gives 1.0; the dot
        product itself 0.
    """
    errors = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        inputs, targets = dot_product_examples(n_examples, dim, generator)
        [model] = one_per_seed(lambda: MLP(2 * dim, (width, width)), [seed])
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            rows = torch.randint(n_examples, (batch_size,), generator=generator)
            error = F.mse_loss(model(inputs[rows]).squeeze(-1), targets[rows])
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            schedule.step()
        fresh, truth = dot_product_examples(10_000, dim, generator)
        with torch.no_grad():
            errors.append(float(F.mse_loss(model(fresh).squeeze(-1), truth).sqrt()))
    return errors


# ---------------------------------------------------------------- rank and sign rank


def best_values(table: Tensor, dim: int) -> Tensor:
    """The matrix of rank `dim` nearest to `table` in squared error (Eckart and Young 1936)."""
    u, s, vh = torch.linalg.svd(table)
    return u[:, :dim] * s[:dim] @ vh[:dim]


def learned_signs(
    tables: Tensor, dims: Sequence[int], *, restarts: int = 8, steps: int = 1_500, seed: int = 0
) -> Tensor:
    """Factorize for the signs alone: logistic loss on P Q^T, for every table and dimension at once.

    Args:
        tables: `[T, n, n]` of ±1.
        dims: dimensions to try.
        restarts: random starts; the one with the fewest wrong signs is kept.
        steps: of Adam.
        seed: of the starts.

    Returns:
        `[T, len(dims), n, n]` of ±1: the signs of the best start. A wrong sign here may be a
        failure of training; a right table is proof that `dim` suffices.
    """
    n_tables, n, _ = tables.shape
    width = max(dims)
    generator = torch.Generator().manual_seed(seed)
    shape = (n_tables, len(dims), restarts, n, width)
    p, q = (0.5 * torch.randn(shape, generator=generator) for _ in range(2))
    used = torch.arange(width) < torch.tensor(dims)[:, None]  # [len(dims), width]
    used = used[None, :, None, None, :].float()
    p.requires_grad_(), q.requires_grad_()
    target = tables[:, None, None]  # [T, 1, 1, n, n]
    scores = lambda: (p * used) @ (q * used).transpose(-1, -2)
    optimizer = torch.optim.Adam([p, q], lr=0.05)
    for _ in range(steps):
        loss = F.softplus(-target * scores()).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        signs = torch.where(scores() > 0, 1.0, -1.0)
    best = (signs != target).sum((-1, -2)).argmin(dim=2)  # [T, len(dims)]
    return signs.gather(2, best[..., None, None, None].expand(-1, -1, 1, n, n)).squeeze(2)


# ---------------------------------------------------------------- the map


def straight_cut(points: Tensor, labels: Tensor) -> float:
    """Accuracy of the best straight cut (logistic regression), fitted on even rows, scored on odd.

    Args:
        points: `[n, D]`, the rows of each group in random order.
        labels: `[n]`.
    """
    x, y = points.numpy(), labels.numpy()
    cut = LogisticRegression(C=100, max_iter=2_000).fit(x[::2], y[::2])
    return float(cut.score(x[1::2], y[1::2]))


# ---------------------------------------------------------------- boundaries over training


@dataclass(frozen=True)
class Boundaries:
    """What networks of several widths think of the plane while they learn XOR.

    Attributes:
        widths: W hidden widths.
        steps: S steps at which pictures were taken.
        probability: `[W, S, G, G]` predicted chance of a like on a grid from −0.5 to 1.5 (row:
            film, column: user), of the seed that ends with the lowest loss.
        loss: `[W, S]` its log-loss at each picture.
        right: `[W, S]` how many of the four cells it has right.
        final: `[W, seeds]` log-loss of every seed after the last step.
    """

    widths: Sequence[int]
    steps: Sequence[int]
    probability: Tensor
    loss: Tensor
    right: Tensor
    final: Tensor


def xor_boundaries(
    widths: Sequence[int],
    *,
    seeds: Sequence[int] = tuple(range(10)),
    n_steps: int = 400,
    pictures: int = 21,
    grid: int = 41,
) -> Boundaries:
    """Train MLPs with one hidden layer on XOR and keep pictures of what they think on the way."""
    ids, labels = xor()
    corners = ids.float()
    line = torch.linspace(-0.5, 1.5, grid)
    plane = torch.cartesian_prod(line, line).flip(1)  # [G·G, 2] (user, film), film outermost
    # Early steps change most: pictures lie closer together there.
    steps = sorted({round(n_steps * (i / (pictures - 1)) ** 1.5) for i in range(pictures)})
    loss = lambda model: bce(model(corners).squeeze(-1), labels)
    films, losses, rights, finals = [], [], [], []
    for width in widths:
        models = one_per_seed(lambda width=width: MLP(2, (width,)), seeds)
        seen = []  # one entry per picture: ([seeds, G·G], [seeds], [seeds])

        @torch.no_grad()
        def watch(step: int, models=models, seen=seen) -> None:
            if step in steps:
                logits = torch.stack([m(corners).squeeze(-1) for m in models])  # [seeds, 4]
                seen.append(
                    (
                        torch.stack([m(plane).squeeze(-1).sigmoid() for m in models]),
                        F.binary_cross_entropy_with_logits(
                            logits, labels.expand_as(logits), reduction="none"
                        ).mean(1),
                        ((logits > 0) == labels.bool()).sum(1),
                    )
                )

        final = train_together(models, loss, steps=n_steps, watch=watch)
        best = int(final.argmin())
        films.append(torch.stack([p[best] for p, _, _ in seen]).view(-1, grid, grid))
        losses.append(torch.stack([one[best] for _, one, _ in seen]))
        rights.append(torch.stack([n[best] for _, _, n in seen]))
        finals.append(final)
    stack = torch.stack
    return Boundaries(widths, steps, stack(films), stack(losses), stack(rights), stack(finals))


def hidden_snapshots(
    models: Sequence[MLP],
    points: Tensor,
    labels: Tensor,
    steps: Sequence[int],
    lr: float = 0.03,
) -> list[list[Tensor]]:
    """Train `models` side by side and keep their last hidden layers at each of `steps`.

    Returns:
        for each model, tensors `[n, H]` for `points`, after the ReLU, one per entry of `steps`;
        the last step ends training.
    """
    snapshots: list[list[Tensor]] = [[] for _ in models]

    @torch.no_grad()
    def watch(step: int) -> None:
        if step in steps:
            for model, kept in zip(models, snapshots, strict=True):
                kept.append(model.layers[:-1](points))

    loss = lambda model: bce(model(points).squeeze(-1), labels)
    train_together(models, loss, steps=max(steps), lr=lr, watch=watch)
    return snapshots
