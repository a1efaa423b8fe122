"""Chapter 04, first stage: which losses, histories and splits find the next watch.

A task is a log cut by time: fit on the past, choose by what came next, fit anew on both, and be
tested by the watches of the last days, each with its history up to that moment. Recall@K is the
share of these watches that stand among the K best of the whole catalogue, what the user has
watched already left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.quasirandom import SobolEngine

from recsys_book.arguments import check_finite, check_positive
from recsys_book.data.interactions import Interactions
from recsys_book.data.next_watch import WatchExamples, any_watch, next_watch, some_of_each
from recsys_book.losses import in_batch_softmax_loss, sampled_softmax_loss
from recsys_book.models.youtube_dnn import CandidateGenerator
from recsys_book.sampling import Proposal, unigram
from recsys_book.service.log import DAY
from recsys_book.service.oracle import Ranking, expected_clicks, oracle_ndcg
from recsys_book.service.world import Context, World
from recsys_book.train import History, fit, seeded

CUTS = (50, 200)


@dataclass(frozen=True)
class Task:
    """A log of watches, cut by time.

    Attributes:
        log: all watches.
        context: `[M, F]` ids beside each row of the log, or None.
        cardinalities: of the context's fields.
        validation_from, test_from: seconds.
        length: L of histories.
        test: examples of watches from `test_from` on, of items not watched before and known before.
        n_left_out: watches from `test_from` on that are no such thing.
    """

    log: Interactions
    context: Tensor | None
    cardinalities: tuple[int, ...]
    validation_from: int
    test_from: int
    length: int
    test: WatchExamples
    validation: WatchExamples
    n_left_out: int

    @property
    def oldest(self) -> float:
        """Seconds from the first watch to the test: the largest example age."""
        return float(self.test_from - int(self.log.time.min()))


def make_task(
    log: Interactions,
    validation_from: int,
    test_from: int,
    *,
    length: int = 30,
    context: Tensor | None = None,
    cardinalities: tuple[int, ...] = (),
) -> Task:
    """Cut a log, see `Task`."""
    if context is not None and context.shape != (len(log), len(cardinalities)):
        raise ValueError(
            f"context has shape {tuple(context.shape)}; it must be "
            f"[{len(log)}, {len(cardinalities)}]"
        )
    examples = next_watch(log, length)
    test, left_out = _new_ones(examples, log, test_from, None)
    validation, _ = _new_ones(examples, log, validation_from, test_from)
    return Task(
        log, context, tuple(cardinalities), validation_from, test_from, length, test, validation,
        left_out,
    )  # fmt: skip


def _new_ones(
    examples: WatchExamples, log: Interactions, start: int, end: int | None
) -> tuple[WatchExamples, int]:
    """Examples in a stretch of time whose item is new to the user and was watched before it."""
    here = examples.time >= start
    if end is not None:
        here &= examples.time < end
    before = log.time < start
    known = torch.zeros(log.n_items, dtype=torch.bool)
    known[log.item[before]] = True
    key = examples.user * log.n_items + examples.item
    in_history = (examples.history == examples.item[:, None]).any(1)
    again = torch.isin(key, log.keys()[before]) | in_history
    kept = here & ~again & known[examples.item]
    return examples[kept], int(here.sum() - kept.sum())


def training_examples(
    task: Task, *, until: int, per_user: int | None = None, leak: bool = False, seed: int = 0
) -> WatchExamples:
    """Examples made of the watches before a second alone.

    Args:
        task: whose log.
        until: seconds.
        per_user: at most so many of each user; None takes all.
        leak: histories from both sides of the watch, see `any_watch`.
        seed: of the draw.
    """
    rows = (task.log.time < until).nonzero().squeeze(1)
    past = task.log[rows]
    examples = (any_watch if leak else next_watch)(past, task.length)
    examples = replace(examples, row=rows[examples.row])
    if per_user is not None:
        examples = some_of_each(examples, per_user, torch.Generator().manual_seed(seed))
    return examples


# ---------------------------------------------------------------- models


class StaticUser(nn.Module):
    """A vector a user, whatever was watched: matrix factorization under the same softmax."""

    def __init__(self, n_users: int, n_items: int, dim: int, init_std: float = 0.01) -> None:
        super().__init__()
        self.users = nn.Embedding(n_users, dim)
        self.items = nn.Embedding(n_items, dim)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=init_std)

    def forward(self, users: Tensor) -> Tensor:
        return self.users(users)

    def item_vectors(self) -> Tensor:
        return self.items.weight


def new_generator(
    task: Task, *, dim: int = 32, hidden: tuple[int, ...] = (64, 32), ages: bool = False,
    context: bool = True, init_std: float = 0.1, seed: int = 0,
) -> CandidateGenerator:  # fmt: skip
    """A CandidateGenerator for a task, its start decided by the seed alone."""
    with seeded(seed):
        return CandidateGenerator(
            task.log.n_items, dim, hidden,
            cardinalities=task.cardinalities if context else (),
            oldest=task.oldest if ages else None, init_std=init_std,
        )  # fmt: skip


def user_vectors(
    model: nn.Module, task: Task, examples: WatchExamples, now: int | None = None
) -> Tensor:
    """`[B, D]`, as served: at age 0; or, in training, with each example's age at a second `now`,
    the end of what is trained on."""
    if isinstance(model, StaticUser):
        return model(examples.user)
    context = None if model.context is None else task.context[examples.row]
    age = None
    if now is not None and model.oldest is not None:
        age = (now - examples.time).double()
    return model(examples.history, context, age)


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        loss: "full", "sampled" or "in-batch" softmax.
        log_q: whether the two latter are corrected.
        n_negatives: drawn a step for "sampled", by how often items were watched.
        temperature: of the softmax.
        lr, weight_decay: Adam's.
        batch_size: examples a step.
        decay: of the learning rate, an epoch.
        epochs: at most.
    """

    loss: str = "full"
    log_q: bool = True
    n_negatives: int = 511  # as many as a batch of 512 has of others
    temperature: float = 1.0
    lr: float = 0.005
    weight_decay: float = 0.0
    batch_size: int = 512
    decay: float = 0.9
    epochs: int = 15


