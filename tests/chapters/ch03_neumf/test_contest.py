"""Chapter 03's judge on the paper's split, and its trainings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch03_neumf import contest
from recsys_book.chapters.ch03_neumf.contest import Setting
from recsys_book.models.baselines import EASE, Popularity

SETTING = Setting(factors=4, lr=0.01, batch_size=64, n_negatives=2)


@pytest.fixture(scope="module")
def judge(split):
    return contest.make_judge(split)


@pytest.fixture(scope="module")
def halves(judge):
    return [contest.choose(judge, name, SETTING, 0, 2, None) for name in ("GMF", "MLP")]


def test_a_word_keeps_ten_places():
    word = contest.to_word(torch.tensor([1, 10, 11, 3_000, 2]))
    assert word == "1a002"
    assert contest.hits(word).tolist() == [1, 1, 0, 0, 1]
    third = np.log(2) / np.log([2, 11, 3])
    assert contest.gains(word) == pytest.approx([third[0], third[1], 0, 0, third[2]])


@pytest.mark.parametrize("build", [Popularity, EASE])
def test_places_are_those_of_a_plain_count(judge, split, build):
    model = build(split.train_and_validation)
    found = judge.places(model)
    scores = model.score(split.users).double()
    for user, own in enumerate(split.test_candidates[:, 0].tolist()):
        mine = scores[user, own]
        others = split.test_candidates[user, 1:]
        others = others[others >= 0]
        unknown = ~judge.known[user]
        unknown[own] = False
        for where, rivals in (("among 99", others), ("among all", unknown.nonzero()[:, 0])):
            place = 1 + int((scores[user, rivals] >= mine).sum())  # of equals it comes last
            assert found[where][user] == contest.to_word(torch.tensor([place])), (user, where)


def test_a_model_that_scores_all_alike_finds_nobody(judge, split):
    class Alike:
        def __call__(self, users, items):
            return torch.zeros(items.shape)

        def score(self, users):
            return torch.zeros(len(users), split.train.n_items)

    assert set("".join(judge.places(Alike()).values())) == {"0"}


def test_the_chosen_epoch_is_the_best_by_validation_and_its_weights_stand(judge):
    found = contest.choose(judge, "GMF", SETTING, 0, 4, None)
    assert len(found.validation) == len(found.test) == 4
    assert found.epochs == int(np.argmax(found.validation)) + 1
    assert judge.validation(found.model) == max(found.validation)
    assert judge.test(found.model) == found.test[found.epochs - 1]


def test_refitting_sees_the_validation_pairs(judge, split):
    found = contest.refit(judge, "MF", replace(SETTING, lr=0.05), 0, 6)
    assert found.epochs == len(found.test) == 6 and found.test[-1] == judge.test(found.model)
    chosen = contest.choose(judge, "MF", replace(SETTING, lr=0.05), 0, 6, None)
    with torch.no_grad():
        more = found.model(split.users, split.validation).mean()
        assert more > chosen.model(split.users, split.validation).mean()


def test_towers_have_the_papers_widths_and_the_scripts(split):
    text = contest.make_model("NeuMF", split.train, 8, 0)
    script = contest.make_model("NeuMF, script", split.train, 8, 0)
    for model, dim in ((text, 16), (script, 32)):
        assert model.mlp.mlp_dim == dim and model.gmf.factors == 8
        assert model.mlp.hidden == (32, 16, 8)
    deeper = contest.make_model("MLP, 4 layers", split.train, 8, 0)
    assert deeper.mlp_dim == 32 and deeper.hidden == (64, 32, 16, 8)
    with pytest.raises(ValueError, match="name is 'SVD'; it must be MF, GMF, MLP or NeuMF"):
        contest.make_model("SVD", split.train, 8, 0)


def test_a_start_that_sgd_only_harms_is_kept(judge, split, halves):
    weights = [half.model.state_dict() for half in halves]
    start = contest.fuse(*weights, split.train, 4, 0.5)
    with torch.no_grad():
        mean = 0.5 * sum(half.model(split.users, split.validation) for half in halves)
        assert torch.allclose(start(split.users, split.validation), mean, atol=1e-6)
    before = judge.validation(start)
    harmed = contest.choose_sgd(judge, start, lr=50.0, batch_size=1_000, epochs=1, seed=0)
    assert len(harmed.validation) == 2 and harmed.validation[1] < before
    assert harmed.epochs == 0 and judge.validation(harmed.model) == before


def test_sgd_that_helps_is_kept(judge, split, halves):
    weights = [half.model.state_dict() for half in halves]
    start = contest.fuse(*weights, split.train, 4, 0.5)
    helped = contest.choose_sgd(judge, start, lr=1.0, batch_size=64, epochs=20, seed=0)
    assert helped.epochs > 0
    assert judge.validation(helped.model) == max(helped.validation) > helped.validation[0]
