"""Exercises of chapter 04: YouTube DNN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys_book.check.core import Exercise, Finding, by_cases
from recsys_book.show.intervals import paired_interval

# ---------------------------------------------------------------- 4.1 a history that does not leak


def _histories(user, item, time, length, n_items, before=None, newest_first=True, last=True):
    """What is wanted, and with other arguments what some misconceptions lead to.

    Args:
        before: (user, time, row, i) → mask `[M]` of what counts as earlier for row i.
        newest_first: order of a history.
        last: whether the last `length` watches are kept, or the first.
    """
    before = before or (lambda i: (user == user[i]) & (time < time[i]))
    out = torch.full((len(user), length), n_items)
    for i in range(len(user)):
        rows = before(i).nonzero().squeeze(1)
        rows = rows[time[rows].argsort(stable=True)]  # oldest first
        rows = rows[-length:] if last else rows[:length]
        rows = rows.flip(0) if newest_first else rows
        out[i, : len(rows)] = item[rows]
    return out


def _among(condition):
    """A history of the watches for which `condition(user, time, i)` holds."""

    def histories(user, item, time, length, n_items):
        return _histories(
            user, item, time, length, n_items, before=lambda i: condition(user, time, i)
        )

    return histories


def _up_to_now(user, time, i):
    return (user == user[i]) & (time <= time[i])


def _same_second(user, time, i):
    keep = _up_to_now(user, time, i)
    keep[i] = False
    return keep


def _upper_row(user, time, i):
    rows = torch.arange(len(user))
    return (user == user[i]) & ((time < time[i]) | ((time == time[i]) & (rows < i)))


def _all_others(user, time, i):
    keep = user == user[i]
    keep[i] = False
    return keep


def _rows_above(user, time, i):
    return (user == user[i]) & (torch.arange(len(user)) < i)


def _padding_first(user, item, time, length, n_items):
    right = _histories(user, item, time, length, n_items)
    return torch.stack([torch.cat([r[r == n_items], r[r != n_items]]) for r in right])


def _zero_padding(user, item, time, length, n_items):
    right = _histories(user, item, time, length, n_items)
    return right.masked_fill(right == n_items, 0)


def _by_row(user, item, time, length, n_items):
    rows = torch.arange(len(user))
    return _histories(user, item, rows, length, n_items)


def _history_cases(generator):
    if generator is None:
        user = torch.tensor([0, 1, 0, 0, 1, 0])
        item = torch.tensor([3, 1, 4, 2, 5, 0])
        time = torch.tensor([20, 35, 10, 30, 35, 40])
        alone = user == 0
        return [
            ((user, item, time, 2, 6), "the six watches, histories of 2"),
            ((user[alone], item[alone], time[alone], 3, 6), "user 0 alone, histories of 3"),
        ]
    n = 60
    user = torch.randint(7, (n,), generator=generator)
    item = torch.randperm(80, generator=generator)[:n]
    time = torch.randperm(500, generator=generator)[:n]
    # The last two watches of a user at one second: which came first nobody knows.
    for one in range(0, 7, 2):
        rows = (user == one).nonzero().squeeze(1)
        rows = rows[time[rows].argsort()][-2:]
        time[rows] = time[rows].max()
    return [((user, item, time, 5, 80), "60 watches of 7 users, histories of 5")]


def _settled(histories):
    """The same, with films of one second in the order of their ids: nobody knows another one, and
    the name of a mistake should not hang on it. (No film stands twice in a case.)"""

    def settled(user, item, time, length, n_items):
        rows = histories(user, item, time, length, n_items)
        try:
            rows = torch.as_tensor(rows)
        except (TypeError, ValueError, RuntimeError):
            return rows
        if rows.shape != (len(user), length):
            return rows
        when = {int(i): int(t) for i, t in zip(item, time, strict=True)}
        runs = [groupby(row, key=lambda i: when.get(i, -1)) for row in rows.tolist()]
        return torch.tensor([[i for _, run in row for i in sorted(run)] for row in runs])

    return settled


_HISTORIES = by_cases(
    _settled(_histories),
    {
        name: _settled(f)
        for name, f in {
            "the film is in its own history": _among(_up_to_now),
            "one second counts as earlier": _among(_same_second),
            "of one second, the upper row counts as earlier": _among(_upper_row),
            "the future is in it": _among(_all_others),
            "it goes by rows, not by time": _among(_rows_above),
            "it takes rows for times": _by_row,
            "everybody's watches": _among(lambda user, time, i: time < time[i]),
            "the oldest first": lambda *a: _histories(*a, newest_first=False),
            "the first watches, not the last": lambda *a: _histories(
                *a, newest_first=False, last=False
            ),
            "the first watches, the newest of them first": lambda *a: _histories(*a, last=False),
            "padding in front": _padding_first,
            "padded with a film": _zero_padding,
        }.items()
    },
    _history_cases,
)

HISTORY = Exercise(
    "A history that does not leak",
    lambda answer, seed: _HISTORIES(_settled(answer) if callable(answer) else answer, seed),
    {
        "the film is in its own history": "The answer stands among the inputs. What was watched "
        "*before* this second?",
        "one second counts as earlier": "Two watches of one second: nobody knows which came first, "
        "and neither may tell of the other. Strictly earlier.",
        "of one second, the upper row counts as earlier": "A sort puts one of two watches of one "
        "second first, by accident, and it then tells of the other. Strictly earlier.",
        "the future is in it": "For a watch on Tuesday you read Wednesday's. Whoever serves has no "
        "Wednesday yet.",
        "it goes by rows, not by time": "The log is in no order. What stands above in the table "
        "may have happened later.",
        "it takes rows for times": "The log is in no order. Sort by time, or compare times.",
        "everybody's watches": "One person's history holds that person's watches. Which argument "
        "is not used?",
        "the oldest first": "The most recent watch stands first in a row.",
        "the first watches, not the last": "Where there are more than `length`, the *last* ones "
        "before the watch are kept, the newest first.",
        "the first watches, the newest of them first": "Where there are more than `length`, the "
        "*last* ones before the watch are kept.",
        "padding in front": "Padding stands at the end of a row.",
        "padded with a film": "0 is a film. The id that stands for nothing is n_items.",
    },
    (
        "recsys_book.data.next_watch.next_watch",
        "recsys_book.data.next_watch.histories_at",
        "recsys_book.chapters.ch04_youtube_dnn.exercises._histories",
    ),
)

# ---------------------------------------------------------------- 4.2 a softmax of few


def _softmax_of_few(
    positive, negative, count, positive_ids, negative_ids, tau,
    *, sign=1.0, by_tau=1.0, chance=True, m=True, positive_too=False, hits=-torch.inf,
):  # fmt: skip
    """−log of the sampled softmax; the keywords are misconceptions."""
    q = count.double() / (count.sum() if chance else 1)
    number = negative.shape[1] if m else 1
    logit = negative / tau - sign * (number * q[negative_ids]).log() / by_tau
    if hits is not None:
        logit = logit.masked_fill(negative_ids == positive_ids[:, None], hits)
    own = positive / tau
    if positive_too:
        own = own - (number * q[positive_ids]).log()
    return (torch.cat([own[:, None], logit], 1).logsumexp(1) - own).mean()


def _mistaken(**how):
    return lambda *arguments: _softmax_of_few(*arguments, **how)


def _correction_by_tau(*arguments):
    return _softmax_of_few(*arguments, by_tau=arguments[-1])


def _tau_forgotten(*arguments):
    return _softmax_of_few(*arguments[:-1], 1.0)


def _softmax_cases(generator):
    if generator is None:
        count = torch.tensor([50, 30, 10, 6, 4])
        negative_ids = torch.tensor([[0, 1], [0, 4]])
        return [
            (
                (
                    torch.tensor([1.0, 0.5]), torch.tensor([[0.5, -1.0], [2.0, 0.0]]), count,
                    torch.tensor([2, 3]), negative_ids, tau,
                ),
                f"two examples, two negatives each, tau {tau}",
            )
            for tau in (1.0, 0.5)
        ] + [
            (
                (
                    torch.tensor([1.0]), torch.tensor([[1.0, 0.5, 1.0]]), count,
                    torch.tensor([1]), torch.tensor([[1, 0, 1]]), 1.0,
                ),
                "two of three negatives are the film itself",
            )
        ]  # fmt: skip
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    count = torch.randint(1, 200, (12,), generator=generator)
    ids = torch.multinomial(count.double(), 8 * 6, replacement=True, generator=generator)
    positive = torch.randint(12, (8,), generator=generator)
    arguments = (draw(8), draw(8, 6), count, positive, ids.view(8, 6), 0.7)
    return [(arguments, "8 examples, 6 negatives each, tau .7")]


SOFTMAX = Exercise(
    "A softmax of few",
    by_cases(
        _softmax_of_few,
        {
            "no correction at all": lambda *a: _softmax_of_few(*a, sign=0.0),
            "the wrong sign": _mistaken(sign=-1.0),
            "the positive is corrected too": _mistaken(positive_too=True),
            "the correction is divided by the temperature": _correction_by_tau,
            "a count, not a chance": _mistaken(chance=False),
            "how many were drawn is forgotten": _mistaken(m=False),
            "accidental hits stay in": _mistaken(hits=None),
            "a hit gets a score of 0": _mistaken(hits=0.0),
            "the temperature is forgotten": _tau_forgotten,
        },
        _softmax_cases,
        1e-4,
    ),
    {
        "no correction at all": "A popular film is drawn more often than others, and pushed down "
        "as often. What is each draw to be divided by?",
        "the wrong sign": "A film that is drawn often has to count for *less* each time: e to the "
        "score divided by m q. What does a division do to the logarithm?",
        "the positive is corrected too": "The film that was watched was not drawn: it is there for "
        "sure, once. (Some papers correct it as well; then the formula is another one.)",
        "the correction is divided by the temperature": "First the score is divided by tau, then "
        "log(m q) comes off. How often a film is drawn does not depend on tau.",
        "a count, not a chance": "q is a chance: all of them together make 1. What is the count to "
        "be divided by?",
        "how many were drawn is forgotten": "Each film turns up m q times on average, and not q "
        "times. The sum should be about as large as that of the whole catalogue, whatever m is.",
        "accidental hits stay in": "A drawn film can be the very one that was watched. Then it is "
        "on both sides, and pushed up and down at once.",
        "a hit gets a score of 0": "e to the power of 0 is 1, and still in the sum. What has to "
        "stand there so that e to it is 0?",
        "the temperature is forgotten": "Scores are divided by tau, those of the negatives and "
        "that of the film itself.",
    },
    (
        "recsys_book.losses.sampled_softmax_loss",
        "recsys_book.losses.in_batch_softmax_loss",
        "recsys_book.chapters.ch04_youtube_dnn.candidates.softmax_loss",
        "recsys_book.chapters.ch04_youtube_dnn.exercises._softmax_of_few",
    ),
)

# ---------------------------------------------------------------- 4.3 minutes from a classifier


def _watch_loss(logits, clicked, minutes):
    watched = clicked & (minutes > 0)
    weight = torch.where(watched, minutes, torch.ones_like(minutes))
    return _weighted(logits, watched, weight).mean()


def _weighted(logits, positive, weight):
    each = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
    return weight * each


def _by_own_weight(logits, clicked, minutes):
    watched = clicked & (minutes > 0)
    weight = torch.where(watched, minutes, torch.ones_like(minutes))
    return _weighted(logits, watched, weight).sum() / weight.sum()


def _plain_clicks(logits, clicked, minutes):
    return _weighted(logits, clicked, torch.ones_like(minutes)).mean()


def _minutes_for_all(logits, clicked, minutes):
    return _weighted(logits, clicked, minutes).mean()


def _one_weight(logits, clicked, minutes):
    mean = minutes[clicked].mean()
    return _weighted(logits, clicked, torch.where(clicked, mean, torch.ones(()))).mean()


def _vanishing(logits, clicked, minutes):
    return _weighted(logits, clicked, torch.where(clicked, minutes, 1.0)).mean()


def _weight_of_one(logits, clicked, minutes):
    weight = torch.where(clicked & (minutes > 0), minutes, torch.ones_like(minutes))
    return _weighted(logits, clicked, weight).mean()


def _at_least_a_minute(logits, clicked, minutes):
    return _weighted(logits, clicked & (minutes > 0), minutes.clamp(min=1)).mean()


def _log_of_sigmoid(logits, clicked, minutes):
    watched = clicked & (minutes > 0)
    p = torch.sigmoid(logits)
    each = torch.where(watched, -minutes * p.log(), -(1 - p).log())
    return each.mean()


def _loss_cases(generator):
    if generator is None:
        logits = torch.tensor([1.0, -2.0, 0.5, 0.0, -1.0])
        clicked = torch.tensor([True, True, False, False, True])
        minutes = torch.tensor([40.0, 20.0, 0.0, 0.0, 0.0])
        sure = torch.tensor([120.0, -120.0, 0.0])
        return [
            ((logits[:4], clicked[:4], minutes[:4]), "two clicked, two not"),
            ((logits, clicked, minutes), "and one clicked and closed at once"),
            (
                (logits[:2], clicked[:2], torch.tensor([40.0, 0.25])),
                "two clicked, one watched for a quarter of a minute",
            ),
            (
                (sure, torch.tensor([False, True, False]), torch.tensor([0.0, 3.0, 0.0])),
                "logits of 120 and −120",
            ),
        ]
    clicked = torch.rand(50, generator=generator) < 0.3
    minutes = 60 * torch.rand(50, generator=generator) * clicked
    minutes[clicked.nonzero()[::4, 0]] = 0  # clicked and closed at once
    return [((3 * torch.randn(50, generator=generator), clicked, minutes), "50 impressions")]


def _served(logits, kept):
    return logits.double().exp() * kept


def _served_cases(generator):
    if generator is None:
        logits = torch.tensor([0.0, 2.0, -1.5])
        return [((logits, 1.0), "all impressions kept"), ((logits, 0.1), "one in ten kept")]
    return [((2 * torch.randn(9, generator=generator), 0.25), "one in four kept")]


_LOSS = by_cases(
    _watch_loss,
    {
        "a click model": _plain_clicks,
        "minutes weigh everything": _minutes_for_all,
        "one weight for all clicks": _one_weight,
        "a click of no minutes vanishes": _vanishing,
        "a click of no minutes still counts as watched": _weight_of_one,
        "a short watch counts as a whole minute": _at_least_a_minute,
        "divided by the weights": _by_own_weight,
        "the logarithm of a sigmoid": _log_of_sigmoid,
    },
    _loss_cases,
    1e-4,
)
_SERVED = by_cases(
    _served,
    {
        "the sigmoid is served": lambda logits, kept: logits.sigmoid(),
        "the sigmoid is served, thinned": lambda logits, kept: logits.sigmoid() * kept,
        "the logit is served": lambda logits, kept: logits,
        "the sample is not undone": lambda logits, kept: logits.exp(),
        "the sample is undone the wrong way": lambda logits, kept: logits.exp() / kept,
    },
    _served_cases,
    1e-4,
)


def _minutes_judge(answer, seed):
    if not isinstance(answer, Mapping) or set(answer) != {"loss", "minutes"}:
        return Finding("A dict with the functions 'loss' and 'minutes' is wanted.")
    for name, judge in (("loss", _LOSS), ("minutes", _SERVED)):
        if not callable(answer[name]):
            return Finding(f"'{name}' is {answer[name]!r}.", "no function")
        found = judge(answer[name], seed)
        if found is not None:
            return Finding(f"{name}, {found.seen}", found.name)
    return None


MINUTES = Exercise(
    "Minutes from a classifier",
    _minutes_judge,
    {
        "a click model": "Every click counts the same here. A watch of forty minutes should weigh "
        "forty times what an impression without a click weighs.",
        "minutes weigh everything": "Impressions without a click have 0 minutes, so they weigh "
        "nothing, and nothing is left to say no. What do they weigh?",
        "one weight for all clicks": "The mean watch time as one weight tells a good watch from a "
        "short one no better than clicks do. Each click has its own.",
        "a click of no minutes vanishes": "Clicked and closed at once: its weight is 0, and nobody "
        "ever learns of it. It is an impression that nobody watched.",
        "a click of no minutes still counts as watched": "It is a click, but nothing was watched. "
        "With a weight of 1 it stands for a minute that never was.",
        "a short watch counts as a whole minute": "Fifteen seconds are a quarter of a minute, and "
        "weigh a quarter. Only T = 0 is a case of its own.",
        "divided by the weights": "Dividing by the batch's own weights makes one long watch turn "
        "down all others of its batch. The mean is over impressions.",
        "the logarithm of a sigmoid": "At a logit of 120 the sigmoid is 1 in every digit, and the "
        "logarithm of what is left is minus infinity. There is a function that takes logits.",
        "the sigmoid is served": "That is the share of *weighted* examples that are watched, no "
        "minutes. What did the odds stand for, and how are they made from a logit?",
        "the sigmoid is served, thinned": "That is the share of *weighted* examples that are "
        "watched, no minutes. How are odds made from a logit?",
        "the logit is served": "The logit is the logarithm of the odds. Below one minute it is "
        "even negative.",
        "the sample is not undone": "With one in ten of the others kept, N − k is a tenth of what "
        "it was. What became of the odds?",
        "the sample is undone the wrong way": "Fewer negatives made the odds *larger* than they "
        "should be. By how much, and which way back?",
    },
    (
        "recsys_book.losses.watch_time_loss",
        "recsys_book.chapters.ch04_youtube_dnn.watch_time.head_loss",
        "recsys_book.models.youtube_dnn.WatchTimeRanker",
        "recsys_book.chapters.ch04_youtube_dnn.exercises._watch_loss",
    ),
)

# ---------------------------------------------------------------- 4.4 forty lists


def _search(queries, vectors, centres, home, k, effort, by=None):
    """Top k by dot product among the films of the `effort` best lists; −1 where there are fewer."""
    nearest = by(queries, centres) if by else queries @ centres.T
    lists = nearest.topk(effort, dim=1).indices  # [B, effort]
    visited = (home[None, :, None] == lists[:, None, :]).any(2)  # [B, N]
    best = (queries @ vectors.T).masked_fill(~visited, -torch.inf).topk(k, dim=1)
    return best.indices.masked_fill(best.values == -torch.inf, -1)


def _everywhere(queries, vectors, centres, home, k, effort):
    return (queries @ vectors.T).topk(k, dim=1).indices


def _by_distance(*arguments):
    return _search(*arguments, by=lambda q, c: -torch.cdist(q, c))


def _by_angle(*arguments):
    return _search(*arguments, by=lambda q, c: q @ F.normalize(c, dim=1).T)


def _farthest_lists(*arguments):
    return _search(*arguments, by=lambda q, c: -(q @ c.T))


def _never_looked_at(queries, vectors, centres, home, k, effort):
    lists = (queries @ centres.T).topk(effort, dim=1).indices
    visited = (home[None, :, None] == lists[:, None, :]).any(2)
    return (queries @ vectors.T).masked_fill(~visited, -torch.inf).topk(k, dim=1).indices


def _places(queries, vectors, centres, home, k, effort):
    rows = []
    for query in queries:
        lists = (centres @ query).topk(effort).indices
        films = torch.isin(home, lists).nonzero().squeeze(1)
        found = (vectors[films] @ query).topk(min(k, len(films))).indices
        rows.append(F.pad(found, (0, k - len(found)), value=-1))
    return torch.stack(rows)


def _search_cases(generator):
    if generator is None:
        centres = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-1.0, -1.0]])
        home = torch.tensor([2, 0, 0, 1, 1, 2, 0])
        vectors = torch.tensor(
            [[-1, -1.35], [1, 0.2], [1.3, -0.1], [0.2, 2.5], [-0.3, 3.5], [-0.9, -1], [0.8, 0.1]]
        )
        queries = torch.tensor([[1.0, 0.4], [1.0, -0.5], [0.1, 1.0]])
        return [
            ((queries, vectors, centres, home, 2, 1), "seven films, three lists, one visited"),
            ((queries, vectors, centres, home, 4, 1), "more wanted than there are in one list"),
            ((queries, vectors, centres, home, 3, 2), "two lists visited"),
        ]
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    centres = 2 * draw(9, 5) * torch.rand(9, 1, generator=generator)
    home = torch.randint(9, (80,), generator=generator)
    vectors = centres[home] + 0.6 * draw(80, 5)
    arguments = (draw(12, 5), vectors, centres, home)
    return [((*arguments, 12, e), f"80 films, 9 lists, {e} visited") for e in (1, 3)]


def _recall(found, exact):
    return (exact[:, :, None] == found[:, None, :]).any(2).double().mean()


def _recall_cases(generator):
    if generator is None:
        exact = torch.tensor([[4, 7, 1, 9], [2, 3, 8, 0]])
        found = torch.tensor([[7, 4, 1, 5], [2, 8, -1, -1]])
        return [((found, exact), "five of eight found, in another order")]
    exact = torch.stack([torch.randperm(40, generator=generator)[:10] for _ in range(15)])
    found = exact.gather(1, torch.rand(15, 10, generator=generator).argsort(1))
    found[torch.rand(15, 10, generator=generator) < 0.3] = -1
    return [((found, exact), "15 queries, ten neighbours each")]


_SEARCH = by_cases(
    _search,
    {
        "it looks at every film": _everywhere,
        "films it never looked at": _never_looked_at,
        "lists by distance": _by_distance,
        "lists by angle": _by_angle,
        "the farthest lists": _farthest_lists,
        "places in a list, not ids": _places,
    },
    _search_cases,
)
_RECALL = by_cases(
    _recall,
    {
        "place by place": lambda found, exact: (found == exact).double().mean(),
        "a share of what was found": lambda found, exact: (
            (exact[:, :, None] == found[:, None, :]).any(2).sum() / (found >= 0).sum()
        ),
        "all or nothing": lambda found, exact: (
            (exact.sort(1).values == found.sort(1).values).all(1).double().mean()
        ),
        "a number, not a share": lambda found, exact: _recall(found, exact) * exact.numel(),
    },
    _recall_cases,
)


@dataclass(frozen=True)
class Catalogue:
    """Films in lists, and who asks.

    Attributes:
        vectors: `[N, D]` of 2,000 films.
        centres: `[C, D]` of 40 lists.
        home: `[N]` the list that each film stands in.
        queries: `[B, D]` user vectors.
    """

    vectors: Tensor
    centres: Tensor
    home: Tensor
    queries: Tensor


@cache
def catalogue(seed: int = 0) -> Catalogue:
    """2,000 films of 16 numbers in 40 lists of unequal length, and 100 who ask."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    n, c = 2_000, 40
    start = draw(c, 16)
    crowd = (torch.arange(c, dtype=torch.float64) + 2).reciprocal()
    near = torch.multinomial(crowd, n, replacement=True, generator=generator)
    vectors = start[near] + 0.7 * draw(n, 16)
    distance = vectors.square().sum(1, keepdim=True) - 2 * vectors @ start.T + start.square().sum(1)
    home = distance.argmin(1)
    size = torch.bincount(home, minlength=c).clamp(min=1)[:, None]
    centres = torch.zeros_like(start).index_add(0, home, vectors) / size
    mixed = start[torch.multinomial(crowd, 100, replacement=True, generator=generator)]
    return Catalogue(vectors, centres, home, mixed + 0.8 * draw(100, 16))


