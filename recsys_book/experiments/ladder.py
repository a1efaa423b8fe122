"""Chapter 00: one task, one protocol, every rung from popularity to a deep model, and the oracle.

The task, on the log of a simulated service: the impressions of the last four days are the test,
everything before is for fitting. Settings are chosen on days 20 to 23 of a world that is never
reported (`reproduce.ladder`); here each rung is fitted once and scored once.

"Popularity" is a number per film: its click rate for the first question, its clicks for the second.

Two questions to each rung:

- **clicks**: how well does it give the chance of a click on an impression? Log-loss.
- **ranking**: how well does it order the whole catalogue? NDCG@10, where the relevant films are the
  ten with the highest true chance of a click among those that the user has not watched, in a
  context drawn for the user.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from recsys_book.data.interactions import Interactions
from recsys_book.data.world import (
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
from recsys_book.evaluate import full_catalogue
from recsys_book.layers import Bags
from recsys_book.losses import bce
from recsys_book.maps import neighbour_purity, random_purity
from recsys_book.metrics import auc, log_loss, share_of_learnable
from recsys_book.models.baselines import EASE, IALS, ItemKNN, Popularity
from recsys_book.models.dnn import DNN
from recsys_book.models.factorization_machine import FactorizationMachine
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.train import fit, seeded

#: The fields, in order. Ids count from 1 within each; 0 is kept for values never seen.
FIELDS = ("user", "film", "age", "region", "genre", "second_genre", "tone", "device", "daypart")
FILM, GENRE = FIELDS.index("film"), FIELDS.index("genre")
HISTORY, SESSION = 10, 5  # films of the past, and clicks of this very session, that models see
INIT = 0.2  # standard deviation of the vectors of FM and DNN at the start
DECAY = 0.6  # of the learning rate, after every epoch
N_RELEVANT = 10
RUNGS = ("Popularity", "ItemKNN", "EASE", "IALS", "MF", "FM", "DNN")


@dataclass(frozen=True)
class Examples:
    """Impressions as field models take them.

    Attributes:
        ids: `[B, F]`, see FIELDS.
        history: `[B, 10]` films watched before the list was shown, most recent first, as ids of the
            field film; 0 where there is none.
        session: `[B, 5]` genres clicked in this session before the list, as ids of the field
            genre; 0 where there is none.
        position: `[B]` place in the list.
        label: `[B]` float, 1 for a click.
    """

    ids: Tensor
    history: Tensor
    session: Tensor
    position: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Tensor | slice) -> Examples:
        return Examples(*(column[rows] for column in vars(self).values()))

    def bags(self) -> Bags:
        """History and session as bags of the fields film and genre."""
        return {FILM: (self.history, self.history > 0), GENRE: (self.session, self.session > 0)}


@dataclass(frozen=True)
class Cut:
    """A world's log, cut at the first day of the test.

    Attributes:
        world: with its log.
        test_from: day.
    """

    world: World
    test_from: int = 24

    @cached_property
    def day(self) -> Tensor:
        """`[M]` of each impression."""
        return self.world.log.day

    def before(self, day: int) -> Tensor:
        """Positions of the impressions before a day."""
        return (self.day < day).nonzero().squeeze(1)

    def clicks(self) -> Interactions:
        """What was clicked before the test: all that the closed forms learn from."""
        return self.world.log[self.before(self.test_from)].clicks()


@dataclass(frozen=True, kw_only=True)
class Task(Cut):
    """A log that is cut, and encoded for models of fields.

    Attributes:
        cardinalities: of FIELDS.
        examples: all impressions.
    """

    cardinalities: list[int]
    examples: Examples


def make_task(world: World, test_from: int = 24) -> Task:
    """Cut and encode a world's log."""
    log, film = world.log, world.film
    user, films = log.user.long(), log.film.long()
    column = lambda values: torch.from_numpy(values.astype(np.int64))
    columns = [
        user, films, column(world.age)[user], column(world.region)[user],
        column(film.genre)[films], column(film.second_genre)[films], column(film.tone)[films],
        log.device.long(), log.daypart.long(),
    ]  # fmt: skip
    sizes = [world.n_users, world.n_films, len(AGES), len(REGIONS), len(GENRES), len(GENRES)]
    sizes += [len(TONES), len(DEVICES), len(DAYPARTS)]
    history = log.histories(HISTORY)  # [M, 10], padded with n_films
    examples = Examples(
        ids=torch.stack(columns, dim=1) + 1,
        history=_film_ids(history, world),
        session=_session_genres(history, log.clicks_in_session(), world),
        position=log.position.long(),
        label=log.clicked.float(),
    )
    return Task(world, test_from, cardinalities=[n + 1 for n in sizes], examples=examples)


