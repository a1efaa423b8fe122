"""Chapter 00 on real films: the same rungs on ml-latest-small, the last film of each user left out.

Every rating counts as "watched", whatever it says. Everything is chosen on each user's last film
but one; models are then refitted with it, and the last film is looked for in the full catalogue
without what the user has watched. Leaving the last film out trains on what other users watch later:
a split by time does not, and few people are on both sides of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from recsys_book.data import encode_fields, leave_last_out
from recsys_book.data.interactions import Interactions
from recsys_book.data.ml_latest_small import MovieLens
from recsys_book.data.splits import Split
from recsys_book.evaluate import RankingReport, full_catalogue
from recsys_book.implicit import train_implicit
from recsys_book.layers import Bags
from recsys_book.models.baselines import EASE, IALS, ItemKNN, Popularity
from recsys_book.models.dnn import DNN
from recsys_book.models.factorization_machine import FactorizationMachine
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.train import History, seeded

CLOSED = {"Popularity": Popularity, "ItemKNN": ItemKNN, "EASE": EASE, "IALS": IALS}
LEARNED = ("MF", "FM", "DNN")
GENRE = 3  # position of the field that comes with a bag: (user, film, decade, first genre)


@dataclass(frozen=True)
class FilmTask:
    """The set, cut and encoded.

    Attributes:
        split: of the ratings.
        item_fields: `[N, 2]` decade and first genre of each film.
        genres: `[N, G]` all genres of each film, padded with 0.
        cardinalities: of user, film, decade and first genre.
    """

    split: Split
    item_fields: Tensor
    genres: Tensor
    cardinalities: list[int]

    def encode(self, users: Tensor, items: Tensor) -> tuple[Tensor, Bags]:
        """Ids `[B, 4]` and the bag of genres for pairs."""
        ids = torch.cat([users[:, None] + 1, items[:, None] + 1, self.item_fields[items]], dim=1)
        genres = self.genres[items]
        return ids, {GENRE: (genres, genres > 0)}


def make_film_task(films: MovieLens) -> FilmTask:
    """Cut and encode MovieLens small."""
    names = sorted({genre for some in films.genres for genre in some})
    frame = pd.DataFrame(
        {
            "decade": [None if year is None else year // 10 * 10 for year in films.years],
            "genre": [some[0] if some else None for some in films.genres],
        }
    )
    decoders = encode_fields(frame, ["decade"]).decoders
    decoders.append(encode_fields(pd.DataFrame({"genre": names}), ["genre"]).decoders[0])
    fields = encode_fields(frame, ["decade", "genre"], decoders)
    longest = max(len(some) for some in films.genres)
    rows = [
        [names.index(g) + 1 for g in some] + [0] * (longest - len(some)) for some in films.genres
    ]
    r = films.ratings
    return FilmTask(
        leave_last_out(r),
        fields.ids,
        torch.tensor(rows),
        [r.n_users + 1, r.n_items + 1, *fields.cardinalities],
    )


class FilmModel(nn.Module):
    """MF, FM or DNN on pairs, with the films' fields looked up on the way."""

    def __init__(self, name: str, task: FilmTask, dim: int) -> None:
        super().__init__()
        self.name, self.task = name, task
        users, items = task.cardinalities[0] - 1, task.cardinalities[1] - 1
        self.n_items = items
        if name == "MF":
            self.model = MatrixFactorization(users, items, dim)
        elif name == "FM":
            self.model = FactorizationMachine(task.cardinalities, dim, init_std=0.1)
        else:
            self.model = DNN(task.cardinalities, dim, (128, 64), (GENRE,), init_std=0.1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits `[B]`."""
        if self.name == "MF":
            return self.model(users, items)
        return self.model(*self.task.encode(users, items))

    @torch.no_grad()
    def score(self, users: Tensor) -> Tensor:
        """Logits `[U, N]`, every film for every user.

        What belongs to the films alone is worked out once, not once for every user.
        """
        if self.name == "MF":
            return self.model.score(users)
        nobody = torch.zeros(self.n_items, dtype=torch.int64) - 1  # the id that is never seen
        ids, bags = self.task.encode(nobody, torch.arange(self.n_items))
        parts = self.model.vectors(ids, bags)  # [N, F, D], the user's vector first
        own = self.model.vectors.table(users + 1)  # [U, D]
        if self.name == "FM":
            weights = self.model.linear.weights.table.weight[:, 0]
            apart = weights[users + 1] - weights[0]
            crossed = (own - parts[0, 0]) @ parts[:, 1:].sum(1).T  # [U, N]
            return self.model(ids, bags) + apart[:, None] + crossed
        first, *rest = self.model.mlp.layers
        split = own.shape[1]
        of_films = parts[:, 1:].flatten(1) @ first.weight[:, split:].T + first.bias  # [N, H]
        of_users = own @ first.weight[:, :split].T  # [U, H]
        scores = []
        for user in of_users:
            hidden = of_films + user
            for layer in rest:
                hidden = layer(hidden)
            scores.append(hidden.squeeze(-1))
        return torch.stack(scores)


def train_film_model(
    task: FilmTask,
    name: str,
    train: Interactions,
    *,
    dim: int,
    lr: float,
    weight_decay: float,
    epochs: int,
    seed: int,
    decay: float = 0.8,
    validate: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
) -> tuple[FilmModel, History]:
    """One of the learned rungs, by `train_implicit`."""
    with seeded(seed):
        model = FilmModel(name, task, dim)
    history = train_implicit(
        model,
        train,
        lr=lr,
        weight_decay=weight_decay,
        epochs=epochs,
        seed=seed,
        decay=decay,
        validate=validate,
        patience=patience,
    )
    return model, history


def validation_ndcg(task: FilmTask, score: Callable) -> float:
    """NDCG@10 of the last film but one, in the full catalogue, the mean over everybody."""
    return float(full_catalogue(score, task.split.validation, task.split.train).ndcg.mean())


def final_report(task: FilmTask, score: Callable) -> RankingReport:
    """The last film of each user in the full catalogue."""
    return full_catalogue(score, task.split.test, task.split.train_and_validation)


def known_later(split: Split) -> Interactions:
    """What people of a split by time watched in its last stretch, of those met before."""
    known = split.train_and_validation.user_counts() > 0
    return split.test[known[split.test.user]]