def _looked_at(shop: Catalogue, effort: int, centres_too: bool = True) -> float:
    lists = (shop.queries @ shop.centres.T).topk(effort, dim=1).indices
    films = torch.bincount(shop.home, minlength=len(shop.centres))[lists].sum(1).double().mean()
    return float(films + centres_too * len(shop.centres)) / len(shop.vectors)


@cache
def _recall_at(effort: int) -> float:
    shop = catalogue()
    arguments = (shop.queries, shop.vectors, shop.centres, shop.home, 10)
    return float(_recall(_search(*arguments, effort), _everywhere(*arguments, effort)))


def _index_judge(answer, seed):
    wanted = {"search", "recall", "effort", "looked at"}
    if not isinstance(answer, Mapping) or set(answer) != wanted:
        return Finding(f"A dict with {', '.join(sorted(wanted))} is wanted.")
    for name, judge in (("search", _SEARCH), ("recall", _RECALL)):
        if not callable(answer[name]):
            return Finding(f"'{name}' is {answer[name]!r}.", "no function")
        found = judge(answer[name], seed)
        if found is not None:
            return Finding(f"{name}, {found.seen}", found.name)
    shop = catalogue()
    effort, share = float(answer["effort"]), float(answer["looked at"])
    if effort != int(effort) or not 1 <= effort <= len(shop.centres):
        return Finding(f"effort is {effort:g}; it is a number of lists, 1 to {len(shop.centres)}.")
    effort = int(effort)
    if (reached := _recall_at(effort)) < 0.95:
        return Finding(f"with {effort} lists recall@10 is {reached:.3f}.", "too little effort")
    if effort > 1 and (less := _recall_at(effort - 1)) >= 0.95:
        seen = f"with {effort - 1} lists recall@10 is {less:.3f} already."
        return Finding(seen, "more effort than needed")
    near = lambda value: abs(share - value) <= 0.01 * value
    if near(_looked_at(shop, effort)):
        return None
    wrong = {
        "a share of the lists": effort / len(shop.centres),
        "the centres cost nothing": _looked_at(shop, effort, centres_too=False),
        "what was not looked at": 1 - _looked_at(shop, effort),
        "a number of vectors, not a share": _looked_at(shop, effort) * len(shop.vectors),
    }
    name = next((name for name, value in wrong.items() if near(value)), None)
    return Finding(f"'looked at' is {share:.4g} in your answer.", name)


