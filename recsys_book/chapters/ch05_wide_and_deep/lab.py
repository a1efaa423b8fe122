"""Chapter 05: what a wide side remembers, what a deep side guesses, and what trains them best.

The task is chapter 00's, the chance of a click on an impression, on the same fields; to them comes
the place in the list. The wide side has the paper's one family of crosses, every film watched so
far × the film shown. Half of the sequel pairs are **hidden**: wherever somebody who had watched
part one was shown part two of a hidden pair, the impression is left out of training, and part two
of such a pair is left out of everybody's history: what became of it is told nowhere. A weight per
pair can know nothing of such a pair, and whatever a model says of it, it must have guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys_book.arguments import NotFinite
from recsys_book.layers import Bags, FieldEmbedding
from recsys_book.losses import bce
from recsys_book.metrics import auc, log_loss
from recsys_book.models.dnn import DNN
from recsys_book.models.wide_and_deep import (
    Bag,
    Wide,
    WideAndDeep,
    wide_and_deep_optimizers,
    wide_optimizer,
)
from recsys_book.service import click_models
from recsys_book.service.click_models import FILM, GENRE, INIT, SESSION
from recsys_book.service.online import Policy, Request, top_list
from recsys_book.service.world import SLATE, Context, World
from recsys_book.train import History, fit, seeded

FIELDS = (*click_models.FIELDS, "place")
PLACE = FIELDS.index("place")
OF_FILM = tuple(FIELDS.index(name) for name in ("film", "genre", "second_genre", "tone"))
OF_REQUEST = tuple(f for f in range(len(FIELDS)) if f not in OF_FILM)
HISTORY = 64  # films of the past; 93 in 100 impressions have fewer
USER, AGE, TONE, DAYPART = (FIELDS.index(name) for name in ("user", "age", "tone", "daypart"))
#: The paper's one family of crosses; and what somebody who knows films might add by hand.
CROSSES = ((Bag(FILM), FILM),)
MORE_CROSSES = (
    *CROSSES, (Bag(GENRE), GENRE), (USER, GENRE), (USER, TONE), (AGE, FILM), (DAYPART, GENRE),
)  # fmt: skip
BAGS = (FILM, GENRE)
DIM, HIDDEN = 16, (64, 32)
VALIDATION_FROM, TEST_FROM = 20, 24
MAX_EPOCHS = 8

#: What is trained, and by what. The first three are the paper's; the fourth is the best that hand
#: work found.
KINDS = {
    "wide": ("wide", "FTRL"),
    "deep": ("deep", "AdaGrad"),
    "wide & deep": ("joint", "FTRL + AdaGrad"),
    "wide, more crosses": ("wide by hand", "FTRL"),
    "wide & deep, Adam": ("joint", "Adam"),
    "wide & deep, AdaGrad": ("joint", "AdaGrad"),
    "wide & deep, SGD": ("joint", "SGD"),
    "deep, Adam": ("deep", "Adam"),
}


@dataclass(frozen=True)
class Impressions:
    """M impressions, or B of them.

    Attributes:
        ids: `[M, 10]`, see FIELDS.
        history: `[M, 64]` int32, films watched before the list was shown, most recent first, as ids
            of the field film; 0 where there is none. Part two of hidden pairs is left out.
        session: `[M, 5]` genres clicked in this session before the list; 0 where there is none.
        label: `[M]` float, 1 for a click.
    """

    ids: Tensor
    history: Tensor
    session: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Tensor | slice) -> Impressions:
        return Impressions(*(column[rows] for column in vars(self).values()))

    def bags(self) -> Bags:
        """History and session as bags of the fields film and genre."""
        history = self.history
        if len(history):  # columns that are padding in the whole batch are not looked up
            history = history[:, : max(int((history > 0).sum(1).max()), 1)]
        return {FILM: (history, history > 0), GENRE: (self.session, self.session > 0)}


@dataclass(frozen=True)
class Task:
    """A log, encoded.

    Attributes:
        world: with its log.
        cardinalities: of FIELDS.
        examples: all impressions.
        day: `[M]`.
        chance: `[M]` float64, the true chance of a click.
        sequel: `[M]` bool: part two of a pair, shown to somebody who has watched part one, however
            long ago.
        of_hidden: `[M]` bool: the film shown is part two of a hidden pair.
    """

    world: World
    cardinalities: list[int]
    examples: Impressions
    day: Tensor
    chance: Tensor
    sequel: Tensor
    of_hidden: Tensor

    def rows(self, first: int, end: int) -> Tensor:
        """Positions of the impressions of days first..end−1, to learn from: no hidden sequels."""
        wanted = (self.day >= first) & (self.day < end)
        return (wanted & ~(self.sequel & self.of_hidden)).nonzero().squeeze(1)


def make_task(world: World, seed: int = 0, hide: bool = True) -> Task:
    """Encode a world's log, and draw which half of its sequel pairs is hidden; none without
    `hide`."""
    base = click_models.make_task(world)
    log = world.log
    first = torch.from_numpy(world.film.sequel_of).long()[log.film.long()]  # [M], −1 for none
    pairs = np.flatnonzero(world.film.sequel_of >= 0)
    hidden = np.random.RandomState(seed).permutation(pairs)[: len(pairs) // 2 if hide else 0]
    history = log.histories(HISTORY)  # [M, 64], padded with n_films
    history = torch.where(history < world.n_films, history + 1, 0).int()
    history = moved_up(history.masked_fill(torch.isin(history, torch.from_numpy(hidden) + 1), 0))
    examples = Impressions(
        ids=torch.cat([base.examples.ids, base.examples.position[:, None] + 1], dim=1),
        history=history,
        session=base.examples.session,
        label=base.examples.label,
    )
    part_two = (first >= 0).nonzero().squeeze(1)
    whole = log.histories(int(log.clicks().user_counts().max()), part_two)
    sequel = torch.zeros(len(log), dtype=torch.bool)
    sequel[part_two] = (whole == first[part_two, None]).any(1)
    return Task(
        world,
        [*base.cardinalities, SLATE + 1],
        examples,
        log.day,
        log.click_probability.double(),
        sequel=sequel,
        of_hidden=torch.isin(log.film.long(), torch.from_numpy(hidden)),
    )


def moved_up(bag: Tensor) -> Tensor:
    """Bags `[B, L]` with what is there in front, in its order, and padding (0) behind."""
    return bag.gather(1, (bag == 0).long().argsort(dim=1, stable=True))


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Setting:
    """How a kind is trained.

    Attributes:
        lr: of the only optimizer, or of AdaGrad beside FTRL.
        wide_lr, l1: of FTRL; l1 counts examples, see `wide_optimizer`.
        weight_decay: L2 of Adam, AdaGrad (beside FTRL, too) and SGD.
        epochs: how many.
        batch_size: impressions a step.
        buckets: of hashed crosses; None for exact ones.
    """

    lr: float = 0.03
    wide_lr: float = 0.1
    l1: float = 0.0
    weight_decay: float = 0.0
    epochs: int = 3
    batch_size: int = 2_048
    buckets: int | None = None


def draws(optimizer: str, n: int = 12, seed: int = 0, decay: float = 1e-4) -> list[Setting]:
    """The settings to choose from: as many for each way of training, drawn evenly on a log scale.

    Args:
        optimizer: "FTRL", "FTRL + AdaGrad", "Adam", "AdaGrad" or "SGD".
        n: how many.
        seed: of the draw.
        decay: the largest weight decay.
    """
    low, high = {"Adam": (3e-4, 3e-2), "SGD": (3e-2, 1e1)}.get(optimizer, (3e-3, 3e-1))
    random, settings = np.random.RandomState(seed), []
    between = lambda a, b: float(a * (b / a) ** random.random_sample())
    for _ in range(n):
        rates = between(low, high), between(2e-2, 1.0), between(1.0, 100.0)
        settings.append(Setting(*rates, weight_decay=between(1e-8, decay)))
    return settings


def make_model(
    kind: str, cardinalities: list[int], seed: int, buckets: int | None = None
) -> nn.Module:
    """An untrained model of a kind, its start decided by the seed alone."""
    with seeded(seed):
        what = KINDS[kind][0]
        if what == "wide":
            return Wide(cardinalities, CROSSES, buckets)
        if what == "wide by hand":
            return Wide(cardinalities, MORE_CROSSES, buckets)
        if what == "deep":
            return DNN(cardinalities, DIM, HIDDEN, BAGS, init_std=INIT)
        return WideAndDeep(cardinalities, CROSSES, DIM, HIDDEN, BAGS, buckets, init_std=INIT)


def logits_of(model: nn.Module, examples: Impressions) -> Tensor:
    """Logits `[B]`; each model gets the bags it was made for."""
    return model(examples.ids, examples.bags())


def make_optimizers(
    name: str, model: nn.Module, setting: Setting, decay: float = click_models.DECAY
) -> tuple[list[torch.optim.Optimizer], list]:
    """Optimizers, and the schedules of those that do not slow down by themselves.

    Args:
        name: see `draws`.
        model: just made; FTRL takes a `Wide`, FTRL + AdaGrad a `WideAndDeep`.
        setting: rates and penalties.
        decay: of the rates of Adam and SGD, after every epoch.
    """
    size = setting.batch_size
    if name == "FTRL":
        return [wide_optimizer(model, setting.wide_lr, l1=setting.l1, batch_size=size)], []
    if name == "FTRL + AdaGrad":
        rates = {"wide_lr": setting.wide_lr, "deep_lr": setting.lr}
        more = {"l1": setting.l1, "batch_size": size, "weight_decay": setting.weight_decay}
        return wide_and_deep_optimizers(model, **rates, **more), []
    options = {"lr": setting.lr, "weight_decay": setting.weight_decay}
    if name == "AdaGrad":
        return [torch.optim.Adagrad(model.parameters(), **options)], []
    make = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}[name]
    optimizer = make(model.parameters(), **options)
    return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, decay)]


def train(
    task: Task,
    kind: str,
    setting: Setting,
    rows: Tensor,
    *,
    seed: int,
    validate: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
    after_epoch: Callable[[int, nn.Module], object] | None = None,
) -> tuple[nn.Module, History]:
    """Train a kind on the impressions at `rows`."""
    model = make_model(kind, task.cardinalities, seed, setting.buckets)
    optimizers, schedules = make_optimizers(KINDS[kind][1], model, setting)

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        for some in whole_batches(len(rows), setting.batch_size, generator):
            yield (task.examples[rows[some]],)

    history = fit(
        model,
        batches,
        lambda model, batch: bce(logits_of(model, batch[0]), batch[0].label),
        optimizers,
        schedules=schedules,
        validate=validate,
        max_epochs=setting.epochs,
        patience=patience,
        after_epoch=after_epoch,
        seed=seed,
    )
    return model, history


def whole_batches(n: int, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """An epoch's rows, shuffled, in batches of one size; the rest waits for the next epoch.

    FTRL's penalties count examples of a batch, which must not weigh more in a small one.
    """
    order = torch.randperm(n, generator=generator)
    return order[: n // size * size].split(size) if n >= size else (order,)


@torch.no_grad()
def predict(model: nn.Module, examples: Impressions, batch_size: int = 8_192) -> Tensor:
    """`[M]` float64 logits, in eval mode."""
    model.eval()
    rows = torch.arange(len(examples)).split(batch_size)
    return torch.cat([logits_of(model, examples[some]).double() for some in rows])


def try_setting(task: Task, kind: str, setting: Setting, seed: int = 0) -> tuple[float, int]:
    """The lowest log-loss on validation days, and after how many epochs; ln 2 where it diverged."""
    held = task.examples[task.rows(VALIDATION_FROM, TEST_FROM)]
    rows = task.rows(0, VALIDATION_FROM)
    judge = lambda model: -log_loss(held.label, predict(model, held))
    try:
        _, history = train(
            task, kind, replace(setting, epochs=MAX_EPOCHS), rows, seed=seed, validate=judge,
            patience=1,
        )  # fmt: skip
    except NotFinite:
        return float(np.log(2)), 1
    return -history.best_score, history.best_epoch + 1


# ---------------------------------------------------------------- what is remembered


#: Parts of the test that are looked at one by one.
PARTS = ("all", "seen pairs", "hidden pairs", "the others")


def part_rows(task: Task, part: str) -> Tensor:
    """Positions of the test's impressions: all, sequels of seen or of hidden pairs, or all that
    are no sequels to their user."""
    rows = (task.day >= TEST_FROM).nonzero().squeeze(1)
    sequel, hidden = task.sequel[rows], task.of_hidden[rows]
    wanted = {
        "all": torch.ones_like(sequel),
        "seen pairs": sequel & ~hidden,
        "hidden pairs": sequel & hidden,
        "the others": ~sequel,
    }[part]
    return rows[wanted]


def judge(task: Task, predicted: Callable[[Impressions], Tensor]) -> dict[str, dict]:
    """Every part of the test: log-loss above the oracle's, and AUC, the oracle's beside it.

    Args:
        task: from `make_task`.
        predicted: logits `[M]` float64 of impressions.

    Returns:
        part → {"excess" nats, "auc", "oracle_auc", "n", "lift", "true_lift"}; "lift" is what part
        one in the history adds to the logit of part two, the mean over the part's sequels, and
        "true_lift" the same of the true chances (under a mood that nobody knows). That is less than
        the planted 3, which is added before moods are mixed and the place in the list counts.
    """
    found = {}
    for part in PARTS:
        rows = part_rows(task, part)
        examples, chance = task.examples[rows], task.chance[rows]
        oracle = chance.clamp(1e-12, 1 - 1e-9).logit()
        logit = predicted(examples)
        found[part] = {
            "excess": log_loss(examples.label, logit) - log_loss(examples.label, oracle),
            "auc": auc(examples.label, logit),
            "oracle_auc": auc(examples.label, oracle),
            "n": len(rows),
        }
        if part.endswith("pairs"):
            without = without_part_one(task, examples)
            found[part]["lift"] = float((logit - predicted(without)).mean())
            true = true_logit(task, rows, examples) - true_logit(task, rows, without)
            found[part]["true_lift"] = float(true.mean())
    return found


def true_logit(task: Task, rows: Tensor, examples: Impressions) -> Tensor:
    """`[B]` log-odds of the true chance of a click, with these histories and an unknown mood."""
    log, n_films = task.world.log, task.world.n_films
    history = examples.history.long()
    context = Context(
        log.device[rows].long(), log.daypart[rows].long(), log.position[rows].long(),
        history=torch.where(history > 0, history - 1, n_films),
    )  # fmt: skip
    users, films = log.user[rows].long(), log.film[rows].long()
    return task.world.click_probability(users, films, context).logit()


def without_part_one(task: Task, examples: Impressions) -> Impressions:
    """The same impressions, had their users not watched part one."""
    sequel_of = torch.from_numpy(task.world.film.sequel_of).long()
    part_one = sequel_of[examples.ids[:, FILM] - 1] + 1  # [B], as an id of the field film
    history = examples.history.masked_fill(examples.history == part_one[:, None], 0)
    return replace(examples, history=moved_up(history))


def average(*models: nn.Module) -> Callable[[Impressions], Tensor]:
    """The mean of separately trained models' logits: an ensemble."""
    return lambda examples: torch.stack([predict(m, examples) for m in models]).mean(0)


