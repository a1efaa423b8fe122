"""FTRL-Proximal, parameter groups, and a schedule with warm-up.

McMahan, Holt, Sculley and others: Ad Click Prediction: a View from the Trenches. KDD 2013,
https://doi.org/10.1145/2487575.2488200, algorithm 1. "Follow the regularized leader": the weight
after step t is the one that would have been best against all gradients so far, with a pull towards
where it stood at each step, and with an L1 penalty that leaves it at exactly zero for as long as
the evidence is thin:

    w = argmin over w of  (sum of g) w + 1/2 sum over steps of σ_s (w − w_s)² + l1 |w| + l2/2 w²

which has one closed form per weight, below. It is what trains the wide side of Wide & Deep (Cheng
et al. 2016, section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
)

from recsys_book.arguments import check_positive


class _WeightByWeight(torch.optim.Optimizer):
    """An optimizer that moves one parameter after the other; at a rate of 0 nothing happens."""

    def _move(self, weight: Tensor, group: dict) -> None:
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Move every parameter that has a gradient, dense or sparse."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if group["lr"] and weight.grad is not None:
                    self._move(weight, group)
        return loss


class FTRL(_WeightByWeight):
    """FTRL-Proximal, each weight with a learning rate of its own.

    With g the gradient of a weight at a step, n the sum of its squared gradients before, and
    r(n) = √n:

        σ = r(n + g²) / lr − r(n) / lr,   n ← n + g²,   z ← z + g − σ w
        w = 0                                            where |z| <= l1
        w = −(z − sign(z) l1) / ((beta + r(n)) / lr + l2)    elsewhere

    A weight whose gradient is 0 is left alone, so rows that no example has touched stay as they
    are, and dense and sparse gradients give the same weights. z sums gradients, so `l1` is
    measured in them: a mean over a batch makes gradients, and the `l1` that is wanted, that much
    smaller than a sum.

    (beta + r(n)) / lr is remembered from a weight's last step, with the rate of that time, and σ is
    what it has grown by since. With a constant rate that changes nothing. Under a schedule the next
    step is taken at the new rate; with both terms of σ divided by the new one, as the formula
    stands, every weight would be scaled at once whenever the rate moves. At a rate of 0 nothing
    happens.

    The weights are worked out from z and n, which the optimizer keeps. Weights that somebody else
    puts back, as `fit` does with the best epoch's, are overwritten by a further step.

    Args:
        params: parameters or groups of them, all zero: from any other start the closed form, which
            knows nothing of it, would jump back to zero.
        lr: learning rate (α), above 0.
        l1: strength of |w|; what makes zeros.
        l2: strength of w²/2.
        beta: β, keeps the first steps small.

    Raises:
        ValueError: an argument out of range; at the first step, a parameter that is not zero.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 0.1,
        *,
        l1: float = 0.0,
        l2: float = 0.0,
        beta: float = 1.0,
    ) -> None:
        defaults = {"lr": lr, "l1": l1, "l2": l2, "beta": beta}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict) -> None:
        """A further group of parameters, with options of its own."""
        options = self.defaults | param_group
        check_positive("lr", options["lr"])
        for name in ("l1", "l2", "beta"):
            check_positive(name, options[name], zero_allowed=True)
        super().add_param_group(param_group)

    def _move(self, weight: Tensor, group: dict) -> None:
        state = self.state[weight]
        if not state:
            state.update(_start(weight, group))
        every = weight, state["z"], state["n"], state["d"]
        if weight.dim() == 0:
            ftrl_update(*every, weight.grad, group)
            return
        rows, gradient = _touched(weight.grad)
        w, z, n, d = (whole.index_select(0, rows) for whole in every)
        ftrl_update(w, z, n, d, gradient, group)
        for whole, part in zip(every, (w, z, n, d), strict=True):
            whole.index_copy_(0, rows, part)