FORTY_LISTS = Exercise(
    "Forty lists instead of all films",
    _index_judge,
    {
        "it looks at every film": "That is the exact search, whatever the effort. Only films of "
        "the visited lists may be compared with the query.",
        "films it never looked at": "Where a list holds fewer than k films, films of other lists "
        "fill the row: their score was −inf, and their id came out all the same.",
        "lists by distance": "The films are ranked by dot product, and so are the lists: by that "
        "of the query with the centre. A long centre far away can hold the best films.",
        "lists by angle": "The dot product with the centre as it is: its length counts.",
        "the farthest lists": "The lists with the *largest* dot product are visited.",
        "places in a list, not ids": "topk counts within the films that you handed it. Which film "
        "of the catalogue stands at that place?",
        "place by place": "Found is found, at whatever place. Is each exact neighbour *somewhere* "
        "among those found?",
        "a share of what was found": "A search that returns a single right film would have a "
        "recall of 1. Divide by how many there are to find.",
        "all or nothing": "Nine of ten found is .9, not 0.",
        "a number, not a share": "Divide by the number of neighbours to be found.",
        "too little effort": "Raise the effort until the recall is .95 at least.",
        "more effort than needed": "Fewer lists reach it. The smallest effort is wanted.",
        "a share of the lists": "Lists are not equally long, and people ask where many films are. "
        "Count the films in the lists that were visited.",
        "the centres cost nothing": "To choose the lists the query was compared with every centre. "
        "Those are dot products too.",
        "what was not looked at": "That is what was saved. What was looked at?",
        "a number of vectors, not a share": "As a share of the 2,000 films, please.",
    },
    (
        "recsys_book.index.build_index",
        "recsys_book.index.Index",
        "recsys_book.index.recall",
        "recsys_book.chapters.ch04_youtube_dnn.exercises._search",
        "recsys_book.chapters.ch04_youtube_dnn.exercises._recall",
    ),
)

