"""Calibration measured and repaired, against scikit-learn and the papers' formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve as sklearn_curve
from sklearn.linear_model import LogisticRegression

from recsys_book.calibration import (
    BINS,
    calibration_curve,
    expected_calibration_error,
    platt,
    recalibrate,
)


def draw(n=1_001, seed=0):
    generator = torch.Generator().manual_seed(seed)
    chance = torch.rand(n, generator=generator, dtype=torch.float64) ** 2
    return (torch.rand(n, generator=generator) < chance).double(), chance


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("n_bins", [1, 3, 10, 50])
def test_the_curve_agrees_with_scikit_learn(bins, n_bins):
    labels, chance = draw(998)  # 997 is a prime: no edge is a value, which they round and we do not
    ours = calibration_curve(labels, chance, n_bins, bins)
    observed, predicted = sklearn_curve(labels, chance, n_bins=n_bins, strategy=bins)
    assert ours.observed.tolist() == pytest.approx(observed.tolist())
    assert ours.predicted.tolist() == pytest.approx(predicted.tolist())
    assert int(ours.count.sum()) == 998
    if bins == "quantile":
        assert int(ours.count.max() - ours.count.min()) <= 1


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.7, 1.0]), min_size=1, max_size=60),
    n_bins=st.integers(1, 12),
    bins=st.sampled_from(BINS),
)
def test_equal_predictions_share_a_bin_and_nobody_is_lost(values, n_bins, bins):
    p = torch.tensor(values)  # float32, as models give it
    curve = calibration_curve(torch.zeros(len(p)), p, n_bins, bins)
    assert int(curve.count.sum()) == len(values) and int(curve.count.min()) > 0
    assert len(curve.count) <= min(n_bins, len(set(values)))
    assert (curve.predicted.diff() > 0).all()
    # Bins end where groups of equals end, so none is split.
    groups = torch.tensor([values.count(v) for v in sorted(set(values))]).cumsum(0).tolist()
    assert set(curve.count.cumsum(0).tolist()) <= set(groups)


def test_an_edge_that_is_a_value_belongs_to_the_lower_bin():
    _, chance = draw(1_000)
    assert calibration_curve(chance, chance, 3).count.tolist() == [334, 333, 333]
    uniform = calibration_curve(torch.zeros(5), torch.tensor([0, 0.25, 0.5, 0.75, 1]), 4, "uniform")
    assert uniform.count.tolist() == [2, 1, 1, 1]


def test_more_bins_than_values_gives_one_bin_a_value():
    labels = torch.tensor([0.0, 1, 1, 1])
    curve = calibration_curve(labels, torch.tensor([0.0, 0.0, 1.0, 1.0]), 100)
    assert curve.predicted.tolist() == [0, 1] and curve.observed.tolist() == [0.5, 1]
    assert curve.count.tolist() == [2, 2] and curve.error() == pytest.approx(0.25)


def test_the_error_equals_its_formula_and_the_truth_has_none():
    labels, chance = draw()
    wrong = chance**0.5
    curve = calibration_curve(labels, wrong, 10, "uniform")
    terms = zip(
        curve.count.tolist(), curve.observed.tolist(), curve.predicted.tolist(), strict=True
    )
    by_hand = sum(n / 1_001 * abs(o - p) for n, o, p in terms)
    assert expected_calibration_error(labels, wrong, 10, "uniform") == pytest.approx(by_hand)
    assert expected_calibration_error(labels, wrong) > 0.1
    # Drawn labels leave some noise, true chances none.
    assert 0 < expected_calibration_error(labels, chance) < 0.05
    assert expected_calibration_error(chance, chance) == 0
    # One class is no obstacle: all that is predicted is then wrong.
    none = torch.zeros_like(labels)
    assert expected_calibration_error(none, wrong) == pytest.approx(float(wrong.mean()))


def test_chance_alone_pushes_the_error_up_with_the_bins():
    labels, chance = draw()
    few, many = (expected_calibration_error(labels, chance, n) for n in (5, 200))
    assert many > 3 * few


@pytest.mark.parametrize(
    ("labels", "p", "more", "message"),
    [
        ([0.0, 1], [0.5, 1.5], {}, r"probabilities contains 1\.5"),
        ([0.0, 1], [-1e-9, 0.5], {}, "probabilities contains -"),
        ([0.0, 1], [0.5, math.nan], {}, "probabilities contains NaN"),
        ([0.0, 2], [0.5, 0.5], {}, r"labels contains 2\.0"),
        ([0.0, math.nan], [0.5, 0.5], {}, "labels contains NaN"),
        ([], [], {}, "B >= 1"),
        ([0.0], [0.5, 0.5], {}, "must be the same"),
        ([0.0, 1], [0.5, 0.5], {"n_bins": 0}, "n_bins is 0"),
        ([0.0, 1], [0.5, 0.5], {"n_bins": 2.0}, r"n_bins is 2\.0"),
        ([0.0, 1], [0.5, 0.5], {"bins": "equal"}, "bins is 'equal'"),
    ],
)
def test_bad_curves(labels, p, more, message):
    with pytest.raises(ValueError, match=message):
        calibration_curve(torch.tensor(labels), torch.tensor(p), **more)


@pytest.mark.parametrize("kept", [0.01, 0.25, 1.0])
def test_recalibrate_is_the_papers_formula_and_keeps_the_order(kept):
    logits = torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = logits.sigmoid()
    ours = recalibrate(logits, kept)
    assert torch.allclose(ours.sigmoid(), p / (p + (1 - p) / kept), rtol=1e-12)
    assert torch.equal(ours.argsort(), logits.argsort())
    assert recalibrate(logits.float(), kept).dtype == torch.float32


def test_recalibrate_undoes_a_sampling():
    # A model that knows only the rate of the sample it saw: its one logit is exact.
    n_pos, n_neg, kept = 1_000, 9_000, 0.1
    learned = torch.tensor([math.log(n_pos / (kept * n_neg))], dtype=torch.float64)
    assert learned.sigmoid().item() == pytest.approx(0.526, abs=1e-3)
    assert recalibrate(learned, kept).sigmoid().item() == pytest.approx(0.1)


@pytest.mark.parametrize("kept", [0.0, -0.1, 1.1, math.nan, math.inf])
def test_kept_is_a_chance(kept):
    with pytest.raises(ValueError, match="kept is"):
        recalibrate(torch.zeros(2), kept)


def test_recalibrate_refuses_what_is_no_number():
    with pytest.raises(ValueError, match="logits contains NaN"):
        recalibrate(torch.tensor([0.0, math.nan]), 0.5)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.3, -2.0), (-1.5, 1.0), (40.0, 7)])
def test_platt_agrees_with_scikit_learn(slope, intercept):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2_000, generator=generator, dtype=torch.float64) * 3 / abs(slope) + 1
    chance = (slope * (logits - 1) + intercept).sigmoid()
    labels = (torch.rand(2_000, generator=generator) < chance).double()
    theirs = LogisticRegression(C=1e12, tol=1e-10, solver="newton-cholesky", max_iter=500)
    theirs.fit(logits.numpy()[:, None], labels.numpy())
    expected = (theirs.coef_.item(), theirs.intercept_.item())
    assert platt(logits, labels) == pytest.approx(expected, rel=1e-5)


def test_platt_finds_a_sampling_nobody_told_of():
    labels, chance = draw(20_001)
    generator = torch.Generator().manual_seed(1)
    keep = (labels == 1) | (torch.rand(len(labels), generator=generator) < 0.2)
    truth = torch.logit(chance, eps=1e-9)
    sampled = truth - math.log(0.2)  # what a perfect model learns from the sample
    slope, intercept = platt(sampled, labels)
    assert slope == pytest.approx(1, abs=0.05) and intercept == pytest.approx(-1.609, abs=0.06)
    # On the sample it was trained on nothing is to be mended.
    slope, intercept = platt(sampled[keep], labels[keep])
    assert slope == pytest.approx(1, abs=0.05) and intercept == pytest.approx(0, abs=0.06)


def test_platt_survives_extreme_logits():
    logits = torch.tensor([-100.0, 100.0, 90.0, -90.0, 1e4, 0.1, -0.2])
    labels = torch.tensor([0.0, 1, 0, 1, 1, 0, 1])
    slope, intercept = platt(logits, labels)
    x, p = logits.double(), (slope * logits.double() + intercept).sigmoid()
    # At the optimum the residuals are orthogonal to both inputs.
    assert abs(float((p - labels).sum())) < 1e-8
    assert abs(float(((p - labels) * x).sum())) < 1e-4


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([0.0, 1.0], [1.0, 1.0], "labels are all 1"),
        ([0.0, 0.0], [0.0, 1.0], "logits are all 0"),
        ([0.0, 1.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0], "without overlap"),
        ([3.0, 1.0], [0.0, 1.0], "without overlap"),
        ([0.0, math.nan], [0.0, 1.0], "logits contains NaN"),
        ([0.0, math.inf], [0.0, 1.0], "logits contains inf"),
        ([0.0, 1.0], [0.0, 0.5], r"labels contains 0\.5"),
        ([0.0, 1.0], [0.0], "must be the same"),
        ([], [], "B >= 1"),
    ],
)
def test_bad_fits(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        platt(torch.tensor(logits), torch.tensor(labels))


def test_float32_probabilities_at_the_ends():
    p = torch.tensor([0.0, 1.0, 1.0, 0.0]).numpy().astype(np.float32)
    curve = calibration_curve(torch.tensor([0, 1, 1, 0]), torch.from_numpy(p), 10, "uniform")
    assert curve.error() == 0 and curve.count.tolist() == [2, 2]