def _touched(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Rows with a gradient, and it: of a large table a batch touches few; only they are read."""
    if gradient.is_sparse and gradient.sparse_dim() == 1:
        gradient = gradient.coalesce()
        return gradient.indices()[0], gradient.values()
    gradient = gradient.to_dense()
    rows = gradient.flatten(1).any(1) if gradient.dim() > 1 else gradient != 0
    rows = rows.nonzero().squeeze(1)
    return rows, gradient.index_select(0, rows)


def _start(weight: Tensor, group: dict) -> dict[str, Tensor]:
    """z, n, and d = (beta + r(n)) / lr, before the first step."""
    if torch.count_nonzero(weight):
        raise ValueError(
            f"params contains a tensor of shape {tuple(weight.shape)} that is not all zero; FTRL "
            "starts at zero (its closed form would forget any other start)"
        )
    # Sums over a whole training: half precision would soon stop counting.
    n = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
    start = (group["beta"] + n.sqrt()) / group["lr"]
    return {"z": torch.zeros_like(n), "n": n, "d": start}


def ftrl_update(w: Tensor, z: Tensor, n: Tensor, d: Tensor, g: Tensor, group: dict) -> None:
    """One step of FTRL on tensors of one shape, in place.

    Args:
        w: weights.
        z, n, d: what is kept of each: the corrected sum of gradients, the sum of their squares,
            and (beta + r(n)) / lr as it was at the last step.
        g: gradients.
        group: "lr", "l1", "l2" and "beta".
    """
    moved = g != 0
    n += g.to(n.dtype) ** 2
    slower = (group["beta"] + n.sqrt()) / group["lr"]
    z += torch.where(moved, g - (slower - d) * w, 0.0)
    d.copy_(torch.where(moved, slower, d))
    pulled = z.sign() * (z.abs() - group["l1"]).clamp(min=0)
    w.copy_(torch.where(moved, -pulled / (d + group["l2"]), w))


class ProximalAdagrad(_WeightByWeight):
    """AdaGrad with an L1 that makes zeros: after each step a weight is pulled towards zero.

    With g the gradient of a weight, and n the sum of its squared gradients, this one among them:

        w ← w − lr · g / √n,   w ← sign(w) · max(|w| − lr · l1 / √n, 0)

    (Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization. JMLR 2011, the composite mirror descent update with l1.) Beside FTRL it is the
    control: the same rates and the same penalty, but what is pulled is the weight as it stands, not
    the sum of all gradients so far. A weight whose gradient is 0 is left alone.

    Args:
        params: parameters or groups of them.
        lr: learning rate, above 0.
        l1: strength of |w|.

    Raises:
        ValueError: an argument out of range.
    """

    def __init__(self, params: Iterable, lr: float = 0.1, *, l1: float = 0.0) -> None:
        check_positive("lr", lr)
        check_positive("l1", l1, zero_allowed=True)
        super().__init__(params, {"lr": lr, "l1": l1})

    def _move(self, weight: Tensor, group: dict) -> None:
        state = self.state[weight]
        if not state:
            kind = torch.promote_types(weight.dtype, torch.float32)
            state["n"] = torch.zeros_like(weight, dtype=kind)
        rows, g = (..., weight.grad) if weight.dim() == 0 else _touched(weight.grad)
        n = state["n"][rows] + g.to(state["n"].dtype) ** 2
        rate = torch.where(g != 0, group["lr"] / n.clamp(min=1e-30).sqrt(), 0.0)
        moved = weight[rows] - rate * g
        pulled = moved.sign() * (moved.abs() - rate * group["l1"]).clamp(min=0)
        weight[rows], state["n"][rows] = pulled.to(weight.dtype), n


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups for any optimizer of torch: weights that decay, and biases that do not.

    A bias says how high the whole lies, not how much one thing leans on another; pulling it to zero
    makes every prediction wrong by a constant and simplifies nothing.

    Args:
        model: its parameters of two dimensions or more decay, except those with "bias" in their
            name, such as a table of biases.
        weight_decay: of the first group.
    """
    check_positive("weight_decay", weight_decay, zero_allowed=True)
    decay: list = []
    keep: list = []
    for name, weight in model.named_parameters():
        is_bias = weight.dim() < 2 or "bias" in name
        (keep if is_bias else decay).append(weight)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": keep, "weight_decay": 0.0}]


def warmup_cosine(
    optimizer: torch.optim.Optimizer, warmup: int, total: int, first: float = 0.1
) -> LRScheduler:
    """A learning rate that rises in a line for `warmup` steps, falls along a cosine, and stays at
    zero from step `total` on.

    Args:
        optimizer: whose groups' rates are the top of the curve.
        warmup: steps of the schedule (batches or epochs, as `fit` is told), at least 1.
        total: steps in all, more than `warmup`.
        first: share of the rate in the first step.

    Raises:
        ValueError: warmup or total out of range.
    """
    if not 1 <= warmup < total:
        raise ValueError(f"warmup is {warmup} and total {total}; 1 <= warmup < total must hold")
    rise = LinearLR(optimizer, start_factor=first, total_iters=warmup)
    fall = CosineAnnealingLR(optimizer, T_max=total - warmup)
    end = ConstantLR(optimizer, factor=0.0, total_iters=1 << 40)  # a cosine would rise again
    return SequentialLR(optimizer, [rise, fall, end], milestones=[warmup, total])
