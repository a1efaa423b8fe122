"""Intervals, against scipy and by how often they cover."""

import numpy as np
import pytest
from scipy import stats

from recsys_book.show.intervals import bootstrap_interval, paired_interval, t_interval


def test_t_interval_agrees_with_scipy():
    values = [0.1, 0.4, 0.35, 0.2]
    ours = t_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (ours.mean, ours.low, ours.high) == pytest.approx((np.mean(values), low, high))
    assert ours.n == 4
    paired = paired_interval([1.0, 2.0, 3.0], [0.9, 1.9, 2.9])
    assert paired.mean == pytest.approx(0.1) and paired.high - paired.low < 1e-9
    with pytest.raises(ValueError, match="two figures or more"):
        t_interval([1.0])
    with pytest.raises(ValueError, match="pairs need equal numbers"):
        paired_interval([1.0, 2.0], [1.0])


def test_bootstrap_interval_covers_the_mean():
    random = np.random.RandomState(0)
    covered = 0
    for seed in range(100):
        interval = bootstrap_interval(random.exponential(size=80), draws=400, seed=seed)
        assert interval.low < interval.mean < interval.high
        covered += interval.low < 1 < interval.high
    assert 85 <= covered <= 100
    assert bootstrap_interval([1.0, 2, 3]) == bootstrap_interval([1.0, 2, 3])
    for bad in ([1.0], [1.0, float("nan")], [[1.0, 2]]):
        with pytest.raises(ValueError, match="values"):
            bootstrap_interval(bad)
