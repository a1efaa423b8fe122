"""Exercises of chapter 00: measuring honestly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys_book.check.core import Exercise, Finding, by_cases
from recsys_book.data import Interactions
from recsys_book.metrics import ndcg_at_k
from recsys_book.models.baselines import EASE
from recsys_book.service import simulate
from recsys_book.service.world import DAYPARTS, DEVICES, Context
from recsys_book.show.intervals import Interval, paired_bootstrap

# ---------------------------------------------------------------- 0.1 the ideal list


def _dcg(relevant: Tensor, k: int, first: int = 2) -> Tensor:
    """Sum of 1 / log2(rank + 1) over the relevant ones of the first k; `first` is log2's argument
    at the top."""
    top = relevant[:k].double()
    return (top / torch.log2(torch.arange(first, first + len(top), dtype=torch.float64))).sum()


def _ndcg(relevant: Tensor, n_relevant: int, k: int) -> Tensor:
    return _dcg(relevant, k) / _dcg(torch.ones(min(k, n_relevant)), k)


def _ideal_of_the_list(relevant, n_relevant, k):
    found = int(relevant[:k].sum())
    return _dcg(relevant, k) / _dcg(torch.ones(found), k) if found else torch.tensor(0.0)


def _ideal_of_all_returned(relevant, n_relevant, k):
    found = int(relevant.sum())
    return _dcg(relevant, k) / _dcg(torch.ones(found), k) if found else torch.tensor(0.0)


def _ideal_of_k(relevant, n_relevant, k):
    return _dcg(relevant, k) / _dcg(torch.ones(k), k)


def _ideal_of_all_relevant(relevant, n_relevant, k):
    return _dcg(relevant, k) / _dcg(torch.ones(n_relevant), n_relevant)


def _rank_plus_two(relevant, n_relevant, k):
    return _dcg(relevant, k, 3) / _dcg(torch.ones(min(k, n_relevant)), k, 3)


def _ranks_that_differ(relevant, n_relevant, k):
    return _dcg(relevant, k, 3) / _dcg(torch.ones(min(k, n_relevant)), k)


def _second_is_free(relevant, n_relevant, k):
    discount = torch.log2(torch.arange(1, k + 1, dtype=torch.float64)).clamp(min=1)
    top = relevant[:k].double()
    return (top / discount[: len(top)]).sum() / (1 / discount[: min(k, n_relevant)]).sum()


def _natural_log_in_the_list(relevant, n_relevant, k):
    return _ndcg(relevant, n_relevant, k) / math.log(2)


def _natural_log_in_the_ideal(relevant, n_relevant, k):
    return _ndcg(relevant, n_relevant, k) * math.log(2)


def _no_cut(relevant, n_relevant, k):
    return _dcg(relevant, len(relevant)) / _dcg(torch.ones(min(k, n_relevant)), k)


def _ideal_cases(generator):
    if generator is None:
        return [
            ((torch.tensor([1, 0, 0, 1]), 3, 3), "[1, 0, 0, 1], 3 relevant in all, k = 3"),
            ((torch.tensor([0, 1, 0, 1]), 2, 4), "[0, 1, 0, 1], 2 relevant in all, k = 4"),
            ((torch.tensor([1, 1, 0, 0]), 9, 2), "[1, 1, 0, 0], 9 relevant in all, k = 2"),
        ]
    cases = []
    for k, more, share in ((5, 3, 0.3), (20, 2, 0.1), (10, 0, 0.3), (4, 20, 0.3)):
        shown = (torch.rand(30, generator=generator) < share).long()
        shown[1] = 1  # without any, an ideal made of what was found would divide by zero
        n = int(shown.sum()) + more + 1
        cases.append(((shown, n, k), f"30 films shown, {n} relevant in all, k = {k}"))
    return cases


IDEAL = Exercise(
    "The ideal list",
    by_cases(
        _ndcg,
        {
            "the ideal is made of what was found": _ideal_of_the_list,
            "the ideal is made of the list's own films": _ideal_of_all_returned,
            "the ideal always has k": _ideal_of_k,
            "the ideal is not cut at k": _ideal_of_all_relevant,
            "the rank is off by one": _rank_plus_two,
            "list and ideal count ranks differently": _ranks_that_differ,
            "the second place costs nothing": _second_is_free,
            "a natural logarithm in the list": _natural_log_in_the_list,
            "a natural logarithm in the ideal": _natural_log_in_the_ideal,
            "the list is not cut at k": _no_cut,
            "not divided by the ideal": lambda relevant, n_relevant, k: _dcg(relevant, k),
        },
        _ideal_cases,
    ),
    {
        "the ideal is made of what was found": "Who finds one of three relevant films and puts it "
        "first would get 1. The best list possible is made of what exists, not of what you found.",
        "the ideal is made of the list's own films": "Your ideal reorders the list that was shown. "
        "Relevant films that it never showed are missing from it: use n_relevant.",
        "the ideal always has k": "With two relevant films in the catalogue not even the oracle "
        "fills four places. How many can the best list hold?",
        "the ideal is not cut at k": "The list has k places, the ideal has no more. With 9 "
        "relevant films and k = 2 a perfect list must get 1.",
        "the rank is off by one": "Rank 1 should gain 1. What does your first place gain?",
        "list and ideal count ranks differently": "A perfect list must get 1: list and ideal need "
        "the same discount at the same rank.",
        "the second place costs nothing": "log2(2) = 1: with log2(rank) the first two places gain "
        "alike. The discount is log2(rank + 1).",
        "a natural logarithm in the list": "The base cancels only if list and ideal use the same.",
        "a natural logarithm in the ideal": "The base cancels only if list and ideal use the same.",
        "the list is not cut at k": "A film at rank k + 1 was not in the top k.",
        "not divided by the ideal": "That is DCG. Divide by the DCG of the best list there could "
        "be.",
    },
    ("recsys_book.metrics.ndcg_at_k", "recsys_book.metrics.ranking_at_k",
     "sklearn.metrics.ndcg_score"),
)  # fmt: skip

# ---------------------------------------------------------------- 0.2 AUC by hand


def _pairs(clicked: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    return scores[clicked == 1][:, None].double(), scores[clicked == 0][None, :].double()


def _auc(clicked: Tensor, scores: Tensor) -> Tensor:
    yes, no = _pairs(clicked, scores)
    return ((yes > no).double() + 0.5 * (yes == no).double()).mean()


def _tie_wins(clicked, scores):
    yes, no = _pairs(clicked, scores)
    return (yes >= no).double().mean()


def _tie_loses(clicked, scores):
    yes, no = _pairs(clicked, scores)
    return (yes > no).double().mean()


def _tied_pairs_left_out(clicked, scores):
    yes, no = _pairs(clicked, scores)
    return (yes > no).double().sum() / (yes != no).double().sum()


def _ties_by_row(clicked, scores):
    rank = torch.empty(len(scores), dtype=torch.float64)
    order = scores.argsort(stable=True)
    rank[order] = torch.arange(1, len(scores) + 1, dtype=torch.float64)
    n = int((clicked == 1).sum())
    return (rank[clicked == 1].sum() - n * (n + 1) / 2) / (n * (len(scores) - n))


def _whole_rank_sum(clicked, scores):
    n, all_ = int((clicked == 1).sum()), len(scores)
    return _auc(clicked, scores) + (n + 1) / 2 / (all_ - n)


def _over_all_pairs(clicked, scores):
    yes, no = _pairs(clicked, scores)
    n = len(scores)
    return _auc(clicked, scores) * yes.numel() * no.numel() / (n * (n - 1) / 2)


def _auc_cases(generator):
    if generator is None:
        return [
            (
                (torch.tensor([1, 0, 1, 0, 0]), torch.tensor([0.9, 0.4, 0.4, 0.1, 0.7])),
                "clicked [1, 0, 1, 0, 0], scores [.9, .4, .4, .1, .7]",
            ),
            (
                (torch.tensor([0, 1, 0, 1]), torch.tensor([0.3, 0.3, 0.3, 0.3])),
                "four equal scores",
            ),
            (
                (torch.tensor([0, 0, 1]), torch.tensor([-3.0, -2.0, -1.0])),
                "logits [-3, -2, -1], the last one clicked",
            ),
        ]
    scores = torch.randn(300, generator=generator).mul(4).round() / 4
    clicked = (torch.rand(300, generator=generator) < torch.sigmoid(scores - 1)).long()
    return [((clicked, scores), "300 impressions, scores rounded to quarters")]


AUC = Exercise(
    "AUC by hand",
    by_cases(
        _auc,
        {
            "a tie counts as a win": _tie_wins,
            "a tie counts as a loss": _tie_loses,
            "tied pairs are left out": _tied_pairs_left_out,
            "ties stand in the order of the rows": _ties_by_row,
            "the wrong way round": lambda y, s: 1 - _auc(y, s),
            "accuracy, not order": lambda y, s: ((s > 0.5).long() == y).double().mean(),
            "the smallest rank sum is not taken off": _whole_rank_sum,
            "pairs of one class are counted too": _over_all_pairs,
        },
        _auc_cases,
    ),
    {
        "a tie counts as a win": "A model that gives everybody the same score would get 1. It has "
        "ordered nothing, and should get one half.",
        "a tie counts as a loss": "A model that gives everybody the same score would get 0, worse "
        "than a coin. It should get one half.",
        "tied pairs are left out": "Left out, they flatter whoever ties much, and a constant "
        "score becomes 0 / 0. A tie is a coin flip: what is it worth on average?",
        "ties stand in the order of the rows": "After a sort, equal scores stand as their rows "
        "did, and the AUC changes when the log is shuffled. Give equals their average rank.",
        "the wrong way round": "You count the pairs where the film that was *not* clicked is "
        "above.",
        "accuracy, not order": "AUC has no threshold. It asks of pairs, one clicked and one not, "
        "which stands higher.",
        "the smallest rank sum is not taken off": "The n clicked ones have a rank sum of "
        "n (n + 1) / 2 even when they all stand at the bottom. Take that off first.",
        "pairs of one class are counted too": "Two clicked films are no pair here. How many pairs "
        "have one of each?",
    },
    ("recsys_book.metrics.auc", "recsys_book.metrics.user_auc", "sklearn.metrics.roc_auc_score"),
)

# ---------------------------------------------------------------- 0.3 a split that leaks nothing

HISTORY = 3  # L in this exercise
PART = 0.2  # of the rows to test, and as many to validation


def planted_log(seed: int | None = None) -> tuple[Tensor, Tensor, Tensor, int]:
    """A small log whose rows stand in no order, with a second in which several things happen.

    Args:
        seed: of a larger one; None gives the one of twenty rows.

    Returns:
        user, item, time, `[M]` int64 each, and the number of items. No pair stands there twice.
    """
    if seed is None:
        # User 2 left early, 3 came late. User 0 has two rows at 40, and validation starts at 60,
        # where two rows stand.
        user = [0, 1, 2, 0, 2, 1, 0, 0, 2, 1, 0, 1, 3, 0, 3, 1, 3, 0, 3, 1]
        item = [4, 1, 0, 2, 3, 5, 1, 6, 6, 3, 0, 2, 7, 7, 6, 0, 2, 3, 4, 7]
        time = [3, 5, 8, 10, 12, 17, 40, 40, 21, 25, 50, 60, 60, 61, 64, 70, 75, 80, 81, 90]
        order = [11, 4, 17, 0, 8, 13, 2, 19, 6, 15, 9, 1, 12, 3, 18, 7, 5, 16, 10, 14]
        user, item, time = (torch.tensor(column)[order] for column in (user, item, time))
        return user, item, time, 8
    random = np.random.RandomState(seed)
    n_users, n_items, per_user = 12, 40, 14
    user = np.repeat(np.arange(n_users), per_user)
    item = np.concatenate([random.permutation(n_items)[:per_user] for _ in range(n_users)])
    # Users start and end at different times, and seconds are coarse: some hold several rows.
    start, length = random.randint(0, 60, n_users), random.randint(30, 80, n_users)
    time = start[user] + (random.random_sample(len(user)) * length[user]).astype(int)
    order = random.permutation(len(user))
    return *(torch.from_numpy(column[order]).long() for column in (user, item, time)), n_items


def _split_judge(answer, seed):
    if not callable(answer):
        return Finding("A function of user, item, time and n_items is wanted.", "no function")
    for log in [planted_log(None)] if seed is None else [planted_log(seed), planted_log(seed + 1)]:
        given = tuple(x.clone() if isinstance(x, Tensor) else x for x in log)
        got = answer(*given)
        if any(not torch.equal(a, b) for a, b in zip(log[:3], given[:3], strict=True)):
            return Finding(
                "After the call user, item or time are others.", "it changes its arguments"
            )
        found = _judge_answer(log, got)
        if found is not None:
            return found
    return None


def _judge_answer(log, got) -> Finding | None:
    keys = {"train", "validation", "test", "popularity", "history"}
    if not isinstance(got, Mapping) or not keys <= set(got):
        return Finding(f"A dict with {', '.join(sorted(keys))} is wanted.")
    n = len(log[0])
    masks = []
    for name in ("train", "validation", "test"):
        rows = torch.as_tensor(got[name]).flatten()
        if rows.dtype == torch.bool and len(rows) == n:
            rows = rows.nonzero().flatten()
        if len(rows) == 0 or not 0 <= int(rows.min()) <= int(rows.max()) < n:
            return Finding(f"{name} should hold positions of rows, from 0 to {n - 1}.")
        masks.append(torch.bincount(rows.long(), minlength=n))
    count = torch.stack(masks).sum(0)
    if int(count.max()) > 1:
        seen = f"row {int(count.argmax())} stands in {int(count.max())} places."
        return Finding(seen, "a row stands twice")
    if int(count.min()) == 0:
        return Finding(f"{int((count == 0).sum())} of {n} rows are in no part.", "rows are lost")
    part = torch.stack(masks).argmax(0)  # [M] 0, 1, 2
    return (
        _judge_cut(log, part) or _judge_popularity(log, part, got) or _judge_history(log, part, got)
    )


def _judge_cut(log, part: Tensor) -> Finding | None:
    user, _, time, _ = log
    names = ("train", "validation", "test")
    for a, b in ((0, 1), (1, 2)):
        last, first = int(time[part == a].max()), int(time[part == b].min())
        if last >= first:
            seen = f"{names[a]} reaches to second {last}, {names[b]} begins at {first}."
            return Finding(seen, _kind_of_cut(user, time, part))
    ties = int(torch.bincount(time).max())
    sizes = torch.bincount(part, minlength=3)[1:]
    if bool(((sizes - PART * len(time)).abs() <= ties).all()):
        for b, size in ((1, int(sizes.sum())), (2, int(sizes[1]))):
            # The second at the cut makes the later part larger than its share, and never smaller.
            if size < math.floor(PART * len(time)) * (3 - b):
                seen = f"{names[b]} begins at second {int(time[part == b].min())}, and {size} of "
                seen += f"{len(time)} rows come from there on."
                return Finding(seen, "the second at the cut goes to the earlier part")
        return None
    span = (time - time.min()) / (time.max() - time.min())
    by_clock = (span >= 1 - 2 * PART).long() + (span >= 1 - PART).long()
    seen = f"validation and test have {sizes.tolist()} of {len(time)} rows."
    return Finding(seen, "a share of the clock" if torch.equal(part, by_clock) else None)


def _kind_of_cut(user: Tensor, time: Tensor, part: Tensor) -> str:
    """What a cut that mixes past and future is taken for."""
    if bool((part.diff() >= 0).all()):
        return "the order of the rows is taken for time"
    if int(time[part == 0].min()) > int(time[part == 2].max()):
        return "the oldest rows are tested"
    # An earlier row in a later part.
    mixed = (time[:, None] < time[None, :]) & (part[:, None] > part[None, :])
    if not bool(mixed.any()):
        return "one second stands in two parts"
    same_user = user[:, None] == user[None, :]
    return "a cut at random" if bool((mixed & same_user).any()) else "each user's own last ones"


def _judge_popularity(log, part: Tensor, got) -> Finding | None:
    _, item, _, n_items = log
    count = lambda rows: torch.bincount(item[rows], minlength=n_items).double()
    popular, wanted = torch.as_tensor(got["popularity"]).double(), count(part == 0)
    if popular.shape != wanted.shape:
        return Finding(f"popularity has shape {tuple(popular.shape)}; wanted [{n_items}].")
    if torch.allclose(popular, wanted):
        return None
    known = {
        "popularity knows the test": part >= 0,
        "popularity knows the validation": part <= 1,
    }
    worst = int((popular - wanted).abs().argmax())
    seen = f"item {worst} stands {int(wanted[worst])} times in train; popularity says "
    seen += f"{float(popular[worst]):g}."
    name = next((k for k, rows in known.items() if torch.allclose(popular, count(rows))), None)
    return Finding(seen, name)


def _judge_history(log, part: Tensor, got) -> Finding | None:
    user, item, time, n_items = log
    history = torch.as_tensor(got["history"])
    if history.shape != (len(user), HISTORY):
        return Finding(f"history has shape {tuple(history.shape)}; wanted {[len(user), HISTORY]}.")
    if bool(((history < 0) | (history > n_items)).any()):
        return Finding(f"history holds other ids than 0 to {n_items} (which is the padding).")
    when = {(u, i): t for u, i, t in zip(user.tolist(), item.tolist(), time.tolist(), strict=True)}
    times = []  # for each row the times of what its history holds
    for row, entries in enumerate(history.long().tolist()):
        real = [i for i in entries if i != n_items]
        if entries[: len(real)] != real:
            return Finding(f"the history of row {row} is {entries}.", "the padding stands in front")
        owner = int(user[row])
        if (strange := next((i for i in real if (owner, i) not in when), None)) is not None:
            seen = f"row {row} is of user {owner}, who never met item {strange}."
            return Finding(seen, "somebody else's history")
        times.append([when[owner, i] for i in real])
    kinds = _histories_by_kind(user, time, part)
    wanted = kinds.pop("")
    # Equal times may stand in either order, so times are compared and not items.
    if times == wanted and all(len(set(h)) == len(h) for h in _real(history, n_items)):
        return None
    wrong = [row for row in range(len(user)) if times[row] != wanted[row]]
    row = wrong[0] if wrong else 0
    seen = f"row {row} is item {int(item[row])} at second {int(time[row])}; its history is "
    seen += f"{history[row].tolist()}, from seconds {times[row]}."
    name = next((name for name, kind in kinds.items() if kind == times), None)
    if name is None and (item[:, None] == history).any():
        name = "the history holds the target"
    if name is None and any(t > int(time[r]) for r, ts in enumerate(times) for t in ts):
        name = "the history knows the future"
    return Finding(seen, name)


def _real(history: Tensor, padding: int) -> list[list[int]]:
    return [[i for i in entries if i != padding] for entries in history.tolist()]


def _histories_by_kind(user: Tensor, time: Tensor, part: Tensor) -> dict[str, list[list[int]]]:
    """Times of what histories hold: as wanted (under ""), and as misconceptions make them."""
    rows = torch.arange(len(user))
    allowed = {
        "": lambda r: time < time[r],
        "the history holds the target": lambda r: time <= time[r],
        "the same second counts as the past": lambda r: (time <= time[r]) & (rows != r),
        "the history is that of the log's end": lambda r: time >= 0,
        "the history knows the future": lambda r: rows != r,
        "the history stops at the cut": lambda r: (time < time[r]) & (part == 0),
        "the history forgets earlier parts": lambda r: (time < time[r]) & (part == part[r]),
    }
    latest = lambda mask: time[mask].sort(descending=True).values[:HISTORY].tolist()
    kinds = {
        name: [latest(f(r) & (user == user[r])) for r in range(len(user))]
        for name, f in allowed.items()
    }
    kinds["the oldest come first"] = [list(reversed(ts)) for ts in kinds[""]]
    kinds["the first, not the last"] = [
        time[(time < time[r]) & (user == user[r])].sort().values[:HISTORY].tolist()
        for r in range(len(user))
    ]
    return kinds


SPLIT = Exercise(
    "A split that leaks nothing",
    _split_judge,
    {
        "a row stands twice": "Train, validation and test share no row.",
        "rows are lost": "Every row belongs to one of the three parts.",
        "a cut at random": "Somebody's tomorrow is in train and their yesterday in test. In "
        "service nobody has tomorrow's log.",
        "each user's own last ones": "Each user is cut at a time of their own. What *others* did "
        "later is in train, and tells what was new and what became popular. One date for all.",
        "the order of the rows is taken for time": "Logs seldom come sorted. Which column says "
        "when?",
        "the oldest rows are tested": "You train on the present and ask about the past. Turn the "
        "parts round.",
        "one second stands in two parts": "Rows of one second happened at once, such as a list of "
        "films. Cut between two seconds, not between two rows: take the second at the cut, and "
        "put all of it into the later part.",
        "the second at the cut goes to the earlier part": "Where the cut falls into a second, all "
        "of that second goes to the later part: trained on is what is surely older. Look at > "
        "and >=.",
        "a share of the clock": "You cut the time between first and last row. A fifth of the "
        "*rows* is asked for; a log is seldom even.",
        "popularity knows the test": "You counted over the whole log. A feature is a part of the "
        "model: it may know what the model may be fitted to, and no more.",
        "popularity knows the validation": "While you choose on validation, its clicks are not "
        "there to be counted.",
        "the history holds the target": "The row's own item stands in its history: the answer is "
        "in the question. Strictly before.",
        "the same second counts as the past": "What was chosen at the same moment was not known "
        "when the list was made. Strictly before.",
        "the history is that of the log's end": "Every row of a user has the same history, the "
        "last one. What was known when *this* row happened?",
        "the history knows the future": "Some histories hold what happened after their row.",
        "the history stops at the cut": "A history is no fitted feature: in service the model sees "
        "what was watched a minute ago. For a test row it may hold all that came before that row.",
        "the history forgets earlier parts": "What a user watched in train is still past for their "
        "test rows.",
        "somebody else's history": "A history is of one user.",
        "the oldest come first": "Turn it round: the most recent comes first.",
        "the first, not the last": "You kept the oldest three. The last three before the row are "
        "asked for.",
        "the padding stands in front": "Fill up at the end: real ones first, then n_items.",
    },
    (
        "recsys_book.data.splits.by_time",
        "recsys_book.data.splits.leave_last_out",
        "recsys_book.data.splits.at_random",
        "recsys_book.data.next_watch.histories_at",
        "recsys_book.data.next_watch.next_watch",
    ),
)

# ---------------------------------------------------------------- 0.4 is it better


def two_models(seed: int = 0, n: int = 200) -> tuple[Tensor, Tensor]:
    """NDCG of n users under two models, a and b. What makes a user hard is hard for both.

    Args:
        seed: of the draw.
        n: users.

    Returns:
        a, b: `[n]` float64.
    """
    random = np.random.RandomState(seed)
    ease = random.beta(1.2, 2.0, size=n)
    lift = random.gamma(1.0, 0.05, size=n) - 0.035
    return torch.from_numpy((ease + lift).clip(0, 1)), torch.from_numpy(ease)


def _quantiles(means: np.ndarray, level: float = 0.95) -> np.ndarray:
    return np.quantile(means, [(1 - level) / 2, (1 + level) / 2])


def _interval_judge(answer, seed):
    if not callable(answer):
        return Finding("A function of a, b, draws and generator is wanted.", "no function")
    a, b = two_models(seed or 0)
    generator = torch.Generator().manual_seed(0 if seed is None else seed)
    given = a.clone(), b.clone()
    got = answer(*given, 2_000, generator)
    if not (torch.equal(a, given[0]) and torch.equal(b, given[1])):
        return Finding("After the call a or b are others.", "it changes its arguments")
    try:
        low, high = (float(x) for x in got)
    except (TypeError, ValueError):
        return Finding("A pair is wanted: low and high.")
    random, n = np.random.RandomState(1), len(a)
    rows = random.randint(n, size=(20_000, n))
    difference = (a - b).numpy()
    means = difference[rows].mean(1)
    apart = a.numpy()[rows].mean(1) - b.numpy()[random.randint(n, size=(20_000, n))].mean(1)
    kinds = {
        "": _quantiles(means),
        "each model draws its own users": _quantiles(apart),
        "the spread of users, not of their mean": _quantiles(difference),
        "the wrong way round": -_quantiles(means)[::-1],
        "one side of the interval only": _quantiles(means, 0.9),
        "high before low": _quantiles(means)[::-1],
        "one model alone": _quantiles(a.numpy()[rows].mean(1)),
    }
    # With 2,000 draws an end is uncertain by about a sixtieth of the width.
    distance = {k: np.abs(np.array([low, high]) - v).max() for k, v in kinds.items()}
    nearest = min(distance, key=distance.get)
    near = distance[nearest] <= (0.12 if nearest else 0.06) * np.ptp(kinds[nearest])
    if near and nearest == "":
        return None
    seen = f"your interval is {low:.4f} to {high:.4f}; the mean difference is "
    seen += f"{difference.mean():.4f}."
    if abs(high - low) < 1e-9:
        return Finding(seen, "drawn without putting back")
    return Finding(seen, nearest if near else None)


BOOTSTRAP = Exercise(
    "Is it better?",
    _interval_judge,
    {
        "each model draws its own users": "a and b are of the same users. Draw users once and take "
        "both figures of each: what makes a user hard then drops out.",
        "the spread of users, not of their mean": "Users differ; that does not go away with more "
        "of them. The interval is of the *mean*: each draw of as many users gives one mean.",
        "the wrong way round": "That is b less a; the question is about a less b.",
        "one side of the interval only": "From the 5th to the 95th percentile there are 90 %. How "
        "much lies outside on each side of a 95 % interval?",
        "high before low": "The lower end comes first, then the higher one.",
        "drawn without putting back": "A draw of all users without repeats is the same users "
        "again, and the same mean.",
        "one model alone": "The question is how far the *difference* would move.",
    },
    (
        "recsys_book.show.intervals.paired_bootstrap",
        "recsys_book.show.intervals.bootstrap_interval",
        "recsys_book.show.intervals.paired_interval",
        "recsys_book.show.intervals.t_interval",
        "scipy.stats.bootstrap",
    ),
)

# ---------------------------------------------------------------- 0.5 beat a tuned baseline

LOOKS = 12  # at validation, for each side


class BudgetSpent(RuntimeError):
    """A look at validation beyond the budget."""


class TestOpened(RuntimeError):
    """The test is looked at a second time."""

    __test__ = False  # pytest, this is no test


@dataclass(frozen=True)
class Contest:
    """A small service: what is known about it, and two questions that may be asked.

    Attributes:
        n_users, n_films: U and N.
        clicks: Interactions, every click of the log.
        shown: name → `[M]` int64 of the log's impressions: user, film, position (0 to 9), device,
            daypart, clicked.
        film: name → `[N]` int64: genre, second_genre, tone.
        user: name → `[U]` int64: age, region.
        look: `look(scores [U, N])` gives NDCG@10 on the validation users, `LOOKS` times; after
            that it raises BudgetSpent.
        open_test: `open_test(scores [U, N])` gives the Interval of NDCG@10 less the tuned
            baseline's on the test users, once; after that it raises TestOpened.

    One half of the users are for validation, the other for the test. What should stand on top for
    a user are the ten films, of those they have not clicked, with the highest true chance of a
    click over all devices and times of day.
    """

    n_users: int
    n_films: int
    clicks: Interactions
    shown: dict[str, Tensor]
    film: dict[str, Tensor]
    user: dict[str, Tensor]
    look: Callable[[Tensor], float]
    open_test: Callable[[Tensor], Interval]


class _Referee:
    """Knows the truth of a contest, counts the looks, and opens the test.

    Args:
        seed: of the service.
    """

    def __init__(self, seed: int) -> None:
        world = simulate(600, 200, days=14, seed=seed)
        log, users = world.log, ("age", "region")
        films = ("genre", "second_genre", "tone")
        columns = ("user", "film", "position", "device", "daypart", "clicked")
        whole = lambda name, where: torch.from_numpy(getattr(where, name)).long()
        self.contest = Contest(
            n_users=world.n_users,
            n_films=world.n_films,
            clicks=log.clicks(),
            shown={name: getattr(log, name).long() for name in columns},
            film={name: whole(name, world.film) for name in films},
            user={name: whole(name, world) for name in users},
            look=self.look,
            open_test=self.open_test,
        )
        self.looks = self.opened = 0
        self.shape = world.n_users, world.n_films
        self.clicks = log.clicks()  # one of its own: an answer may change what it was given
        self.had = torch.zeros(self.shape, dtype=torch.bool)
        self.had[self.clicks.user, self.clicks.item] = True
        self.relevant = _ten_best(world, self.had)
        self.validation = slice(0, world.n_users // 2)
        self.test = slice(world.n_users // 2, world.n_users)

    def look(self, scores: Tensor) -> float:
        """As `Contest.look`."""
        self.looks += 1
        if self.looks > LOOKS:
            raise BudgetSpent(f"all {LOOKS} looks at validation are spent")
        return float(self.ndcg(self.ready(scores), self.validation).mean())

    def open_test(self, scores: Tensor) -> Interval:
        """As `Contest.open_test`."""
        self.opened += 1
        if self.opened > 1:
            raise TestOpened("the test has been looked at already")
        return self.compare(self.ready(scores))[0]

    def compare(self, scores: Tensor) -> tuple[Interval, float, float]:
        """On the test users: the lead over the baseline, the scores' figure, the baseline's."""
        mine, theirs = (self.ndcg(s, self.test) for s in (scores, self.baseline()))
        return paired_bootstrap(mine, theirs), float(mine.mean()), float(theirs.mean())

    def baseline(self) -> Tensor:
        """Scores `[U, N]` of EASE on the clicks, its penalty the best of `LOOKS` on validation."""
        best, found = -1.0, None
        for l2 in np.geomspace(3, 3_000, LOOKS):
            scores = EASE(self.clicks, l2).score(torch.arange(self.shape[0]))
            scores = self.ready(scores.masked_fill(self.had, -torch.inf))
            if (value := float(self.ndcg(scores, self.validation).mean())) > best:
                best, found = value, scores
        return found

    def ndcg(self, scores: Tensor, rows: slice) -> Tensor:
        """`[users in rows]` NDCG@10."""
        return ndcg_at_k(scores[rows], self.relevant[rows], 10)

    def ready(self, scores: Tensor) -> Tensor:
        """`[U, N]` float64. −inf becomes very low: metrics keep it for absent candidates, and no
        relevant film may be absent.

        Raises:
            ValueError: another shape, NaN, +inf.
        """
        scores = torch.as_tensor(scores).detach().cpu().double()
        if tuple(scores.shape) != self.shape:
            raise ValueError(f"scores has shape {tuple(scores.shape)}; it must be {self.shape}")
        if bool((torch.isnan(scores) | torch.isposinf(scores)).any()):
            raise ValueError("scores contains NaN or inf; each must be a number or -inf")
        return scores.clamp(min=-1e300)


def _ten_best(world, had: Tensor) -> Tensor:
    """`[U, N]` bool: the ten films a user has not had with the highest true chance of a click."""
    users, films = torch.arange(world.n_users)[:, None], torch.arange(world.n_films)[None, :]
    history = world.log.final_histories(64)
    chance = torch.zeros(had.shape, dtype=torch.float64)
    for device in range(len(DEVICES)):
        for daypart in range(len(DAYPARTS)):
            moment = Context(device=device, daypart=daypart, history=history)
            chance += world.click_probability(users, films, moment)
    best = chance.masked_fill(had, -1).topk(10, dim=1).indices
    return torch.zeros_like(had).scatter(1, best, True)


def contest(seed: int = 0) -> Contest:
    """A contest to practise on. The check and the grader use others.

    Args:
        seed: of the service.
    """
    return _Referee(seed).contest


def _contest_judge(answer, seed):
    if not callable(answer):
        return Finding("A function of the contest is wanted.", "no function")
    referee = _Referee(1 if seed is None else seed)
    try:
        scores = answer(referee.contest)
    except (BudgetSpent, TestOpened):
        scores = None
    if referee.opened:
        return Finding("your function opened the test.", "chosen on the test")
    if referee.looks > LOOKS:
        seen = f"{referee.looks} looks at validation or more; {LOOKS} are allowed."
        return Finding(seen, "over the budget")
    if not isinstance(scores, (Tensor, np.ndarray)):
        return Finding(f"It returns {type(scores).__name__}; a tensor of scores [U, N] is wanted.")
    try:
        scores = referee.ready(scores)
    except ValueError as wrong:
        return Finding(f"{wrong}.")
    again = referee.had.gather(1, scores.topk(10, dim=1).indices)
    if bool(again.any()):
        seen = f"{float(again.double().mean()):.0%} of the top tens had been clicked by their user."
        return Finding(seen, "what was clicked already is recommended again")
    lead, mine, theirs = referee.compare(scores)
    if lead.low > 0:
        return None
    seen = f"NDCG@10 is {mine:.3f} on the test users, the tuned EASE's {theirs:.3f}; the "
    seen += f"difference is {lead.text(sign='+')}."
    alike = _one_list(scores, referee.had)
    return Finding(seen, "the same list for everybody" if alike else "no better than the baseline")


def _one_list(scores: Tensor, had: Tensor) -> bool:
    """Whether every film has one score for all who have not had it."""
    high = scores.masked_fill(had, -torch.inf).amax(0)
    low = scores.masked_fill(had, torch.inf).amin(0)
    return bool((high <= low).all())


BEAT = Exercise(
    "Beat a tuned baseline",
    _contest_judge,
    {
        "chosen on the test": "A test that was looked at is a second validation. Let the function "
        "return its scores; the check opens the test.",
        "over the budget": "The baseline had twelve looks, and so have you. Each call of look() "
        "is one, also for the same scores again. Which settings are worth a look?",
        "what was clicked already is recommended again": "Nobody clicks a film twice here, and "
        "each such film takes a place in the ten. What must the scores of the pairs in "
        "contest.clicks be?",
        "the same list for everybody": "That is a popularity, however cleverly counted. What "
        "differs between users?",
        "no better than the baseline": "The interval must lie above zero. Another model on the "
        "same clicks seldom gets there. What does the log say that EASE cannot use: films shown "
        "and *not* clicked, where they stood, what a film is, how old a user is?",
    },
    (
        "recsys_book.service.simulate",
        "recsys_book.chapters.ch00_why_deep_learning.exercises._Referee",
        "recsys_book.chapters.ch00_why_deep_learning.exercises.contest",
    ),
)

EXERCISES = {"0.1": IDEAL, "0.2": AUC, "0.3": SPLIT, "0.4": BOOTSTRAP, "0.5": BEAT}
