"""Bandit policies against closed forms and numerical integration, and their run on new films."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from recsys_book.bandits import UCB1, EpsilonGreedy, Fixed, ThompsonSampling, beta_prior
from recsys_book.show.intervals import paired_interval

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