def _film_ids(history: Tensor, world: World) -> Tensor:
    return torch.where(history < world.n_films, history + 1, 0)


def _session_genres(history: Tensor, n_new: Tensor, world: World) -> Tensor:
    genre = torch.cat(
        [torch.from_numpy(world.film.genre.astype(np.int64)) + 1, torch.zeros(1).long()]
    )
    in_session = torch.arange(SESSION) < n_new[:, None]
    return genre[history[:, :SESSION]] * in_session


# ---------------------------------------------------------------- the rungs that learn by gradient


class ClickModel(nn.Module):
    """A model's logit plus one number for each place in the list.

    What stands low is looked at less. Every rung learns that in the same way, so that none wins by
    it; for ranking the place is left out.

    Args:
        name: "Popularity" (a number per film), "MF", "FM" or "DNN".
        cardinalities: of FIELDS.
        dim: length of the vectors.
        hidden: widths of DNN's hidden layers.
        dropout: of DNN.
    """

    def __init__(
        self,
        name: str,
        cardinalities: Sequence[int],
        dim: int = 16,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.name = name
        users, films = cardinalities[0], cardinalities[FILM]
        self.position_bias = nn.Embedding(SLATE, 1)
        nn.init.zeros_(self.position_bias.weight)
        if name == "Popularity":
            self.model = MatrixFactorization(1, films, dim=0)
        elif name == "MF":
            self.model = MatrixFactorization(users, films, dim)
        elif name == "FM":
            self.model = FactorizationMachine(cardinalities, dim, init_std=INIT)
        elif name == "DNN":
            self.model = DNN(cardinalities, dim, hidden, (FILM, GENRE), dropout, init_std=INIT)
        else:
            raise ValueError(f"name is {name!r}; it must be Popularity, MF, FM or DNN")

    def preference(self, examples: Examples) -> Tensor:
        """Logits `[B]` without the place in the list."""
        ids = examples.ids
        if self.name == "Popularity":
            return self.model(torch.zeros_like(ids[:, 0]), ids[:, FILM])
        if self.name == "MF":
            return self.model(ids[:, 0], ids[:, FILM])
        return self.model(ids, examples.bags())

    def forward(self, examples: Examples) -> Tensor:
        """Logits `[B]`."""
        return self.preference(examples) + self.position_bias(examples.position).squeeze(-1)


@dataclass(frozen=True)
class Settings:
    """How a rung is trained; chosen on validation days of another world."""

    dim: int = 16
    lr: float = 0.01
    weight_decay: float = 0.0
    epochs: int = 3
    hidden: tuple[int, ...] = (128, 64)
    dropout: float = 0.0
    batch_size: int = 1_024


def train_click_model(
    task: Task,
    name: str,
    settings: Settings,
    rows: Tensor,
    *,
    seed: int,
    validate: Callable[[nn.Module], float] | None = None,
    after_epoch: Callable[[int, nn.Module], object] | None = None,
) -> tuple[ClickModel, object]:
    """Fit one rung by binary cross-entropy on the impressions at `rows`; Adam, falling rate."""
    model = _new_model(task, name, settings, seed)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY)

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        for some in torch.randperm(len(rows), generator=generator).split(settings.batch_size):
            yield (task.examples[rows[some]],)

    history = fit(
        model,
        batches,
        lambda model, batch: bce(model(batch[0]), batch[0].label),
        optimizer,
        schedules=[schedule],
        validate=validate,
        max_epochs=settings.epochs,
        patience=None,
        after_epoch=after_epoch,
        seed=seed,
    )
    return model, history


def _new_model(task: Task, name: str, settings: Settings, seed: int) -> ClickModel:
    with seeded(seed):
        return ClickModel(name, task.cardinalities, settings.dim, settings.hidden, settings.dropout)


