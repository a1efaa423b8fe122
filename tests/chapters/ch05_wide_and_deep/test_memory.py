"""One sequel, example by example: a table remembers it, a mean of vectors hardly does."""

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch05_wide_and_deep import memory as lab


def test_whoever_has_watched_part_one_clicks_part_two():
    log = lab.stream(seed=1, n=40_000)
    two = log.shown == lab.TWO
    with_one, without = log.clicked[log.sequel].mean(), log.clicked[two & ~log.sequel].mean()
    logit = lambda p: float(torch.logit(p))
    assert logit(with_one) - logit(without) == pytest.approx(lab.EFFECT, abs=0.4)
    assert 0.02 < float(two.float().mean()) < 0.04
    assert log.history.shape == (40_000, lab.WATCHED)
    assert all(len(set(row)) == lab.WATCHED for row in log.history[:50].tolist())


def test_the_table_learns_the_pair_and_the_network_does_not():
    wide, deep = lab.lifts(seed=0, n=5_000)
    assert len(wide) == len(deep) == int(lab.stream(0, 5_000).sequel.sum()) > 50
    assert wide[-1] > 0.5 * lab.EFFECT > 0.5 > abs(deep[-1])
    assert wide[-1] > wide[len(wide) // 3] > wide[0]


def test_the_picture_tells_where_both_end():
    ends = [lab.lifts(seed)[0][-1] for seed in (0, 1, 2)]
    assert f"wide {np.mean(ends):.1f}" in lab.memory_figure().alt
