"""Bandit policies against closed forms and numerical integration, and their run on new films."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from recsys_book.bandits import UCB1, EpsilonGreedy, Fixed, ThompsonSampling, beta_prior
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
from recsys_book.show.claims import paired_interval

POLICIES = {
    "greedy": lambda k: EpsilonGreedy(k, 0.0),
    "epsilon": lambda k: EpsilonGreedy(k, 0.3),
    "thompson": lambda k: ThompsonSampling(k),
    "ucb1": lambda k: UCB1(k),
    "fixed": lambda k: Fixed(torch.zeros(k)),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def as_expected(arms, chance):
    """Chi-square: do the counts of arms fit these chances?"""
    count = torch.bincount(arms, minlength=len(chance)).numpy()
    return stats.chisquare(count, np.asarray(chance) * len(arms)).pvalue > 1e-3


# ---------------------------------------------------------------- the policies


def test_thompsons_belief_is_the_closed_form():
    policy = ThompsonSampling(3, prior=(torch.tensor([1.0, 2, 3]), 4.0))
    policy.update(torch.tensor([0, 0, 2, 0]), torch.tensor([1.0, 0, 1, 1]))
    policy.update(torch.tensor([2]), torch.tensor([0.0]))
    assert policy.a.tolist() == [3, 2, 4] and policy.b.tolist() == [5, 4, 5]
    assert policy.mean.tolist() == pytest.approx([3 / 8, 1 / 3, 4 / 9])


def test_the_prior_is_copied():
    a = torch.ones(2, dtype=torch.float64)
    for policy in (ThompsonSampling(2, (a, 1.0)), EpsilonGreedy(2, 0, (a, a))):
        policy.update(torch.tensor([0]), torch.tensor([1.0]))
    assert a.tolist() == [1, 1]


def test_thompson_takes_each_arm_as_often_as_it_is_believed_to_be_the_best():
    a, b = np.array([3.0, 2.0, 8.0, 1.0]), np.array([5.0, 2.0, 12.0, 6.0])
    beliefs = [stats.beta(*ab) for ab in zip(a, b, strict=True)]

    def best(i):
        others = [belief for j, belief in enumerate(beliefs) if j != i]
        density = lambda x: beliefs[i].pdf(x) * np.prod([other.cdf(x) for other in others])
        return integrate.quad(density, 0, 1)[0]

    chance = [best(i) for i in range(4)]
    assert sum(chance) == pytest.approx(1)
    policy = ThompsonSampling(4, (torch.from_numpy(a), torch.from_numpy(b)))
    assert as_expected(policy.choose(40_000, generator()), chance)
    # The test can fail: neighbouring beliefs give other chances.
    policy.update(torch.tensor([1, 1]), torch.tensor([1.0, 1]))
    assert not as_expected(policy.choose(40_000, generator()), chance)


def test_epsilon_greedy_explores_at_the_stated_rate():
    policy = EpsilonGreedy(4, 0.2, (torch.tensor([1.0, 5, 2, 2]), 5.0))
    assert as_expected(policy.choose(20_000, generator()), [0.05, 0.85, 0.05, 0.05])
    assert (EpsilonGreedy(4, 0.0, (policy.a, 5.0)).choose(1_000, generator()) == 1).all()
    assert as_expected(
        EpsilonGreedy(4, 1.0, (policy.a, 5.0)).choose(20_000, generator()), [0.25] * 4
    )


@pytest.mark.parametrize("name", POLICIES)
def test_untried_arms_are_ties_and_broken_at_random(name):
    assert as_expected(POLICIES[name](5).choose(20_000, generator()), [0.2] * 5)


def test_greedy_breaks_ties_of_the_best_only():
    policy = EpsilonGreedy(3, 0.0, (torch.tensor([2.0, 1, 4]), torch.tensor([2.0, 5, 4])))
    arms = policy.choose(20_000, generator())
    assert 1 not in arms and as_expected(arms // 2, [0.5, 0.5])


def test_ucb1_equals_its_formula_and_tries_everything_first():
    policy = UCB1(3)
    policy.update(
        torch.tensor([0] * 10 + [1] * 90), torch.tensor([1.0] * 3 + [0] * 7 + [1, 0] * 45)
    )
    assert (policy.choose(7, generator()) == 2).all()
    policy.update(torch.tensor([2] * 20), torch.tensor([1.0] * 5 + [0] * 15))
    index = [m + (2 * np.log(120) / n) ** 0.5 for m, n in ((0.3, 10), (0.5, 90), (0.25, 20))]
    assert int(policy.choose(1, generator())) == int(np.argmax(index)) == 0


@pytest.mark.parametrize("name", POLICIES)
def test_only_what_is_available_is_chosen_and_the_generator_decides(name):
    policy = POLICIES[name](6)
    policy.update(torch.tensor([0, 1, 2]), torch.tensor([1.0, 1, 0]))
    available = torch.rand(500, 6, generator=generator(1)) < 0.4
    available[:, 5] = True
    arms = policy.choose(500, generator(), available)
    assert arms.dtype == torch.int64 and available[torch.arange(500), arms].all()
    assert torch.equal(arms, policy.choose(500, generator(), available))
    before = torch.random.get_rng_state()
    policy.choose(5, generator(2))
    assert torch.equal(before, torch.random.get_rng_state())


def play(policy, rates, n, seed, batch=20):
    """Cumulative regret `[n]` on Bernoulli arms."""
    draw, luck = generator(seed), torch.rand(n, generator=generator(seed + 1_000))
    arms = []
    for start in range(0, n, batch):
        chosen = policy.choose(batch, draw)
        policy.update(chosen, (luck[start : start + batch] < rates[chosen]).double())
        arms.append(chosen)
    return (rates.max() - rates[torch.cat(arms)]).cumsum(0)


def test_regret_of_uniform_is_linear_and_thompsons_flattens():
    rates = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.6])
    seeds = range(8)
    uniform = [play(EpsilonGreedy(5, 1.0), rates, 4_000, seed) for seed in seeds]
    thompson = [play(ThompsonSampling(5), rates, 4_000, seed) for seed in seeds]
    assert paired_interval([u[-1] for u in uniform], [t[-1] for t in thompson]).low > 500
    half = lambda curves: np.mean([c[1_999] / c[-1] for c in curves])
    assert half(uniform) == pytest.approx(0.5, abs=0.02)
    assert half(thompson) > 0.8
    assert float(uniform[0][-1]) == pytest.approx(4_000 * 0.28, rel=0.05)


def test_a_good_prior_helps_and_a_bad_one_hurts():
    rates = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.6])
    end = lambda prior: [play(ThompsonSampling(5, prior), rates, 1_000, s)[-1] for s in range(8)]
    flat, good, bad = (
        end((1.0, 1.0)),
        end(beta_prior(rates, 20)),
        end(beta_prior(rates.flip(0), 20)),
    )
    assert paired_interval(flat, good).low > 0 and paired_interval(bad, flat).low > 0


def test_beta_prior():
    a, b = beta_prior(torch.tensor([0.1, 0.5]), 20)
    assert a.tolist() == pytest.approx([2, 10]) and b.tolist() == pytest.approx([18, 10])
    for mean, strength, message in (
        ([0.0, 0.5], 1, r"mean contains 0\.0"),
        ([1.0], 1, r"mean contains 1\.0"),
        ([float("nan")], 1, "mean contains NaN"),
        ([0.5], 0, "strength is 0"),
        ([0.5], float("nan"), "strength is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            beta_prior(torch.tensor(mean), strength)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpsilonGreedy(0, 0.1), "n_arms is 0"),
        (lambda: UCB1(2.0), r"n_arms is 2\.0"),
        (lambda: EpsilonGreedy(2, 1.1), r"epsilon is 1\.1"),
        (lambda: EpsilonGreedy(2, float("nan")), "epsilon is nan"),
        (lambda: EpsilonGreedy(2, 0.1, (-1.0, 1.0)), r"prior's a is -1\.0"),
        (lambda: ThompsonSampling(2, (1.0, 0.0)), r"prior's b is 0\.0"),
        (lambda: ThompsonSampling(2, (1.0, float("nan"))), "prior's b contains NaN"),
        (lambda: ThompsonSampling(2, (torch.ones(3), 1.0)), "prior's a has shape"),
        (lambda: Fixed(torch.tensor([0.0, float("nan")])), "scores contains NaN"),
        (lambda: Fixed(torch.zeros(2, 2)), "scores has shape"),
    ],
)
def test_bad_policies(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("arms", "rewards", "message"),
    [
        ([2], [1.0], "arms contains 2"),
        ([-1], [1.0], "arms contains -1"),
        ([0], [0.5], r"rewards contains 0\.5"),
        ([0], [float("nan")], "rewards contains NaN"),
        ([0, 1], [1.0], "must be the same"),
    ],
)
def test_bad_feedback_changes_nothing(arms, rewards, message):
    policy = ThompsonSampling(2)
    with pytest.raises(ValueError, match=message):
        policy.update(torch.tensor(arms), torch.tensor(rewards))
    assert policy.a.tolist() == policy.b.tolist() == [1, 1]


@pytest.mark.parametrize("name", POLICIES)
def test_bad_availability(name):
    policy = POLICIES[name](3)
    with pytest.raises(ValueError, match="available leaves no arm for request 1"):
        policy.choose(2, generator(), torch.tensor([[True] * 3, [False] * 3]))
    with pytest.raises(ValueError, match="available has shape"):
        policy.choose(2, generator(), torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="available has dtype"):
        policy.choose(2, generator(), torch.ones(2, 3))


# ---------------------------------------------------------------- new films


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
