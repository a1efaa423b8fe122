"""Calibration: does a predicted chance of 20 % come true one time in five? And what to do if not.

`calibration_curve` and `expected_calibration_error` measure it, `recalibrate` and `platt` repair
it. Ranking does not see any of this: two models of one AUC may differ in it as much as you like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys_book.arguments import check_finite, check_positive, check_same_shape

BINS = ("quantile", "uniform")


@dataclass(frozen=True)
class Calibration:
    """What was predicted and what came of it, bin by bin. n bins, those without examples left out.

    Attributes:
        predicted: `[n]` float64, mean of the predictions, ascending.
        observed: `[n]` float64, mean of the labels.
        count: `[n]` int64, examples in the bin.
    """

    predicted: Tensor
    observed: Tensor
    count: Tensor

    def error(self) -> float:
        """Mean distance of observed and predicted, each bin weighed by its examples."""
        gap = (self.observed - self.predicted).abs()
        return float(gap @ self.count.double() / self.count.sum())


def calibration_curve(
    labels: Tensor, probabilities: Tensor, n_bins: int = 10, bins: str = "quantile"
) -> Calibration:
    """Observed rates against predicted chances, in bins of like predictions.

    Args:
        labels: `[B]`, 0 or 1. Where the truth is known, as in a simulated world, the true chances
            may stand here (anything in 0..1): the same curve without the noise of the draw.
        probabilities: `[B]` predictions in 0..1.
        n_bins: how many bins, at least 1. Fewer come back where some are empty.
        bins: "quantile" for equal numbers of examples as far as ties allow, "uniform" for equal
            widths. Equal predictions always share a bin; one on an edge belongs to the lower bin.

    Raises:
        ValueError: NaN, values outside 0..1, shapes that differ, no examples, n_bins below 1, an
            unknown kind of bins.
    """
    check_same_shape("labels", labels, "probabilities", probabilities)
    if labels.dim() != 1 or labels.numel() == 0:
        raise ValueError(f"labels has shape {tuple(labels.shape)}; it must be [B] with B >= 1")
    labels, probabilities = labels.double(), probabilities.double()
    _check_chances("labels", labels)
    _check_chances("probabilities", probabilities)
    if isinstance(n_bins, bool) or not isinstance(n_bins, int) or n_bins < 1:
        raise ValueError(f"n_bins is {n_bins!r}; it must be a whole number of 1 or more")
    if bins not in BINS:
        raise ValueError(f"bins is {bins!r}; it must be one of {', '.join(BINS)}")
    # Bins are ranges of values, never of ranks: that keeps equal predictions together.
    if bins == "quantile":
        edges = _quantiles(probabilities, n_bins)  # [n_bins − 1]
    else:
        edges = torch.arange(1, n_bins, dtype=torch.float64, device=labels.device) / n_bins
    bin_of = torch.searchsorted(edges, probabilities)  # [B]
    count = torch.bincount(bin_of, minlength=n_bins)
    filled = count > 0
    mean = lambda values: torch.bincount(bin_of, values, minlength=n_bins)[filled] / count[filled]
    return Calibration(mean(probabilities), mean(labels), count[filled])


def expected_calibration_error(
    labels: Tensor, probabilities: Tensor, n_bins: int = 10, bins: str = "quantile"
) -> float:
    """Sum over bins of (n_b / B) · |observed rate − mean prediction|.

    Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using Bayesian Binning. AAAI
    2015, https://doi.org/10.1609/aaai.v29i1.9602. It depends on the bins: with more of them, or
    fewer examples in each, chance alone pushes it up, for a perfect model too. Compare models on
    the same examples with the same bins only, or give true chances as labels, where they are known.

    Arguments and errors as in `calibration_curve`.
    """
    return calibration_curve(labels, probabilities, n_bins, bins).error()


def recalibrate(logits: Tensor, kept: float) -> Tensor:
    """Undo the sampling of negatives: logits + ln(kept).

    He et al.: Practical Lessons from Predicting Clicks on Ads at Facebook. ADKDD 2014,
    https://doi.org/10.1145/2648584.2648589, section 6.3, with w for `kept`, p for the chance
    learned from the sample and q for the one in life:

        q = p / (p + (1 − p) / w)

    Where each negative was kept with chance w, the odds in the sample are the true ones over w, so
    every log-odds is too high by −ln w. The paper's formula says the same in probabilities. The
    order of the logits stays.

    Args:
        logits: of any shape, from a model trained on the sample.
        kept: the chance with which a negative was kept, above 0, at most 1.

    Raises:
        ValueError: NaN or an infinity, kept out of range.
    """
    check_finite("logits", logits)
    check_positive("kept", kept)
    if kept > 1:
        raise ValueError(f"kept is {kept!r}; it is a chance, at most 1")
    return logits + math.log(kept)


def platt(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Slope and intercept that make sigmoid(slope · logits + intercept) fit the labels best.

    Platt: Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized
    Likelihood Methods. Advances in Large Margin Classifiers, MIT Press 1999. For when the rate of
    sampling is not known (the intercept finds it), or a model is too sure of itself (a slope under
    1). Fit it on validation examples, never on those the model was trained on. Maximum likelihood
    by Newton's method in float64; the paper also moves the labels a little off 0 and 1, which
    matters with a handful of examples only and is left out here.

    Args:
        logits: `[B]`.
        labels: `[B]`, 0 or 1, both present.

    Returns:
        slope, intercept. A slope below 0 says that the model ranks worse than chance.

    Raises:
        ValueError: NaN, shapes that differ, one class only, logits that are all equal or that part
            the classes without overlap (the best slope is then endless), or nearly so.
    """
    check_same_shape("logits", logits, "labels", labels)
    if logits.dim() != 1 or logits.numel() == 0:
        raise ValueError(f"logits has shape {tuple(logits.shape)}; it must be [B] with B >= 1")
    x, y = logits.detach().double(), labels.double()
    check_finite("logits", x)
    check_finite("labels", y)
    odd = (y != 0) & (y != 1)
    if odd.any():
        raise ValueError(f"labels contains {float(y[odd][0])}; it must be 0 or 1")
    if y.min() == y.max():
        raise ValueError(f"labels are all {int(y[0])}; a fit needs both classes")
    if x.min() == x.max():
        raise ValueError(f"logits are all {float(x[0])}; there is no slope to fit")
    yes, no = x[y == 1], x[y == 0]
    if yes.min() >= no.max() or no.min() >= yes.max():
        raise ValueError("logits part the classes without overlap; the best slope is endless")
    # Centred and scaled, the two unknowns hardly get in each other's way.
    centre, scale = x.mean(), x.std()
    inputs = torch.stack([(x - centre) / scale, torch.ones_like(x)], dim=1)  # [B, 2]
    loss = lambda weight: F.binary_cross_entropy_with_logits(inputs @ weight, y)
    weight = torch.stack([y.new_zeros(()), torch.logit(y.mean())])
    for _ in range(100):
        p = torch.sigmoid(inputs @ weight)
        gradient = inputs.T @ (p - y) / len(y)  # [2]
        curvature = inputs.T @ (inputs * (p * (1 - p))[:, None]) / len(y)  # [2, 2]
        step = torch.linalg.solve(curvature, gradient)
        while loss(weight - step) > loss(weight) and step.abs().max() > 1e-12:
            step = step / 2  # far from the optimum a whole step may lead past it
        weight = weight - step
        if step.abs().max() < 1e-10:
            break
    else:
        raise ValueError("logits and labels have no best line within 100 steps of Newton's method")
    slope = weight[0] / scale
    return float(slope), float(weight[1] - slope * centre)


def _quantiles(values: Tensor, n: int) -> Tensor:
    """`[n − 1]` inner edges of n equal parts, by linear interpolation (torch.quantile refuses more
    than 16 million values). In whole numbers, so that an edge that is a value is exactly it."""
    ordered = values.sort().values
    place = torch.arange(1, n, device=values.device) * (len(values) - 1)  # in n-ths
    below, part = ordered[place // n], (place % n) / n
    return below + part * (ordered[(place + n - 1) // n] - below)


def _check_chances(name: str, values: Tensor) -> None:
    check_finite(name, values)
    odd = (values < 0) | (values > 1)
    if odd.any():
        raise ValueError(f"{name} contains {float(values[odd][0])}; it must lie in 0..1")
