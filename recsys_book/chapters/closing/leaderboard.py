"""The closing leaderboard: every chapter's model in charge of the lists of the simulated service.

An entry is a function `make_policy(world, seed)`: it trains on the whole log of a world and gives
the policy that then makes the lists. Nothing is trained again while it does. What a model reads
anew at every request, such as the history, it reads; what it has fixed, such as a vector a user,
stays. Every policy shows films that are out and that its user has not watched.

An entry may look at the log's users, films, times, contexts, clicks and watching, and at what
everybody knows of users and films. The log's mood and true chances, `world.truth` and the request's
belief are the oracle's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys_book.chapters.ch03_neumf import lab as ncf
from recsys_book.chapters.ch03_neumf import simulated as on_clicks
from recsys_book.chapters.ch04_youtube_dnn import charge, watch_time
from recsys_book.chapters.ch05_wide_and_deep import lab as wide_deep
from recsys_book.layers import Bags
from recsys_book.models.baselines import EASE, ItemKNN, Popularity
from recsys_book.models.factorization_machine import FactorizationMachine, pairwise_sum
from recsys_book.service import click_models
from recsys_book.service.online import Policy, Request, oracle_policy, top_list
from recsys_book.service.world import World

#: `make_policy(world, seed)`.
Maker = Callable[[World, int], Policy]

#: Which chapter each entry is of.
CHAPTERS = {
    "chance": "", "popularity": "00", "item kNN": "00", "EASE": "00", "MF": "00", "FM": "00",
    "DNN": "00", "NeuMF": "03", "candidates alone": "04", "funnel by clicks": "04",
    "funnel by watch time": "04", "wide": "05", "wide, more crosses": "05", "deep": "05",
    "wide & deep": "05", "oracle by clicks": "", "oracle by watch time": "",
}  # fmt: skip
OF_CHAPTER_05 = ("wide", "wide, more crosses", "deep", "wide & deep")
POPULARITY, BY_CLICKS, BY_WATCH = "popularity", "oracle by clicks", "oracle by watch time"
AT_ONCE = 128  # requests scored together


def makers(settings: Mapping[str, dict]) -> dict[str, Maker]:
    """Every entry, in the order of CHAPTERS.

    Args:
        settings: keyword arguments of the entries' functions below, by entry; the funnels take
            those of their second stage, and of "candidates alone" for the first.
    """
    of = lambda make, name, **more: partial(make, **more, **settings[name])
    funnel_by = lambda head: partial(
        funnel, head=head, first=settings["candidates alone"], second=settings[f"funnel by {head}"]
    )
    made = {
        "chance": chance,
        POPULARITY: popularity,
        "item kNN": of(from_items, "item kNN", model=ItemKNN),
        "EASE": of(from_items, "EASE", model=EASE),
        **{rung: of(click_model, rung, rung=rung) for rung in ("MF", "FM", "DNN")},
        "NeuMF": of(neumf, "NeuMF"),
        "candidates alone": of(candidates_alone, "candidates alone"),
        "funnel by clicks": funnel_by("clicks"),
        "funnel by watch time": funnel_by("watch time"),
        BY_CLICKS: lambda world, seed: oracle_policy(world, "click"),
        BY_WATCH: lambda world, seed: oracle_policy(world, "watch"),
    }
    for kind in OF_CHAPTER_05:
        made[kind] = of(wide_or_deep, kind, kind=kind)
    return {name: made[name] for name in CHAPTERS}


# ---------------------------------------------------------------- without a model


def chance(world: World, seed: int) -> Policy:
    """Films drawn evenly."""
    generator = torch.Generator().manual_seed(seed)
    shape = lambda request: (len(request), world.n_films)
    return lambda request: top_list(request, torch.rand(shape(request), generator=generator))


def popularity(world: World, seed: int) -> Policy:
    """What was clicked most."""
    return by_table(Popularity(world.log.clicks()).score(torch.arange(world.n_users)))


def by_table(scores: Tensor) -> Policy:
    """Users' films by scores `[U, N]` that stay as they are."""
    return lambda request: top_list(request, scores[request.users])


# ---------------------------------------------------------------- chapters 00 and 03


def from_items(world: World, seed: int, *, model: type[EASE | ItemKNN], **knobs) -> Policy:
    """A closed form that scores films by those in the history, as it stands at the request."""
    fitted = model(world.log.clicks(), **knobs)
    table = fitted.weights if isinstance(fitted, EASE) else fitted.similarity.toarray()
    table = F.pad(torch.as_tensor(table), (0, 0, 0, 1))  # [N + 1, N], the last row for padding

    def policy(request: Request) -> Tensor:
        scores = F.embedding_bag(request.history, table, mode="sum", padding_idx=world.n_films)
        return top_list(request, scores)

    return policy


def click_model(world: World, seed: int, *, rung: str, **knobs) -> Policy:
    """Chapter 00's MF, FM or DNN."""
    task = click_models.make_task(world, test_from=world.days)  # nothing is held out
    rows = task.before(world.days)
    model, _ = click_models.train_click_model(
        task, rung, click_models.Settings(**knobs), rows, seed=seed
    )
    model.eval()
    if rung != "MF":
        return in_parts(FieldScorer(task, model))
    with torch.no_grad():  # ids count from 1 there
        return by_table(model.model.score(torch.arange(world.n_users) + 1)[:, 1:])


