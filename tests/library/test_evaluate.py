"""Leave-one-out and the full catalogue, by hand."""

import pytest
import torch

from recsys_book.data import Interactions
from recsys_book.data.interactions import ABSENT
from recsys_book.evaluate import full_catalogue, leave_one_out, sampled_candidates
from recsys_book.metrics import ndcg_at_k
from recsys_book.models.baselines import Popularity
from recsys_book.models.matrix_factorization import MatrixFactorization


def some_log(n_users=23, n_items=17, n=150, seed=0):
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(n_users, (n,), generator=generator)
    items = torch.randint(n_items, (n,), generator=generator)
    return Interactions(users, items, n_users, n_items).without_repeats()


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_full_catalogue_equals_one_user_at_a_time(batch_size):
    seen, log = some_log(), some_log(seed=1)
    relevant = log[~torch.isin(log.keys(), seen.keys())]
    relevant = relevant[relevant.user != 5]
    model = MatrixFactorization(23, 17, dim=3)
    report = full_catalogue(model.score, relevant, seen, k=4, batch_size=batch_size)
    assert report.n_not_ranked == 23 - len(relevant.user.unique()) >= 1
    assert model.training
    for place, user in enumerate(report.users.tolist()):
        scores = model.score(torch.tensor([user])).detach().double()
        scores[0, seen.item[seen.user == user]] = -torch.inf
        wanted = torch.zeros(1, 17, dtype=torch.bool)
        wanted[0, relevant.item[relevant.user == user]] = True
        assert torch.isclose(report.ndcg[place], ndcg_at_k(scores, wanted, 4)[0])
        top = scores[0].topk(4).indices
        hits = int(wanted[0, top].sum())
        assert report.hit_rate[place] == (hits > 0)
        assert torch.isclose(report.recall[place], torch.tensor(hits / int(wanted.sum())).double())


def test_full_catalogue_refuses():
    log = some_log()
    score = Popularity(log).score
    with pytest.raises(ValueError, match="stand in relevant and in seen"):
        full_catalogue(score, log, log)
    with pytest.raises(ValueError, match="seen is of 24 users"):
        full_catalogue(score, log, some_log(n_users=24))
    with pytest.raises(ValueError, match=r"score gave shape \(2, 3\)"):
        full_catalogue(lambda users: torch.zeros(2, 3), log)
    with pytest.raises(ValueError, match="k is 18"):
        full_catalogue(score, log, k=18)
    with pytest.raises(ValueError, match="contains NaN"):
        full_catalogue(lambda users: torch.full((len(users), 17), torch.nan), log)


def test_a_constant_model_ranks_nothing():
    log = some_log()
    report = full_catalogue(lambda users: torch.zeros(len(users), 17), log, k=3)
    assert report.hit_rate.sum() == 0 and report.ndcg.sum() == 0


def seen(pairs, n_users, n_items):
    pairs = torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
    return Interactions(pairs[:, 0], pairs[:, 1], n_users, n_items)


def test_leave_one_out_by_hand():
    model = Popularity(seen([(0, 0), (1, 0), (2, 1), (0, 2), (1, 2), (2, 2)], 3, 5))
    # counts: item 0: 2, 1: 1, 2: 3, 3 and 4: 0
    users = torch.arange(3)
    candidates = torch.tensor([[0, 1, 3], [3, 4, 1], [1, ABSENT, 0]])
    report = leave_one_out(model, users, candidates, k=1)
    assert report.hit_rate.tolist() == [1, 0, 0]
    assert leave_one_out(model, users, candidates, k=2).hit_rate.tolist() == [1, 0, 1]


def test_two_evaluations_give_one_figure_whatever_the_batch():
    torch.manual_seed(0)
    model = MatrixFactorization(20, 33, dim=4)
    users = torch.arange(20)
    known = seen([(u, u) for u in range(20)], 20, 33)
    candidates = sampled_candidates(users, known, n=10)
    a = leave_one_out(model, users, candidates, k=3)
    b = leave_one_out(model, users, candidates, k=3, batch_size=7)
    assert torch.equal(a.hit_rate, b.hit_rate) and torch.equal(a.ndcg, b.ndcg)
    assert not (candidates[:, 1:] == candidates[:, :1]).any()


def test_users_who_cannot_be_ranked_are_counted():
    model = MatrixFactorization(3, 4)
    candidates = torch.tensor([[0, 1], [ABSENT, 1], [2, ABSENT]])
    report = leave_one_out(model, torch.arange(3), candidates, k=1)
    assert report.n_not_ranked == 2 and report.users.tolist() == [0]
    assert "2 not ranked" in str(report)


def test_a_held_out_item_among_its_own_negatives_is_refused():
    candidates = torch.tensor([[0, 1, 0], [1, 2, 3]])
    with pytest.raises(ValueError, match="candidates of user 0 contain the held-out item twice"):
        leave_one_out(MatrixFactorization(2, 4), torch.arange(2), candidates, k=1)


def test_evaluation_leaves_the_models_mode_alone_and_refuses_nan():
    model = MatrixFactorization(2, 4).train()
    candidates = torch.tensor([[0, 1], [1, 2]])
    leave_one_out(model, torch.arange(2), candidates, k=1)
    assert model.training
    with torch.no_grad():
        model.item_bias.weight[2] = torch.nan
    with pytest.raises(ValueError, match="scores contains NaN"):
        leave_one_out(model, torch.arange(2), candidates, k=1)
    with pytest.raises(ValueError, match="k is 3"):
        leave_one_out(MatrixFactorization(2, 4), torch.arange(2), candidates, k=3)
