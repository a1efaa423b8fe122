"""The reader's own log, from file to figures: what `python -m recsys_book.try_your_own` does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recsys_book.arguments import check_positive
from recsys_book.data.interactions import Interactions
from recsys_book.data.splits import Split, k_core, leave_any_out, leave_last_out
from recsys_book.evaluate import RankingReport, full_catalogue
from recsys_book.implicit import train_implicit
from recsys_book.maps import most_popular
from recsys_book.models.baselines import EASE, IALS, ItemKNN, Popularity
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.show.intervals import Interval, bootstrap_interval
from recsys_book.train import seeded

MAX_EVALUATED = 3_000  # users ranked for: a sample of them, said so, where there are more
MAX_EASE = 15_000  # items, beyond which its table of items by items takes gigabytes
EPOCHS, PATIENCE = 15, 2
MIN_MAPPED, MAX_MAPPED = 21, 1_000  # items on the map: trustworthiness needs 21

#: Four settings a model, chosen on validation.
SETTINGS = {
    "Popularity": [{}],
    "Item kNN": [{"k": k, "shrinkage": h} for k in (50, 200) for h in (0, 10)],
    "EASE": [{"l2": l2} for l2 in (50, 200, 500, 1_500)],
    "iALS": [{"dim": d, "l2": l2} for d in (16, 64) for l2 in (0.003, 0.01)],
    "MF": [{"dim": d, "weight_decay": w} for d in (16, 64) for w in (1e-6, 1e-4)],
}
CLOSED = {"Popularity": Popularity, "Item kNN": ItemKNN, "EASE": EASE, "iALS": IALS}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        model: its name.
        settings: chosen on validation.
        hit_rate, ndcg: HR@K and NDCG@K with bootstrap intervals over users.
        above_popularity: NDCG@K less popularity's, user by user.
    """

    model: str
    settings: dict
    hit_rate: Interval
    ndcg: Interval
    above_popularity: Interval


@dataclass(frozen=True)
class Example:
    """One user's recommendations: (item, [nearest watched items]) from the top."""

    user: object
    n_known: int
    items: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class ItemVectors:
    """What matrix factorization learned of the items met most often, epoch by epoch.

    Attributes:
        snapshots: vectors `[n, D]` before training and after each epoch of the refit.
        ids: n item ids as the log has them.
        titles: n.
        counts: n interactions of each.
    """

    snapshots: list[Tensor]
    ids: list
    titles: list[str]
    counts: list[int]


@dataclass(frozen=True)
class Trial:
    """All that came out.

    Attributes:
        log: what was read, after the core was taken.
        notes: sentences on what was read, dropped, split and sampled.
        rows: the table, in the order of SETTINGS.
        best: name of the model with the highest validation NDCG.
        examples: five users.
        k: cut-off.
        items: for the map; None where there are too few items for one.
    """

    log: Interactions
    notes: list[str]
    rows: list[Row]
    best: str
    examples: list[Example]
    k: int
    items: ItemVectors | None


def try_log(
    log: Interactions,
    *,
    core: int = 3,
    k: int = 10,
    seed: int = 0,
    title: Callable[[object], str] = str,
    say: Callable[[str], None] = print,
) -> Trial:
    """Split, tune on validation, refit, test once.

    Args:
        log: what people chose, repeats left out.
        core: fewest interactions of a user and of an item; 1 keeps all.
        k: cut-off.
        seed: of splits, samples and starts.
        title: item id → what to show.
        say: told what happens.

    Raises:
        ValueError: too little is left to split, or times that order nobody's interactions.
    """
    check_positive("core", core)
    check_positive("k", k)
    notes = [f"Read: {log}."]
    if core > 1:
        log, dropped = k_core(log, core, core)
        notes.append(f"Kept users and items with {core} interactions or more: {dropped}.")
    if log.n_items <= k:
        raise ValueError(f"the log has {log.n_items} items; ranking to {k} needs more than {k}")
    if log.time is None:
        split = leave_any_out(log, seed)
        notes.append(
            "No times: any one interaction of each user was held out to test. That is kinder than "
            "life, where the future is not known."
        )
    else:
        split = _leave_last_out(log)
        notes.append("Held out: each user's last interaction to test, the one before to choose by.")
    notes.append(f"Split: {split}.")
    validation, test = _sampled(split.validation, seed), _sampled(split.test, seed)
    if len(test) < len(split.test):
        notes.append(f"Ranked for {MAX_EVALUATED:,} users drawn from {len(split.test):,}.")
    reports: dict[str, RankingReport] = {}
    models, chosen, best_on_validation = {}, {}, {}
    vectors: list[Tensor] = []  # of the items that the map will show
    for name, options in SETTINGS.items():
        if name == "EASE" and log.n_items > MAX_EASE:
            notes.append(f"EASE was left out: it takes at most {MAX_EASE:,} items here.")
            continue
        say(f"{name} …")
        tried = []
        for option in options:
            model, settings = _fit(name, option, split, validation, k, seed)
            report = full_catalogue(model.score, validation, split.train, k=k)
            tried.append((float(report.ndcg.mean()), settings))
        best_on_validation[name], chosen[name] = max(tried, key=lambda t: t[0])
        models[name] = _refit(name, chosen[name], split.train_and_validation, seed, vectors)
        reports[name] = full_catalogue(models[name].score, test, split.train_and_validation, k=k)
    popular = reports["Popularity"].ndcg
    rows = [
        Row(
            name,
            chosen[name],
            bootstrap_interval(report.hit_rate.tolist()),
            bootstrap_interval(report.ndcg.tolist()),
            bootstrap_interval((report.ndcg - popular).tolist()),
        )
        for name, report in reports.items()
    ]
    best = max(best_on_validation, key=best_on_validation.get)
    examples = _examples(models[best], split.train_and_validation, title)
    items = _item_vectors(split.train_and_validation, vectors, title)
    return Trial(log, notes, rows, best, examples, k, items)


