"""Chapter 06: four samplers of negatives, and what each does to the scores that are learned.

One model, matrix factorization; two losses, binary cross-entropy and sampled softmax; four
samplers. What a model trained against negatives of chance q(i | u) comes to score highest is not
what is chosen most, but what is chosen most *for its q*:

- Binary cross-entropy with n negatives beside each positive is lowest, for a user u, at
  s(u, i) = log p(i | u) − log(n q(i | u)), with p the chance of the next choice. So s + log q ranks
  as p does. The **repair** is made when scores are read; training stays as it is.
- Sampled softmax without log q learns the same shift. Its repair is made in training, by the log q
  of each negative (`losses.sampled_softmax_loss`).

Both repairs are tried where they can change an order. For uniform negatives log q is one number a
user, and adding it to all scores moves nothing; for hard ones it is one number for the user's top
and a smaller one for all others, which moves nothing either: what was trained against moving tops
cannot be undone in reading. Every variant has its own settings, chosen on validation.

The formula holds for negatives drawn from everything. Here what the user has is left out, so that
popular items, which many have, are drawn a little less often than q says, and the repair leaves as
much behind. Items that nobody chose are out of every race: nothing is known of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.quasirandom import SobolEngine

from recsys_book.data.interactions import Interactions, PairsOfUsers
from recsys_book.data.ml_latest_small import MovieLens
from recsys_book.data.splits import leave_last_out
from recsys_book.evaluate import full_catalogue
from recsys_book.losses import bce, sampled_softmax_loss
from recsys_book.metrics import share_of_learnable
from recsys_book.models.baselines import Popularity
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.samplers import (
    HardSampler,
    InBatchSampler,
    PopularitySampler,
    Sampler,
    UniformSampler,
)
from recsys_book.service.click_models import Cut
from recsys_book.service.oracle import make_ranking, oracle_ndcg
from recsys_book.service.world import World
from recsys_book.train import History, fit, seeded

SAMPLERS = ("uniform", "popularity", "in-batch", "hard")
LOSSES = ("bce", "softmax")
DIM = 32
N_NEGATIVES = {"bce": 4, "softmax": 32}  # beside each positive
POWER = 0.75  # of "popularity"; in-batch is popularity with a power of 1
BATCH = 1_024
MAX_EPOCHS, PATIENCE = 16, 3
DECAY = 0.85  # of the learning rate, after every epoch
FIRST_K, LIST_K = 50, 10  # recall of a first stage, and the length of the lists looked at


@dataclass(frozen=True)
class Task:
    """Choices, cut into what is fitted, what is chosen by, and what is tested.

    Attributes:
        train, validation, test: who chose what; no pair stands in two of them. What is asked about
            had been chosen by somebody before (new items are another matter, see `cold_start`).
        both: train and validation together, which the tested model is fitted on.
        truth: where the truth is known, NDCG@10 of `score(users) -> [U, N]` against the oracle's
            ten; and that of popularity, so that a share of the learnable can be told.
    """

    train: Interactions
    validation: Interactions
    test: Interactions
    both: Interactions
    truth: Callable[[Callable[[Tensor], Tensor]], float] | None = None
    popularity_truth: float | None = None


def simulated_task(world: World, n_ranked: int = 500) -> Task:
    """Clicks before day 20, of days 20 to 23, and of the last four days."""
    clicks = world.log.clicks()
    day = clicks.time // 86_400
    ranking = make_ranking(Cut(world), n_ranked)
    before, both = clicks[day < 20], clicks[day < 24]
    return Task(
        train=before,
        validation=known(clicks[(day >= 20) & (day < 24)], before),
        test=known(clicks[day >= 24], both),
        both=both,
        # What is out of the race goes last here: the oracle may well want it.
        truth=lambda score: oracle_ndcg(
            ranking, lambda users: torch.nan_to_num(score(users), neginf=-1e9)
        ),
        popularity_truth=oracle_ndcg(ranking, Popularity(both).score),
    )


def movielens_task(data: MovieLens) -> Task:
    """Every rating is a choice; each user's last one is the test, the one before validation."""
    split = leave_last_out(data.ratings.without_repeats())
    both = Interactions(
        torch.cat([split.train.user, split.validation.user]),
        torch.cat([split.train.item, split.validation.item]),
        split.train.n_users,
        split.train.n_items,
    )
    validation, test = known(split.validation, split.train), known(split.test, both)
    return Task(split.train, validation, test, both)


def known(asked: Interactions, before: Interactions) -> Interactions:
    """Those choices whose item somebody had chosen before."""
    return asked[before.item_counts()[asked.item] > 0]


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Variant:
    """What is compared.

    Attributes:
        sampler: one of SAMPLERS.
        loss: one of LOSSES.
        repaired: with log q, where the loss takes it.
        power: of "popularity".
        share, pool, every: of "hard", see `HardSampler`.
        n_negatives: beside each positive; None takes N_NEGATIVES.
        temperature: of the softmax; with one, scores are cosines.
    """

    sampler: str
    loss: str
    repaired: bool = False
    power: float = POWER
    share: float = 0.25
    pool: int = 50
    every: int = 10
    n_negatives: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler is {self.sampler!r}; it must be one of {SAMPLERS}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}; it must be one of {LOSSES}")


