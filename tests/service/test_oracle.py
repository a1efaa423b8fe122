"""The oracle that knows the moment, and the one that is told ids alone."""

import pytest
import torch

from recsys_book.metrics import log_loss
from recsys_book.service import simulate
from recsys_book.service.click_models import Cut
from recsys_book.service.oracle import (
    expected_clicks,
    ids_only_chance,
    ids_only_truth,
    make_ranking,
    oracle_ndcg,
)
from recsys_book.service.world import Context


@pytest.fixture(scope="module")
def cut():
    return Cut(simulate(n_users=120, n_films=80, seed=3))


@pytest.fixture(scope="module")
def ranking(cut):
    return make_ranking(cut, n_users=60, seed=1)


def test_ids_alone_know_less_than_the_moment_and_more_than_nothing(cut, ranking):
    ids_only = ids_only_truth(cut, ranking)
    for measure in (oracle_ndcg, expected_clicks):
        best = measure(ranking, lambda users: ranking.truth[users])
        told_ids = measure(ranking, lambda users: ids_only[users])
        same_for_all = measure(ranking, lambda users: ids_only.mean(0).expand(len(users), -1))
        assert best == pytest.approx(1) and 0 < same_for_all < told_ids < 0.99


def test_without_moments_ids_alone_know_everything():
    bare = Cut(simulate(n_users=60, n_films=60, seed=3, without=["habit", "three_way"]))
    ranking = make_ranking(bare, n_users=30)
    assert torch.allclose(ids_only_truth(bare, ranking), ranking.truth, atol=1e-6)


def test_chances_by_ids_are_the_mean_over_sixteen_moments(cut, ranking):
    rows = (cut.day >= 24).nonzero().squeeze(1)
    found = ids_only_chance(cut, ranking, rows)
    row, log = int(rows[7]), cut.world.log
    user, film = log.user[[row]].long(), log.film[[row]].long()
    by_hand = [
        cut.world.click_probability(
            user, film,
            Context(device, daypart, int(log.position[row]), history=ranking.history[user]),
        ).item()
        for device in range(4)
        for daypart in range(4)
    ]  # fmt: skip
    assert found[7].item() == pytest.approx(sum(by_hand) / 16)
    assert abs(found.mean() - log.click_probability[rows].double().mean()) < 0.02
    loss = lambda chance: log_loss(
        log.clicked[rows].float(), chance.double().clamp(1e-12, 1 - 1e-9).logit()
    )
    assert loss(log.click_probability[rows]) < loss(found)


def test_expected_clicks_by_hand(cut, ranking):
    score = lambda users: torch.arange(80.0).expand(len(users), -1)  # the last films on top
    shares = []
    seen = {(int(u), int(i)) for u, i in zip(ranking.seen.user, ranking.seen.item, strict=True)}
    for user in ranking.relevant.user.unique().tolist():
        free = [f for f in range(80) if ranking.out[f] and (user, f) not in seen]
        chance = ranking.truth[user].double()
        best = chance.topk(10).values.sum()
        shares.append(float(chance[sorted(free)[-10:]].sum() / best))
    assert expected_clicks(ranking, score) == pytest.approx(sum(shares) / len(shares))
