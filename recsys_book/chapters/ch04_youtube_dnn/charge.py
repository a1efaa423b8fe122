"""Chapter 04 in charge: two stages make the lists of the simulated service; what each stage loses.

A first stage hands over some films, a second one orders them. Either may be a trained network, or
know the truth: so it shows which of the two stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recsys_book.chapters.ch04_youtube_dnn import candidates, watch_time
from recsys_book.data.next_watch import seconds_since
from recsys_book.models.youtube_dnn import CandidateGenerator
from recsys_book.service.log import DAY
from recsys_book.service.online import Online, Policy, Request, top_list
from recsys_book.service.world import Context, World

LENGTH = 30  # films of the past that the candidate generator sees
CANDIDATES = 200  # what the first stage hands over
AT_ONCE = 128  # requests scored together

#: `first(request) -> [R, N]` scores of all films.
First = Callable[[Request], Tensor]


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


def true_chance(world: World) -> First:
    """A first stage, or the heart of a second, that knows every true chance of a click."""
    films = torch.arange(world.n_films)

    def score(request: Request) -> Tensor:
        context = Context(
            device=request.device[:, None], daypart=request.daypart[:, None],
            belief=request.belief, history=request.history,
        )  # fmt: skip
        return world.click_probability(request.users[:, None], films[None], context)

    return score


def at_random(seed: int) -> First:
    """A first stage that draws its films evenly, a request at a time."""
    generator = torch.Generator().manual_seed(seed)
    return lambda request: torch.rand(len(request), len(request.released), generator=generator)


#: `second(request, films [R, C], past) -> [R, C]` scores of the films handed over.
Second = Callable[[Request, Tensor, "Past"], Tensor]


def ranked_by(ranker: watch_time.Fitted, world: World) -> Second:
    """The second stage of a trained ranker."""

    def order(request: Request, films: Tensor, past: Past) -> Tensor:
        examples = second_stage_examples(request, films, past, world)
        return ranker.logits(examples).view(films.shape)

    return order


def of_every_film(score: First) -> Second:
    """A second stage that scores all films, and is asked for some."""
    return lambda request, films, past: score(request).gather(1, films)


def staged(world: World, first: First | None, second: Second, n: int = CANDIDATES) -> Policy:
    """The policy of two stages, for many requests at a time.

    It keeps count of what it has shown, so each `run_online` needs a new one.

    Args:
        world: with its log.
        first: None hands over every film.
        second: orders what is handed over.
        n: films that the first hands over.
    """
    past, n = Past(world), world.n_films if first is None else min(n, world.n_films)

    def best(request: Request) -> Tensor:
        scores = torch.zeros(len(request), world.n_films) if first is None else first(request)
        films = top_list(request, scores, n)  # [R, C]
        found = second(request, films, past)
        others = torch.finfo(found.dtype).min
        every = found.new_full((len(films), world.n_films), others).scatter(1, films, found)
        return top_list(request, every)

    def policy(request: Request) -> Tensor:
        past.look(request)
        parts = [request[rows] for rows in torch.arange(len(request)).split(AT_ONCE)]
        lists = torch.cat([best(part) for part in parts])
        past.shown_now(request, lists)
        return lists

    return policy


def policy_of(
    world: World,
    first: str,
    second: str,
    generator: CandidateGenerator | None,
    ranker: watch_time.Fitted | None,
    seed: int,
) -> Policy:
    """The policy of two stages by name.

    Args:
        world: with its log.
        first: "none" (every film is handed over), "at random", "truth" or "trained".
        second: "truth", "alone" (the trained first stage orders its own films), or any other name,
            for a trained ranker.
        generator: where the first is trained.
        ranker: where the second is trained.
        seed: of what is drawn at random.

    Raises:
        ValueError: a first stage that there is not.
    """
    stages = {"none": lambda: None, "at random": lambda: at_random(seed)}
    stages |= {"truth": lambda: true_chance(world), "trained": lambda: first_stage(generator)}
    if first not in stages:
        raise ValueError(f"first is {first!r}; it must be one of {', '.join(stages)}")
    if second == "truth":
        return staged(world, stages[first](), of_every_film(true_chance(world)))
    if second == "alone":
        return staged(world, stages[first](), of_every_film(first_stage(generator)))
    return staged(world, stages[first](), ranked_by(ranker, world))


def two_stages(
    world: World, generator: CandidateGenerator, ranker: watch_time.Fitted, n: int = CANDIDATES
) -> Policy:
    """The policy of a trained first and second stage: `serving.Funnel`, for many at a time."""
    return staged(world, first_stage(generator), ranked_by(ranker, world), n)


def second_stage_examples(
    request: Request, films: Tensor, past: Past, world: World
) -> watch_time.Impressions:
    """Films `[R, C]` of a request as the ranker takes them, `[R · C]` rows."""
    c, n = films.shape[1], films.numel()
    place = torch.ones_like(request.device)  # not known yet; `Fitted.logits` sees to it
    fields = torch.stack([request.device + 1, request.daypart + 1, place], dim=1).repeat_interleave(
        c, 0
    )
    fields = watch_time.with_facts(
        fields, request.users.repeat_interleave(c), films.flatten(), world
    )
    return watch_time.Impressions(
        item=films.flatten(),
        history=request.history[:, : watch_time.HISTORY].repeat_interleave(c, 0),
        fields=fields,
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
