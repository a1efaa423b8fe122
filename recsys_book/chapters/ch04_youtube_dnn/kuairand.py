"""Chapter 04 on real data: KuaiRand-Pure, both stages.

Cut by day, as the file dates its rows: days 0 to 9 to fit, 10 and 11 to choose by, 12 and 13 for
the test. Histories hold long views, of strictly earlier seconds. Watch time counts for clicked rows
only (see `recsys_book.data.kuairand_pure`).
"""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from recsys_book.chapters.ch04_youtube_dnn import candidates
from recsys_book.chapters.ch04_youtube_dnn.watch_time import (
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


# ---------------------------------------------------------------- judging


def figures(fitted: Fitted, part: Impressions, users: Tensor) -> dict[str, float]:
    """What a head is judged by: mispredicted watch time, and the AUC of clicks."""
    logits = fitted.logits(part)
    return {
        "mispredicted": mispredicted_watch_time(logits, part.minutes, users),
        "auc": auc(part.clicked.float(), logits),
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
        recipe: how.
        seed: of start and order.
    """
    held = (part.day >= VALIDATION_FROM) & (part.day < TEST_FROM)
    rows, own = part[held], users[held]
    judge = lambda fitted: 1 - mispredicted_watch_time(fitted.logits(rows), rows.minutes, own)
    return train_ranker(
        part[part.day < VALIDATION_FROM], n_items, recipe, seed, sizes=sizes, place=None,
        validate=judge, patience=2,
    ).history  # fmt: skip


def choose_and_test(
    part: Impressions,
    users: Tensor,
    n_items: int,
    sizes: tuple[int, ...],
    recipe: Recipe,
    seed: int,
) -> tuple[Fitted, int]:
    """Epochs as `choose` finds them, then fitted anew on everything before the test.

    Returns:
        the ranker and its number of epochs.
    """
    epochs = choose(part, users, n_items, sizes, recipe, seed).best_epoch + 1
    past = part[part.day < TEST_FROM]
    more = {"sizes": sizes, "place": None, "epochs": epochs}
    return train_ranker(past, n_items, recipe, seed, **more), epochs
