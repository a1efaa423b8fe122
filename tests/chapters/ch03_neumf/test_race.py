"""Chapter 03's race where the truth is known: a fair course, and edges looked beyond."""

import pytest
import torch

from recsys_book.chapters.ch03_neumf import race
from recsys_book.chapters.ch03_neumf.care import Draw
from recsys_book.data.interactions import Interactions
from recsys_book.models.baselines import EASE, Popularity
from recsys_book.service import simulate

SMALL = {"n_users": 150, "n_films": 120}
DRAW = Draw(8, 4, 0.02, 1e-6, 2, 256, 0.9)


@pytest.fixture(scope="module")
def course():
    return race.course(simulate(seed=0, **SMALL))


def test_popularity_has_nothing_of_the_learnable_and_the_truth_has_all_clicks(course):
    assert course.shares(Popularity(course.judge.refit)) == pytest.approx({"ndcg": 0, "clicks": 0})

    class Truth:
        def score(self, users):
            return course.ranking.truth[users]

    assert course.shares(Truth()) == pytest.approx({"ndcg": 1, "clicks": 1})
    nearly = course.shares(EASE(course.judge.refit, l2=100.0))
    assert set(nearly) == set(race.MEASURES) and all(share < 1 for share in nearly.values())


def test_more_data_is_more_of_the_same_clicks():
    world = simulate(days=12, **SMALL)
    small, large = (race.course_of_share(world, share).judge for share in (0.25, 1.0))
    assert len(small.refit) == round(0.25 * len(large.refit))
    assert set(small.refit.keys().tolist()) <= set(large.refit.keys().tolist())
    for judge in (small, large):
        assert len(judge.train) == len(judge.refit) - len(judge.refit) // 10
    with pytest.raises(ValueError, match="share is 0"):
        race.course_of_share(world, 0)


def test_towers_halve_from_layer_to_layer():
    log = Interactions(torch.tensor([0, 1]), torch.tensor([2, 0]), 2, 3)
    assert race.depths(8) == [(), (8,), (16, 8), (32, 16, 8), (64, 32, 16, 8)]
    for n in range(5):
        model = race.make(f"MLP, {n} layers", log, DRAW, seed=0)
        assert [layer.out_features for layer in model.tower] == list(race.depths(4)[n])
    three, plain = (race.make(name, log, DRAW, seed=0) for name in ("MLP, 3 layers", "MLP"))
    pairs = torch.tensor([0, 1]), torch.tensor([1, 2])
    assert torch.equal(three(*pairs), plain(*pairs))


def test_sgd_that_betters_nothing_is_left_out(course):
    log = course.judge.train
    halves = [(DRAW, race.make(name, log, DRAW, 0).state_dict()) for name in ("GMF", "MLP")]
    model = race.fuse(halves, log, 0.5)
    start = course.judge.validate(model)
    score, epochs = race.choose_sgd(course.judge, model, 1e-9, 0, 1, 1)
    assert (score, epochs) == (start, 0)
