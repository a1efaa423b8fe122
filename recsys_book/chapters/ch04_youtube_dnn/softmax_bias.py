"""Chapter 04: is the gradient of a sampled softmax right on average? Worked out, not simulated.

With few classes every possible sample of m negatives can be listed, each with its chance, and the
expected gradient added up exactly.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import matplotlib.pyplot as plt
import torch
from scipy.stats import multinomial
from torch import Tensor

from recsys_book.arguments import check_positive
from recsys_book.show.plots import PALETTE, Picture, show

CORRECTIONS = {"with log Q": 1.0, "without": None, "wrong sign": -1.0}
#: Four classes: scores, and how often each is drawn. The second is the positive.
SCORES = torch.tensor([0.3, 1.2, -0.7, 0.5], dtype=torch.float64)
POSITIVE = 1
POPULARITY = torch.tensor([0.1, 0.5, 0.1, 0.3], dtype=torch.float64)


def own_softmax(scores: Tensor = SCORES, positive: int = POSITIVE) -> Tensor:
    """The one proposal that is right at any m: the model's own softmax over the negatives."""
    weight = scores.exp()
    weight[positive] = 0
    return weight / weight.sum()


def full_gradient(scores: Tensor = SCORES, positive: int = POSITIVE) -> Tensor:
    """`[N]`: of the full softmax's loss by the scores."""
    gradient = scores.softmax(0)
    gradient[positive] -= 1
    return gradient


def expected_gradient(
    q: Tensor, m: int, sign: float | None, scores: Tensor = SCORES, positive: int = POSITIVE
) -> Tensor:
    """`[N]`: of `sampled_softmax_loss` by the scores, on average over all samples.

    Args:
        q: `[N]`, chance of each item in one draw; draws of the positive are left out as hits.
        m: negatives drawn.
        sign: of log(m q) taken from the score: 1 as it should be, −1 the wrong way round; None
            leaves the correction out.
        scores: `[N]`.
        positive: what was chosen.
    """
    check_positive("m", m)
    items = [i for i in range(len(scores)) if q[i] > 0]
    shift = torch.zeros_like(scores) if sign is None else sign * (m * q).clamp(min=1e-300).log()
    weight = (scores - shift).exp()
    weight[positive] = 0  # an accidental hit counts for nothing
    expected = torch.zeros_like(scores)
    for drawn in combinations_with_replacement(items, m):
        count = torch.bincount(torch.tensor(drawn), minlength=len(scores)).double()
        chance = multinomial.pmf(count.numpy(), m, q.numpy())
        total = scores[positive].exp() + (count * weight).sum()
        gradient = count * weight / total
        gradient[positive] = scores[positive].exp() / total - 1
        expected += chance * gradient
    return expected


def bias(q: Tensor, m: int, sign: float | None) -> float:
    """The largest difference between the expected gradient and the full softmax's."""
    return float((expected_gradient(q, m, sign) - full_gradient()).abs().max())


def bias_figure(ms: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16)) -> Picture:
    """Bias by the number of negatives: corrected, not corrected, the wrong way, and the ideal q."""
    lines = {name: [bias(POPULARITY, m, sign) for m in ms] for name, sign in CORRECTIONS.items()}
    lines["with log Q, drawn from its own softmax"] = [bias(own_softmax(), m, 1.0) for m in ms]
    colours = ("blue", "orange", "vermilion", "green")
    figure, ax = plt.subplots(figsize=(6.4, 3.6))
    for (name, values), colour in zip(lines.items(), colours, strict=True):
        ax.plot(ms, values, "o-", ms=4, color=PALETTE[colour], label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ms, [str(m) for m in ms])
    ax.set(xlabel="negatives m", ylabel="bias of the gradient", title="Sampled softmax, exactly")
    ax.legend(fontsize=8)
    told = "; ".join(
        f"{name}: {v[0]:.3f} at 1, {v[-1]:.3f} at {ms[-1]}" for name, v in lines.items()
    )
    return show(figure, alt=f"Bias of the expected gradient by number of negatives. {told}")
