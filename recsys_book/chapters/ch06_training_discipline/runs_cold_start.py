"""Chapter 06, films nobody has met: guessed from content, learned from a few impressions, explored.

**Guessed**: every method tries eight drawn recipes in worlds 100 and 101, which no figure comes
from; the one with the highest mean HR@20 there is used in worlds 0 to 4. Learning rate, penalty and
epochs are drawn alike for all; each method draws its own knobs beside them.

**Learned**: the cold films that were shown thirty times or more before day 27. Their first k
impressions join the training of days 0 to 19, for several k; the clicks of day 27, and the truth,
are the test, the same for every k. Recipes are those with the lowest log-loss on the impressions of
these films on day 27 of the tuning worlds, at k = 30.

**Explored**: the bandits, on the films of the last three days of the service as `simulate(seed=…)`
makes it; what a prior is worth is chosen among three strengths in the tuning worlds. A model of
content, trained on the days before, shows each user the film it holds best for them.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache

import numpy as np
import torch

from recsys_book.chapters.ch06_training_discipline import cold_start as lab
from recsys_book.chapters.ch06_training_discipline import cold_start_bandits as bandits
from recsys_book.chapters.ch06_training_discipline.cold_start import (
    FROM_IDS,
    ONE_GRADIENT,
    PLAIN,
    Recipe,
)
from recsys_book.metrics import log_loss
from recsys_book.reproduce import Pieces, piece
from recsys_book.service import simulate

NAME = "ch06/cold_start"
SEEDS, TUNING_WORLDS = (0, 1, 2, 3, 4), (100, 101)
N_DRAWS = 8
LAST_DAY, SHOWN = 27, 30
IMPRESSIONS = (0, 1, 3, 10, 30)
#: Who learns from a few impressions.
LEARNERS = ("ids alone", "content and ids")
CONTENT, WITH_IDS = "categories and words", "one gradient on both, id dropout"
REQUESTS = (5_000, 50_000)
STRENGTHS = (5.0, 20.0, 80.0)
NEW_DAYS, POINTS = 3, 60  # films of the bandits; places at which a regret curve is recorded
PERSONAL = {"content, personal": False, "oracle, personal": True}


class Work(Pieces):
    """The run: each public method is one kind of piece."""

    # ------------------------------------------------------------ guessed

    @piece
    def try_ids(self, world: int) -> dict:
        """HR@20 of every drawn recipe, for every method that starts from trained ids."""
        task, found = Task(world), {name: [] for name in from_ids()}
        for recipe in lab.draws(n=N_DRAWS):
            model = lab.train_ids(task.world, task.examples, recipe, seed=world).model
            for name in found:
                hits = lab.hit_rate(task.test, task.scores_from_ids(model, name, recipe))
                found[name].append(float(hits.mean()))
        return found

    @piece
    def try_gradient(self, name: str, world: int) -> list[float]:
        """HR@20 of every drawn recipe of a method with content in its gradient."""
        task, found = Task(world), []
        for recipe in lab.draws(ONE_GRADIENT[name][1], N_DRAWS):
            scores = task.scores_of_gradient(name, recipe, seed=world)
            found.append(float(lab.hit_rate(task.test, scores).mean()))
        return found

    def recipe(self, name: str) -> Recipe:
        """The best on average."""
        if name in FROM_IDS:
            tried = [self.try_ids(world)[name] for world in TUNING_WORLDS]
            return lab.draws(n=N_DRAWS)[int(np.mean(tried, axis=0).argmax())]
        tried = [self.try_gradient(name, world) for world in TUNING_WORLDS]
        return lab.draws(ONE_GRADIENT[name][1], N_DRAWS)[int(np.mean(tried, axis=0).argmax())]

    @piece
    def ids(self, seed: int) -> dict:
        """Both tests of everything that starts from trained ids, and of what learns no vector."""
        task = Task(seed)
        trained = cache(
            lambda *how: lab.train_ids(task.world, task.examples, Recipe(*how), seed=seed).model
        )
        found = dict(zip(PLAIN, (task.judge(s) for s in task.plain()), strict=True))
        for name in from_ids():
            recipe = self.recipe(name)
            model = trained(recipe.lr, recipe.penalty, recipe.epochs)
            found[name] = task.judge(task.scores_from_ids(model, name, recipe))
        return {
            "methods": found,
            "films": len(task.films),
            "clicks": len(task.test.user),
            "compete": float(task.test.present.sum(1).double().mean()),
        }

    @piece
    def gradient(self, name: str, seed: int) -> dict:
        """Both tests of a method with content in its gradient."""
        task = Task(seed)
        scores = task.scores_of_gradient(name, self.recipe(name), seed=seed)
        return task.judge(scores)

    # ------------------------------------------------------------ learned

    @piece
    def try_learner(self, kind: str, world: int) -> list[float]:
        """Log-loss on day 27 of every drawn recipe."""
        task, found = Warm(world), []
        for recipe in learner_draws(kind):
            placed = task.train(kind, SHOWN, recipe)
            with torch.no_grad():
                found.append(log_loss(task.last.label, placed(task.last)))
        return found

    def learner(self, kind: str) -> Recipe:
        """The best on average."""
        tried = [self.try_learner(kind, world) for world in TUNING_WORLDS]
        return learner_draws(kind)[int(np.mean(tried, axis=0).argmin())]

    @piece
    def curve(self, kind: str, k: int, seed: int) -> dict:
        """Both tests after k impressions of each cold film."""
        task = Warm(seed)
        model = task.train(kind, k, self.learner(kind)).model
        return {"judged": task.judge(model), "films": len(task.films)}

    # ------------------------------------------------------------ explored

    @piece
    def try_strength(self, world: int) -> list[float]:
        """Regret of Thompson sampling at the end of 5,000 requests, for every strength."""
        made = simulate(seed=world)
        films = bandits.new_films(made, NEW_DAYS)
        rates = bandits.genre_rates(made, films)
        requests = bandits.draw_requests(made, films, REQUESTS[0], seed=world)
        found = []
        for strength in STRENGTHS:
            policy = bandits.make_policies(requests, rates, strength)["Thompson, content prior"]
            run = bandits.run_bandit(requests, policy, seed=world)
            found.append(float(run.regret[-1]))
        return found

    def strength(self) -> float:
        """The best on average."""
        tried = [self.try_strength(world) for world in TUNING_WORLDS]
        return STRENGTHS[int(np.mean(tried, axis=0).argmin())]

    @piece
    def explore(self, n: int, seed: int) -> dict:
        """Every policy on n requests."""
        self.recipe(WITH_IDS)  # asked for before the work
        strength = self.strength()
        world = simulate(seed=seed)
        films = bandits.new_films(world, NEW_DAYS)
        rates = bandits.genre_rates(world, films)
        runs = bandits.compare(world, films, rates, strength, n=n, seed=seed)
        requests = bandits.draw_requests(world, films, n, seed=seed)
        for name, truth in PERSONAL.items():
            scores = requests.chance if truth else self._predicted(world, films, seed)
            runs[name] = bandits.run_scores(requests, scores if truth else scores[requests.users])
        return {"policies": {k: told(run) for k, run in runs.items()}, "films": len(films)}

    def _predicted(self, world, films, seed: int) -> torch.Tensor:
        """`[U, k]` what a model of content makes of films that it has not seen."""
        first = world.days - NEW_DAYS
        examples = lab.make_examples(world.log, lab.training_rows(world.log, first))
        known = torch.bincount(examples.film, minlength=world.n_films) > 0
        content, recipe = lab.contents(world, known)[CONTENT], self.recipe(WITH_IDS)
        model = lab.train_content(world, content, examples, recipe, seed=seed).model
        with torch.no_grad():
            return model.score(torch.arange(world.n_users))[:, films]

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        plain = [self.ids(seed) for seed in SEEDS]
        curves = {
            kind: {str(k): [self.curve(kind, k, seed) for seed in SEEDS] for k in IMPRESSIONS}
            for kind in LEARNERS
        }
        gradient = {n: [self.gradient(n, seed) for seed in SEEDS] for n in with_gradient()}
        explored = {n: [self.explore(n, seed) for seed in SEEDS] for n in REQUESTS}
        return {
            "sentence encoder": sentences(),
            "films": [row["films"] for row in plain],
            "clicks": [row["clicks"] for row in plain],
            "films that compete": [row["compete"] for row in plain],
            "recipes": {
                name: asdict(self.recipe(name)) for name in (*from_ids(), *with_gradient())
            },
            "methods": {
                name: [row["methods"][name] for row in plain] for name in (*PLAIN, *from_ids())
            }
            | gradient,
            "learners": {kind: asdict(self.learner(kind)) for kind in LEARNERS},
            "curve films": [row["films"] for row in curves[LEARNERS[0]]["0"]],
            "curve": {
                kind: {k: [row["judged"] for row in rows] for k, rows in by_k.items()}
                for kind, by_k in curves.items()
            },
            "strength": self.strength(),
            "bandit films": [row["films"] for row in explored[REQUESTS[0]]],
            "bandits": {
                str(n): {
                    name: [row["policies"][name] for row in rows] for name in rows[0]["policies"]
                }
                for n, rows in explored.items()
            },
            "points": {str(n): points(n).tolist() for n in REQUESTS},
        }


class Task:
    """A world cut at day 20."""

    def __init__(self, seed: int) -> None:
        self.world = simulate(n_films=lab.N_FILMS, seed=seed)
        self.films = lab.cold_films(self.world)
        self.examples = lab.make_examples(self.world.log, lab.training_rows(self.world.log))
        known = torch.bincount(self.examples.film, minlength=self.world.n_films) > 0
        self.content = lab.contents(self.world, known)
        self.test = lab.make_test(self.world, self.films)
        rate = lab.genre_rate(self.world, self.examples)[self.films]
        self.genre = rate.expand(self.world.n_users, -1)  # [U, n]

    def plain(self) -> tuple[torch.Tensor, ...]:
        """Scores `[U, n]` of PLAIN, in its order."""
        return torch.zeros_like(self.genre), self.genre, self.test.truth

    def scores_from_ids(self, model, name: str, recipe: Recipe) -> torch.Tensor:
        """`[U, n]`"""
        start = FROM_IDS[name]
        scores = lab.scores_from_ids(self.world, model, start, self.content, self.examples, recipe)
        return scores[:, self.films]

    @torch.no_grad()
    def scores_of_gradient(self, name: str, recipe: Recipe, *, seed: int) -> torch.Tensor:
        """`[U, n]`"""
        content = self.content[ONE_GRADIENT[name][0]]
        with torch.enable_grad():
            placed = lab.train_content(self.world, content, self.examples, recipe, seed=seed)
        return placed.model.score(torch.arange(self.world.n_users))[:, self.films]

    def judge(self, scores: torch.Tensor) -> dict[str, float]:
        """Both tests."""
        return lab.judge(self.test, scores, self.genre)


class Warm:
    """A world whose cold films have been shown some times."""

    def __init__(self, seed: int) -> None:
        self.world, self.seed = simulate(n_films=lab.N_FILMS, seed=seed), seed
        log = self.world.log
        cold = lab.cold_films(self.world)
        before = torch.isin(log.film.long(), cold) & (log.day < LAST_DAY)
        shown = torch.bincount(log.film[before].long(), minlength=self.world.n_films)
        self.films = cold[shown[cold] >= SHOWN]
        self.rows = lab.training_rows(log)
        last = torch.isin(log.film.long(), self.films) & (log.day == LAST_DAY)
        self.last = lab.make_examples(log, last.nonzero().squeeze(1))
        self.test = lab.make_test(self.world, self.films, LAST_DAY, least=lab.K + 1)
        rate = lab.genre_rate(self.world, lab.make_examples(log, self.rows))[self.films]
        self.genre = rate.expand(self.world.n_users, -1)

    def train(self, kind: str, k: int, recipe: Recipe) -> lab.Placed:
        """One of LEARNERS on days 0 to 19 and the first k impressions of each cold film."""
        log = self.world.log
        more = lab.first_rows(log, self.films, k, LAST_DAY)
        examples = lab.make_examples(log, torch.cat([self.rows, more]))
        if kind == LEARNERS[0]:
            return lab.train_ids(self.world, examples, recipe, seed=self.seed)
        known = torch.bincount(examples.film, minlength=self.world.n_films) > 0
        content = lab.contents(self.world, known)[CONTENT]
        return lab.train_content(self.world, content, examples, recipe, seed=self.seed)

    @torch.no_grad()
    def judge(self, model) -> dict[str, float]:
        """Both tests."""
        scores = model.score(torch.arange(self.world.n_users))[:, self.films]
        return lab.judge(self.test, scores, self.genre)


def learner_draws(kind: str) -> list[Recipe]:
    """The recipes that one of LEARNERS tries."""
    return lab.draws((0.0,) if kind == LEARNERS[0] else ONE_GRADIENT[WITH_IDS][1], N_DRAWS)


def told(run: bandits.BanditRun) -> dict:
    """What is recorded of a policy's run; curves at POINTS places."""
    places = points(len(run.regret))
    rounded = lambda curve: [round(float(v), 1) for v in curve[places - 1]]
    return {
        "clicks": run.clicks,
        "regret": rounded(run.regret),
        "personal regret": rounded(run.personal_regret),
    }