class FieldScorer:
    """Chapter 00's FM or DNN for every film, without repeating what stays the same in a request.

    Equal to `ClickModel.preference` on every (request, film) pair.

    Args:
        task: whose world.
        model: trained.
    """

    def __init__(self, task: click_models.Task, model: click_models.ClickModel) -> None:
        self.model = model.model.eval()
        self.encoder = wide_deep.Scorer(task, self.model)

    def inputs(self, request: Request) -> tuple[Tensor, Bags]:
        """ids `[R, 9]`, the film's fields left at 0, and bags."""
        made = self.encoder.impressions(request)
        history = made.history[:, : click_models.HISTORY].long()
        bags = {
            click_models.FILM: (history, history > 0),
            click_models.GENRE: (made.session, made.session > 0),
        }
        return made.ids[:, : len(click_models.FIELDS)], bags

    @torch.no_grad()
    def __call__(self, request: Request) -> Tensor:
        """Logits `[R, N]`."""
        inputs, films = self.inputs(request), self.encoder.films
        if isinstance(self.model, FactorizationMachine):
            return machine_logits(self.model, *inputs, films)
        looked_up = self.model.vectors(*inputs)
        return wide_deep.deep_logits(self.model.vectors, self.model.mlp.layers, looked_up, films)


def machine_logits(model: FactorizationMachine, ids: Tensor, bags: Bags, films: Tensor) -> Tensor:
    """`[R, N]`: pairs within the request, pairs within the film, and request times film.

    Args:
        model: an FM.
        ids: `[R, F]` of the requests; what stands at the film's fields is not looked at.
        bags: of the requests.
        films: `[N, 4]` ids of the films, in the order of `wide_deep.OF_FILM`.
    """
    of_film = list(wide_deep.OF_FILM)
    of_request = [
        f for f in range(len(model.vectors.cardinalities) + len(bags)) if f not in of_film
    ]
    sides = []
    for take in (
        lambda part: part(ids, bags)[:, of_request],  # [R, F + bags − 4, D]
        lambda part: part.table(films + part.offsets[of_film]),  # [N, 4, D]
    ):
        vectors = take(model.vectors)
        alone = take(model.linear.weights).sum(dim=(1, 2)) + pairwise_sum(vectors)
        sides.append((alone, vectors.sum(1)))
    (request, u), (film, v) = sides
    return model.linear.bias + request[:, None] + film + u @ v.T


def in_parts(score: Callable[[Request], Tensor]) -> Policy:
    """A policy of `score(request) -> [R, N]`, a few requests at a time."""

    def policy(request: Request) -> Tensor:
        parts = [request[rows] for rows in torch.arange(len(request)).split(AT_ONCE)]
        return torch.cat([top_list(part, score(part)) for part in parts])

    return policy


def neumf(world: World, seed: int, *, epochs: int, **knobs) -> Policy:
    """Chapter 03's NeuMF, from scratch, on what was clicked."""
    clicks = world.log.clicks().without_repeats()
    setting = ncf.Setting(**knobs)
    model = ncf.make_model("NeuMF", clicks, setting.factors, seed)
    on_clicks.adam(model, clicks, setting, seed, epochs=epochs)
    with torch.no_grad():
        return by_table(model.eval().score(torch.arange(world.n_users)))


# ---------------------------------------------------------------- chapter 04


def candidates_alone(world: World, seed: int, *, epochs: int, **drawn) -> Policy:
    """Chapter 04's first stage, trained by the full softmax, without the second."""
    model = charge.train_generator(world, seed, epochs=epochs, **drawn)
    return in_parts(charge.first_stage(model))


def funnel(world: World, seed: int, *, head: str, first: dict, second: dict) -> Policy:
    """Both stages of chapter 04: the first finds 200 films, the second orders them.

    Args:
        world: with its log.
        seed: of the training.
        head: what the second stage is taught, "clicks" or "watch time".
        first: settings of `train_generator`.
        second: "epochs", and settings of `watch_time.Recipe`.
    """
    drawn = {name: value for name, value in second.items() if name != "epochs"}
    recipe = watch_time.Recipe({"clicks": "click"}.get(head, head), **drawn)
    part = watch_time.impressions(world)
    ranker = watch_time.train_ranker(part, world.n_films, recipe, seed, epochs=second["epochs"])
    return charge.two_stages(world, charge.train_generator(world, seed, **first), ranker)


# ---------------------------------------------------------------- chapter 05


def wide_or_deep(world: World, seed: int, *, kind: str, **knobs) -> Policy:
    """One of `wide_deep.KINDS`; no sequels are hidden from it."""
    task = wide_deep.make_task(world, hide=False)
    rows = task.rows(0, world.days)
    model, _ = wide_deep.train(task, kind, wide_deep.Setting(**knobs), rows, seed=seed)
    return wide_deep.policy_of(task, model)