#: The table of the chapter: four samplers, two losses, with and without the repair where there is
#: one to make.
TABLE = tuple(
    Variant(sampler, loss, repaired)
    for sampler in SAMPLERS
    for loss in LOSSES
    for repaired in (False, True)
    if not (repaired and loss == "bce" and sampler in ("uniform", "hard"))
)


@dataclass(frozen=True)
class Setting:
    """How a variant is trained, chosen on validation."""

    lr: float = 0.01
    weight_decay: float = 1e-6
    init_std: float = 0.1
    epochs: int | None = None


def draws(n: int = 8) -> list[Setting]:
    """The settings to choose from, the same for every variant: spread evenly (Sobol) over learning
    rates .001 to .03, L2 of 1e-8 to 3e-4 and starts of .01 to .3, each on a log scale."""
    found = []
    for rate, penalty, start in SobolEngine(3, scramble=True, seed=0).draw(n).tolist():
        values = 0.001 * 30**rate, 1e-8 * 3e4**penalty, 0.01 * 30**start
        found.append(Setting(*(float(f"{value:.2g}") for value in values)))
    return found


class Cosine(nn.Module):
    """A user's and an item's vector, of length 1: scores are cosines, divided by nothing yet."""

    def __init__(self, n_users: int, n_items: int, dim: int, init_std: float) -> None:
        super().__init__()
        self.inner = MatrixFactorization(n_users, n_items, dim, biases=False, init_std=init_std)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        unit = nn.functional.normalize
        inner = self.inner
        return (
            unit(inner.user_vectors(users), dim=-1) * unit(inner.item_vectors(items), dim=-1)
        ).sum(-1)

    def score(self, users: Tensor) -> Tensor:
        unit = nn.functional.normalize
        return unit(self.inner.user_vectors(users)) @ unit(self.inner.item_vectors.weight).T


def new_model(log: Interactions, variant: Variant, setting: Setting, seed: int) -> nn.Module:
    """An untrained model, its start decided by the seed alone."""
    with seeded(seed):
        if variant.temperature is not None:
            return Cosine(log.n_users, log.n_items, DIM, setting.init_std)
        return MatrixFactorization(log.n_users, log.n_items, DIM, init_std=setting.init_std)


def make_sampler(variant: Variant, seen: Interactions, model: nn.Module) -> Sampler:
    """The variant's sampler; `model` is what "hard" looks at."""
    if variant.sampler == "uniform":
        return UniformSampler(seen)
    if variant.sampler == "popularity":
        return PopularitySampler(seen, variant.power)
    if variant.sampler == "in-batch":
        return InBatchSampler(seen)
    pool = min(variant.pool, seen.n_items)
    return HardSampler(seen, model.score, variant.share, pool, variant.every)


def train(
    log: Interactions,
    variant: Variant,
    setting: Setting,
    seed: int,
    *,
    epochs: int = MAX_EPOCHS,
    validate: Callable[[nn.Module, Sampler], float] | None = None,
) -> tuple[nn.Module, Sampler, History]:
    """Train a variant.

    Args:
        log: what was chosen; also what no negative may be.
        variant: what is trained.
        setting: how.
        seed: of start, order and negatives.
        epochs: at most.
        validate: `validate(model, sampler)`, see `fit`.

    Returns:
        the model, its sampler as it stands in the end, and the history.
    """
    model = new_model(log, variant, setting, seed)
    sampler = make_sampler(variant, log, model)
    n = variant.n_negatives or N_NEGATIVES[variant.loss]
    optimizer = torch.optim.Adam(
        model.parameters(), lr=setting.lr, weight_decay=setting.weight_decay, fused=True
    )

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        if isinstance(sampler, HardSampler):
            sampler.refresh()  # so that an epoch depends on nothing but its start
        for rows in torch.randperm(len(log), generator=generator).split(BATCH):
            users, items = log.user[rows], log.item[rows]
            yield users, items, *sampler(users, items, n, generator)

    history = fit(
        model,
        batches,
        lambda model, batch: loss_of(model, batch, variant),
        optimizer,
        schedules=[torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY)],
        validate=None if validate is None else lambda model: validate(model, sampler),
        max_epochs=epochs,
        patience=PATIENCE,
        seed=seed,
    )
    if isinstance(sampler, HardSampler):
        sampler.refresh()  # the tops of the model that is handed out
    return model, sampler, history


def loss_of(model: nn.Module, batch: tuple, variant: Variant) -> Tensor:
    """The variant's loss on users `[B]`, items `[B]`, negatives `[B, n]` and their log q."""
    users, items, negatives, log_q = batch
    every = torch.cat([items[:, None], negatives], dim=1)  # [B, 1 + n]
    scores = model(users[:, None], every)
    if variant.loss == "softmax":
        return sampled_softmax_loss(
            scores[:, 0],
            scores[:, 1:],
            log_q if variant.repaired else None,
            temperature=variant.temperature or 1.0,
        )
    labels = torch.zeros_like(scores)
    labels[:, 0] = 1
    return bce(scores / (variant.temperature or 1.0), labels)