def weights_kept(wide: Wide) -> dict[str, int]:
    """How many wide weights are not zero: of single ids, and of pairs."""
    n_ids = sum(wide.cardinalities)
    weights = wide.table.weight.detach()[:, 0]
    return {
        "ids": int(weights[:n_ids].count_nonzero()),
        "pairs": int(weights[n_ids:].count_nonzero()),
    }


def sequels_kept(task: Task, wide: Wide) -> dict[str, int]:
    """What became of the sequel pairs that were not hidden, in an exact cross of films.

    Returns:
        "n" pairs met in training, how many of them are "kept" (not zero), and how many are
        "on top": among the n largest weights of all pairs of films.
    """
    pairs = wide.cross_weights(0).detach()  # [1 + N, 1 + N]
    met = task.sequel & ~task.of_hidden & (task.day < TEST_FROM)
    part_two = task.examples.ids[met, FILM].unique()
    part_one = torch.from_numpy(task.world.film.sequel_of).long()[part_two - 1] + 1
    weights, n = pairs[part_one, part_two], len(part_two)
    least = pairs.flatten().topk(n).values[-1]
    return {
        "n": n,
        "kept": int(weights.count_nonzero()),
        "on top": int(((weights >= least) & (weights > 0)).sum()),
    }


def pairs_met(task: Task, rows: Tensor) -> int:
    """Different (watched, shown) pairs in the impressions at `rows`."""
    n = task.cardinalities[FILM]
    met = torch.zeros(n * n, dtype=torch.bool)
    for some in rows.split(65_536):
        history = task.examples.history[some].long()
        pair = history * n + task.examples.ids[some, FILM, None]
        met[pair[history > 0]] = True
    return int(met.sum())