# ---------------------------------------------------------------- 4.5 the label

_G, _N, _M = 8, 60, 40_000  # groups of people, videos, impressions
_PLACES = 8  # of a list


@dataclass(frozen=True)
class Impressions:
    """What a log can tell of each of M impressions.

    Attributes:
        clicked: `[M]` bool.
        minutes: `[M]` played; 0 without a click.
        length: `[M]` of the video, in minutes.
        in_front: `[M]` share of the playing time in which the player was the window in front; 0
            without a click.
        again: `[M]` answer to "would you watch it again?": 1 yes, 0 no, −1 not asked. One click in
            25 is asked.
        group: `[M]` which of 8 groups of people.
        video: `[M]` which of 60 videos.
    """

    clicked: Tensor
    minutes: Tensor
    length: Tensor
    in_front: Tensor
    again: Tensor
    group: Tensor
    video: Tensor


@dataclass(frozen=True)
class Service:
    """A planted service.

    Attributes:
        log: Impressions.
        truth: per group and video `[8, 60]`: the chance of a "click", expected "minutes" of an
            impression, and the chance that it is clicked and "worth it": the person would watch it
            again.
    """

    log: Impressions
    truth: dict[str, Tensor]


@cache
def service(seed: int) -> Service:
    """A service in which a click, a minute and a good evening are three different things."""
    draw = torch.Generator().manual_seed(seed)
    uniform = lambda *shape: torch.rand(*shape, generator=draw, dtype=torch.float64)
    normal = lambda *shape: torch.randn(*shape, generator=draw, dtype=torch.float64)
    appeal = normal(_G, _N) + 0.7 * normal(_N)
    kind = uniform(_N)
    bait, background = kind < 0.15, (kind >= 0.15) & (kind < 0.35)
    length = 10 + 110 * uniform(_N)
    liked = torch.sigmoid(1.2 * appeal) * torch.where(bait, 0.15, torch.where(background, 0.3, 1.0))
    click = torch.sigmoid(0.9 * appeal - 2 + 1.4 * bait)

    def play(happy: Tensor, video: Tensor) -> Tensor:
        """Share of a video that is played: much by who likes it; a background video runs on."""
        u, v = uniform(*video.shape), uniform(*video.shape)
        share = torch.where(happy, 0.6 + 0.4 * u, 0.6 * u * (0.4 + 0.6 * v))
        share = share ** (1 + (length[video] - 10) / 220)  # long ones are left earlier
        return torch.where(background[video], 0.7 + 0.3 * v, share)

    group, video = (uniform(_M) * _G).long(), (uniform(_M) * _N).long()
    clicked = uniform(_M) < click[group, video]
    happy = uniform(_M) < liked[group, video]
    minutes = play(happy, video) * length[video] * clicked
    away = background[video] & ~happy
    in_front = torch.where(away, 0.1 + 0.3 * uniform(_M), 0.75 + 0.25 * uniform(_M)) * clicked
    asked = clicked & (uniform(_M) < 0.04)
    again = torch.where(asked, happy.long(), -1)
    # Expected minutes, by many plays of each video by who likes it and by who does not.
    every = torch.arange(_N).expand(400, -1)
    mean = [play(torch.full(every.shape, h), every).mean(0) * length for h in (True, False)]
    expected = click * (liked * mean[0] + (1 - liked) * mean[1])
    log = Impressions(clicked, minutes, length[video], in_front, again, group, video)
    return Service(log, {"click": click, "minutes": expected, "worth it": click * liked})


