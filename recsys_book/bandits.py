"""Bandits: find the best of a few arms while every try counts.

An arm is a film nobody knows yet, a try is an impression of it, and the reward a click, 0 or 1.
All policies have the same two methods:

    arms = policy.choose(n, generator)    # [n] int64, one arm for each of n requests
    policy.update(arms, rewards)          # what came of them

Requests come in batches, as they do in a service where clicks are collected for a while before
anything is learned from them: within a batch a policy does not know yet how its choices went. All
ties are broken at random.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from recsys_book.arguments import check_finite, check_ids, check_positive, check_same_shape


class _CountsClicks:
    """For each arm a, clicks, and b, tries without one, both begun at what the prior says.

    Args:
        n_arms: k.
        prior: (a, b) to begin with, numbers or one tensor `[k]` each.
        zero_allowed: may they be 0?
    """

    def __init__(self, n_arms: int, prior: tuple, zero_allowed: bool) -> None:
        if isinstance(n_arms, bool) or not isinstance(n_arms, int) or n_arms < 1:
            raise ValueError(f"n_arms is {n_arms!r}; it must be a whole number of 1 or more")
        self.n_arms = n_arms
        self.a, self.b = (
            _pseudo_counts(f"prior's {name}", value, n_arms, zero_allowed)
            for name, value in zip("ab", prior, strict=True)
        )

    @property
    def tries(self) -> Tensor:
        """`[k]` float64, those that the prior pretends included."""
        return self.a + self.b

    @property
    def mean(self) -> Tensor:
        """`[k]` float64, share of clicks; 0 where nothing was tried or pretended."""
        return self.a / self.tries.clamp(min=1e-300)

    def update(self, arms: Tensor, rewards: Tensor) -> None:
        """Count what came of some tries.

        Args:
            arms: `[n]` int64.
            rewards: `[n]`, 0 or 1.

        Raises:
            ValueError: an arm that does not exist, another reward, shapes that differ.
        """
        check_ids("arms", arms, self.n_arms)
        check_same_shape("arms", arms, "rewards", rewards)
        rewards = rewards.double()
        check_finite("rewards", rewards)
        odd = (rewards != 0) & (rewards != 1)
        if odd.any():
            raise ValueError(f"rewards contains {float(rewards[odd][0])}; it must be 0 or 1")
        self.a.index_add_(0, arms, rewards)
        self.b.index_add_(0, arms, 1 - rewards)


class EpsilonGreedy(_CountsClicks):
    """Mostly the arm with the highest click rate so far; with chance epsilon any arm.

    Sutton, Barto: Reinforcement Learning, 2nd edition, MIT Press 2018, section 2.2. Epsilon 0 is
    greedy, which stays with what began well; epsilon 1 is uniform.

    Args:
        n_arms: k.
        epsilon: chance to draw evenly from all arms (the best one among them), 0..1.
        prior: (a, b), clicks and misses that each arm is credited with in advance, numbers or
            tensors `[k]`. With none an untried arm has rate 0.

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(self, n_arms: int, epsilon: float, prior: tuple = (0.0, 0.0)) -> None:
        super().__init__(n_arms, prior, zero_allowed=True)
        if not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon is {epsilon!r}; it is a chance, from 0 to 1")
        self.epsilon = epsilon

    def choose(self, n: int, generator: torch.Generator, available: Tensor | None = None) -> Tensor:
        """Arms `[n]` for n requests; `available` `[n, k]` bool says which may be chosen."""
        explore = torch.rand(n, generator=generator, dtype=torch.float64) < self.epsilon
        index = torch.where(explore[:, None], 0.0, self.mean)  # [n, k], all alike when exploring
        return _best_of(index, generator, available)


