"""Chapter 06: what to show of films nobody has met, guessed from what is told about them.

Films released from day 20 on are cold. Everything is trained on the impressions of days 0 to 19,
all methods by one trainer, with a number for each place in the list. Two tests:

- **clicks** of days 20 to 27 on cold films. For each, the cold films that are out by that day and
  not watched by the user are ranked, and HR@20 asks whether the film clicked is among the first
  twenty. Clicks for which fewer than forty films compete are left out: on the first days twenty
  films are all there are. The log holds only what the service showed, in its own order.
- **truth**: NDCG@20, where each user's relevant films are the ten cold ones with the highest true
  chance of a click, on average over devices and times of day. As a share of the learnable: 0 is the
  click rate of the film's genre, the best that is the same for everybody, 1 the oracle.

Methods that know a category only give all its films one score. Such ties are broken at random (the
expectation of it); the rule "worst" is reported beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from recsys_book.content import (
    ContentUnavailable,
    category_means,
    hashed_words,
    one_hots,
    sentence_vectors,
    tfidf,
    vectors_from_content,
)
from recsys_book.losses import bce
from recsys_book.metrics import hit_rate_at_k, ndcg_at_k, share_of_learnable
from recsys_book.models.content_factorization import ContentFactorization
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.service.log import Log
from recsys_book.service.world import DAYPARTS, DEVICES, SLATE, Context, World
from recsys_book.train import fit, seeded

COLD_FROM = 20  # films released from this day on are cold, and days before it are for training
K, N_RELEVANT, LEAST = 20, 10, 40
N_FILMS = 4_000  # so that about 190 are cold
DECAY = 0.6  # of the learning rate, after every epoch, as in chapter 00
BATCH, DIM, BUCKETS = 2_048, 16, 256

#: Methods that start from trained ids: what the new film's vector is guessed from.
FROM_IDS = {
    "ids as initialized": None,
    "category mean": "genre",
    "ridge on categories": "categories",
    "ridge on words": "words",
    "ridge on hashed words": "hashed words",
    "ridge on both": "categories and words",
    "ridge on sentences": "sentences",
}
#: Methods with content in the gradient: which, and the chances of id dropout that are tried.
ONE_GRADIENT = {
    "one gradient": ("words", (0.0,)),
    "one gradient, id dropout": ("words", (0.1, 0.25, 0.5, 0.75)),
    "content alone": ("words", (1.0,)),
    "one gradient on both, id dropout": ("categories and words", (0.1, 0.25, 0.5, 0.75)),
    "one gradient on sentences, id dropout": ("sentences", (0.1, 0.25, 0.5, 0.75)),
}
PLAIN = ("chance", "genre's click rate", "oracle")


# ---------------------------------------------------------------- what is learned from


@dataclass(frozen=True)
class Examples:
    """Impressions as the models take them: user, film, place in the list `[B]` int64, label `[B]`
    float."""

    user: Tensor
    film: Tensor
    position: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: Tensor) -> Examples:
        return Examples(*(column[rows] for column in vars(self).values()))


@dataclass(frozen=True)
class ColdTest:
    """Clicks to be found again, and the truth.

    Attributes:
        films: `[n]` ids of the cold films.
        user: `[T]` of each click.
        target: `[T]` the film clicked, as a place in `films`.
        present: `[T, n]` bool, which films compete.
        truth: `[U, n]` float64, the true chance of a click.
    """

    films: Tensor
    user: Tensor
    target: Tensor
    present: Tensor
    truth: Tensor


def cold_films(world: World, cold_from: int = COLD_FROM) -> Tensor:
    """`[n]` ids of the films released on day `cold_from` or later.

    Raises:
        ValueError: there is none.
    """
    films = np.flatnonzero(world.film.release_day >= cold_from)
    if cold_from < 1 or len(films) == 0:
        raise ValueError(
            f"cold_from is {cold_from}; it must be 1 or more, and a film must come out on or after "
            "that day"
        )
    return torch.from_numpy(films)


def training_rows(log: Log, cold_from: int = COLD_FROM) -> Tensor:
    """`[M']` positions of the impressions before day `cold_from`; no cold film is among them."""
    return (log.day < cold_from).nonzero().squeeze(1)


def first_rows(log: Log, films: Tensor, k: int, before_day: int) -> Tensor:
    """Positions of the first k impressions, in order of time, of each of some films before a day.

    Args:
        log: whole.
        films: `[n]` ids.
        k: 0 or more; fewer are given of a film that was not shown so often.
        before_day: impressions from this day on are left alone.
    """
    rows = (torch.isin(log.film.long(), films) & (log.day < before_day)).nonzero().squeeze(1)
    rows = rows[log.time[rows].argsort(stable=True)]
    rows = rows[log.film[rows].argsort(stable=True)]  # film by film, each in order of time
    count = torch.bincount(log.film[rows].long(), minlength=log.n_films)
    start = count.cumsum(0) - count  # [N] where each film's rows begin
    nth = torch.arange(len(rows)) - start[log.film[rows].long()]
    return rows[nth < k].sort().values


def make_examples(log: Log, rows: Tensor) -> Examples:
    """The impressions at `rows`."""
    some = log[rows]
    return Examples(some.user.long(), some.film.long(), some.position.long(), some.clicked.float())


def contents(world: World, known: Tensor) -> dict[str, Tensor]:
    """Name → `[N, C]`, everything that is told about films; words are fitted on known films.

    Args:
        world: from `simulate`.
        known: `[N]` bool.
    """
    film = world.film
    column = lambda values: torch.from_numpy(values.astype(np.int64))
    texts = [f"{t} {p}" for t, p in zip(world.titles, world.plots(), strict=True)]
    found = {
        "categories": one_hots(*map(column, (film.genre, film.second_genre, film.tone))),
        "words": tfidf(texts, known),
        "hashed words": hashed_words(texts, BUCKETS),
    }
    both = torch.cat([found["categories"], found["words"]], dim=1)
    found["categories and words"] = nn.functional.normalize(both)
    if has_sentences():
        found["sentences"] = sentence_vectors(texts)
    return found


def has_sentences() -> bool:
    """Whether a sentence encoder is installed and its weights are at hand."""
    try:
        return len(sentence_vectors(["A film"])) == 1
    except ContentUnavailable:
        return False


# ---------------------------------------------------------------- the tests


def make_test(
    world: World, films: Tensor, first_day: int = COLD_FROM, least: int = LEAST
) -> ColdTest:
    """The clicks on some films from a day on, and the truth about these films.

    Args:
        world: with its log.
        films: `[n]` ids.
        first_day: of the test.
        least: clicks for which fewer films compete are left out.

    Raises:
        ValueError: no click is left.
    """
    log = world.log
    rows = (log.clicked & (log.day >= first_day) & torch.isin(log.film.long(), films)).nonzero()
    rows = rows.squeeze(1)
    place = torch.full((world.n_films + 1,), -1).index_copy_(0, films, torch.arange(len(films)))
    release = torch.from_numpy(world.film.release_day).long()[films]
    out = release <= log.day[rows, None]  # [T, n]
    longest = int(torch.bincount(log.user[log.clicked].long()).max())
    watched = torch.zeros(len(rows), world.n_films + 1, dtype=torch.bool)
    watched.scatter_(1, log.histories(longest, rows), True)
    present = out & ~watched[:, films]
    enough = present.sum(1) >= least
    if not enough.any():
        raise ValueError(f"least is {least}; no click on films has so many films competing")
    rows, present = rows[enough], present[enough]
    return ColdTest(
        films,
        log.user[rows].long(),
        place[log.film[rows].long()],
        present,
        true_chances(world, films),
    )


def true_chances(world: World, films: Tensor) -> Tensor:
    """`[U, n]` float64: the true chance of a click, on average over devices and times of day, of a
    film that is looked at by a user who has watched nothing."""
    users = torch.arange(world.n_users)[:, None]
    contexts = [Context(d, p) for d in range(len(DEVICES)) for p in range(len(DAYPARTS))]
    chances = (world.click_probability(users, films[None, :], context) for context in contexts)
    return sum(chances) / len(contexts)


def hit_rate(test: ColdTest, scores: Tensor, ties: str = "average", k: int = K) -> Tensor:
    """`[T]`: does the clicked film stand among the first k?

    Args:
        test: from `make_test`.
        scores: `[U, n]` of the cold films, for every user.
        ties: tie rule, see `recsys_book.metrics`.
        k: cut-off.
    """
    given = scores[test.user].double().masked_fill(~test.present, -torch.inf)  # [T, n]
    target = nn.functional.one_hot(test.target, len(test.films)).bool()
    return hit_rate_at_k(given, target, k, ties)


def true_ndcg(test: ColdTest, scores: Tensor) -> float:
    """NDCG@20 against each user's ten truly best films, the mean over users; ties at random."""
    best = test.truth.topk(N_RELEVANT, dim=1).indices
    relevant = torch.zeros(test.truth.shape, dtype=torch.bool).scatter_(1, best, True)
    return float(ndcg_at_k(scores.double(), relevant, K, "average").mean())