def film_vectors(task: Task, settings: Settings, *, seed: int) -> list[Tensor]:
    """Matrix factorization's film vectors before training and after each epoch.

    Returns:
        tensors `[N, D]` of length 1, so that near means a small angle; of length 0 where the
        penalty has left nothing of a film that was never shown.
    """
    vectors = lambda model: nn.functional.normalize(model.model.item_vectors.weight[1:].detach())
    kept = [vectors(_new_model(task, "MF", settings, seed))]

    keep = lambda _, model: kept.append(vectors(model))
    rows = task.before(task.test_from)
    train_click_model(task, "MF", settings, rows, seed=seed, after_epoch=keep)
    return kept


def sights(tasks: Sequence[Task], vectors: Sequence[Sequence[Tensor]]) -> dict[str, dict]:
    """What is often said of maps of films, in numbers: mean over worlds, on the vectors themselves.

    Args:
        tasks: one a world.
        vectors: for each, `film_vectors`; the last are looked at.

    Returns:
        "among the ten nearest" and "among all films" → label → share that agrees: by genre, by
        second genre, and by third of popularity (times shown).
    """
    near, everywhere = {}, {}
    for task, epochs in zip(tasks, vectors, strict=True):
        world = task.world
        shown = torch.bincount(world.log.film.long(), minlength=world.n_films)
        third = shown.argsort().argsort() * 3 // world.n_films
        labels = {
            "genre": torch.from_numpy(world.film.genre),
            "second genre": torch.from_numpy(world.film.second_genre),
            "popularity, in thirds": third,
        }
        for name, label in labels.items():
            near.setdefault(name, []).append(neighbour_purity(epochs[-1], label))
            everywhere.setdefault(name, []).append(random_purity(label))
    mean = lambda values: {name: float(np.mean(v)) for name, v in values.items()}
    return {"among the ten nearest": mean(near), "among all films": mean(everywhere)}


@torch.no_grad()
def logits(model: nn.Module, examples: Examples, batch_size: int = 65_536) -> Tensor:
    """`[B]` float64, in eval mode."""
    model.eval()
    rows = torch.arange(len(examples)).split(batch_size)
    return torch.cat([model(examples[some]).double() for some in rows])


# ---------------------------------------------------------------- ranking the catalogue


@dataclass(frozen=True)
class Ranking:
    """Which films should stand on top for each user, in a context drawn for the user.

    Attributes:
        device, daypart: `[U]`.
        history: `[U, L]` all that the user watched before the test, most recent first.
        relevant: ten films for each user drawn, those with the highest true chance of a click among
            the films that are out and not watched; the mood is unknown.
        seen: what was watched before the test.
        out: `[N]` bool, the films that are out on the first day of the test.
        truth: `[U, N]` float32, the true chances.
    """

    device: Tensor
    daypart: Tensor
    history: Tensor
    relevant: Interactions
    seen: Interactions
    out: Tensor
    truth: Tensor


def make_ranking(cut: Cut, n_users: int = 500, seed: int = 0) -> Ranking:
    """Ask the oracle for some users' ten best films on the first day of the test.

    Args:
        cut: whose test.
        n_users: how many users are drawn to be ranked for; all where there are fewer.
        seed: of the users' contexts and of who is drawn.
    """
    world = cut.world
    random = np.random.RandomState(seed)
    draw = lambda n: torch.from_numpy(random.randint(n, size=world.n_users))
    device, daypart = draw(len(DEVICES)), draw(len(DAYPARTS))
    before = world.log[cut.before(cut.test_from)]
    seen = before.clicks()
    history = before.final_histories(int(seen.user_counts().max()))
    out = torch.from_numpy(world.film.release_day <= cut.test_from)
    films = torch.arange(world.n_films)[None, :]
    truth = []
    for users in torch.arange(world.n_users).split(256):
        context = Context(device[users, None], daypart[users, None], history=history[users])
        chance = world.click_probability(users[:, None], films, context)
        truth.append(torch.where(out, chance, 0.0).float())
    truth = torch.cat(truth)  # [U, N], 0 for what is watched or not out
    drawn = torch.from_numpy(random.permutation(world.n_users)[:n_users].copy()).sort().values
    best = truth[drawn].topk(N_RELEVANT, dim=1).indices
    users = drawn.repeat_interleave(N_RELEVANT)
    relevant = Interactions(users, best.flatten(), world.n_users, world.n_films)
    return Ranking(device, daypart, history, relevant, seen, out, truth)


