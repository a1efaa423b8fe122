"""Impressions as field models take them, and models of the click: a number per film, MF, FM, DNN.

The task, on the log of a simulated service: the impressions of the last four days are the test,
everything before is for fitting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from recsys_book.data.interactions import Interactions
from recsys_book.layers import Bags
from recsys_book.losses import bce
from recsys_book.models.dnn import DNN
from recsys_book.models.factorization_machine import FactorizationMachine
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.service.world import (
    AGES,
    DAYPARTS,
    DEVICES,
    GENRES,
    REGIONS,
    SLATE,
    TONES,
    World,
)
from recsys_book.train import History, fit, seeded

#: The fields, in order. Ids count from 1 within each; 0 is kept for values never seen.
FIELDS = ("user", "film", "age", "region", "genre", "second_genre", "tone", "device", "daypart")
FILM, GENRE = FIELDS.index("film"), FIELDS.index("genre")
HISTORY, SESSION = 10, 5  # films of the past, and clicks of this very session, that models see
INIT = 0.2  # standard deviation of the vectors of FM and DNN at the start
DECAY = 0.6  # of the learning rate, after every epoch


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
        history=film_ids(history, world),
        session=_session_genres(history, log.clicks_in_session(), world),
        position=log.position.long(),
        label=log.clicked.float(),
    )
    return Task(world, test_from, cardinalities=[n + 1 for n in sizes], examples=examples)


def film_ids(history: Tensor, world: World) -> Tensor:
    """Films of histories as ids of the field film: from 1, and 0 for padding."""
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
    """How a rung is trained; chosen on validation days of another world.

    Attributes:
        dim: length of the vectors.
        lr: learning rate of the first epoch.
        weight_decay: Adam's L2.
        bias_decay: the same of what is one number per id, such as a film's bias; None: as
            weight_decay.
        epochs: how many.
        hidden, dropout: of the DNN.
        batch_size: impressions a step.
        fall: what the learning rate is multiplied by after each epoch.
    """

    dim: int = 16
    lr: float = 0.01
    weight_decay: float = 0.0
    epochs: int = 3
    hidden: tuple[int, ...] = (128, 64)
    dropout: float = 0.0
    batch_size: int = 1_024
    bias_decay: float | None = None
    fall: float = DECAY


def train_click_model(
    task: Task,
    name: str,
    settings: Settings,
    rows: Tensor,
    *,
    seed: int,
    validate: Callable[[nn.Module], float] | None = None,
    after_epoch: Callable[[int, nn.Module], object] | None = None,
    patience: int | None = None,
) -> tuple[ClickModel, History]:
    """Fit one rung by binary cross-entropy on the impressions at `rows`; Adam, falling rate."""
    model = new_click_model(task, name, settings, seed)
    optimizer = torch.optim.Adam(_groups(model, settings), lr=settings.lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, settings.fall)

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
        patience=patience,
        after_epoch=after_epoch,
        seed=seed,
    )
    return model, history


def _groups(model: nn.Module, settings: Settings) -> list[dict]:
    """Parameters by their decay: numbers per id apart from vectors and layers."""
    numbers = [p for p in model.parameters() if p.ndim == 2 and p.shape[1] == 1]
    others = [p for p in model.parameters() if not (p.ndim == 2 and p.shape[1] == 1)]
    decay = settings.weight_decay
    of_numbers = decay if settings.bias_decay is None else settings.bias_decay
    both = [(others, decay), (numbers, of_numbers)]
    return [{"params": some, "weight_decay": d} for some, d in both if some]


def new_click_model(task: Task, name: str, settings: Settings, seed: int) -> ClickModel:
    """An untrained rung, its start decided by the seed alone."""
    with seeded(seed):
        return ClickModel(name, task.cardinalities, settings.dim, settings.hidden, settings.dropout)


@torch.no_grad()
def logits(model: nn.Module, examples: Examples, batch_size: int = 65_536) -> Tensor:
    """`[B]` float64, in eval mode."""
    model.eval()
    rows = torch.arange(len(examples)).split(batch_size)
    return torch.cat([model(examples[some]).double() for some in rows])
