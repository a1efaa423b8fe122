"""Chapter 04 on real data: KuaiRand-Pure, both stages.

Cut by day, as the file dates its rows: days 0 to 9 to fit, 10 and 11 to choose by, 12 and 13 for
the test. Histories hold long views, of strictly earlier seconds. Watch time counts for clicked rows
only (see `recsys_book.data.kuairand_pure`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from recsys_book.checks import check_finite, check_same_shape
from recsys_book.data.kuairand_pure import KuaiRand
from recsys_book.data.next_watch import histories_at
from recsys_book.experiments import candidates
from recsys_book.experiments.watch_time import Fitted, Impressions, Recipe, train_ranker
from recsys_book.metrics import auc

VALIDATION_FROM, TEST_FROM = 10, 12  # days
HISTORY, N_TABS = 10, 15
POSITIVE = "long view"  # completed watches are too few


def candidate_task(data: KuaiRand, positive: str = POSITIVE) -> candidates.Task:
    """The first stage's task: predict the next watch. Cut at the first second of the days."""
    first = lambda day: int(data.time[data.day == day].min())
    log = data.watches(positive)
    return candidates.make_task(log, first(VALIDATION_FROM), first(TEST_FROM), length=HISTORY)


def impressions(data: KuaiRand) -> tuple[Impressions, tuple[int, ...]]:
    """Every row as an example of the ranker, and how many ids its fields have.

    Fields: the user's activity, the page, and the video's type, way of upload and first tag.
    Continuous: seconds since the user's last long view (or since the log began), rows shown to the
    user before, and the video's length (0 where it is not known).
    """
    log, user = data.watches(POSITIVE), data.user
    history = histories_at(log, user, data.time, HISTORY)
    fields = torch.cat(
        [data.user_fields.ids[user], data.tab[:, None] + 1, data.video_fields.ids[data.video]],
        dim=1,
    )
    sizes = (*data.user_fields.cardinalities, N_TABS + 1, *data.video_fields.cardinalities)
    raw = torch.stack(
        [_since_last(data, log), _shown_before(data), data.duration[data.video].double()], dim=1
    )
    part = Impressions(data.video, history, fields, raw, data.clicked, data.watch_seconds, data.day)
    return part, sizes


def _since_last(data: KuaiRand, log) -> Tensor:
    """`[M]` seconds since the user's last long view before the row's second."""
    as_items = replace(log, item=torch.arange(len(log)), n_items=len(log), item_vocabulary=None)
    last = histories_at(as_items, data.user, data.time, 1)[:, 0]
    times = torch.cat([log.time, data.time.min()[None]])
    return (data.time - times[last]).double()


def _shown_before(data: KuaiRand) -> Tensor:
    """`[M]` rows of the user at strictly earlier seconds."""
    first = data.time.min()
    span = int(data.time.max() - first) + 1
    key = data.user * span + (data.time - first)
    place = torch.searchsorted(key.sort().values, key)
    counts = torch.bincount(data.user, minlength=data.n_users)
    return (place - (counts.cumsum(0) - counts)[data.user]).double()


# ---------------------------------------------------------------- judging


def mispredicted_watch_time(scores: Tensor, seconds: Tensor, users: Tensor) -> float:
    """Of all pairs of a watched and an unwatched impression of one user, the share of the watch
    time that stands in pairs ordered the wrong way round (Covington et al. 2016, section 4.3, where
    a pair is of one page; here of all that the user was shown in the test).

    Args:
        scores: `[M]`.
        seconds: `[M]` watched, 0 for what was not.
        users: `[M]`.

    Returns:
        0 is perfect, a half is chance. Equal scores count as wrong.

    Raises:
        ValueError: other shapes, NaN, no pair at all.
    """
    check_same_shape("scores", scores, "seconds", seconds)
    check_same_shape("scores", scores, "users", users)
    check_finite("scores", scores)
    # Scores as whole numbers, so that user and score make one key; equal scores stay equal.
    rank = torch.unique(scores, return_inverse=True)[1]
    span = int(rank.max()) + 1
    watched = seconds > 0
    others = (users[~watched] * span + rank[~watched]).sort().values
    own, own_rank = users[watched], rank[watched]
    start = torch.searchsorted(others, own * span)
    end = torch.searchsorted(others, (own + 1) * span)
    below = torch.searchsorted(others, own * span + own_rank)  # unwatched ones that score less
    time = seconds[watched].double()
    total = (time * (end - start)).sum()
    if total == 0:
        raise ValueError("there is no pair of a watched and an unwatched impression of one user")
    return float((time * (end - below)).sum() / total)


def figures(fitted: Fitted, part: Impressions, users: Tensor) -> dict[str, float]:
    """What a head is judged by: mispredicted watch time, and the AUC of clicks."""
    logits = fitted.logits(part)
    return {
        "mispredicted": mispredicted_watch_time(logits, part.minutes, users),
        "auc": auc(part.clicked.float(), logits),
    }


def choose_and_test(
    part: Impressions,
    users: Tensor,
    n_items: int,
    sizes: tuple[int, ...],
    recipe: Recipe,
    seed: int,
) -> tuple[Fitted, int]:
    """Epochs by mispredicted watch time on validation, then fitted anew on everything before the
    test.

    Returns:
        the ranker and its number of epochs.
    """
    more = {"sizes": sizes, "place": None}
    past = part[part.day < VALIDATION_FROM]
    held = (part.day >= VALIDATION_FROM) & (part.day < TEST_FROM)
    judge = _judge(part[held], users[held])
    first = train_ranker(past, n_items, recipe, seed, validate=judge, patience=2, **more)
    epochs = first.history.best_epoch + 1
    past = part[part.day < TEST_FROM]
    return train_ranker(past, n_items, recipe, seed, epochs=epochs, **more), epochs


def validation_score(
    part: Impressions,
    users: Tensor,
    n_items: int,
    sizes: tuple[int, ...],
    recipe: Recipe,
    seed: int,
) -> float:
    """The best over epochs of 1 − mispredicted watch time on validation."""
    past = part[part.day < VALIDATION_FROM]
    held = (part.day >= VALIDATION_FROM) & (part.day < TEST_FROM)
    fitted = train_ranker(
        past, n_items, recipe, seed, sizes=sizes, place=None,
        validate=_judge(part[held], users[held]), patience=2,
    )  # fmt: skip
    return fitted.history.best_score


def _judge(held: Impressions, users: Tensor) -> Callable[[Fitted], float]:
    return lambda fitted: 1 - mispredicted_watch_time(fitted.logits(held), held.minutes, users)