def points(n: int) -> torch.Tensor:
    """`[POINTS]` numbers of requests, up to n, after which a curve is recorded."""
    return torch.arange(1, POINTS + 1) * n // POINTS


def from_ids() -> list[str]:
    """Methods that start from trained ids; sentences where there is an encoder."""
    return [name for name, start in FROM_IDS.items() if start != "sentences" or sentences()]


def with_gradient() -> list[str]:
    """Methods with content in the gradient, likewise."""
    return [name for name, (on, _) in ONE_GRADIENT.items() if on != "sentences" or sentences()]


sentences = cache(lab.has_sentences)


def settings() -> dict:
    """What pieces depend on besides the code."""
    return {"sentences": sentences()}


def report(figures: dict) -> None:
    """Print what was found."""
    for name, rows in figures["methods"].items():
        print(f"{name:38}", *(f"{key} {_mean(rows, key):.3f}" for key in rows[0]))
    for kind, by_k in figures["curve"].items():
        for k, rows in by_k.items():
            print(kind, k, *(f"{key} {_mean(rows, key):.3f}" for key in rows[0]))
    for n, policies in figures["bandits"].items():
        for name, rows in policies.items():
            ends = [(row["clicks"], row["regret"][-1], row["personal regret"][-1]) for row in rows]
            print(n, f"{name:26}", "clicks, regret, personal regret", np.mean(ends, axis=0).round())


def quick() -> None:
    """World 0 with one recipe for all, nothing chosen; printed and not recorded."""
    task, recipe = Task(0), Recipe(penalty=0.015, l2=30.0, enough=20)
    scores = dict(zip(PLAIN, task.plain(), strict=True))
    model = lab.train_ids(task.world, task.examples, recipe, seed=0).model
    scores |= {name: task.scores_from_ids(model, name, recipe) for name in from_ids()}
    for name in with_gradient():
        chances = ONE_GRADIENT[name][1]
        some = replace(recipe, id_dropout=chances[len(chances) // 2])
        scores[name] = task.scores_of_gradient(name, some, seed=0)
    for name, some in scores.items():
        print(f"{name:38}", *(f"{key} {value:.3f}" for key, value in task.judge(some).items()))


def _mean(rows: list[dict], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))