def _leave_last_out(log: Interactions) -> Split:
    refusal = (
        "times do not tell what came last for anybody: no user has different times; leave the "
        "times out (--time), and any one interaction of each user is held out"
    )
    moments = log.moments()
    if bool((moments == moments[0]).all()):
        raise ValueError(refusal)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it is an error here
        split = leave_last_out(log)
    if split.n_users_tied == log.n_users - split.n_users_without_test:
        raise ValueError(refusal.replace("has different times", "has a latest one"))
    return split


def _sampled(held: Interactions, seed: int) -> Interactions:
    if len(held) <= MAX_EVALUATED:
        return held
    rows = np.random.RandomState(seed).permutation(len(held))[:MAX_EVALUATED]
    return held[torch.from_numpy(np.sort(rows))]


def _fit(name, option, split: Split, validation: Interactions, k: int, seed: int):
    if name != "MF":
        return CLOSED[name](split.train, **option), option
    model = _new_mf(split.train, option["dim"], seed)

    def ndcg(model) -> float:
        return float(full_catalogue(model.score, validation, split.train, k=k).ndcg.mean())

    history = train_implicit(
        model, split.train, lr=0.005, epochs=EPOCHS, weight_decay=option["weight_decay"],
        seed=seed, validate=ndcg, patience=PATIENCE,
    )  # fmt: skip
    return _NoGrad(model), option | {"epochs": history.best_epoch + 1}


def _refit(name, settings, known: Interactions, seed: int, vectors: list[Tensor]):
    """Fit with what was chosen; MF leaves its item vectors of every epoch in `vectors`."""
    if name != "MF":
        return CLOSED[name](known, **settings)
    model, rows = _new_mf(known, settings["dim"], seed), _mapped(known)

    def keep(_: int, model: MatrixFactorization) -> None:
        vectors.append(model.item_vectors.weight.detach()[rows].clone())

    keep(-1, model)
    train_implicit(
        model, known, lr=0.005, epochs=settings["epochs"],
        weight_decay=settings["weight_decay"], seed=seed, after_epoch=keep,
    )  # fmt: skip
    return _NoGrad(model)


def _mapped(known: Interactions) -> Tensor:
    """Rows of the items met most often, in the order of the catalogue."""
    counts = known.item_counts()
    return most_popular(counts, min(MAX_MAPPED, int((counts > 0).sum())))


def _item_vectors(known: Interactions, vectors: list[Tensor], title) -> ItemVectors | None:
    rows = _mapped(known)
    if len(rows) < MIN_MAPPED:
        return None
    ids = known.item_vocabulary.name(rows).tolist()
    titles = [title(i) for i in ids]
    return ItemVectors(vectors, ids, titles, known.item_counts()[rows].tolist())


def _new_mf(train: Interactions, dim: int, seed: int) -> MatrixFactorization:
    with seeded(seed):
        return MatrixFactorization(train.n_users, train.n_items, dim)


class _NoGrad:
    """A trained model of which only scores are wanted."""

    def __init__(self, model: MatrixFactorization) -> None:
        self.model = model.eval()

    @torch.no_grad()
    def score(self, users: Tensor) -> Tensor:
        return self.model.score(users)


def _examples(model, known: Interactions, title, n_users: int = 5, n_items: int = 5):
    """Users from few interactions to many; each item beside the nearest that the user knows."""
    counts = known.user_counts()
    order = counts.argsort(stable=True)
    order = order[counts[order] >= 1]
    users = order[torch.linspace(0, len(order) - 1, min(n_users, len(order))).long()].unique()
    likeness = ItemKNN(known, k=min(200, known.n_items - 1), shrinkage=10).similarity  # [N, N]
    names = known.item_vocabulary
    examples = []
    for user in users.tolist():
        mine = known.item[known.user == user]
        scores = model.score(torch.tensor([user])).double()[0]
        scores[mine] = -torch.inf
        items = []
        for item in scores.topk(min(n_items, len(scores) - len(mine))).indices.tolist():
            near = likeness[mine.numpy()][:, [item]].toarray().ravel()
            nearest = [int(mine[i]) for i in np.argsort(-near, kind="stable")[:2] if near[i] > 0]
            shown = names.name(torch.tensor([item, *nearest])).tolist()
            items.append((title(shown[0]), [title(name) for name in shown[1:]]))
        name = known.user_vocabulary.name(torch.tensor([user]))[0]
        examples.append(Example(name, len(mine), items))
    return examples