def judge(test: ColdTest, scores: Tensor, genre: Tensor) -> dict[str, float]:
    """Both tests.

    Args:
        test: from `make_test`.
        scores: `[U, n]`.
        genre: `[U, n]` scores of the genre's click rate, the zero of the share of the learnable.
    """
    ndcg = true_ndcg(test, scores)
    return {
        "hr": float(hit_rate(test, scores).mean()),
        "hr, worst": float(hit_rate(test, scores, "worst").mean()),
        "ndcg": ndcg,
        "share": share_of_learnable(ndcg, true_ndcg(test, genre), true_ndcg(test, test.truth)),
    }


# ---------------------------------------------------------------- the trainer


@dataclass(frozen=True)
class Recipe:
    """How a method learns; chosen in worlds that no figure comes from.

    Attributes:
        lr: of Adam, falling by DECAY every epoch.
        penalty: see `penalty`.
        epochs: how many.
        id_dropout: of ContentFactorization.
        l2: of the ridge.
        enough: impressions in training from which on a film counts as known to category means and
            to the ridge; those with fewer teach them nothing.
    """

    lr: float = 0.01
    penalty: float = 0.01
    epochs: int = 4
    id_dropout: float = 0.0
    l2: float = 10.0
    enough: int = 1


def draws(id_dropouts: Sequence[float] = (0.0,), n: int = 8, seed: int = 0) -> list[Recipe]:
    """n recipes drawn at random; the same for every method but for its chances of id dropout."""
    random = np.random.RandomState(seed)
    # One number a pick, however many values there are: the picks of one knob never shift another's.
    pick = lambda values: values[int(random.random_sample() * len(values))]
    return [
        Recipe(
            lr=pick((0.005, 0.01, 0.02, 0.03)),
            penalty=pick((0.003, 0.006, 0.01, 0.015)),
            epochs=pick((3, 4, 6)),
            l2=pick((1.0, 3.0, 10.0, 30.0)),
            enough=pick((1, 20, 50)),
            id_dropout=pick(id_dropouts),
        )
        for _ in range(n)
    ]


