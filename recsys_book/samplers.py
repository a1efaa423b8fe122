"""Four samplers of negatives, called alike, each with the logarithm of its chance.

`UniformSampler`, `PopularitySampler`, `InBatchSampler` and `HardSampler` are all called as

    negatives, log_q = sampler(users, items, n, generator)

with B users `[B]` and what they chose `[B]`, and give `[B, n]` items that the user has not been
seen with, and the logarithm of the chance with which one draw gives each of them. What q does to
the scores that a model learns, and how log q undoes it, is the matter of chapter 06.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from recsys_book.arguments import check_finite, check_ids, check_whole
from recsys_book.data.interactions import Interactions, PairsOfUsers
from recsys_book.sampling import UnseenItems, unigram


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
        self.calls = 0
        self.top: Tensor | None = None  # [U, pool]

    @torch.no_grad()
    def refresh(self) -> Tensor:
        """The tops `[U, pool]`, worked out from the model as it stands."""
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
        self.top, self.calls = torch.cat(tops), 0
        return self.top

    def __call__(
        self, users: Tensor, items: Tensor, n: int, generator: torch.Generator | None = None
    ) -> Negatives:
        """Draw `n` items for each of users `[B]`; items `[B]` are what they chose."""
        _check_batch(users, items, self.n_items)
        drawn = self.unseen.sample(users, n, generator)  # checks users and n, too
        top = self.top
        if top is None or self.calls == self.every:
            top = self.refresh()
        self.calls += 1
        uniform = lambda: torch.rand(
            drawn.shape, generator=generator, dtype=torch.float64, device=users.device
        )
        place = (uniform() * self._size(users)[:, None]).long()
        hard = top[users].gather(1, place)
        drawn = torch.where(uniform() < self.share, hard, drawn)
        return Negatives(drawn, self.log_q(users, drawn))

    def log_q(self, users: Tensor, items: Tensor) -> Tensor:
        """`[B, n]` for items `[B, n]`, under the tops as they are. See `UniformSampler.log_q`."""
        top = self.refresh() if self.top is None else self.top
        size = self._size(users)[:, None]  # [B, 1]
        among = torch.zeros(len(users), self.n_items, dtype=torch.bool, device=users.device)
        real = torch.arange(self.pool, device=users.device) < size
        among.scatter_(1, top[users], real)
        uniform = (1 - self.share) / self.unseen.n_unseen[users][:, None]
        return (uniform + self.share / size * among.gather(1, items)).log()

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
