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
from recsys_book.chapters.ch04_youtube_dnn import candidates, watch_time
from recsys_book.chapters.ch05_wide_and_deep import lab as wide_deep
from recsys_book.data.next_watch import seconds_since
from recsys_book.layers import Bags
from recsys_book.models.baselines import EASE, ItemKNN, Popularity
from recsys_book.models.factorization_machine import FactorizationMachine, pairwise_sum
from recsys_book.models.youtube_dnn import CandidateGenerator
from recsys_book.service import click_models
from recsys_book.service.log import DAY
from recsys_book.service.online import Online, Policy, Request, oracle_policy, top_list
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
LENGTH = 30  # films of the past that the candidate generator sees
CANDIDATES = 200  # what the first stage hands over
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
    return in_parts(first_stage(train_generator(world, seed, epochs=epochs, **drawn)))


def train_generator(world: World, seed: int, *, epochs: int, **drawn) -> CandidateGenerator:
    """A generator with device and time of day as context, fitted on every click of the log.

    Args:
        world: with its log.
        seed: of the training.
        epochs: how many.
        drawn: see `candidates.draw`.
    """
    log, end = world.log, world.days * DAY
    rows = log.clicked.nonzero().squeeze(1)
    context = torch.stack([log.device[rows], log.daypart[rows]], dim=1).long() + 1
    task = candidates.make_task(
        log.clicks(), end, end, length=LENGTH, context=context,
        cardinalities=watch_time.SIZES[: context.shape[1]],
    )  # fmt: skip
    make, recipe = candidates.made_of(task, "full softmax", drawn, seed)
    model = make()
    examples = candidates.training_examples(task, until=end)
    candidates.train(model, task, examples, recipe, seed, epochs=epochs)
    return model.eval()


def first_stage(model: CandidateGenerator) -> Callable[[Request], Tensor]:
    """`score(request) -> [R, N]`."""

    @torch.no_grad()
    def score(request: Request) -> Tensor:
        context = torch.stack([request.device, request.daypart], dim=1) + 1
        return model.score(request.history[:, :LENGTH], context)

    return score


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
    return two_stages(world, train_generator(world, seed, **first), ranker)


def two_stages(
    world: World, generator: CandidateGenerator, ranker: watch_time.Fitted, n: int = CANDIDATES
) -> Policy:
    """The policy of a trained first and second stage: `serving.Funnel`, for many at a time.

    It keeps count of what it has shown, so each `run_online` needs a new one.

    Args:
        world: with its log.
        generator: first stage.
        ranker: second stage.
        n: films that the first hands over.
    """
    score, past = first_stage(generator), Past(world)

    def best(request: Request) -> Tensor:
        films = top_list(request, score(request), min(n, world.n_films))  # [R, C]
        logits = ranker.logits(second_stage_examples(request, films, past)).view(films.shape)
        others = torch.finfo(logits.dtype).min
        every = logits.new_full((len(films), world.n_films), others).scatter(1, films, logits)
        return top_list(request, every)

    def policy(request: Request) -> Tensor:
        past.look(request)
        parts = [request[rows] for rows in torch.arange(len(request)).split(AT_ONCE)]
        lists = torch.cat([best(part) for part in parts])
        past.shown_now(request, lists)
        return lists

    return policy


def second_stage_examples(request: Request, films: Tensor, past: Past) -> watch_time.Impressions:
    """Films `[R, C]` of a request as the ranker takes them, `[R · C]` rows."""
    c, n = films.shape[1], films.numel()
    place = torch.ones_like(request.device)  # not known yet; `Fitted.logits` sees to it
    fields = torch.stack([request.device + 1, request.daypart + 1, place], dim=1)
    return watch_time.Impressions(
        item=films.flatten(),
        history=request.history[:, : watch_time.HISTORY].repeat_interleave(c, 0),
        fields=fields.repeat_interleave(c, 0),
        raw=past.raw(request, films).flatten(0, 1),
        clicked=torch.zeros(n, dtype=torch.bool),
        minutes=torch.zeros(n),
        day=request.day.repeat_interleave(c),
    )


class Past:
    """What the ranker is told and a request does not bring: when each user last watched something,
    and how often each film was shown to them. A service would keep it in a table of features.

    Args:
        world: with the log that it begins with.
    """

    def __init__(self, world: World) -> None:
        log, every = world.log, torch.arange(world.n_users)
        end = torch.full((world.n_users,), world.days * DAY)
        since = seconds_since(log.clicks(), every, end, otherwise=0).long()
        self.n_films = world.n_films
        self.last = end - since  # [U] seconds
        self.watched = log.clicks().user_counts()  # [U]
        self.asked = torch.zeros(world.n_users, dtype=torch.int64)  # [U] time of the last list
        key = log.user.long() * world.n_films + log.film.long()
        times = torch.bincount(key, minlength=world.n_users * world.n_films)
        self.times = times.view(world.n_users, world.n_films)  # [U, N] shown

    def look(self, request: Request) -> None:
        """Take note of what was watched since the last list: it was clicked there."""
        users, n = request.users, (request.history < self.n_films).sum(1)
        self.last[users] = torch.where(n > self.watched[users], self.asked[users], self.last[users])
        self.watched[users] = n

    def raw(self, request: Request, films: Tensor) -> Tensor:
        """`[R, C, 2]` float64: seconds since the last watch, times shown before."""
        since = (request.time - self.last[request.users])[:, None].expand(films.shape)
        return torch.stack([since, self.times[request.users[:, None], films]], dim=-1).double()

    def shown_now(self, request: Request, lists: Tensor) -> None:
        """Take note of the lists `[R, K]` that go out."""
        self.times[request.users[:, None], lists] += 1  # a film stands once in a list
        self.asked[request.users] = request.time


# ---------------------------------------------------------------- chapter 05


def wide_or_deep(world: World, seed: int, *, kind: str, **knobs) -> Policy:
    """One of `wide_deep.KINDS`; no sequels are hidden from it."""
    task = wide_deep.make_task(world, hide=False)
    rows = task.rows(0, world.days)
    model, _ = wide_deep.train(task, kind, wide_deep.Setting(**knobs), rows, seed=seed)
    return wide_deep.policy_of(task, model)


# ---------------------------------------------------------------- what came of it


def outcome(world: World, online: Online) -> dict[str, float]:
    """The figures of one entry in one world.

    Returns:
        "clicks"; "hours" watched; "shown", the share of all films that stood in a list at least
        once; "gini" of the impressions by film; "bait", the share of clickbait among the
        impressions.
    """
    film = online.log.film.long()
    times = torch.bincount(film, minlength=world.n_films)
    return {
        "clicks": online.clicks,
        "hours": online.watch_hours,
        "shown": float((times > 0).double().mean()),
        "gini": gini(times),
        "bait": float(torch.from_numpy(world.truth.clickbait)[film].double().mean()),
    }


def gini(counts: Tensor) -> float:
    """Gini coefficient: 0 where all are alike, (n − 1) / n where one has everything.

    Half the mean difference between two drawn evenly, as a share of the mean.

    Args:
        counts: `[n]`, none below 0, not all 0.
    """
    if counts.dim() != 1 or len(counts) == 0 or counts.min() < 0 or not counts.sum() > 0:
        raise ValueError(f"counts is {counts}; it must be [n], none below 0 and not all 0")
    x, n = counts.double().sort().values, len(counts)
    rank = torch.arange(1, n + 1, dtype=torch.float64)
    return float((2 * rank - n - 1) @ x / (n * x.sum()))