#: Name of a simple label → what it credits each impression with.
LABELS: dict[str, Callable[[Impressions], Tensor]] = {
    "click": lambda log: log.clicked.double(),
    "minutes": lambda log: log.minutes,
    "share played": lambda log: log.minutes / log.length,
    "half played": lambda log: (log.minutes >= 0.5 * log.length).double(),
}


def serve(one: Service, credit: Callable[[Impressions], Tensor]) -> dict[str, float]:
    """Learn from a label, and serve each group the eight videos with the highest expectation.

    The model is a table: the mean credit of an impression, for each group and video, drawn towards
    the video's own mean as ten impressions of it would.

    Args:
        one: whose log and truth.
        credit: gives `[M]`, what each impression is worth.

    Returns:
        "click", "minutes" and "worth it" of the lists, each as a share of the best possible.
    """
    log = one.log
    worth = torch.as_tensor(credit(log)).detach().double()
    cell = log.group * _N + log.video
    total = torch.zeros(_G * _N, dtype=torch.float64).index_add(0, cell, worth).view(_G, _N)
    shown = torch.bincount(cell, minlength=_G * _N).view(_G, _N)
    mean = total.sum(0) / shown.sum(0)
    top = ((total + 10 * mean) / (shown + 10)).topk(_PLACES, dim=1).indices
    best = {name: value.topk(_PLACES, dim=1).values.sum() for name, value in one.truth.items()}
    return {name: float(v.gather(1, top).sum() / best[name]) for name, v in one.truth.items()}


