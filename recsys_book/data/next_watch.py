"""Examples for a model that reads a history: what was watched before, and what came next.

Covington, Adams, Sargin: Deep Neural Networks for YouTube Recommendations. RecSys 2016,
https://doi.org/10.1145/2959100.2959190, sections 3.3 and 3.4: predict the *next* watch from a
history rolled back to the moment before it, and take an equal number of examples from each user.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from recsys_book.arguments import check_ids, check_positive, check_same_shape
from recsys_book.data.interactions import Interactions


@dataclass(frozen=True)
class WatchExamples:
    """M examples.

    Attributes:
        user: `[M]` whose history it is.
        history: `[M, L]` items, the most recent first, padded with N.
        item: `[M]` what is to be predicted.
        time: `[M]` when that was watched.
        row: `[M]` its row in the log that the examples were made from.
        n_users, n_items: U and N.
    """

    user: Tensor
    history: Tensor
    item: Tensor
    time: Tensor
    row: Tensor
    n_users: int
    n_items: int

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: Tensor | slice) -> WatchExamples:
        """The examples at `rows` (a slice, a mask `[M]` or positions)."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors = {k: v[rows] for k, v in columns.items() if isinstance(v, Tensor)}
        return replace(self, **tensors)


def next_watch(log: Interactions, length: int) -> WatchExamples:
    """Every watch, with the history its user had before it.

    Histories hold what was watched at a strictly earlier time: of watches of one and the same time
    nobody knows which came first, and none of them may tell of another. The watches of a user's
    first moment keep an empty history, all padding: so a model learns what to offer somebody new.

    Args:
        log: with times, in any order.
        length: L, how many of the most recent watches a history holds.

    Returns:
        examples ordered by user, then time.

    Raises:
        ValueError: no times, a length below 1.
    """
    order, user, item, time = _by_user_and_time(log, length)
    at = log.moments()  # fractions of a second count
    history = histories_at(replace(log, time=at, fraction=None), user, at[order], length)
    return WatchExamples(user, history, item, time, order, log.n_users, log.n_items)


def any_watch(log: Interactions, length: int) -> WatchExamples:
    """Every watch, with the watches of its user *around* it, earlier and later: the leak that
    section 3.4 warns of (figure 5a), to measure how much it flatters.

    Args:
        log: with times.
        length: L; as many of the user's nearest other watches, half of them later where there are
            so many.

    Returns:
        as `next_watch`.
    """
    order, user, item, time = _by_user_and_time(log, length)
    place, start = torch.arange(len(order)), _first_of_run(user)
    end = start + torch.bincount(user, minlength=log.n_users)[user]
    # A window of L + 1 places around each watch, pushed back into the user's own run.
    last = torch.minimum(torch.maximum(place + length // 2 + 1, start + length + 1), end)  # [M]
    first = torch.maximum(last - length - 1, start)
    column = last[:, None] - torch.arange(1, length + 1)  # [M, L]
    column = column - (column <= place[:, None]).long()  # leaves the watch itself out
    padded = torch.cat([item, item.new_tensor([log.n_items])])
    real = column >= first[:, None]
    history = torch.where(real, padded[column.clamp(min=0)], log.n_items)
    return WatchExamples(user, history, item, time, order, log.n_users, log.n_items)


def some_of_each(examples: WatchExamples, n: int, generator: torch.Generator) -> WatchExamples:
    """At most `n` examples of each user, drawn evenly: else the busiest users decide the loss
    (section 3.4).

    Args:
        examples: any.
        n: per user.
        generator: of the draw.

    Returns:
        the drawn examples, in their order.
    """
    check_positive("n", n)
    shuffled = torch.randperm(len(examples), generator=generator)
    by_user = shuffled[examples.user[shuffled].argsort(stable=True)]
    user = examples.user[by_user]
    rank = torch.arange(len(user)) - _first_of_run(user)
    return examples[by_user[rank < n].sort().values]


def histories_at(log: Interactions, users: Tensor, times: Tensor, length: int) -> Tensor:
    """`[B, L]`: what users had watched strictly before given seconds, the most recent first, padded
    with N.

    Args:
        log: with times.
        users: `[B]` ids.
        times: `[B]` int64.
        length: L.
    """
    _, user, item, time = _by_user_and_time(log, length)
    check_ids("users", users, log.n_users)
    check_same_shape("users", users, "times", times)
    if len(users) == 0 or len(log) == 0:
        return torch.full((len(users), length), log.n_items)
    # Ranks, as times themselves may run to nanoseconds: times users they would not fit in int64.
    known = time.unique()
    rank = lambda t: torch.searchsorted(known, t.to(known.dtype).contiguous())
    key = lambda u, t: u.long() * (len(known) + 1) + rank(t)  # rises with the user, then with time
    end = torch.searchsorted(key(user, time), key(users, times))
    counts = torch.bincount(user, minlength=log.n_users)
    start = (counts.cumsum(0) - counts)[users]
    return _before(item, end, start, length, log.n_items)


def seconds_since(log: Interactions, users: Tensor, times: Tensor, *, otherwise: int) -> Tensor:
    """`[B]` float64: seconds from each user's last watch before a second to that second.

    Args:
        log: with times.
        users: `[B]` ids.
        times: `[B]` int64.
        otherwise: the second to count from where there was no watch, such as the log's first.

    Raises:
        ValueError: no times.
    """
    if log.time is None:
        raise ValueError("log has no times; the time since the last watch needs some")
    rows = replace(log, item=torch.arange(len(log)), n_items=len(log), item_vocabulary=None)
    last = histories_at(rows, users, times, 1)[:, 0]  # [B] rows of the log, len(log) for none
    return (times - torch.cat([log.time, log.time.new_tensor([otherwise])])[last]).double()


def _by_user_and_time(log: Interactions, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    check_positive("length", length)
    if log.time is None:
        raise ValueError("log has no time; without one nobody knows what came before what")
    if log.time.is_floating_point():  # float32 would run seconds together
        raise ValueError(f"log's time has dtype {log.time.dtype}; it must be int64, seconds")
    order = log.moments().argsort(stable=True)
    order = order[log.user[order].argsort(stable=True)]
    return order, log.user[order], log.item[order], log.time[order]


def _first_of_run(*columns: Tensor) -> Tensor:
    """`[M]`: place of the first row of each run of equal values."""
    n = len(columns[0])
    new = torch.ones(n, dtype=torch.bool)
    new[1:] = torch.stack([c[1:] != c[:-1] for c in columns]).any(0)
    return torch.where(new, torch.arange(n), 0).cummax(0).values


def _before(item: Tensor, end: Tensor, start: Tensor, length: int, padding: int) -> Tensor:
    """`[B, L]`: the items at places end−1, end−2, … of a log, none before start; then padding."""
    place = end[:, None] - torch.arange(1, length + 1)
    padded = torch.cat([item, item.new_tensor([padding])])
    return torch.where(place >= start[:, None], padded[place.clamp(min=0)], padding)
