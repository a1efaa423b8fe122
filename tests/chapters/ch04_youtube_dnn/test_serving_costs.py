"""What is timed is what is served."""

import pytest
import torch

from recsys_book.chapters.ch04_youtube_dnn import serving_costs as lab
from recsys_book.index import build_index


def test_copies_keep_the_shape_of_the_crowd():
    vectors = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [3.0, 1, 1, 0.1]
    )
    many = lab.multiplied(vectors, 5_000)
    assert many.shape == (5_000, 4) and torch.equal(many[:50], vectors)
    assert len(many.unique(dim=0)) == 5_000
    ratio = many.std(0) / vectors.std(0)
    assert torch.allclose(ratio, torch.full((4,), (1 + lab.NOISE**2) ** 0.5), atol=0.05)
    assert torch.equal(many, lab.multiplied(vectors, 5_000))
    assert lab.multiplied(vectors, 20).shape == (20, 4)


def test_a_curve_tells_recall_and_time():
    vectors = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    truth = build_index(vectors).search(vectors[:30], 10)[1]
    exact = lab.index_curve(build_index(vectors, "flat"), vectors[:30], truth, [None], 10)
    assert exact[0]["recall"] == 1 and exact[0]["missing"] == 0
    assert 0 < exact[0]["median"] <= exact[0]["p99"]
    graph = lab.index_curve(
        build_index(vectors, "hnsw", links=4), vectors[:30], truth, [10, 300], 5
    )
    assert graph[0]["recall"] <= graph[1]["recall"] and graph[1]["effort"] == 300


def test_the_clock_runs_for_each_call():
    calls = []
    took = lab.milliseconds(calls.append, 4, warm_up=2)
    assert calls == [0, 1, 0, 1, 2, 3] and len(took) == 4 and min(took) >= 0
    assert lab.told([1.0] * 50 + [9.0] * 50)["median"] == 5


def test_two_stages_over_everything_find_what_one_ranker_finds():
    funnel = lab.untrained_funnel(300, dim=4, hidden=(8, 4), kind="exact")
    history, fields = torch.tensor([3, 7]), torch.tensor([1, 1, 1])
    continuous = torch.tensor([0.5, 0.0])
    features = lambda items: (fields.expand(len(items), -1), continuous.expand(len(items), -1))
    both = funnel.recommend(history, 5, n_candidates=300, features=features)
    one = lab.rank_everything(funnel.ranker, history, fields, continuous, 5)
    assert torch.equal(both.items, one)
    costs = lab.stage_costs(funnel, n_requests=10, n=5, n_candidates=50)
    assert set(costs["parts"]) == {"user vector", "candidates", "features", "ranking"}
    assert costs["one ranker"]["median"] > 0
    with pytest.raises(ValueError, match="n is 0"):
        lab.multiplied(torch.ones(2, 2), 0)
