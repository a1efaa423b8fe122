"""Chapter 04, second stage: ranking by clicks, by watch time, and what clickbait makes of both.

Impressions of the simulated service are the examples: the film shown, what was watched before, the
device and the time of day, the place in the list. The truth is the world's expected watch time of
any film in any context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F
from torch.quasirandom import SobolEngine

from recsys_book.arguments import check_finite, check_k, check_same_shape
from recsys_book.chapters.ch04_youtube_dnn.quantiles import Quantiles
from recsys_book.data.next_watch import seconds_since
from recsys_book.losses import bce, watch_time_loss
from recsys_book.metrics import log_loss, mispredicted_watch_time
from recsys_book.models.youtube_dnn import WatchTimeRanker
from recsys_book.service.log import Log
from recsys_book.service.world import (
    AGES,
    DAYPARTS,
    DEVICES,
    GENRES,
    REGIONS,
    SLATE,
    TONES,
    Context,
    World,
)
from recsys_book.train import History, fit, seeded

HISTORY = 20
HEADS = ("click", "watch time", "regression")
#: Device, time of day, place in the list: what the paper's network is told, as far as there is any;
#: 0 of each is "unseen".
SIZES = (len(DEVICES) + 1, len(DAYPARTS) + 1, SLATE + 1)
PLACE = 2  # the field that is the place in the list
#: It is not told. It is one of the network's inputs, and the first place when serving. Each place
#: has a number of its own that is added to the logit in training and left out when serving (as the
#: shallow tower of Zhao et al.: Recommending What Video to Watch Next. RecSys 2019,
#: https://doi.org/10.1145/3298689.3346997). Or a click is a look and a liking: each place has a
#: chance of a look, that of the first is 1, and the network's probability is multiplied by it (the
#: position-based model; regression-EM of Wang et al., WSDM 2018,
#: https://doi.org/10.1145/3159652.3159732, climbs the same likelihood).
PLACES = ("untold", "input", "added", "looked")
MINUTE = 60.0


@dataclass(frozen=True)
class Impressions:
    """What the ranker is told, and what came of it.

    Attributes:
        item: `[M]` films shown.
        history: `[M, L]` films watched before the list, padded with N.
        fields: `[M, F]` ids; on the simulated service those of SIZES, then those of `facts_of`. A
            network is told the first of them, as many as it has sizes for.
        raw: `[M, C]` continuous; there seconds since the user's last watch, and how often the film
            was shown to the user before.
        clicked: `[M]` bool.
        minutes: `[M]` watched; 0 without a click.
        day: `[M]`.
    """

    item: Tensor
    history: Tensor
    fields: Tensor
    raw: Tensor
    clicked: Tensor
    minutes: Tensor
    day: Tensor

    def __len__(self) -> int:
        return len(self.item)

    def __getitem__(self, rows: Tensor | slice) -> Impressions:
        return Impressions(*(column[rows] for column in vars(self).values()))


def impressions(world: World) -> Impressions:
    """A world's log as examples of the ranker."""
    log = world.log
    fields = torch.stack([log.device, log.daypart, log.position], dim=1).long() + 1
    fields = with_facts(fields, log.user.long(), log.film.long(), world)
    since = seconds_since(log.clicks(), log.user.long(), log.time.long(), otherwise=0)
    return Impressions(
        item=log.film.long(),
        history=log.histories(HISTORY),
        fields=fields,
        raw=torch.stack([since, times_shown_before(log)], dim=1),
        clicked=log.clicked,
        minutes=log.watch_seconds.float() / MINUTE,
        day=log.day,
    )


def facts_of(world: World) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """What a service knows of films and people: genres and tone; who it is, age, region.

    Returns:
        `[N, 3]` and `[U, 3]` ids from 1, and how many ids each of the six has.
    """
    film, columns = world.film, lambda *of: np.stack(of, 1).astype(np.int64) + 1
    people = columns(np.arange(world.n_users), world.age, world.region)
    films = columns(film.genre, film.second_genre, film.tone)
    sizes = (len(GENRES), len(GENRES), len(TONES), world.n_users, len(AGES), len(REGIONS))
    return torch.from_numpy(films), torch.from_numpy(people), tuple(n + 1 for n in sizes)


