"""Films nobody knows, shown to find out: the world's truth, oracles, regret."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from recsys_book.bandits import UCB1, Fixed, ThompsonSampling
from recsys_book.chapters.ch06_training_discipline.cold_start_bandits import (
    compare,
    draw_requests,
    genre_rates,
    make_policies,
    new_films,
    run_bandit,
    run_scores,
)
from recsys_book.service.simulate import simulate
from recsys_book.service.world import Context


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def as_expected(arms, chance):
    """Chi-square: do the counts of arms fit these chances?"""
    count = torch.bincount(arms, minlength=len(chance)).numpy()
    return stats.chisquare(count, np.asarray(chance) * len(arms)).pvalue > 1e-3


@pytest.fixture(scope="module")
def world():
    return simulate(300, 220, seed=3)


@pytest.fixture(scope="module")
def films(world):
    return new_films(world, 4)


@pytest.fixture(scope="module")
def requests(world, films):
    return draw_requests(world, films, 2_000, seed=1)


def test_new_films_are_those_of_the_last_days(world, films):
    assert len(films) > 3
    late = [i for i in range(220) if world.film.release_day[i] in (24, 25, 26, 27)]
    assert films.tolist() == late
    with pytest.raises(ValueError, match="no film came out"):
        new_films(simulate(50, 60, seed=0, without=["releases"]), 28)
    with pytest.raises(ValueError, match="days is 0"):
        new_films(world, 0)


def test_requests_hold_the_worlds_truth(world, films, requests):
    for t in range(0, 2_000, 191):
        context = Context(int(requests.device[t]), int(requests.daypart[t]), position=0)
        expected = world.click_probability(requests.users[t].expand(len(films)), films, context)
        assert torch.allclose(requests.chance[t], expected)
    # Drawn as the log has sessions: the means over the draw and over the log agree.
    error = requests.chance.std(0) / 2_000**0.5
    assert ((requests.chance.mean(0) - requests.mean).abs() < 4.5 * error).all()
    sessions = np.unique(world.log.session.numpy(), return_index=True)[1]
    share = np.bincount(world.log.user[sessions], minlength=300) / len(sessions)
    many = draw_requests(world, films, 50_000, seed=2)
    assert as_expected(many.users, share)
    assert not as_expected(many.users, np.full(300, 1 / 300))


def test_the_oracles_lose_nothing(requests):
    best = run_bandit(requests, Fixed(requests.mean))
    assert best.regret[-1] == 0 and best.personal_regret[-1] > 0
    personal = run_scores(requests, requests.chance)
    assert personal.personal_regret[-1] == 0 and personal.clicks > best.clicks
    constant = torch.zeros_like(requests.chance)
    constant[:, 2] = 1
    arm = torch.nn.functional.one_hot(torch.tensor(2), len(requests.films))
    one, other = run_scores(requests, constant), run_bandit(requests, Fixed(arm))
    assert torch.equal(one.regret, other.regret) and one.clicks == other.clicks


def test_every_policy_meets_the_same_luck(requests):
    for arm in range(3):
        scores = torch.zeros(len(requests.films))
        scores[arm] = 1
        run = run_bandit(requests, Fixed(scores), batch=7, seed=arm)
        assert run.clicks == int((requests.luck < requests.chance[:, arm]).sum())
        assert run.pulls[arm] == 2_000
        lost = float(requests.mean.max() - requests.mean[arm])
        assert run.regret[-1].item() == pytest.approx(2_000 * lost)


def test_regret_never_falls_and_runs_repeat(world, films):
    content = genre_rates(world, films)
    runs = compare(world, films, content, 10, n=1_010)
    again = compare(world, films, content, 10, n=1_010)
    assert runs["oracle"].regret[-1] == 0
    for name, run in runs.items():
        assert run.regret.shape == run.personal_regret.shape == (1_010,)
        assert (run.regret.diff() >= 0).all() and (run.personal_regret.diff() >= 0).all()
        assert int(run.pulls.sum()) == 1_010
        assert torch.equal(run.regret, again[name].regret) and run.clicks == again[name].clicks
    gaps = draw_requests(world, films, 1).mean
    expected = 1_010 * float(gaps.max() - gaps.mean())
    assert float(runs["uniform"].regret[-1]) == pytest.approx(expected, rel=0.1)


def test_policies_are_made_anew(requests):
    content = torch.full((len(requests.films),), 0.3)
    first = make_policies(requests, content, 5)
    run_bandit(requests, first["Thompson, content prior"])
    assert make_policies(requests, content, 5)[
        "Thompson, content prior"
    ].tries.unique().tolist() == [5]
    assert float(first["Thompson, content prior"].tries.sum()) == 2_000 + 5 * len(requests.films)


class Spy(ThompsonSampling):
    """Notes what it is asked and told."""

    def __init__(self, n_arms):
        super().__init__(n_arms)
        self.asked, self.told = [], []

    def choose(self, n, generator, available=None):
        self.asked.append((n, len(self.told), available))
        return super().choose(n, generator, available)

    def update(self, arms, rewards):
        self.told.append((arms, rewards))
        super().update(arms, rewards)


def test_clicks_are_told_after_the_batch(requests):
    spy = Spy(len(requests.films))
    run = run_bandit(requests, spy, batch=300)
    assert [n for n, _, _ in spy.asked] == [300] * 6 + [200]
    assert [told for _, told, _ in spy.asked] == list(range(7))
    assert sum(float(rewards.sum()) for _, rewards in spy.told) == run.clicks
    other = run_bandit(requests, Spy(len(requests.films)), batch=300, seed=1)
    assert not torch.equal(run.pulls, other.pulls)


def test_once_no_user_clicks_a_film_twice(requests):
    def repeats(once):
        spy = Spy(len(requests.films))
        run_bandit(requests, spy, batch=1, once=once)
        arms, clicked = (torch.cat(parts) for parts in zip(*spy.told, strict=True))
        pairs = torch.stack([requests.users, arms], dim=1)[clicked == 1]
        return len(pairs) - len(pairs.unique(dim=0))

    assert repeats(True) == 0 < repeats(False)
    runs = run_bandit(requests, Fixed(requests.mean), batch=1, once=True)
    assert runs.regret[-1] == 0  # the best of what is left, by the same means


def test_genre_rates_equal_a_loop_and_never_look_at_the_new_films(world, films):
    log, genre = world.log, world.film.genre
    ours = genre_rates(world, films)
    first = log.position == 0
    rates = {}
    for film in set(range(220)) - set(films.tolist()):
        rows = first & (log.film == film)
        if rows.any():
            rates[film] = float(log.clicked[rows].double().mean())
    overall = np.mean(list(rates.values()))
    for film, rate in zip(films.tolist(), ours.tolist(), strict=True):
        same = [r for other, r in rates.items() if genre[other] == genre[film]]
        assert rate == pytest.approx((sum(same) + overall) / (len(same) + 1))
    new = torch.isin(log.film.long(), films)
    changed = dataclasses.replace(log, clicked=log.clicked ^ new)
    assert torch.equal(genre_rates(dataclasses.replace(world, log=changed), films), ours)


def test_bad_runs(world, films, requests):
    with pytest.raises(ValueError, match="policy has 2 arms"):
        run_bandit(requests, UCB1(2))
    with pytest.raises(ValueError, match="batch is 0"):
        run_bandit(requests, UCB1(len(films)), batch=0)
    with pytest.raises(ValueError, match="n is 0"):
        draw_requests(world, films, 0)
    with pytest.raises(ValueError, match="films contains 220"):
        draw_requests(world, torch.tensor([220]))
    part_two = int(np.flatnonzero(world.film.sequel_of >= 0)[0])
    with pytest.raises(ValueError, match="contains a sequel"):
        draw_requests(world, torch.tensor([part_two]))
    with pytest.raises(ValueError, match="scores has shape"):
        run_scores(requests, requests.chance[:, 1:])
    with pytest.raises(ValueError, match="scores contains NaN"):
        run_scores(requests, requests.chance * float("nan"))