# ---------------------------------------------------------------- in charge of the lists


class Scorer:
    """Scores every film for a request, at the first place, without repeating what stays the same.

    A wide weight belongs to the request, to the film, or to both; the first layer of the deep side
    is linear, so it is a sum of what the request and what the film bring. Equal to `forward` on
    every (request, film) pair, and many times as fast. Of crosses it takes those of the request
    (or a bag) with the film.

    Args:
        task: from `make_task`; its world's log may have grown since.
        model: of any kind.
    """

    def __init__(self, task: Task, model: nn.Module) -> None:
        world = task.world
        model.eval()
        self.n_films = world.n_films
        column = lambda values: torch.from_numpy(values.astype(np.int64)) + 1
        film = world.film
        films = [torch.arange(world.n_films) + 1]
        films += [column(values) for values in (film.genre, film.second_genre, film.tone)]
        self.films = torch.stack(films, dim=1)  # [N, 4], in the order of OF_FILM
        self.genre = torch.cat([self.films[:, 1], torch.zeros(1).long()])
        self.age, self.region = column(world.age), column(world.region)
        self.wide = model if isinstance(model, Wide) else getattr(model, "wide", None)
        self.deep = None if isinstance(model, Wide) else model

    def impressions(self, request: Request) -> Impressions:
        """One row a request, at the first place, its film left at 0."""
        users = request.users
        ids = torch.zeros(len(users), len(FIELDS), dtype=torch.int64)
        known = (users + 1, self.age[users], self.region[users], request.device + 1,
                 request.daypart + 1, torch.ones_like(users))  # fmt: skip
        for field, values in zip(OF_REQUEST, known, strict=True):
            ids[:, field] = values
        history = request.history[:, :HISTORY]
        padding = torch.full((len(users), max(HISTORY - history.shape[1], 0)), self.n_films)
        history = torch.cat([history, padding], dim=1)
        in_session = torch.arange(SESSION) < request.in_session[:, None]
        return Impressions(
            ids=ids,
            history=torch.where(history < self.n_films, history + 1, 0).int(),
            session=self.genre[history[:, :SESSION]] * in_session,
            label=torch.zeros(len(users)),
        )

    @torch.no_grad()
    def __call__(self, examples: Impressions) -> Tensor:
        """Logits `[R, N]`."""
        parts = [self._wide(examples)] if self.wide is not None else []
        parts += [self._deep(examples)] if self.deep is not None else []
        return sum(parts)

    def _wide(self, examples: Impressions) -> Tensor:
        table, offsets = self.wide.table.weight[:, 0], self.wide.offsets
        take = lambda ids, columns: table[ids + offsets[list(columns)]].sum(1)
        request = take(examples.ids[:, list(OF_REQUEST)], OF_REQUEST)  # [R]
        film = take(self.films, OF_FILM)  # [N]
        logit = self.wide.bias + request[:, None] + film  # [R, N]
        for number, (first, second) in enumerate(self.wide.crosses):
            pairs = self.wide.cross_weights(number)  # [n_i, n_j]; row 0 is never seen, and 0
            if isinstance(first, Bag):
                bag, _ = examples.bags()[first.field]
                by_value = F.embedding_bag(bag, pairs, mode="sum", padding_idx=0)  # [R, n_j]
            else:
                by_value = pairs[examples.ids[:, first]]
            logit = logit + by_value[:, self.films[:, OF_FILM.index(second)]]
        return logit

    def _deep(self, examples: Impressions) -> Tensor:
        model = self.deep
        mlp = [*model.mlp.layers] if isinstance(model, DNN) else [*model.tower.layers, model.out]
        looked_up = model.vectors(examples.ids, examples.bags())  # [R, F + bags, D]
        return deep_logits(model.vectors, mlp, looked_up, self.films)