def train(
    model: nn.Module,
    task: Task,
    examples: WatchExamples,
    recipe: Recipe,
    seed: int,
    *,
    validate: Callable[[nn.Module], float] | None = None,
    epochs: int | None = None,
    patience: int | None = None,
    after_epoch: Callable[[int, nn.Module], object] | None = None,
) -> History:
    """Train a model on examples.

    Args:
        model: a CandidateGenerator or a StaticUser, trained in place.
        task: for context and ages.
        examples: what to learn from.
        recipe: how.
        seed: of order and negatives.
        validate, patience: see `fit`.
        epochs: instead of the recipe's.
    """
    counts = torch.bincount(examples.item, minlength=examples.n_items)
    proposal = unigram(counts)
    now = int(examples.time.max())
    epochs = recipe.epochs if epochs is None else epochs
    optimizer = torch.optim.Adam(
        model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
    )

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        for rows in torch.randperm(len(examples), generator=generator).split(recipe.batch_size):
            if len(rows) > 1:  # one alone has nobody in its batch
                drawn = proposal.sample(recipe.n_negatives, generator)
                yield rows, drawn

    def loss(model: nn.Module, batch: tuple) -> Tensor:
        rows, drawn = batch
        part = examples[rows]
        users = user_vectors(model, task, part, now)
        return softmax_loss(users, model.item_vectors(), part.item, drawn, proposal, recipe)

    return fit(
        model, batches, loss, optimizer,
        schedules=[torch.optim.lr_scheduler.ExponentialLR(optimizer, recipe.decay)],
        validate=validate, max_epochs=epochs, patience=patience, after_epoch=after_epoch, seed=seed,
    )  # fmt: skip


def softmax_loss(
    users: Tensor, items: Tensor, chosen: Tensor, drawn: Tensor, proposal: Proposal, recipe: Recipe
) -> Tensor:
    """The three losses on one batch.

    Args:
        users: `[B, D]`.
        items: `[N, D]`.
        chosen: `[B]` what was watched.
        drawn: `[m]` negatives, for "sampled".
        proposal: that they were drawn from.
        recipe: which loss.
    """
    tau = recipe.temperature
    check_positive("temperature", tau)
    if recipe.loss == "full":
        return F.cross_entropy(users @ items.T / tau, chosen)
    own = F.embedding(chosen, items)  # [B, D]
    if recipe.loss == "in-batch":
        log_q = proposal.log_q[chosen] if recipe.log_q else None
        return in_batch_softmax_loss(users @ own.T, log_q, ids=chosen, temperature=tau)
    if recipe.loss != "sampled":
        raise ValueError(f"loss is {recipe.loss!r}; it must be full, sampled or in-batch")
    return sampled_softmax_loss(
        (users * own).sum(1),
        users @ F.embedding(drawn, items).T,
        proposal.log_q[drawn] if recipe.log_q else None,
        positive_ids=chosen,
        negative_ids=drawn,
        temperature=tau,
    )


