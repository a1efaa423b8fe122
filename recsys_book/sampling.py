"""Negative samplers: functions of tensors and a torch.Generator, no global randomness.

Implicit feedback holds no "no". A sampler invents them: items that the user has not been seen with,
taken as if declined.

Four of them stand under one roof: `UniformSampler`, `PopularitySampler`, `InBatchSampler` and
`HardSampler` are all called as

    negatives, log_q = sampler(users, items, n, generator)

with B users `[B]` and what they chose `[B]`, and give `[B, n]` items that the user has not been
seen with, and the logarithm of the chance with which one draw gives each of them. What q does to
the scores that a model learns, and how log q undoes it, is the matter of chapter 06.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from recsys_book.arguments import check_finite, check_ids, check_positive, check_whole
from recsys_book.data.interactions import Interactions, PairsOfUsers


class UnseenItems:
    """Draws, for each user, uniformly from the items the user has not been seen with.

    No trial and error and no loop. Let s_0 < s_1 < … be a user's seen items. Below s_j there are
    s_j − j unseen ones, so the r-th unseen item (from 0) is r + the number of j with s_j − j <= r,
    which one binary search finds, for all users of a batch at once.

    Args:
        seen: the pairs never to be drawn (duplicates are fine).

    Raises:
        ValueError: a user who has seen the whole catalogue is asked for (no negative exists).
    """

    def __init__(self, seen: Interactions) -> None:
        self.n_users, self.n_items = seen.n_users, seen.n_items
        keys = torch.unique(seen.keys())  # sorted by user, then item
        user, item = keys // seen.n_items, keys % seen.n_items
        count = torch.bincount(user, minlength=seen.n_users)
        self.start = torch.cat([count.new_zeros(1), count.cumsum(0)])[:-1]  # [U]
        self.n_unseen = seen.n_items - count  # [U]
        place = torch.arange(len(user), device=user.device) - self.start[user]  # j within its user
        # Keys that rise with the user, and within a user with the unseen items passed so far.
        self.passed = user * (seen.n_items + 1) + (item - place)

    def sample(self, users: Tensor, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw `n` items for each of users `[B]`.

        Returns:
            `[B, n]` int64, with replacement, each uniform over the user's unseen items.
        """
        check_ids("users", users, self.n_users)
        check_whole("n", n)
        n_unseen = self.n_unseen[users]  # [B]
        if len(users) and int(n_unseen.min()) == 0:
            full = int(users[n_unseen.argmin()])
            raise ValueError(
                f"users contains {full}, who has been seen with all {self.n_items} items; "
                "there is no negative to draw"
            )
        return self._unseen(users, _some_ranks(n_unseen[:, None].expand(-1, n), generator))

    def sample_distinct(
        self, users: Tensor, n: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw `n` *different* items for each of users `[B]`.

        Drawn with replacement, and what has come up before drawn again until nothing has: those are
        the first n different values of an endless row of even draws, so every set of n is as likely
        as any other, and every order of it. It takes a few rounds where most of the items stay
        undrawn; where a quarter of them or more is wanted, a user's items are put in a random
        order, of which the first n are taken. Neither holds more than a few numbers a draw.

        Returns:
            `[B, n]` int64, without replacement, each set of n unseen items as likely as any other.

        Raises:
            ValueError: a user with fewer than n unseen items; the message says how many are left.
        """
        check_ids("users", users, self.n_users)
        check_whole("n", n)
        n_unseen = self.n_unseen[users]  # [B]
        if len(users) and int(n_unseen.min()) < n:
            short = n_unseen.argmin()
            raise ValueError(
                f"n is {n}; user {int(users[short])} has not been seen with {int(n_unseen[short])} "
                f"of the {self.n_items} items, and no more than those can be drawn without a repeat"
            )
        rank = torch.empty(len(users), n, dtype=torch.int64, device=users.device)
        crowded = n_unseen < 4 * n
        if crowded.any():
            rank[crowded] = _first_of_an_order(n_unseen[crowded], n, generator)
        if not crowded.all():
            rank[~crowded] = _drawn_until_distinct(n_unseen[~crowded], n, generator)
        return self._unseen(users, rank)

    def _unseen(self, users: Tensor, rank: Tensor) -> Tensor:
        """`[B, n]`: the rank-th unseen item (from 0) of users `[B]`, for ranks `[B, n]`."""
        query = users.long()[:, None] * (self.n_items + 1) + rank
        passed = torch.searchsorted(self.passed, query, right=True) - self.start[users][:, None]
        return rank + passed


def _some_ranks(n_unseen: Tensor, generator: torch.Generator | None) -> Tensor:
    """Whole numbers, each even over 0..n_unseen − 1, in the shape of `n_unseen`."""
    uniform = torch.rand(
        n_unseen.shape, generator=generator, dtype=torch.float64, device=n_unseen.device
    )
    return (uniform * n_unseen).long()


def _first_of_an_order(n_unseen: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """`[B, n]`: the first n of 0..n_unseen − 1 in a random order, a row for each of `[B]`."""
    size = (len(n_unseen), int(n_unseen.max()))  # fewer than 4 n columns
    key = torch.rand(size, generator=generator, dtype=torch.float64, device=n_unseen.device)
    real = torch.arange(size[1], device=n_unseen.device) < n_unseen[:, None]
    return key.masked_fill(~real, 2.0).argsort(dim=1)[:, :n]


def _drawn_until_distinct(n_unseen: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """`[B, n]`: different numbers of 0..n_unseen − 1, a row for each of `[B]`."""
    rank = _some_ranks(n_unseen[:, None].expand(-1, n), generator)
    rows = torch.arange(len(rank), device=rank.device)  # that may hold something twice
    while len(rows):
        value, place = rank[rows].sort(dim=1, stable=True)
        again = torch.zeros_like(value, dtype=torch.bool)
        again[:, 1:] = value[:, 1:] == value[:, :-1]  # of equals, the first keeps its place
        row, column = again.nonzero(as_tuple=True)
        rank[rows[row], place[row, column]] = _some_ranks(n_unseen[rows[row]], generator)
        rows = rows[again.any(dim=1)]
    return rank


def beside_negatives(
    users: Tensor, items: Tensor, unseen: UnseenItems, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Put `n` uniform negatives beside each of B observed pairs.

    The same examples as `with_negatives` gives, in a shape that lets a model fetch each user once
    for all its items.

    Returns:
        users `[B, 1]`, items `[B, 1 + n]` with the observed one first, labels `[B, 1 + n]`.
    """
    candidates = torch.cat([items[:, None], unseen.sample(users, n, generator)], dim=1)
    labels = torch.zeros(candidates.shape, device=users.device)
    labels[:, 0] = 1
    return users[:, None], candidates, labels


def with_negatives(
    users: Tensor, items: Tensor, unseen: UnseenItems, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn B observed pairs into B(1 + n) labelled examples, `n` uniform negatives each.

    Returns:
        users, items, labels, each `[B (1 + n)]`; labels are float, the B positives first.
    """
    negatives = unseen.sample(users, n, generator)  # [B, n]
    labels = torch.zeros(len(users) * (1 + n), device=users.device)
    labels[: len(users)] = 1
    return (
        torch.cat([users, users.repeat_interleave(n)]),
        torch.cat([items, negatives.flatten()]),
        labels,
    )


@dataclass(frozen=True)
class Proposal:
    """A fixed distribution over the catalogue to draw negatives from, the same for every user.

    Attributes:
        probability: `[N]` float64 q, the chance of each item in one draw.
        log_q: `[N]` float32, its logarithm; −inf where an item is never drawn.
    """

    probability: Tensor
    log_q: Tensor
    _upper: Tensor  # [N] running sums

    @classmethod
    def of(cls, weight: Tensor) -> Proposal:
        """Items in proportion to a weight.

        Args:
            weight: `[N]`, 0 or more, not all 0.

        Raises:
            ValueError: other weights.
        """
        if weight.dim() != 1 or weight.is_complex() or len(weight) == 0:
            raise ValueError(f"weight has shape {tuple(weight.shape)}; it must be [N]")
        check_finite("weight", weight)
        if float(weight.min()) < 0 or float(weight.max()) == 0:
            raise ValueError("weight must be 0 or more, and above 0 for one item at least")
        scaled = weight.double() / weight.double().max()  # so that no sum overflows
        q = scaled / scaled.sum()
        upper = q.cumsum(0)
        return cls(q, q.log().float(), upper / upper[-1])

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`[n]` int64 items, drawn one by one with replacement: `q` is then exactly what it says
        (items drawn without replacement come up with other chances)."""
        check_whole("n", n)
        uniform = torch.rand(n, generator=generator, dtype=torch.float64, device=self._upper.device)
        return torch.searchsorted(self._upper, uniform, right=True)


def unigram(counts: Tensor, power: float = 1.0) -> Proposal:
    """Items in proportion to count^power: 1 as popular, 0 all alike (those that occur at all).

    Mikolov, Sutskever, Chen, Corrado, Dean: Distributed Representations of Words and Phrases and
    their Compositionality. NeurIPS 2013, arXiv:1310.4546, section 2.2, takes .75.

    Args:
        counts: `[N]` how often each item occurs.
        power: 0 or more.
    """
    check_positive("power", power, zero_allowed=True)
    _check_counts(counts)
    largest = counts.double() / counts.double().max()
    return Proposal.of(torch.where(counts > 0, largest**power, 0.0))


def log_uniform(counts: Tensor) -> Proposal:
    """The item of rank r (from 0, by count) with chance log((r + 2) / (r + 1)) / log(N + 1).

    What libraries for large vocabularies draw from by default. It needs no counts once ids are
    sorted by them, and follows Zipf's law closely; here the ranks are worked out from the counts.
    Items of one count are ranked by id.

    Args:
        counts: `[N]` how often each item occurs.
    """
    _check_counts(counts)
    order = counts.argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return Proposal.of(torch.log1p(1 / (rank.double() + 1)))


def _check_counts(counts: Tensor) -> None:
    if counts.dim() != 1 or len(counts) == 0:
        raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be [N]")
    check_finite("counts", counts)
    if float(counts.min()) < 0 or float(counts.max()) == 0:
        raise ValueError("counts must be 0 or more, and above 0 for one item at least")


# ---------------------------------------------------------------- four samplers, one call


class Negatives(NamedTuple):
    """What a sampler draws.

    Attributes:
        items: `[B, n]` int64, none of which the row's user has been seen with.
        log_q: `[B, n]` float32, logarithm of the chance that one draw for this user gives the item.
    """

    items: Tensor
    log_q: Tensor


Sampler = Callable[[Tensor, Tensor, int, torch.Generator | None], Negatives]


class UniformSampler:
    """Every item the user has not been seen with is as likely as any other.

    Args:
        seen: the pairs never to be drawn.

    Raises:
        ValueError: when called with a user who has seen the whole catalogue, with ids out of
            range, or with n below 1. So do the others. A batch of nobody gives `[0, n]`.
    """

    def __init__(self, seen: Interactions) -> None:
        self.unseen = UnseenItems(seen)
        self.n_items = seen.n_items

    def __call__(
        self, users: Tensor, items: Tensor, n: int, generator: torch.Generator | None = None
    ) -> Negatives:
        """Draw `n` items for each of users `[B]`; items `[B]` are what they chose."""
        _check_batch(users, items, self.n_items)
        drawn = self.unseen.sample(users, n, generator)
        return Negatives(drawn, self.log_q(users, drawn))

    def log_q(self, users: Tensor, items: Tensor) -> Tensor:
        """`[B, n]` for items `[B, n]`; of an item that the user has been seen with, the same
        formula: the chance it would have if it were not left out."""
        return -self.unseen.n_unseen[users].float().log()[:, None].expand(items.shape)


class PopularitySampler:
    """Items in proportion to count^power, without those that the user has been seen with.

    As in `UnseenItems` there is no trial and error. Popularity is laid out on a line, one stretch
    an item; a user's own stretches are cut out and the rest is pushed together. A random point on
    what is left is moved back by the stretches cut out before it, and says which item it hit.
    Lengths are whole numbers, so that the chances are exactly what `log_q` says.

    Args:
        seen: the pairs never to be drawn; popularity is counted in them, repeats included.
        power: 1 is popularity itself, 0 all items that occur alike; between them it is flatter.
        counts: `[N]`, popularity counted elsewhere.

    Raises:
        ValueError: power below 0; counts of another length.
    """

    def __init__(
        self, seen: Interactions, power: float = 1.0, counts: Tensor | None = None
    ) -> None:
        counts = seen.item_counts() if counts is None else counts
        if counts.shape != (seen.n_items,):
            raise ValueError(f"counts has shape {tuple(counts.shape)}; it must be [{seen.n_items}]")
        q = unigram(counts, power).probability
        self.n_users, self.n_items = seen.n_users, seen.n_items
        # As fine as a 64-bit key of user and place allows.
        bits = min(40, 61 - seen.n_users.bit_length())
        length = torch.where(q > 0, (q * 2.0**bits).round().clamp(min=1), 0.0).long()  # [N]
        self.length, self.end = length, length.cumsum(0)  # of each item's stretch
        whole = int(self.end[-1])
        keys = torch.unique(seen.keys())  # sorted by user, then item
        user, item = keys // seen.n_items, keys % seen.n_items
        cut = length[item].cumsum(0)  # running over all users
        n_seen = torch.bincount(user, minlength=seen.n_users)
        self.first = torch.cat([n_seen.new_zeros(1), n_seen.cumsum(0)])  # [U + 1]
        cut = torch.cat([cut.new_zeros(1), cut])
        self.cut_before = cut[:-1] - cut[self.first[user]] if len(user) else cut[:0]
        self.left = whole - (cut[self.first[1:]] - cut[self.first[:-1]])  # [U]
        self.cut = cut
        # Keys that rise with the user, and within a user with what is left before each cut.
        before = self.end[item] - length[item] - self.cut_before
        self.span = whole + 1
        self.passed = user * self.span + before

    def __call__(
        self, users: Tensor, items: Tensor, n: int, generator: torch.Generator | None = None
    ) -> Negatives:
        """Draw `n` items for each of users `[B]`; items `[B]` are what they chose."""
        _check_batch(users, items, self.n_items)
        check_ids("users", users, self.n_users)
        check_whole("n", n)
        left = self.left[users]  # [B]
        if len(users) and int(left.min()) == 0:
            raise ValueError(
                f"users contains {int(users[left.argmin()])}, who has been seen with every item "
                "that can be drawn; there is no negative"
            )
        uniform = torch.rand(
            len(users), n, generator=generator, dtype=torch.float64, device=users.device
        )
        point = (uniform * left[:, None]).long()  # [B, n] on what is left
        passed = torch.searchsorted(
            self.passed, users[:, None] * self.span + point, right=True
        )  # cuts before the point, those of earlier users included
        point = point + self.cut[passed] - self.cut[self.first[users]][:, None]
        drawn = torch.searchsorted(self.end, point, right=True)
        return Negatives(drawn, self.log_q(users, drawn))

    def log_q(self, users: Tensor, items: Tensor) -> Tensor:
        """`[B, n]` for items `[B, n]`; −inf for what is never drawn. See `UniformSampler.log_q`."""
        chance = self.length[items].double() / self.left[users][:, None].double()
        return chance.log().float()


class InBatchSampler:
    """What the others of the batch chose: nothing more needs to be looked up.

    A batch of rows drawn evenly from the log holds each item as often as it was chosen, so this is
    popularity with a power of 1, but for what a small batch lacks. Items that the user has been
    seen with are drawn again; where after some rounds one is still there (a batch of one, say, or
    of fans of one film), the log itself is drawn from.

    Args:
        seen: the pairs never to be drawn, of which batches are made.
    """

    ROUNDS = 8

    def __init__(self, seen: Interactions) -> None:
        self.from_log = PopularitySampler(seen)
        self.pairs = torch.unique(seen.keys())
        self.n_items = seen.n_items

    def __call__(
        self, users: Tensor, items: Tensor, n: int, generator: torch.Generator | None = None
    ) -> Negatives:
        """Draw `n` of items `[B]` for each of users `[B]`."""
        _check_batch(users, items, self.n_items)
        check_ids("users", users, self.from_log.n_users)
        check_whole("n", n)
        if len(items) == 0:
            return Negatives(items.new_empty(0, n), torch.empty(0, n, device=items.device))
        some = lambda size: items[
            torch.randint(len(items), size, generator=generator, device=items.device)
        ]
        drawn = some((len(users), n))
        for _ in range(self.ROUNDS):
            bad = _among(self.pairs, users[:, None] * self.n_items + drawn)
            bad |= drawn == items[:, None]
            if not bad.any():
                break
            drawn[bad] = some((int(bad.sum()),))
        else:
            bad = _among(self.pairs, users[:, None] * self.n_items + drawn)
            bad |= drawn == items[:, None]
            row = bad.nonzero()[:, 0]
            drawn[bad] = self.from_log(users[row], items[row], 1, generator).items[:, 0]
        return Negatives(drawn, self.log_q(users, drawn))

    def log_q(self, users: Tensor, items: Tensor) -> Tensor:
        """`[B, n]` for items `[B, n]`: that of popularity. See `UniformSampler.log_q`."""
        return self.from_log.log_q(users, items)


class HardSampler:
    """Unseen items that the model ranks highest, mixed with uniform ones.

    What the model ranks high and the user has not chosen teaches it most, and is most likely to be
    something that the user would have chosen: a false negative. `share` decides between the two.

    Args:
        seen: the pairs never to be drawn.
        score: `score(users [U]) -> [U, N]`, of the model as it stands.
        share: of the draws that come from the top; the others are uniform.
        pool: how many items, unseen ones with the highest scores, are a user's top.
        every: the tops are worked out anew at every so many calls. `refresh` does it at once; call
            it at the start of an epoch, so that an epoch depends on nothing but its start.
        batch_size: users scored at once.

    Raises:
        ValueError: share outside 0..1, pool or every below 1, more in the pool than items; when
            refreshed, scores of another shape or NaN.
    """

    def __init__(
        self,
        seen: Interactions,
        score: Callable[[Tensor], Tensor],
        share: float = 0.5,
        pool: int = 50,
        every: int = 100,
        batch_size: int = 1_024,
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}; it must lie between 0 and 1")
        check_whole("every", every)
        check_whole("pool", pool)
        if pool > seen.n_items:
            raise ValueError(f"pool is {pool}; it must lie between 1 and {seen.n_items} items")
        self.unseen, self.n_items, self.score = UnseenItems(seen), seen.n_items, score
        self.share, self.pool, self.every, self.batch_size = share, pool, every, batch_size
        self.seen = PairsOfUsers(seen)
        self.calls, self.top = 0, None  # [U, pool]

    @torch.no_grad()
    def refresh(self) -> None:
        """Work the tops out from the model as it stands."""
        tops = []
        for users in torch.arange(self.unseen.n_users).split(self.batch_size):
            users = users.to(self.unseen.start.device)
            scores = self.score(users)
            if scores.shape != (len(users), self.n_items):
                raise ValueError(
                    f"score gave shape {tuple(scores.shape)}; it must be "
                    f"{(len(users), self.n_items)}"
                )
            check_finite("scores", scores, allow_minus_inf=True)
            scores = scores.masked_fill(self.seen.mask(users), -torch.inf)
            tops.append(scores.topk(self.pool, dim=1).indices)
        self.top = torch.cat(tops)
        self.calls = 0

    def __call__(
        self, users: Tensor, items: Tensor, n: int, generator: torch.Generator | None = None
    ) -> Negatives:
        """Draw `n` items for each of users `[B]`; items `[B]` are what they chose."""
        _check_batch(users, items, self.n_items)
        drawn = self.unseen.sample(users, n, generator)  # checks users and n, too
        if self.top is None or self.calls == self.every:
            self.refresh()
        self.calls += 1
        uniform = lambda: torch.rand(
            drawn.shape, generator=generator, dtype=torch.float64, device=users.device
        )
        place = (uniform() * self._size(users)[:, None]).long()
        hard = self.top[users].gather(1, place)
        drawn = torch.where(uniform() < self.share, hard, drawn)
        return Negatives(drawn, self.log_q(users, drawn))

    def log_q(self, users: Tensor, items: Tensor) -> Tensor:
        """`[B, n]` for items `[B, n]`, under the tops as they are. See `UniformSampler.log_q`."""
        if self.top is None:
            self.refresh()
        size = self._size(users)[:, None]  # [B, 1]
        top = torch.zeros(len(users), self.n_items, dtype=torch.bool, device=users.device)
        real = torch.arange(self.pool, device=users.device) < size
        top.scatter_(1, self.top[users], real)
        uniform = (1 - self.share) / self.unseen.n_unseen[users][:, None]
        return (uniform + self.share / size * top.gather(1, items)).log()

    def _size(self, users: Tensor) -> Tensor:
        """`[B]`: how many of the pool are real: fewer for who has seen nearly everything."""
        return self.unseen.n_unseen[users].clamp(max=self.pool)


def _check_batch(users: Tensor, items: Tensor, n_items: int) -> None:
    if users.dim() != 1 or users.shape != items.shape:
        raise ValueError(
            f"users has shape {tuple(users.shape)} and items {tuple(items.shape)}; both must be [B]"
        )
    check_ids("items", items, n_items)


def _among(sorted_keys: Tensor, keys: Tensor) -> Tensor:
    """Which of `keys` (any shape) stand in `sorted_keys` `[M]`; one binary search each."""
    if len(sorted_keys) == 0:
        return torch.zeros(keys.shape, dtype=torch.bool, device=keys.device)
    place = torch.searchsorted(sorted_keys, keys).clamp(max=len(sorted_keys) - 1)
    return sorted_keys[place] == keys