def deep_logits(
    vectors: FieldEmbedding, layers: Sequence[nn.Module], looked_up: Tensor, films: Tensor
) -> Tensor:
    """`[R, N]`: an MLP over field embeddings, for every request with every film.

    Args:
        vectors: the field embeddings.
        layers: of the MLP, in order; the first is linear, the last gives the logit.
        looked_up: `[R, F + bags, D]` vectors of the requests; what stands at the film's fields is
            not looked at.
        films: `[N, 4]` ids of the films, in the order of OF_FILM.
    """
    first, *others = layers
    weight = first.weight.view(len(first.weight), -1, looked_up.shape[2])  # [H, F + bags, D]
    of_request = [f for f in range(looked_up.shape[1]) if f not in OF_FILM]
    request = looked_up[:, of_request].flatten(1) @ weight[:, of_request].flatten(1).T  # [R, H]
    film = vectors.table(films + vectors.offsets[list(OF_FILM)])  # [N, 4, D]
    film = film.flatten(1) @ weight[:, list(OF_FILM)].flatten(1).T + first.bias  # [N, H]
    hidden = request[:, None] + film  # [R, N, H]
    for layer in others:
        hidden = layer(hidden)
    return hidden.squeeze(-1)


def policy_of(task: Task, model: nn.Module) -> Policy:
    """The ten films with the highest chance of a click, of those that are out and not watched."""
    scorer = Scorer(task, model)

    def policy(request: Request) -> Tensor:
        parts = [request[rows] for rows in torch.arange(len(request)).split(128)]
        return torch.cat([top_list(part, scorer(scorer.impressions(part))) for part in parts])

    return policy