class Placed(nn.Module):
    """A model's logit plus one number for each place in the list, as in chapter 00."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.by_position = nn.Embedding.from_pretrained(torch.zeros(SLATE, 1), freeze=False)

    def forward(self, examples: Examples) -> Tensor:
        """Logits `[B]`."""
        place = self.by_position(examples.position).squeeze(-1)
        return self.model(examples.user, examples.film) + place


def train(model: nn.Module, examples: Examples, recipe: Recipe, *, seed: int) -> Placed:
    """Fit a model, in place, by binary cross-entropy plus `penalty`; it comes back in eval mode,
    with its numbers for the places."""
    placed = Placed(model)
    optimizer = torch.optim.Adam(placed.parameters(), lr=recipe.lr)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY)
    share = [
        torch.bincount(column, minlength=n) / len(examples)
        for column, n in ((examples.user, model.n_users), (examples.film, model.n_items))
    ]

    def batches(epoch: int, generator: torch.Generator):
        for some in torch.randperm(len(examples), generator=generator).split(BATCH):
            yield (examples[some],)

    def loss(placed: nn.Module, batch: tuple) -> Tensor:
        return bce(placed(batch[0]), batch[0].label) + recipe.penalty * penalty(model, *share)

    fit(
        placed, batches, loss, optimizer, validate=None, max_epochs=recipe.epochs, patience=None,
        seed=seed, schedules=[schedule],
    )  # fmt: skip
    return placed.eval()


def penalty(model: nn.Module, of_users: Tensor, of_items: Tensor) -> Tensor:
    """Squared length of the vectors that an average example looks up.

    Each row counts by its share of the examples. Adam's own weight_decay would pull at every row in
    every step, and wear the rows of films nobody has met down to nothing. A weight of content
    counts as if every column were as frequent as the average one: rare words are held shortest.

    Args:
        model: MatrixFactorization or ContentFactorization.
        of_users: `[U]` share of the examples.
        of_items: `[N]`.
    """
    squared = lambda share, table: share @ table.weight.square().sum(1)
    total = squared(of_users, model.user_vectors) + squared(of_users, model.user_bias)
    if isinstance(model, MatrixFactorization):
        return total + squared(of_items, model.item_vectors) + squared(of_items, model.item_bias)
    total = total + squared(of_items, model.id_vectors) + squared(of_items, model.id_bias)
    weights = (model.content_vectors.weight, model.content_bias.weight)
    return total + sum(w.square().sum() for w in weights) / weights[0].shape[1]


def train_ids(world: World, examples: Examples, recipe: Recipe, *, seed: int) -> Placed:
    """Matrix factorization, which knows films by their ids alone."""
    with seeded(seed):
        model = MatrixFactorization(world.n_users, world.n_films, DIM)
    return train(model, examples, recipe, seed=seed)


def train_content(
    world: World, content: Tensor, examples: Examples, recipe: Recipe, *, seed: int
) -> Placed:
    """Content and ids in one gradient; films without an example go by content alone."""
    with seeded(seed):
        model = ContentFactorization(world.n_users, content, DIM, recipe.id_dropout)
    model.set_known(torch.bincount(examples.film, minlength=world.n_films) > 0)
    return train(model, examples, recipe, seed=seed)


# ---------------------------------------------------------------- the methods


def genre_rate(world: World, examples: Examples) -> Tensor:
    """`[N]`: the share of training impressions of the film's genre that were clicked."""
    genre = torch.from_numpy(world.film.genre.astype(np.int64))
    n = int(genre.max()) + 1
    shown = torch.bincount(genre[examples.film], minlength=n)
    clicked = torch.bincount(genre[examples.film], examples.label.double(), minlength=n)
    rate = torch.where(shown > 0, clicked / shown.clamp(min=1), examples.label.double().mean())
    return rate[genre]


@torch.no_grad()
def scores_from_ids(
    world: World,
    model: MatrixFactorization,
    start: str | None,
    content: Mapping[str, Tensor],
    examples: Examples,
    recipe: Recipe,
) -> Tensor:
    """`[U, N]`: trained ids, and for films that are not known a guess of vector and bias.

    Args:
        world: from `simulate`.
        model: trained.
        start: "genre" for the category mean, a name in `content` for a ridge; None leaves the film
            as it was initialized.
        content: from `contents`.
        examples: what the model was trained on.
        recipe: its l2 and enough.
    """
    users = torch.arange(world.n_users)
    if start is None:
        return model.score(users)
    known = torch.bincount(examples.film, minlength=world.n_films) >= recipe.enough
    whole = torch.cat([model.item_vectors.weight, model.item_bias.weight], dim=1)  # [N, D + 1]
    if start == "genre":
        whole = category_means(whole, torch.from_numpy(world.film.genre.astype(np.int64)), known)
    else:
        whole = vectors_from_content(whole, content[start], known, recipe.l2)
    of_users = torch.cat([model.user_vectors.weight, torch.ones(world.n_users, 1)], dim=1)
    return model.bias + model.user_bias.weight + of_users @ whole.T