# ---------------------------------------------------------------- judging


@torch.no_grad()
def recalls(
    score: Callable[[WatchExamples], Tensor],
    task: Task,
    examples: WatchExamples,
    before: int,
    cuts: tuple[int, ...] = CUTS,
    batch_size: int = 1_024,
) -> dict[int, float]:
    """Recall@K of examples, over the whole catalogue.

    Args:
        score: `score(examples)` gives `[B, N]`.
        task: whose log tells what was watched.
        examples: to judge by.
        before: seconds; what the user watched before then, or as the history tells, is left out.
        cuts: K.
        batch_size: examples scored at once.
    """
    n = task.log.n_items
    check_positive("the number of examples", len(examples))
    for cut in cuts:
        check_positive("a cut", cut)
    past = task.log[task.log.time < before]
    order = past.user.argsort(stable=True)
    items, count = past.item[order], past.user_counts()
    start = count.cumsum(0) - count
    places = []
    for rows in torch.arange(len(examples)).split(batch_size):
        part = examples[rows]
        scores = score(part)
        if scores.shape != (len(part), n):
            raise ValueError(
                f"score gave shape {tuple(scores.shape)}; it must be [{len(part)}, {n}]"
            )
        check_finite("scores", scores, allow_minus_inf=True)
        scores = scores.clone()
        row = torch.arange(len(part))
        own = scores[row, part.item].clone()
        taken = count[part.user]
        place = torch.arange(int(taken.sum())) - (taken.cumsum(0) - taken).repeat_interleave(taken)
        seen = items[start[part.user].repeat_interleave(taken) + place]
        scores[row.repeat_interleave(taken), seen] = -torch.inf
        padded = F.pad(scores, (0, 1))
        padded.scatter_(1, part.history, -torch.inf)
        scores = padded[:, :n]
        scores[row, part.item] = -torch.inf
        places.append((scores >= own[:, None]).sum(1))  # ties count against the watch
    place = torch.cat(places)
    return {k: float((place < k).double().mean()) for k in cuts}


def scorer(model: nn.Module, task: Task) -> Callable[[WatchExamples], Tensor]:
    """`score` for `recalls`: as served, at age 0."""
    return lambda part: user_vectors(model, task, part) @ model.item_vectors().T


def popularity(counts: Tensor) -> Callable[[WatchExamples], Tensor]:
    """`score` for `recalls`: the same for everybody."""
    return lambda part: counts.float().expand(len(part), -1)


def choose(
    task: Task,
    make: Callable[[], nn.Module],
    recipe: Recipe,
    seed: int,
    *,
    patience: int = 4,
    **how,
) -> dict:
    """Train on what came before the validation, and see how many epochs are best.

    Args:
        task: see `Task`.
        make: a new model.
        recipe: how to train.
        seed: of order and negatives.
        patience: see `fit`.
        how: for `training_examples`: per_user, leak.

    Returns:
        "validation", recall@50 there, and "epochs".
    """
    past = training_examples(task, until=task.validation_from, seed=seed, **how)
    judge = lambda m: recalls(scorer(m, task), task, task.validation, task.validation_from)[50]
    history = train(make(), task, past, recipe, seed, validate=judge, patience=patience)
    return {"validation": history.best_score, "epochs": history.best_epoch + 1}


def choose_and_test(
    task: Task, make: Callable[[], nn.Module], recipe: Recipe, seed: int, **how
) -> dict:
    """Choose the number of epochs on validation, fit anew on everything before the test, test once.

    Args and what is returned: `choose`'s and `refit_and_test`'s.
    """
    chosen = choose(task, make, recipe, seed, **how)
    how.pop("patience", None)
    return chosen | refit_and_test(task, make, recipe, seed, chosen["epochs"], **how)


def refit_and_test(
    task: Task,
    make: Callable[[], nn.Module],
    recipe: Recipe,
    seed: int,
    epochs: int,
    *,
    after_epoch: Callable[[int, nn.Module], object] | None = None,
    **how,
) -> dict:
    """Fit on everything before the test for so many epochs, and test.

    Args:
        task, make, recipe, seed, how: see `choose`.
        epochs: all of them are trained.
        after_epoch: see `fit`.

    Returns:
        "recall" {K: figure}, "epochs", "model".
    """
    past = training_examples(task, until=task.test_from, seed=seed, **how)
    model = make()
    train(model, task, past, recipe, seed, epochs=epochs, after_epoch=after_epoch)
    found = recalls(scorer(model, task), task, task.test, task.test_from)
    return {"recall": found, "epochs": epochs, "model": model}