def _label_judge(answer, seed):
    if not callable(answer):
        return Finding(f"It is {answer!r}; a function is wanted.", "no function")
    # Twice as many for a grader: what is clear of 0 over six should seldom be open over twelve.
    worlds = [service(i) for i in (range(100, 106) if seed is None else range(seed, seed + 12))]
    log = worlds[0].log
    before = {name: value.clone() for name, value in vars(log).items()}
    worth = torch.as_tensor(answer(log))
    if any(not torch.equal(value, getattr(log, name)) for name, value in before.items()):
        for name, value in before.items():  # the services are kept: mend what was changed
            getattr(log, name).copy_(value)
        return Finding("After the call the log is another.", "it changes its arguments")
    if worth.shape != log.clicked.shape:
        return Finding(f"It returns shape {tuple(worth.shape)}; wanted {tuple(log.clicked.shape)}.")
    worth = worth.detach().double()
    if not worth.isfinite().all():
        return Finding("Some credits are no finite number.", "something divided by nothing")
    if (worth[~log.clicked] > worth[~log.clicked].min() + 1e-9).any():
        return Finding(name="credit without a click")
    if (name := _another_name(worth, log)) is not None:
        return Finding(name=name)
    got = [serve(one, answer)["worth it"] for one in worlds]
    for label, credit in LABELS.items():
        lead = paired_interval(got, [serve(one, credit)["worth it"] for one in worlds])
        if lead.low <= 0:
            seen = f"in {len(worlds)} services you have not seen, yours less '{label}' is "
            return Finding(f"{seen}{lead.text()}.", "no better than a simple label")
    return None