class ThompsonSampling(_CountsClicks):
    """Draw a click rate for each arm from what is believed of it, and take the highest draw.

    Thompson: On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence
    of Two Samples. Biometrika 25, 1933, https://doi.org/10.2307/2332286; for clicks: Chapelle, Li:
    An Empirical Evaluation of Thompson Sampling. NeurIPS 2011, algorithm 2. With a Beta(a, b) prior
    the belief after s clicks and f misses is Beta(a + s, b + f). So an arm is chosen as often as it
    is believed to be the best, and exploration ends by itself.

    Args:
        n_arms: k.
        prior: (a, b), both above 0, numbers or tensors `[k]`; (1, 1) holds every rate to be equally
            likely. `beta_prior` makes one from predicted click rates.

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(self, n_arms: int, prior: tuple = (1.0, 1.0)) -> None:
        super().__init__(n_arms, prior, zero_allowed=False)

    def choose(self, n: int, generator: torch.Generator, available: Tensor | None = None) -> Tensor:
        """Arms `[n]` for n requests, each from a draw of its own; `available` `[n, k]` bool."""
        # torch draws no Beta from a generator of one's own; NumPy does, seeded from it here.
        seed = int(torch.randint(2**31, (1,), generator=generator))
        size = (n, self.n_arms)
        drawn = np.random.RandomState(seed).beta(self.a.numpy(), self.b.numpy(), size)
        return _best_of(torch.from_numpy(drawn), generator, available)


class UCB1(_CountsClicks):
    """The arm that could be the best: its click rate plus a bonus for what is not known of it.

    Auer, Cesa-Bianchi, Fischer: Finite-time Analysis of the Multiarmed Bandit Problem. Machine
    Learning 47, 2002, https://doi.org/10.1023/A:1013689704352, figure 1: after t tries, t_j of them
    of arm j, take the highest mean_j + sqrt(2 ln t / t_j); untried arms come first. It draws
    nothing at random but ties, so a whole batch goes to one arm.

    Args:
        n_arms: k.
    """

    def __init__(self, n_arms: int) -> None:
        super().__init__(n_arms, (0.0, 0.0), zero_allowed=True)

    def choose(self, n: int, generator: torch.Generator, available: Tensor | None = None) -> Tensor:
        """Arms `[n]` for n requests; `available` `[n, k]` bool says which may be chosen."""
        tries = self.tries
        bonus = (2 * math.log(max(float(tries.sum()), 1)) / tries).sqrt()
        index = torch.where(tries > 0, self.mean + bonus, torch.inf)
        return _best_of(index.expand(n, -1), generator, available)


class Fixed:
    """Always the available arm with the highest score. It learns nothing.

    Args:
        scores: `[k]`, such as click rates that a model predicts from content.

    Raises:
        ValueError: NaN or an infinity, another shape.
    """

    def __init__(self, scores: Tensor) -> None:
        if scores.dim() != 1 or scores.numel() == 0:
            raise ValueError(f"scores has shape {tuple(scores.shape)}; it must be [k] with k >= 1")
        check_finite("scores", scores)
        self.n_arms, self.scores = len(scores), scores.double()

    def choose(self, n: int, generator: torch.Generator, available: Tensor | None = None) -> Tensor:
        """Arms `[n]` for n requests; `available` `[n, k]` bool says which may be chosen."""
        return _best_of(self.scores.expand(n, -1), generator, available)

    def update(self, arms: Tensor, rewards: Tensor) -> None:
        """Nothing to do."""


def beta_prior(mean: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """A Beta prior for each arm, from a predicted click rate and how far to trust it.

    Args:
        mean: `[k]` predicted rates, strictly between 0 and 1.
        strength: how many impressions the prediction is worth, above 0: after so many real ones
            both count the same.

    Returns:
        a `[k]`, b `[k]`, float64.

    Raises:
        ValueError: a rate or strength out of range.
    """
    mean = mean.double()
    check_finite("mean", mean)
    check_positive("strength", strength)
    bad = (mean <= 0) | (mean >= 1)
    if bad.any():
        raise ValueError(
            f"mean contains {float(mean[bad][0])}; a rate to start from must lie strictly between "
            "0 and 1, or no evidence could ever change it"
        )
    return mean * strength, (1 - mean) * strength


def _best_of(index: Tensor, generator: torch.Generator, available: Tensor | None) -> Tensor:
    """`[n]`: the highest entry of each row of index `[n, k]` that is available; ties at random."""
    if available is not None:
        if available.dtype != torch.bool:
            raise ValueError(f"available has dtype {available.dtype}; it must be bool")
        check_same_shape("available", available, "requests by arms", index)
        none = ~available.any(dim=1)
        if none.any():
            raise ValueError(f"available leaves no arm for request {int(none.nonzero()[0])}")
        index = index.masked_fill(~available, -torch.inf)
    best = index == index.amax(dim=1, keepdim=True)
    lot = torch.rand(index.shape, generator=generator)
    return torch.where(best, lot, -1.0).argmax(dim=1)


def _pseudo_counts(name: str, value: float | Tensor, n_arms: int, zero_allowed: bool) -> Tensor:
    """`[k]` float64, a copy, checked."""
    counts = torch.as_tensor(value, dtype=torch.float64)
    if counts.shape not in ((), (n_arms,)):
        raise ValueError(
            f"{name} has shape {tuple(counts.shape)}; it must be a number or [{n_arms}]"
        )
    check_finite(name, counts)
    check_positive(name, float(counts.min()), zero_allowed)
    return counts.expand(n_arms).clone()