def random_split(
    task: Task, make: Callable[[], nn.Module], recipe: Recipe, seed: int, epochs: int
) -> dict:
    """What a split at random would have reported: watches are held out whenever they happened, and
    the others of their user, earlier and later, are their histories and what is trained on.

    Args:
        task: whose log; as many watches are held out as its test has.
        make, recipe, epochs: as `refit_and_test`.
        seed: of the draw, and of the training.

    Returns:
        "recall" {K: figure}.
    """
    log, n_items = task.log, task.log.n_items
    key = log.keys()
    _, place, times = key.unique(return_inverse=True, return_counts=True)
    others = torch.bincount(log.item, minlength=n_items)[log.item] > 1
    rows = ((times[place] == 1) & others).nonzero().squeeze(1)  # watched once, and by others too
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(log), dtype=torch.bool)
    held[rows[torch.randperm(len(rows), generator=generator)[: len(task.test)]]] = True
    kept = (~held).nonzero().squeeze(1)
    past = any_watch(log[kept], task.length)
    past = replace(past, row=kept[past.row])
    examples = any_watch(log, task.length)
    examples = examples[held[examples.row]]
    hidden = torch.isin(examples.user[:, None] * n_items + examples.history, key[held])
    hidden &= examples.history != n_items  # padding of one user is a key of the next
    examples = replace(examples, history=examples.history.masked_fill(hidden, n_items))
    model = make()
    train(model, task, past, recipe, seed, epochs=epochs)
    ever = int(log.time.max()) + 1
    return {"recall": recalls(scorer(model, task), task, examples, ever)}


def oracle_recalls(world: World, task: Task, every: int = 5, k: int = 50) -> dict[str, float]:
    """Recall@k of who knows the truth: the chance of a click on each film, were it looked at; and
    the same times how often the service showed the film. The log holds what was shown *and* liked.

    Args:
        world: a simulated service.
        task: of its log, with device and time of day as context.
        every: one test example in so many, to save time.
        k: of the recall.

    Returns:
        "popularity", "the truth" and "the truth × how often shown" → recall@k.
    """
    films = torch.arange(world.n_films)

    def truth(part: WatchExamples) -> Tensor:
        device, daypart = (task.context[part.row] - 1).unbind(1)
        context = Context(device[:, None], daypart[:, None], history=part.history)
        return world.click_probability(part.user[:, None], films.expand(len(part), -1), context)

    times = lambda ids: torch.bincount(ids.long(), minlength=world.n_films).double()
    shown = 1 + times(world.log.film[world.log.time < task.test_from])
    clicked = times(task.log.item[task.log.time < task.test_from])
    scores = {
        "popularity": popularity(clicked),
        "the truth": truth,
        "the truth × how often shown": lambda part: truth(part) * shown,
    }
    part = task.test[::every]
    return {
        name: recalls(score, task, part, task.test_from, (k,))[k] for name, score in scores.items()
    }


