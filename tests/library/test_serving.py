"""Two stages: a list is the ranker's order of the generator's candidates."""

import pytest
import torch

from recsys_book.index import build_index
from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker
from recsys_book.serving import Funnel

N, D = 600, 8


def draw(seed: int, n: int) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed))


VECTORS, QUERIES = draw(0, N), draw(1, 20)


@pytest.fixture
def funnel() -> Funnel:
    torch.manual_seed(0)
    generator = CandidateGenerator(N, dim=6, hidden=(16, D), init_std=0.5)
    ranker = WatchTimeRanker(N, n_continuous=1, dim=6, hidden=(8,), init_std=0.5)
    index = build_index(generator.item_vectors(), catalogue="v1")
    return Funnel(generator, ranker, index, "v1")


def features(items):
    return None, (items[:, None] / N).float()


def test_a_list_is_the_rankers_order_of_the_generators_candidates(funnel):
    history = torch.tensor([5, 17, 300])
    answer = funnel.recommend(history, 12, n_candidates=50, features=features)
    scores = funnel.generator.score(history[None])[0]
    scores[history] = -torch.inf
    expected_candidates = scores.topk(50).indices
    assert torch.equal(answer.candidates, expected_candidates)
    watch = funnel.ranker.predict_watch_time(
        expected_candidates, history.expand(50, -1), *features(expected_candidates)
    )
    assert torch.equal(answer.items, expected_candidates[watch.topk(12).indices])
    torch.testing.assert_close(answer.watch_time, watch.topk(12).values)
    assert set(answer.milliseconds) == {"user vector", "candidates", "features", "ranking"}
    assert all(ms >= 0 for ms in answer.milliseconds.values())


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_index_that_finds_too_few_looks_harder(funnel, kind):
    more = {"n_lists": 100} if kind == "ivf" else {"links": 8}
    index = build_index(funnel.generator.item_vectors(), kind, catalogue="v1", **more)
    approximate = Funnel(funnel.generator, funnel.ranker, index, "v1")
    for history in (torch.arange(5), torch.arange(300)):
        answer = approximate.recommend(history, n_candidates=200, features=features, effort=1)
        assert len(answer.items) == 20 and len(answer.candidates) == 200
        assert not bool(torch.isin(answer.candidates, history).any())


def test_a_graph_in_pieces_is_said_to_reach_too_few(funnel):
    vectors = funnel.generator.item_vectors()
    with pytest.warns(UserWarning, match=r"index finds 0\.\d\d of the items nearest to its own"):
        index = build_index(vectors, "hnsw", catalogue="v1", links=2, ef_construction=1)
    torn = Funnel(funnel.generator, funnel.ranker, index, "v1")
    with pytest.raises(ValueError, match=r"the index reaches \d+ of the 300 items not watched"):
        torn.recommend(torch.arange(300), 300, n_candidates=300, features=features)


def test_an_index_of_other_vectors_is_refused(funnel):
    with torch.no_grad():
        funnel.generator.items.weight[0] += 0.1  # trained on
    with pytest.raises(ValueError, match="build it again"):
        Funnel(funnel.generator, funnel.ranker, funnel.index, "v1")


def test_somebody_new_gets_a_finite_list(funnel):
    answer = funnel.recommend(torch.tensor([]), features=features)
    assert len(answer.items) == 20 and bool(torch.isfinite(answer.watch_time).all())
    again = funnel.recommend(torch.empty(0, dtype=torch.int64), features=features)
    assert torch.equal(answer.items, again.items)


def test_requests_and_parts_that_do_not_fit_are_named(funnel):
    with pytest.raises(ValueError, match="history contains 600; ids must run from 0 to 599"):
        funnel.recommend(torch.tensor([3, N]), features=features)
    with pytest.raises(ValueError, match=r"history has shape \(1, 2\)"):
        funnel.recommend(torch.tensor([[3, 4]]), features=features)
    with pytest.raises(ValueError, match="n is 30; there are 20 candidates"):
        funnel.recommend(torch.tensor([3]), 30, n_candidates=20, features=features)
    with pytest.raises(ValueError, match="n is 0"):
        funnel.recommend(torch.tensor([3]), 0, features=features)
    with pytest.raises(ValueError, match="continuous is missing"):
        funnel.recommend(torch.tensor([3]))
    with pytest.raises(ValueError, match="index is of catalogue 'v1'; the funnel is of 'v2'"):
        Funnel(funnel.generator, funnel.ranker, funnel.index, "v2")
    small = build_index(VECTORS[:10], catalogue="v1")
    with pytest.raises(ValueError, match="generator 600, ranker 600, index 10"):
        Funnel(funnel.generator, funnel.ranker, small, "v1")
