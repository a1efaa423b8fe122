"""Chapter 04 on real data: KuaiRand-Pure, both stages.

Cut by day, as the file dates its rows: days 0 to 9 to fit, 10 and 11 to choose by, 12 and 13 for
the test. Histories hold long views, of strictly earlier seconds. Watch time counts for clicked rows
only (see `recsys_book.data.kuairand_pure`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from recsys_book.arguments import check_same_shape
from recsys_book.chapters.ch04_youtube_dnn import candidates
from recsys_book.chapters.ch04_youtube_dnn.watch_time import (
    HEADS,
    Fitted,
    Impressions,
    Recipe,
    train_ranker,
)
from recsys_book.data.kuairand_pure import POSITIVES, KuaiRand
from recsys_book.data.next_watch import histories_at, seconds_since
from recsys_book.metrics import auc, mispredicted_watch_time
from recsys_book.train import History

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
        [
            seconds_since(log, user, data.time, otherwise=int(data.time.min())),
            _shown_before(data),
            data.duration[data.video].double(),
        ],
        dim=1,
    )
    part = Impressions(data.video, history, fields, raw, data.clicked, data.watch_seconds, data.day)
    return part, sizes


def label_table(data: KuaiRand) -> pd.DataFrame:
    """What each choice of "a watch" leaves of the log: rows, users who have ten, seconds played."""
    rows = {}
    for positive in POSITIVES:
        log = data.watches(positive)
        rows[positive] = {
            "rows": f"{len(log):,}",
            "share of rows": f"{len(log) / len(data):.1%}",
            "users with ten": f"{int((log.user_counts() >= 10).sum()):,}",
            "seconds played, median": f"{float(log.weight.median()):.0f}",
        }
    return pd.DataFrame(rows).T


def _shown_before(data: KuaiRand) -> Tensor:
    """`[M]` rows of the user at strictly earlier seconds."""
    first = data.time.min()
    span = int(data.time.max() - first) + 1
    key = data.user * span + (data.time - first)
    place = torch.searchsorted(key.sort().values, key)
    counts = torch.bincount(data.user, minlength=data.n_users)
    return (place - (counts.cumsum(0) - counts)[data.user]).double()


# ---------------------------------------------------------------- duration

D2Q = "by duration"
#: What is compared: the three heads of the ranker, and quantiles within a duration.
RANKERS = (*HEADS, D2Q)
DURATION = 2  # the continuous input that is the video's length


class ByDuration:
    """Watch time as a share of the views of equally long videos that were watched for less.

    A longer video collects more seconds whatever it is worth. So views are put into groups of equal
    size by the length of the video; a network is taught the quantile of the watch time within its
    group, and its answer is turned back into seconds (Zhan et al.: Deconfounding Duration Bias in
    Watch-time Prediction for Video Recommendation. KDD 2022,
    https://doi.org/10.1145/3534678.3539092).

    Args:
        duration: `[M]` lengths of the videos of the training views.
        seconds: `[M]` watched.
        n: groups.

    Raises:
        ValueError: other shapes, fewer views than groups.
    """

    def __init__(self, duration: Tensor, seconds: Tensor, n: int = 30) -> None:
        check_same_shape("duration", duration, "seconds", seconds)
        if not 1 <= n <= len(duration):
            raise ValueError(f"n is {n}; it must lie between 1 and the {len(duration)} views")
        ordered = duration.double().sort().values
        cuts = torch.arange(1, n) * len(ordered) // n
        self.edges = ordered[cuts].unique()  # videos of one length stay together
        group = self.group(duration)
        found = [seconds[group == g].double().sort().values for g in range(len(self.edges) + 1)]
        empty = torch.zeros(1, dtype=torch.float64)
        self.watched = [values if len(values) else empty for values in found]

    def group(self, duration: Tensor) -> Tensor:
        """`[M]` which group a view belongs to."""
        return torch.searchsorted(self.edges, duration.double().contiguous(), right=True)

    def quantiles(self, duration: Tensor, seconds: Tensor) -> Tensor:
        """`[M]` float32 in 0..1; of equal watch times the middle."""
        group, found = self.group(duration), torch.zeros(len(duration), dtype=torch.float64)
        for g, values in enumerate(self.watched):
            rows, asked = group == g, seconds[group == g].double()
            below = torch.searchsorted(values, asked)
            up_to = torch.searchsorted(values, asked, right=True)
            found[rows] = (below + up_to).double() / (2 * len(values))
        return found.float()

    def seconds(self, duration: Tensor, quantiles: Tensor) -> Tensor:
        """`[M]` float64: the watch time at a quantile of the group, between its least and most."""
        group, found = self.group(duration), torch.zeros(len(duration), dtype=torch.float64)
        for g, values in enumerate(self.watched):
            rows = group == g
            n = len(values)
            place = (quantiles[rows].double() * n - 0.5).clamp(0, n - 1)  # as quantiles counts
            low, high = place.floor().long(), place.ceil().long()
            found[rows] = values[low] + (place - low) * (values[high] - values[low])
        return found


@dataclass(frozen=True)
class Predictor:
    """A trained ranker, and how its answer becomes a score."""

    fitted: Fitted
    by: ByDuration | None = None

    def __call__(self, part: Impressions) -> Tensor:
        """`[M]` scores; seconds where it was taught quantiles within a duration."""
        logits = self.fitted.logits(part)
        return logits if self.by is None else self.by.seconds(part.raw[:, DURATION], logits)


def train(
    part: Impressions,
    n_items: int,
    sizes: tuple[int, ...],
    recipe: Recipe,
    seed: int,
    *,
    validate: Callable[[Predictor], float] | None = None,
    **more: Any,
) -> tuple[Predictor, History]:
    """One of `RANKERS`; `more` is for `train_ranker`."""
    by = None
    if recipe.head == D2Q:
        by = ByDuration(part.raw[:, DURATION], part.minutes)
        part = replace(part, minutes=by.quantiles(part.raw[:, DURATION], part.minutes))
        recipe = replace(recipe, head="regression")
    judge = None if validate is None else lambda fitted: validate(Predictor(fitted, by))
    fitted = train_ranker(
        part, n_items, recipe, seed, sizes=sizes, place=None, validate=judge, **more
    )
    return Predictor(fitted, by), fitted.history


# ---------------------------------------------------------------- judging


def by_user(scores: Tensor, seconds: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
    """What `mispredicted_watch_time` is made of, person by person.

    Args:
        scores, seconds, users: as there, `[M]`.

    Returns:
        `[U']` float64 twice, for everybody in `users` in rising order: the watch time in pairs
        ordered the wrong way round, and in all pairs.
    """
    people, own = users.unique(return_inverse=True)
    wrong, total = torch.zeros(2, len(people), dtype=torch.float64)
    rank = torch.unique(scores, return_inverse=True)[1]
    span, watched = int(rank.max()) + 1, seconds > 0
    others = (own[~watched] * span + rank[~watched]).sort().values
    who, time = own[watched], seconds[watched].double()
    start = torch.searchsorted(others, who * span)
    end = torch.searchsorted(others, (who + 1) * span)
    below = torch.searchsorted(others, who * span + rank[watched])
    wrong.index_add_(0, who, time * (end - below))
    total.index_add_(0, who, time * (end - start))
    return wrong, total


def interval_over_people(
    a: Tensor, b: Tensor, total: Tensor, draws: int = 2_000, seed: int = 0
) -> list[float]:
    """Mispredicted watch time of two rankers by the bootstrap over people.

    Args:
        a, b: `[U]` watch time in pairs ordered wrongly by each.
        total: `[U]` in all pairs.
        draws: resamples.
        seed: of the draws.

    Returns:
        the share of each, their difference, and its 95 % interval.
    """
    columns = tuple(column.numpy() for column in (a, b, total))
    gap = lambda a, b, total, axis=-1: (a.sum(axis) - b.sum(axis)) / total.sum(axis)
    found = stats.bootstrap(
        columns, gap, paired=True, n_resamples=draws, method="percentile",
        batch=max(1, 2_000_000 // len(total)), random_state=np.random.RandomState(seed),
    )  # fmt: skip
    every = float(total.sum())
    first, second = float(a.sum()) / every, float(b.sum()) / every
    return [first, second, first - second, *map(float, found.confidence_interval)]


def figures(predict: Predictor, part: Impressions, users: Tensor) -> dict[str, float]:
    """What a ranker is judged by: mispredicted watch time, and the AUC of clicks."""
    scores = predict(part)
    return {
        "mispredicted": mispredicted_watch_time(scores, part.minutes, users),
        "auc": auc(part.clicked.float(), scores),
    }


def choose(
    part: Impressions,
    users: Tensor,
    n_items: int,
    sizes: tuple[int, ...],
    recipe: Recipe,
    seed: int,
) -> History:
    """Train on what came before the validation days; scores are 1 − mispredicted watch time there.

    Args:
        part: every row.
        users: `[M]` whose rows they are.
        n_items: N.
        sizes: of the fields.
        recipe: how; its head is one of `RANKERS`.
        seed: of start and order.
    """
    held = (part.day >= VALIDATION_FROM) & (part.day < TEST_FROM)
    rows, own = part[held], users[held]
    judge = lambda predict: 1 - mispredicted_watch_time(predict(rows), rows.minutes, own)
    past = part[part.day < VALIDATION_FROM]
    return train(past, n_items, sizes, recipe, seed, validate=judge, patience=2)[1]


def choose_and_test(
    part: Impressions,
    users: Tensor,
    n_items: int,
    sizes: tuple[int, ...],
    recipe: Recipe,
    seed: int,
) -> tuple[Predictor, int]:
    """Epochs as `choose` finds them, then fitted anew on everything before the test.

    Returns:
        the ranker and its number of epochs.
    """
    epochs = choose(part, users, n_items, sizes, recipe, seed).best_epoch + 1
    past = part[part.day < TEST_FROM]
    return train(past, n_items, sizes, recipe, seed, epochs=epochs)[0], epochs