@torch.no_grad()
def by_truth(
    ranking: Ranking, task: Task, model: nn.Module | Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """What a first stage's ten films are worth on the first day of the test, by the truth.

    Args:
        ranking: whom to ask about, and the truth.
        task: of the same log.
        model: a CandidateGenerator or a StaticUser, or `score(users [B]) -> [B, N]`.

    Returns:
        "ndcg", against the oracle's ten, and "clicks" to expect, as a share of the oracle's.
    """

    def score(users: Tensor) -> Tensor:
        if not isinstance(model, nn.Module):
            return model(users)
        if isinstance(model, StaticUser):
            return model(users) @ model.item_vectors().T
        context = torch.stack([ranking.device, ranking.daypart], dim=1)[users] + 1
        history = ranking.history[users, : task.length]
        return model.score(history, context if model.context is not None else None)

    return {"ndcg": oracle_ndcg(ranking, score), "clicks": expected_clicks(ranking, score)}


@torch.no_grad()
def by_film_age(model: CandidateGenerator, task: Task, release: Tensor, n_days: int) -> Tensor:
    """`[n_days]`, the chance that the softmax gives to all films of an age together, as served.

    Args:
        model: trained.
        task: the mean is over its test.
        release: `[N]` the day on which each film came out.
        n_days: ages 0 to n_days − 1; older films are left out.
    """
    total = torch.zeros(n_days, dtype=torch.float64)
    for rows in torch.arange(len(task.test)).split(1_024):
        part = task.test[rows]
        chance = (user_vectors(model, task, part) @ model.item_vectors().T).softmax(1).double()
        age = part.time[:, None] // DAY - release  # [B, N]
        here = (age >= 0) & (age < n_days)
        total.index_add_(0, age[here], chance[here])
    return total / len(task.test)


def watched_by_film_age(task: Task, release: Tensor, n_days: int) -> Tensor:
    """`[n_days]`, the share of the test's watches that were of films of an age."""
    age = task.test.time // DAY - release[task.test.item]
    here = age[(age >= 0) & (age < n_days)]
    return torch.bincount(here, minlength=n_days).double() / len(task.test)


# ---------------------------------------------------------------- what the recorded runs compare

DRAWS = 12
#: Variant → what it changes; those in TUNED have a setting of their own.
VARIANTS = {
    "static user vector": {}, "full softmax": {}, "sampled": {"loss": "sampled"},
    "sampled, no log Q": {"loss": "sampled", "log_q": False}, "in-batch": {"loss": "in-batch"},
    "in-batch, no log Q": {"loss": "in-batch", "log_q": False}, "example age": {},
    "at most 20 a user": {}, "leaky histories": {},
}  # fmt: skip
TUNED = {
    "static user vector": "static user vector", "full softmax": "full softmax",
    "sampled": "sampled", "sampled, no log Q": "sampled, no log Q", "in-batch": "in-batch",
    "in-batch, no log Q": "in-batch, no log Q", "example age": "full softmax",
    "at most 20 a user": "full softmax", "leaky histories": "full softmax",
}  # fmt: skip


def draw(n: int = DRAWS) -> list[dict]:
    """Settings from one box, spread evenly in it (Sobol): learning rate .002 to .03, L2 1e-8 to
    1e-4, standard deviation of the start .01 to .3 (all three on a log scale), vectors of 16, 32 or
    64. The start is a knob because it decides how long all users stay alike: from .01 a tower can
    stand at the recall of popularity for a dozen epochs, where from .1 it leaves after two. (Why a
    box: as chapter 03 draws its own.)"""
    found = []
    for row in SobolEngine(4, scramble=True, seed=0).draw(n).tolist():
        rate, penalty, start, size = row
        values = {
            "lr": 0.002 * 15**rate, "weight_decay": 1e-8 * 1e4**penalty,
            "init_std": 0.01 * 30**start,
        }  # fmt: skip
        found.append(
            {name: float(f"{value:.2g}") for name, value in values.items()}
            | {"dim": 16 * 2 ** int(3 * size)}
        )
    return found


def best_of_draws(score: Callable[[dict], float], n: int = DRAWS) -> dict:
    """n drawn settings scored: "best", and "tried", the scores in the order drawn."""
    settings = draw(n)
    tried = [score(setting) for setting in settings]
    return {"best": settings[max(range(len(tried)), key=tried.__getitem__)], "tried": tried}


def run_variant(
    task: Task, variant: str, setting: dict, seed: int, *, test: bool, epochs: int = 15,
    patience: int = 4,
) -> dict:  # fmt: skip
    """One of VARIANTS, trained with a drawn setting.

    Args:
        task: see `Task`.
        variant: its name, or "no context"; any other is full softmax.
        setting: see `draw`.
        seed: of start, order and negatives.
        test: as `choose_and_test`; otherwise up to its validation alone, as `choose`.
        epochs: at most.
        patience: see `fit`.
    """
    make, recipe = made_of(task, variant, setting, seed)
    recipe = replace(recipe, epochs=epochs)
    per_user = 20 if variant == "at most 20 a user" else None
    run = choose_and_test if test else choose
    leak = variant == "leaky histories"
    return run(task, make, recipe, seed, patience=patience, leak=leak, per_user=per_user)


def run_random_split(task: Task, setting: dict, seed: int, epochs: int) -> dict:
    """Full softmax under a drawn setting, see `random_split`."""
    return random_split(task, *made_of(task, "full softmax", setting, seed), seed, epochs)


def made_of(task: Task, variant: str, setting: dict, seed: int) -> tuple[Callable, Recipe]:
    """How to make a variant's model, and its recipe."""
    dim, start = setting["dim"], setting["init_std"]
    recipe = Recipe(
        lr=setting["lr"], weight_decay=setting["weight_decay"], **VARIANTS.get(variant, {})
    )

    def make() -> nn.Module:
        if variant != "static user vector":
            return new_generator(
                task, dim=dim, hidden=(2 * dim, dim), ages=variant == "example age",
                context=variant != "no context", init_std=start, seed=seed,
            )  # fmt: skip
        with seeded(seed):
            return StaticUser(task.log.n_users, task.log.n_items, dim, start)

    return make, recipe