def catalogue(task: Task, ranking: Ranking, users: Tensor) -> Examples:
    """Every film for every one of `users` `[U]`, as `U · N` examples; a session just begun."""
    world, n = task.world, task.world.n_films
    column = lambda values: torch.from_numpy(values.astype(np.int64))
    user, film = users.repeat_interleave(n), torch.arange(n).repeat(len(users))
    columns = [
        user, film, column(world.age)[user], column(world.region)[user],
        column(world.film.genre)[film], column(world.film.second_genre)[film],
        column(world.film.tone)[film], ranking.device[user], ranking.daypart[user],
    ]  # fmt: skip
    zeros = torch.zeros(len(user), dtype=torch.int64)
    return Examples(
        ids=torch.stack(columns, dim=1) + 1,
        history=_film_ids(ranking.history[:, :HISTORY], world)[user],
        session=torch.zeros(len(user), SESSION, dtype=torch.int64),
        position=zeros,
        label=zeros.float(),
    )


def scorer(task: Task, ranking: Ranking, model: ClickModel) -> Callable[[Tensor], Tensor]:
    """`score(users [U]) -> [U, N]` of a click model."""

    @torch.no_grad()
    def score(users: Tensor) -> Tensor:
        model.eval()
        examples = catalogue(task, ranking, users)
        return model.preference(examples).view(len(users), -1)

    return score


def ndcg(ranking: Ranking, score: Callable[[Tensor], Tensor]) -> float:
    """NDCG@10 over the full catalogue, the mean over users."""
    out = lambda users: score(users).masked_fill(~ranking.out, -torch.inf)
    report = full_catalogue(out, ranking.relevant, ranking.seen, k=10, batch_size=64)
    return float(report.ndcg.mean())


# ---------------------------------------------------------------- the whole ladder


CLOSED = {"ItemKNN": ItemKNN, "EASE": EASE, "IALS": IALS}
LEARNED = ("Popularity", "MF", "FM", "DNN")


def climb(
    task: Task,
    settings: Mapping[str, dict],
    *,
    seed: int,
    rungs: Sequence[str] = RUNGS,
    rows: Tensor | None = None,
) -> dict[str, dict]:
    """Fit every rung on all days before the test, and score it once.

    Args:
        task: from `make_task`.
        settings: rung → keyword arguments of `Settings`, or of the closed form.
        seed: of the training.
        rungs: which.
        rows: positions of the impressions that the learned rungs are fitted on, all of them before
            the test; None for every such impression.

    Returns:
        rung → {"ndcg", "seconds" to fit, and of those that give probabilities "log_loss", "auc" and
        "parameters"}, with "Oracle" among them.
    """
    ranking = make_ranking(task, seed=seed)
    test = (task.day >= task.test_from).nonzero().squeeze(1)
    examples = task.examples[test]
    chance = task.world.log.click_probability[test].double()
    oracle = chance.clamp(1e-12, 1 - 1e-9).logit()
    figures = {
        "Oracle": {
            "log_loss": log_loss(examples.label, oracle),
            "auc": auc(examples.label, oracle),
            "ndcg": ndcg(ranking, lambda users: ranking.truth[users]),
        }
    }
    for rung in rungs:
        start = time.perf_counter()
        if rung in CLOSED:
            model = CLOSED[rung](task.clicks(), **settings[rung])
            seconds = time.perf_counter() - start
            figures[rung] = {"seconds": seconds, "ndcg": ndcg(ranking, model.score)}
            continue
        rows = task.before(task.test_from) if rows is None else rows
        model, _ = train_click_model(task, rung, Settings(**settings[rung]), rows, seed=seed)
        seconds, score = time.perf_counter() - start, scorer(task, ranking, model)
        if rung == "Popularity":  # the list everybody knows: what was clicked most
            score = Popularity(task.clicks()).score
        predicted = logits(model, examples)
        figures[rung] = {
            "seconds": seconds,
            "parameters": sum(p.numel() for p in model.parameters()),
            "log_loss": log_loss(examples.label, predicted),
            "auc": auc(examples.label, predicted),
            "ndcg": ndcg(ranking, score),
        }
    return figures


def shares(figures: Mapping[str, dict], measure: str) -> dict[str, float]:
    """rung → share of the learnable, by "log_loss" or "ndcg"."""
    popularity, oracle = figures["Popularity"][measure], figures["Oracle"][measure]
    return {
        rung: share_of_learnable(row[measure], popularity, oracle)
        for rung, row in figures.items()
        if measure in row
    }
