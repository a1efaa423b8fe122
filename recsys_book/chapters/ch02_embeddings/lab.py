"""Chapter 02: what vectors learn, how long they should be, and what hashing them costs.

Two logs, one way of training (`train_implicit`):

- the clicks on a simulated service before day 24, judged by what the world knows: NDCG@10 where the
  relevant films are the ten with the highest true chance of a click, as in chapter 00;
- MovieLens small, every rating taken as "watched", judged by a tenth of the ratings held out at
  random: NDCG@10 in the whole catalogue. (Kinder than life, where the future is unknown, and far
  less noisy than one film a user; what is asked here is where a curve peaks.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor, nn
from torch.nn.functional import normalize

from recsys_book import maps
from recsys_book.content import category_means, vectors_from_content
from recsys_book.data.interactions import Interactions
from recsys_book.data.ml_latest_small import MovieLens
from recsys_book.data.splits import at_random
from recsys_book.embeddings import HashedEmbedding, nearest
from recsys_book.evaluate import full_catalogue
from recsys_book.implicit import train_implicit
from recsys_book.models.baselines import IALS, Popularity
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.service.judge import Judge
from recsys_book.service.simulate import simulate
from recsys_book.service.world import World
from recsys_book.train import History, seeded

DIM = 32  # of the chapter's vectors; FILM_DIM on MovieLens small
FILM_DIM = 64


def new_model(log: Interactions, dim: int, seed: int, **more) -> MatrixFactorization:
    """Matrix factorization for a log, its start decided by the seed alone."""
    with seeded(seed):
        return MatrixFactorization(log.n_users, log.n_items, dim, **more)


@dataclass(frozen=True)
class Training:
    """A model and what it went through.

    Attributes:
        model: after the last epoch.
        items: film vectors `[N, D]` before training and after each epoch.
        users: user vectors `[U, D]` at the same moments.
        loss: mean log-loss of each epoch.
    """

    model: MatrixFactorization
    items: list[Tensor]
    users: list[Tensor]
    loss: list[float]


def train_and_watch(
    log: Interactions,
    *,
    dim: int,
    lr: float,
    weight_decay: float,
    epochs: int,
    n_negatives: int = 4,
    batch_size: int = 1_024,
    seed: int = 0,
    **more,
) -> Training:
    """Train matrix factorization and keep its vectors after every epoch.

    Args:
        log: observed pairs.
        dim, lr, weight_decay, epochs, n_negatives, batch_size, seed: see `train_implicit`.
        more: for MatrixFactorization, such as `biases=False`.
    """
    model = new_model(log, dim, seed, **more)
    items, users = [], []

    def keep(_: int, model: MatrixFactorization) -> None:
        items.append(model.item_vectors.weight.detach().clone())
        users.append(model.user_vectors.weight.detach().clone())

    keep(-1, model)
    history = train_implicit(
        model, log, lr=lr, weight_decay=weight_decay, epochs=epochs, n_negatives=n_negatives,
        batch_size=batch_size, seed=seed, after_epoch=keep,
    )  # fmt: skip
    return Training(model, items, users, history.loss)


def tribes(seed: int = 0, liking: float = 0.45) -> tuple[Interactions, Tensor]:
    """Three tribes of 30 people and 20 films each; everyone clicks twelve, of their own most.

    Args:
        seed: of the clicks.
        liking: how much one's own films are preferred; at 0 tribes mean nothing.

    Returns:
        the log, and each film's tribe `[60]`.
    """
    generator = torch.Generator().manual_seed(seed)
    user, film = torch.arange(90) // 30, torch.arange(60) // 20
    wish = torch.rand(90, 60, generator=generator) + liking * (user[:, None] == film)
    clicked = wish.topk(12, dim=1).indices  # [90, 12]
    return Interactions(torch.arange(90).repeat_interleave(12), clicked.flatten(), 90, 60), film


def mean_cosine(vectors: Tensor) -> float:
    """Mean cosine over all pairs of different rows of `[N, D]`: 0 spread out, 1 all one way."""
    n = len(vectors)
    if n < 2:
        raise ValueError(f"vectors has {n} rows; a pair needs two")
    unit = normalize(vectors.double())
    return float((unit.sum(0).square().sum() - unit.square().sum()) / (n * (n - 1)))


def with_and_without(log: Interactions, labels: Tensor, seed: int, **options) -> dict[str, dict]:
    """Train twice without biases, on clicks alone and with four negatives a click.

    Args:
        log: observed pairs.
        labels: `[N]`, for purity.
        seed: of start, order and negatives.
        options: for `train_and_watch`.

    Returns:
        way → "by epoch": mean cosine between films, the start first; and at the end "mean cosine",
        "loss" and neighbour "purity".
    """
    result = {}
    for way, n in {"clicks alone": 0, "with negatives": 4}.items():
        told = train_and_watch(log, n_negatives=n, biases=False, seed=seed, **options)
        cosines = [mean_cosine(v) for v in told.items]
        result[way] = {
            "by epoch": cosines,
            "mean cosine": cosines[-1],
            "loss": told.loss[-1],
            "purity": maps.neighbour_purity(normalize(told.items[-1]), labels),
        }
    return result


# ---------------------------------------------------------------- what vectors know


def clicked_before(world: World, day: int = 24) -> Interactions:
    """Pairs of user and film clicked before a day, each once."""
    return world.log[world.log.day < day].clicks().without_repeats()


def purity_without(
    effects: Sequence[str],
    seeds: Sequence[int],
    *,
    size: Mapping[str, int] | None = None,
    **options,
) -> list[dict[str, float]]:
    """Train matrix factorization in worlds without some effects, and see what its vectors know.

    Args:
        effects: which are switched off; all else, the service's lists included, works as before.
        seeds: of the worlds, and of each training.
        size: for `simulate`; the default size where None.
        options: for `train_and_watch`.

    Returns:
        `purities` by genre after the last epoch, one a seed.
    """
    rows = []
    for seed in seeds:
        world = simulate(**(size or {}), seed=seed, without=effects)
        log = clicked_before(world)
        vectors = train_and_watch(log, **options, seed=seed).items[-1]
        genre = torch.from_numpy(world.film.genre)
        rows.append(maps.purities(vectors, genre, log.item_counts(), seed))
    return rows


def length_and_popularity(vectors: Tensor, counts: Tensor) -> dict[str, float]:
    """Where popularity went: into the length of vectors, or against it.

    Args:
        vectors: `[N, D]`.
        counts: `[N]` interactions of each.

    Returns:
        "correlation": of length and rank of popularity (Spearman's); "cosine", "dot product":
        mean rank of popularity of the ten nearest by each; "top cosine", "top dot product": share
        of all places in those lists that the fiftieth part of films found most often holds.
    """
    rank = maps.rank_of_popularity(counts)
    length = vectors.norm(dim=1).numpy()
    found = {"correlation": float(spearmanr(length, counts.numpy()).statistic)}
    for by in ("cosine", "dot product"):
        neighbours, _ = nearest(vectors, 10, by=by)
        found[by] = float(rank[neighbours].mean())
        often = torch.bincount(neighbours.flatten(), minlength=len(vectors))
        top = max(1, len(vectors) // 50)
        found[f"top {by}"] = float(often.topk(top).values.sum() / often.sum())
    return found


def three_models(log: Interactions, dim: int, setting: dict, seed: int) -> dict[str, Tensor]:
    """Film vectors of three ways to a dot product.

    Args:
        log: observed pairs.
        dim: D.
        setting: of the first two, see `choose`.
        seed: of starts, orders and negatives.

    Returns:
        name → `[N, D]`: logistic loss with biases, logistic loss without, iALS (squared loss).
    """
    with_biases = train_and_watch(log, dim=dim, **setting, seed=seed).items[-1]
    without = train_and_watch(log, dim=dim, **setting, seed=seed, biases=False).items[-1]
    squared = IALS(log, dim=dim, l2=0.01, seed=seed).item_vectors.float()
    return {"MF with biases": with_biases, "MF without": without, "iALS": squared}


def bridges(vectors: Tensor, first: Tensor, second: Tensor) -> dict[str, float]:
    """Among neighbours of another genre, how many are of a film's second genre?

    Args:
        vectors: `[N, D]`.
        first: `[N]` genre.
        second: `[N]` second genre; films without another one are left out.

    Returns:
        "neighbours", and "random": the same among all films of another genre.
    """
    neighbours, _ = nearest(vectors, 10)
    mixed = (first != second)[:, None]
    other = mixed & (first[neighbours] != first[:, None])  # [N, 10]
    hit = first[neighbours] == second[:, None]
    every = mixed & (first[None] != first[:, None])  # [N, N]
    chance = (first[None] == second[:, None])[every].float().mean()
    return {"neighbours": float(hit[other].float().mean()), "random": float(chance)}


# ---------------------------------------------------------------- how long should they be


def judge_films(films: MovieLens, seed: int = 0) -> Judge:
    """A tenth of the ratings to choose by, a tenth to test, drawn at random."""
    split = at_random(films.ratings, seed=seed)
    ndcg = lambda score, held, seen: float(full_catalogue(score, held, seen).ndcg.mean())
    test = lambda score: ndcg(score, split.test, split.train_and_validation)
    return Judge(
        split.train,
        split.train_and_validation,
        lambda model: ndcg(model.score, split.validation, split.train),
        test,
        test(Popularity(split.train_and_validation).score),
    )


SWEEP_EPOCHS = 20
FIRST_LR, FIRST_PENALTY = 0.02, 1e-5  # where the search for each begins
#: What validation chooses, beside the length itself and the learning rate.
WAYS = ("nothing", "epochs", "epochs and penalty")


def choose(judge: Judge, dim: int, *, epochs: int = SWEEP_EPOCHS, seed: int = 0) -> dict[str, dict]:
    """For each of WAYS the setting that validation likes best.

    The learning rate is doubled or halved as long as validation gains, so that no choice stands at
    the edge of a grid: without a penalty for the first two ways (judged after the last epoch, and
    after the best), with one of 1e-5 for the third, where the penalty is then doubled or halved
    too, at that rate.

    Args:
        judge: whose validation decides.
        dim: D.
        epochs: at most.
        seed: of start, order and negatives.

    Returns:
        way → {"lr", "weight_decay", "epochs"}, to be given to `train_implicit`.
    """

    @cache
    def attempt(lr: float, penalty: float) -> History:
        model = new_model(judge.train, dim, seed)
        return train_implicit(
            model, judge.train, lr=lr, epochs=epochs, weight_decay=penalty, seed=seed,
            validate=judge.validate,
        )  # fmt: skip

    def setting(lr: float, penalty: float) -> dict:
        best = attempt(lr, penalty).best_epoch + 1
        return {"lr": lr, "weight_decay": penalty, "epochs": best}

    last = best_by_doubling(FIRST_LR, lambda lr: attempt(lr, 0.0).score[-1])
    bare = best_by_doubling(FIRST_LR, lambda lr: attempt(lr, 0.0).best_score)
    lr = best_by_doubling(FIRST_LR, lambda lr: attempt(lr, FIRST_PENALTY).best_score)
    penalty = best_by_doubling(FIRST_PENALTY, lambda penalty: attempt(lr, penalty).best_score)
    pairs = [(bare, 0.0), (lr, penalty)]
    return {
        "nothing": setting(last, 0.0) | {"epochs": epochs},
        "epochs": setting(bare, 0.0),
        "epochs and penalty": setting(*max(pairs, key=lambda pair: attempt(*pair).best_score)),
    }


def best_by_doubling(first: float, score: Callable[[float], float]) -> float:
    """Double or halve `first` as long as `score` gains, and return the best.

    Args:
        first: where to begin.
        score: to maximize; taken to rise to one peak and fall after it.
    """
    best, high = first, score(first)
    for factor in (2.0, 0.5):
        while (value := score(best * factor)) > high:
            best, high = best * factor, value
        if best != first:
            break
    return best


def _scores(model: nn.Module) -> Callable[[Tensor], Tensor]:
    model.eval()
    return lambda users: model.score(users).detach()


def test_once(judge: Judge, dim: int, setting: dict, seed: int) -> float:
    """Refit with what was chosen, and judge: NDCG@10 on the test."""
    model = new_model(judge.refit, dim, seed)
    train_implicit(model, judge.refit, seed=seed, **setting)
    return judge.test(_scores(model))


# ---------------------------------------------------------------- hashing


class HashedMF(nn.Module):
    """Matrix factorization whose films live in a hashed table.

    Args:
        n_users, n_items: U, N.
        n_buckets, n_hashes: see HashedEmbedding.
        dim: D.
        own_bias: leave each film a bias of its own; else biases are hashed in the same way.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        n_buckets: int,
        n_hashes: int,
        dim: int,
        own_bias: bool = False,
    ) -> None:
        super().__init__()
        self.users = nn.Embedding(n_users, dim)
        self.user_bias = nn.Embedding(n_users, 1)
        self.films = HashedEmbedding(n_buckets, dim, n_hashes)
        self.film_bias = nn.Embedding(n_items if own_bias else n_buckets, 1)
        nn.init.normal_(self.users.weight, std=0.1)
        for table in (self.user_bias, self.film_bias):
            nn.init.zeros_(table.weight)
        films = torch.arange(n_items)
        rows = self.films.buckets(films)  # hashed once, not in every step
        self.register_buffer("rows", rows)  # [N, H]
        self.register_buffer("bias_rows", films[:, None] if own_bias else rows)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits `[B]`."""
        vectors = self.films.table(self.rows[items]).sum(1)  # [B, D]
        bias = self.film_bias(self.bias_rows[items]).sum((1, 2))
        return (self.users(users) * vectors).sum(-1) + self.user_bias(users).squeeze(-1) + bias

    def score(self, users: Tensor) -> Tensor:
        """Logits `[U, N]`."""
        vectors = self.films.table(self.rows).sum(1)  # [N, D]
        bias = self.film_bias(self.bias_rows).sum((1, 2))  # [N]
        return self.users(users) @ vectors.T + self.user_bias(users) + bias


def hashed_score(
    judge: Judge, n_buckets: int, n_hashes: int, setting: dict, seed: int, own_bias: bool = False
) -> float:
    """NDCG@10 on the test of matrix factorization (D = 32) with hashed films."""
    log = judge.refit
    with seeded(seed):
        model = HashedMF(log.n_users, log.n_items, n_buckets, n_hashes, DIM, own_bias)
    train_implicit(model, log, seed=seed, **setting)
    return judge.test(_scores(model))


# ---------------------------------------------------------------- vectors for films nobody saw


def foretold(world: World, vectors: Tensor, counts: Tensor, seed: int = 0) -> dict[str, float]:
    """Hide a fifth of the trained film vectors and foretell them; how near does each way come?

    Args:
        world: whose films they are.
        vectors: `[N, D]`, trained.
        counts: `[N]` clicks they were trained on. What hardly anybody clicked has little to tell:
            films with fewer than five are neither hidden nor learned from.
        seed: of who is hidden.

    Returns:
        way → mean cosine between the foretold and the hidden vectors: "mean of all", "mean of its
        genre", "from its plot".
    """
    trained = (counts >= 5).nonzero().squeeze(1)
    generator = torch.Generator().manual_seed(seed)
    hidden = trained[torch.randperm(len(trained), generator=generator)[: len(trained) // 5]]
    known = torch.zeros(len(vectors), dtype=torch.bool)
    known[trained] = True
    known[hidden] = False
    genre = torch.from_numpy(world.film.genre.astype(np.int64))
    words = TfidfVectorizer().fit_transform(plots(world))
    guesses = {
        "mean of all": category_means(vectors, torch.zeros_like(genre), known),
        "mean of its genre": category_means(vectors, genre, known),
        "from its plot": vectors_from_content(vectors, words, known),
    }
    near = lambda guess: torch.cosine_similarity(guess[hidden], vectors[hidden]).mean()
    return {way: float(near(guess)) for way, guess in guesses.items()}


def plots(world: World) -> list[str]:
    """Title and plot of each film, as one text."""
    return [f"{title} {plot}" for title, plot in zip(world.titles, world.plots(), strict=True)]


# ---------------------------------------------------------------- one-hots


def one_hot_costs(n_ids: int, dim: int = 32, batch: int = 16) -> dict:
    """What a look-up takes, and the same thing as one-hots times the table. Counted, not timed.

    Args:
        n_ids: N, rows of the table.
        dim: D.
        batch: B ids looked up.

    Returns:
        "one-hot bytes" and "look-up bytes" (of what is fed to the table: `[B, N]` float32 against
        `[B]` int64), "one-hot multiplications" (B · N · D) and "look-up multiplications" (none),
        "equal": whether outputs agree.
    """
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(n_ids, dim, generator=generator)
    ids = torch.randint(n_ids, (batch,), generator=generator)
    one_hot = torch.zeros(batch, n_ids)
    one_hot[torch.arange(batch), ids] = 1
    return {
        "one-hot bytes": one_hot.element_size() * one_hot.nelement(),
        "look-up bytes": ids.element_size() * ids.nelement(),
        "one-hot multiplications": batch * n_ids * dim,
        "look-up multiplications": 0,
        "equal": bool(torch.equal(one_hot @ table, table[ids])),
    }