def _another_name(worth: Tensor, log: Impressions) -> str | None:
    """Which simple label a credit is, up to a factor; None if none of them."""
    if worth.max() == worth.min():
        return "everything is worth the same"
    asked = log.clicked & (log.again >= 0)
    rest = worth[log.clicked & ~asked]
    if rest.max() == rest.min() and worth[asked].max() > worth[asked].min():
        return "the survey alone"
    for label, credit in LABELS.items():
        both = torch.stack([worth, credit(log).double()])
        if float(torch.corrcoef(both)[0, 1]) > 1 - 1e-6:
            return f"{label} by another name"
    return None


LABEL = Exercise(
    "What is a good evening",
    _label_judge,
    {
        "click by another name": "A title can be clicked and the video left after a minute. What "
        "tells you that it was?",
        "minutes by another name": "Who watches a two-hour video to a third has played more "
        "minutes than who saw a short one to the end. And who was not even looking?",
        "share played by another name": "Length is out of it. But there are videos that run to "
        "their end with nobody in front of them. Which column knows?",
        "half played by another name": "Left early counts for nothing now. But there are videos "
        "that run to their end with nobody in front of them. Which column knows?",
        "the survey alone": "The answers say what you want to know, and there are very few of "
        "them for 480 pairs of group and video. Use them to see *which* of the other columns go "
        "with a yes.",
        "everything is worth the same": "Then every list is as good as any other. What is an "
        "impression worth that was clicked and liked?",
        "credit without a click": "An impression that nobody clicked earns something, and some "
        "more than others. What happened to them?",
        "something divided by nothing": "Where nothing was clicked the minutes are 0. Divide by "
        "something that is not.",
        "no better than a simple label": "Compare, in the practice services, those who said they "
        "would watch it again with those who said no: length, minutes, share, window. What do the "
        'two kinds of "no" look like?',
    },
)

EXERCISES = {
    "4.1": HISTORY,
    "4.2": SOFTMAX,
    "4.3": MINUTES,
    "4.4": FORTY_LISTS,
    "4.5": LABEL,
}