def with_facts(fields: Tensor, users: Tensor, films: Tensor, world: World) -> Tensor:
    """`[M, F + 6]`: fields `[M, F]` and, beside them, the facts about films and users `[M]`."""
    of_films, of_people, _ = facts_of(world)
    return torch.cat([fields, of_films[films], of_people[users]], dim=1)


#: What a network may be told: as the paper's, then also what the film is, then also who asks.
TOLD = ("paper", "film", "everything")


def sizes_told(world: World, told: str) -> tuple[int, ...]:
    """How many ids each field has that a network of `TOLD` is told."""
    if told not in TOLD:
        raise ValueError(f"told is {told!r}; it must be one of {', '.join(TOLD)}")
    return (*SIZES, *facts_of(world)[2][: 3 * TOLD.index(told)])


def without_place(part: Impressions) -> Impressions:
    """The same examples, told device and time of day alone."""
    return replace(part, fields=part.fields[:, :PLACE])


def times_shown_before(log: Log) -> Tensor:
    """`[M]` how often the film was shown to the user before (a list shows a film once)."""
    key = log.user.long() * log.n_films + log.film.long()
    order = key.argsort(stable=True)  # rows of one user stand in the order of time
    ordered = key[order]
    new = torch.ones(len(key), dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    place = torch.arange(len(key))
    rank = place - torch.where(new, place, 0).cummax(0).values
    count = torch.empty(len(key), dtype=torch.float64)
    count[order] = rank.double()
    return count


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Recipe:
    """How a ranker is trained.

    Attributes:
        head: "click" (log-loss), "watch time" (weighted logistic regression) or "regression"
            (squared error of the minutes).
        position: of PLACES, what becomes of the place in the list in training.
        kept: share of the impressions that nobody watched that is kept.
        dim, hidden, init_std: of the network.
        lr, weight_decay, batch_size, decay, epochs: of the training.
    """

    head: str
    position: str = "untold"
    kept: float = 1.0
    dim: int = 16
    hidden: tuple[int, ...] = (32,)
    init_std: float = 0.1
    lr: float = 0.01
    weight_decay: float = 1e-6
    batch_size: int = 2_048
    decay: float = 0.6
    epochs: int = 4


class WithPlace(nn.Module):
    """A ranker, and a number for each place in the list, 0 at the start.

    Args:
        ranker: the network.
        n_places: how many ids the place has; 1 is the first place.
        looked: the number is no part of the logit, but the log-odds of a look.
    """

    def __init__(self, ranker: WatchTimeRanker, n_places: int, looked: bool = False) -> None:
        super().__init__()
        self.ranker, self.looked = ranker, looked
        self.by_place = nn.Embedding(n_places, 1)
        nn.init.zeros_(self.by_place.weight)

    def forward(
        self, item: Tensor, history: Tensor, fields: Tensor, continuous: Tensor, place: Tensor
    ) -> Tensor:
        """Logits `[B]` as they are in training, at the places `[B]`."""
        logits = self.ranker(item, history, fields, continuous)
        if not self.looked:
            return logits + self.by_place(place).squeeze(1)
        return seen_and_liked(logits, self.log_look(place))

    def log_look(self, place: Tensor) -> Tensor:
        """`[B]`, the logarithm of the chance that a place is looked at; 0 for the first."""
        return F.logsigmoid(self.by_place(place).squeeze(1)) * (place > 1)


def seen_and_liked(logits: Tensor, log_look: Tensor) -> Tensor:
    """Logits `[B]` of a click that takes a look and a liking: of p = σ(logits) · exp(log_look).

    log p − log(1 − p), and 1 − p = (1 − σ) + σ (1 − look), which is a sum of what is positive.
    """
    log_p = F.logsigmoid(logits) + log_look
    unseen = torch.log1p(-log_look.exp().clamp(max=1 - 1e-6))
    return log_p - torch.logaddexp(F.logsigmoid(-logits), F.logsigmoid(logits) + unseen)


@dataclass(frozen=True)
class Fitted:
    """A trained ranker, how its continuous inputs are scaled, and what it learned of places."""

    model: WatchTimeRanker
    quantiles: Quantiles
    recipe: Recipe
    history: History
    place: int | None
    n_fields: int
    by_place: WithPlace | None = None

    @torch.no_grad()
    def logits(
        self, part: Impressions, batch_size: int = 65_536, *, placed: bool = False
    ) -> Tensor:
        """`[M]`, as served: the place in the list is not known yet.

        Args:
            part: the examples.
            batch_size: examples at once.
            placed: as in training instead, each at the place it stood on.
        """
        fields = part.fields[:, : self.n_fields]
        if not placed or self.recipe.position != "input":
            fields = served(fields, self.recipe, self.place)
        parts = []
        for rows in torch.arange(len(part)).split(batch_size):
            inputs = part.item[rows], part.history[rows], fields[rows]
            inputs += (self.quantiles(part.raw[rows]),)
            if placed and self.by_place is not None:
                parts.append(self.by_place(*inputs, part.fields[rows, self.place]))
            else:
                parts.append(self.model(*inputs))
        return torch.cat(parts)


def served(fields: Tensor, recipe: Recipe, place: int | None = PLACE) -> Tensor:
    """The place in the list set to the first, or to "unseen" for a network that never saw it.

    Args:
        fields: `[M, F]`.
        recipe: says whether it saw it.
        place: which field that is; None if none is.
    """
    if place is None:
        return fields
    fields = fields.clone()
    fields[:, place] = 1 if recipe.position == "input" else 0
    return fields


def thinned(part: Impressions, share: float, generator: torch.Generator) -> Impressions:
    """All that was watched, and a share of the rest. A click watched for no time is of the rest: so
    the loss takes it, and `predict_watch_time` mends the odds by one rate."""
    watched = part.clicked & (part.minutes > 0)
    return part[watched | (torch.rand(len(part), generator=generator) < share)]


def train_ranker(
    part: Impressions,
    n_items: int,
    recipe: Recipe,
    seed: int,
    *,
    sizes: Sequence[int] = SIZES,
    place: int | None = PLACE,
    validate: Callable[[Fitted], float] | None = None,
    patience: int | None = None,
    epochs: int | None = None,
) -> Fitted:
    """Train one head.

    Args:
        part: the impressions to learn from.
        n_items: N.
        recipe: how.
        seed: of start, order, and which impressions are kept.
        sizes: how many ids each field has; the network is told as many of the fields.
        place: the field that is the place in the list, if one is.
        validate: a figure of a ranker to maximize, after every epoch.
        patience: see `fit`.
        epochs: instead of the recipe's.

    Raises:
        ValueError: a head, or a use of the place, that there is not; a place to be told where no
            field is one.
    """
    if recipe.position not in PLACES:
        raise ValueError(f"position is {recipe.position!r}; it must be one of {', '.join(PLACES)}")
    if recipe.position != "untold" and place is None:
        raise ValueError(f"position is {recipe.position!r}, and no field is the place in the list")
    if recipe.position == "looked" and recipe.head != "click":
        raise ValueError(f"head is {recipe.head!r}; a place is looked at or not for clicks alone")
    part = replace(part, fields=part.fields[:, : len(sizes)])
    quantiles = Quantiles(part.raw)
    with seeded(seed):
        model = WatchTimeRanker(
            n_items, part.raw.shape[1], sizes, dim=recipe.dim, hidden=recipe.hidden,
            init_std=recipe.init_std,
        )  # fmt: skip
    part = thinned(part, recipe.kept, torch.Generator().manual_seed(seed))
    continuous = quantiles(part.raw)
    fields = part.fields if recipe.position == "input" else served(part.fields, recipe, place)
    epochs = recipe.epochs if epochs is None else epochs
    by_place = None
    if recipe.position in ("added", "looked"):
        by_place = WithPlace(model, sizes[place], recipe.position == "looked")
    trained: nn.Module = model if by_place is None else by_place
    n_fields = len(sizes)
    optimizer = torch.optim.Adam(
        trained.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
    )

    judged = None
    if validate is not None:
        judged = lambda m: validate(
            Fitted(model, quantiles, recipe, History(), place, n_fields, by_place)
        )

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        for rows in torch.randperm(len(part), generator=generator).split(recipe.batch_size):
            yield (rows,)

    def loss(model: nn.Module, batch: tuple) -> Tensor:
        (rows,) = batch
        inputs = [part.item[rows], part.history[rows], fields[rows], continuous[rows]]
        if by_place is not None:
            inputs.append(part.fields[rows, place])
        logits = model(*inputs)
        return head_loss(recipe.head, logits, part.clicked[rows], part.minutes[rows])

    history = fit(
        trained, batches, loss, optimizer,
        schedules=[torch.optim.lr_scheduler.ExponentialLR(optimizer, recipe.decay)],
        validate=judged, max_epochs=epochs, patience=patience, seed=seed,
    )  # fmt: skip
    return Fitted(model.eval(), quantiles, recipe, history, place, n_fields, by_place)


def head_loss(head: str, logits: Tensor, clicked: Tensor, minutes: Tensor) -> Tensor:
    """The loss of one of HEADS."""
    if head == "click":
        return bce(logits, clicked.to(logits.dtype))
    if head == "watch time":
        return watch_time_loss(logits, clicked, minutes)
    if head != "regression":
        raise ValueError(f"head is {head!r}; it must be one of {', '.join(HEADS)}")
    return (logits - minutes).square().mean()


def draws(n: int, rates: tuple[float, float] = (0.002, 0.03)) -> list[dict]:
    """Settings from one box, spread evenly in it (Sobol): learning rate between two ends, L2 1e-7
    to 3e-4, standard deviation of the start .03 to .3 (all three on a log scale); item vectors of
    8, 16, 32 or 64; one layer or two; and what the rate is multiplied by after each epoch."""
    found, (low, high) = [], rates
    for row in SobolEngine(6, scramble=True, seed=0).draw(n).tolist():
        rate, penalty, start, size, depth, fall = row
        values = {
            "lr": low * (high / low) ** rate, "weight_decay": 1e-7 * 3_000**penalty,
            "init_std": 0.03 * 10**start,
        }  # fmt: skip
        drawn: dict = {name: float(f"{value:.2g}") for name, value in values.items()}
        drawn["dim"] = 8 * 2 ** int(4 * size)
        drawn["hidden"] = ((32,), (64, 32), (128, 64))[int(3 * depth)]
        drawn["decay"] = (0.6, 0.8, 1.0)[int(3 * fall)]
        found.append(drawn)
    return found


def choose(
    world: World, recipe: Recipe, told: str, seed: int, test_from: int, patience: int = 3
) -> History:
    """Train on the days before a day, and see after which epoch the days from then on like it best.

    A click model is judged by minus its log-loss, each impression at its place; what is taught
    minutes by 1 − mispredicted watch time.

    Args:
        world: with its log.
        recipe: how.
        told: see `TOLD`.
        seed: of start and order.
        test_from: the day.
        patience: see `fit`.
    """
    part = impressions(world)
    held = part.day >= test_from
    rows, users = part[held], world.log.user[held].long()

    def judged(fitted: Fitted) -> float:
        predicted = fitted.logits(rows, placed=True)  # the log to be predicted has places
        if recipe.head == "click":
            return -log_loss(rows.clicked.float(), predicted)
        return 1 - mispredicted_watch_time(predicted, rows.minutes, users)

    return train_ranker(
        part[~held], world.n_films, recipe, seed, sizes=sizes_told(world, told),
        validate=judged, patience=patience,
    ).history  # fmt: skip


# ---------------------------------------------------------------- judging


@dataclass(frozen=True)
class Requests:
    """Users in a context, films to rank for each, and the truth about them.

    Attributes:
        examples: `[R · C]` impressions, C films for each of R users.
        minutes: `[R, C]` expected minutes, the truth.
        clicks: `[R, C]` chance of a click, the truth.
        bait: `[R, C]` whether the film is clickbait.
    """

    examples: Impressions
    minutes: Tensor
    clicks: Tensor
    bait: Tensor


def requests(world: World, n_users: int = 300, n_films: int = 150, seed: int = 0) -> Requests:
    """Ask the world about users at the end of its log, each in a context drawn for them.

    Films are drawn evenly from those not watched; every film is taken as looked at.

    Raises:
        ValueError: more users than there are, or more films than some user has left.
    """
    log, random = world.log, np.random.RandomState([seed, 4])
    history = log.final_histories(HISTORY)
    most = int(log.clicks().user_counts().max())
    limits = {"n_users": (n_users, world.n_users), "n_films": (n_films, world.n_films - most)}
    for name, (asked, there) in limits.items():
        if not 1 <= asked <= there:
            raise ValueError(f"{name} is {asked}; it must lie between 1 and {there}")
    every = log.final_histories(most)
    users = torch.from_numpy(random.permutation(world.n_users)[:n_users])
    wish = torch.from_numpy(random.random_sample((n_users, world.n_films + 1)))
    wish.scatter_(1, every[users], -1.0)
    films = wish[:, :-1].topk(n_films, dim=1).indices  # [R, C]
    device = torch.from_numpy(random.randint(len(DEVICES), size=(n_users, 1)))
    daypart = torch.from_numpy(random.randint(len(DAYPARTS), size=(n_users, 1)))
    context = Context(device, daypart, history=every[users])
    clicks = world.click_probability(users[:, None], films, context)
    minutes = world.expected_watch(users[:, None], films, context) / MINUTE
    shown = torch.zeros(world.n_users * world.n_films)
    key = log.user.long() * world.n_films + log.film.long()
    shown.index_add_(0, key, torch.ones(len(key)))
    end = torch.full((n_users,), world.days * 86_400)  # the request comes when the log has ended
    since = seconds_since(log.clicks(), users, end, otherwise=0)
    raw = torch.stack(
        [
            since[:, None].expand(films.shape),
            shown[users[:, None] * world.n_films + films].double(),
        ],
        dim=-1,
    )
    wide = lambda values: values.expand(films.shape).flatten()
    n = films.numel()
    fields = torch.stack(
        [wide(device) + 1, wide(daypart) + 1, torch.ones(n, dtype=torch.int64)], dim=1
    )
    fields = with_facts(fields, users.repeat_interleave(n_films), films.flatten(), world)
    examples = Impressions(
        films.flatten(), history[users].repeat_interleave(n_films, 0), fields, raw.flatten(0, 1),
        torch.zeros(n, dtype=torch.bool), torch.zeros(n), torch.full((n,), world.days),
    )  # fmt: skip
    bait = torch.from_numpy(world.truth.clickbait)[films]
    return Requests(examples, minutes, clicks, bait)


def judge(scores: Tensor, asked: Requests, k: int = 10) -> dict[str, float]:
    """How well a ranking orders the films of every request.

    Args:
        scores: `[R · C]` or `[R, C]`.
        asked: what for.
        k: length of the list.

    Returns:
        "spearman" and "spearman of clicks": rank correlation with the true expected minutes and
        with the true chance of a click, the mean over requests (0 for a request whose films all
        have one score);
        "minutes": expected minutes of the first k together, as a share of the best possible;
        "clicks": the same of expected clicks;
        "bait": share of clickbait among the first k.
    """
    check_finite("scores", scores)
    check_k(k, asked.minutes.shape[1])
    scores = scores.reshape(asked.minutes.shape)

    def correlation(truth: Tensor) -> float:
        found = [
            spearmanr(s, t).statistic if s.min() < s.max() else 0.0
            for s, t in zip(scores.numpy(), truth.numpy(), strict=True)
        ]
        return float(np.mean(found))

    top = scores.topk(k, dim=1).indices
    share = lambda truth: float(
        (truth.gather(1, top).sum(1) / truth.topk(k, dim=1).values.sum(1)).mean()
    )
    return {
        "spearman": correlation(asked.minutes),
        "spearman of clicks": correlation(asked.clicks),
        "minutes": share(asked.minutes),
        "clicks": share(asked.clicks),
        "bait": float(asked.bait.gather(1, top).double().mean()),
    }


def calibration(predicted: Tensor, actual: Tensor, n: int = 10) -> Tensor:
    """`[n, 2]`: mean prediction and mean outcome, by parts of equal size in order of prediction."""
    check_same_shape("predicted", predicted, "actual", actual)
    if not 1 <= n <= len(predicted):
        raise ValueError(f"n is {n}; it must lie between 1 and the {len(predicted)} predictions")
    order = predicted.argsort()
    rows = [(predicted[part].mean(), actual[part].mean()) for part in order.tensor_split(n)]
    return torch.tensor([[float(a), float(b)] for a, b in rows])