def reading(
    model: nn.Module, sampler: Sampler, variant: Variant, log: Interactions
) -> Callable[[Tensor], Tensor]:
    """`score(users [U]) -> [U, N]`, with log q added where the loss leaves the repair to it.

    Args:
        model: trained.
        sampler: its own, as it stands.
        variant: what it was trained as.
        log: what it was trained on; what nobody chose there is taken out of the race.
    """
    unknown = log.item_counts() == 0  # [N]

    @torch.no_grad()
    def score(users: Tensor) -> Tensor:
        scores = model.score(users) / (variant.temperature or 1.0)
        if variant.repaired and variant.loss == "bce":
            items = torch.arange(scores.shape[1], device=users.device).expand(len(users), -1)
            scores = scores + sampler.log_q(users, items)
        return scores.masked_fill(unknown, -torch.inf)

    return score


# ---------------------------------------------------------------- judging


@torch.no_grad()
def recall(score: Callable[[Tensor], Tensor], wanted: Interactions, seen: Interactions) -> float:
    """Recall@50 over the whole catalogue, the mean over users, as `full_catalogue` has it under
    ties="worst", without sorting: an item is among the 50 if it beats the 51st score."""
    known, place = PairsOfUsers(seen), torch.zeros(wanted.n_users, dtype=torch.int64)
    users = wanted.user.unique()
    place[users] = torch.arange(len(users))
    own, edge = torch.zeros(len(wanted)), torch.zeros(len(users))
    for rows in torch.arange(len(users)).split(1_024):
        scores = score(users[rows]).masked_fill(known.mask(users[rows]), -torch.inf)
        edge[rows] = scores.topk(FIRST_K + 1, dim=1).values[:, -1]
        here = torch.isin(wanted.user, users[rows])
        own[here] = scores[place[wanted.user[here]] - rows[0], wanted.item[here]]
    hit = (own > edge[place[wanted.user]]).double()
    sums = torch.zeros(len(users), dtype=torch.float64).index_add_(0, place[wanted.user], hit)
    return float((sums / wanted.user_counts()[users]).mean())


def judge(task: Task, score: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """A scorer on the test.

    Returns:
        "recall" @50 and "ndcg" @10 of what was chosen, over the whole catalogue; "popularity" of
        the lists of ten: how often their items were chosen before the test, as a multiple of that
        of the items chosen in the test; "coverage": share of the catalogue that stands in a list of
        anybody who is asked about; and, where the truth is known, "truth": NDCG@10 against the
        oracle's ten as a share of the learnable.
    """
    with torch.no_grad():
        first = full_catalogue(score, task.test, task.both, k=FIRST_K, batch_size=1_024)
        lists = full_catalogue(score, task.test, task.both, k=LIST_K, batch_size=1_024)
        shown = top_lists(score, task.both, first.users)
    counts = task.both.item_counts().double()
    found = {
        "recall": float(first.recall.mean()),
        "ndcg": float(lists.ndcg.mean()),
        "popularity": float(counts[shown].mean() / counts[task.test.item].mean()),
        "coverage": len(shown.unique()) / task.both.n_items,
    }
    if task.truth is not None:
        found["truth"] = share_of_learnable(task.truth(score), task.popularity_truth, 1.0)
    return found


def top_lists(score: Callable[[Tensor], Tensor], seen: Interactions, users: Tensor) -> Tensor:
    """`[U, 10]` the items that each of users `[U]` would be shown, what they had left out."""
    known = PairsOfUsers(seen)
    lists = []
    for some in users.split(1_024):
        scores = score(some).masked_fill(known.mask(some), -torch.inf)
        lists.append(scores.topk(LIST_K, dim=1).indices)
    return torch.cat(lists)


def try_setting(task: Task, variant: Variant, setting: Setting, seed: int = 0) -> tuple[float, int]:
    """Recall@50 on validation, and after how many epochs it was best."""
    look = lambda model, sampler: recall(
        reading(model, sampler, variant, task.train), task.validation, task.train
    )
    _, _, history = train(task.train, variant, setting, seed, validate=look)
    return history.best_score, history.best_epoch + 1


def fit_and_judge(task: Task, variant: Variant, setting: Setting, seed: int) -> dict[str, float]:
    """Fit on train and validation for the setting's epochs, and test once."""
    model, sampler, _ = train(task.both, variant, setting, seed, epochs=setting.epochs)
    return judge(task, reading(model, sampler, variant, task.both))


def baselines(task: Task) -> dict[str, dict[str, float]]:
    """Popularity, and where the truth is known who knows it, on the same test."""
    return {"Popularity": judge(task, Popularity(task.both).score)}


def with_epochs(setting: Setting, epochs: float) -> Setting:
    """The setting, to be trained for so many epochs."""
    return replace(setting, epochs=max(round(epochs), 1))
