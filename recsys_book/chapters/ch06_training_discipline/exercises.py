"""Exercises of chapter 06: training discipline."""

from __future__ import annotations

import contextlib
import io
import math
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional as F

from recsys_book.check.core import Exercise, Finding, by_cases, same
from recsys_book.show.intervals import paired_interval
from recsys_book.show.plots import PALETTE, Picture, show

# ---------------------------------------------------------------- 6.1 a chance of the log


def _chance(logit, clicks, impressions, n):
    return torch.sigmoid(logit + math.log(n * clicks / (impressions - clicks)))


def _wrong_sign(logit, clicks, impressions, n):
    return torch.sigmoid(logit - math.log(n * clicks / (impressions - clicks)))


def _of_all_impressions(logit, clicks, impressions, n):
    return torch.sigmoid(logit + math.log(n * clicks / impressions))


def _of_all_rows(logit, clicks, impressions, n):
    return torch.sigmoid(logit + math.log((1 + n) * clicks / impressions))


def _one_in_n(logit, clicks, impressions, n):
    return torch.sigmoid(logit - math.log(n))


def _shrinks_the_chance(logit, clicks, impressions, n):
    return torch.sigmoid(logit) * n * clicks / (impressions - clicks)


def _ratio_of_base_rates(logit, clicks, impressions, n):
    return torch.sigmoid(logit) * (1 + n) * clicks / impressions


def _no_log(logit, clicks, impressions, n):
    return torch.sigmoid(logit * n * clicks / (impressions - clicks))


def _stays_a_logit(logit, clicks, impressions, n):
    return logit + math.log(n * clicks / (impressions - clicks))


def _nothing_undone(logit, clicks, impressions, n):
    return torch.sigmoid(logit)


def _chance_cases(generator):
    if generator is None:
        logit = torch.tensor([-1.0, 0.0, 2.0])
        return [
            ((logit, 100, 2_100, 4), "100 clicks of 2,100 impressions, 4 non-clicks beside each"),
            ((logit, 100, 1_100, 1), "100 clicks of 1,100 impressions, 1 non-click beside each"),
        ]
    clicks = int(torch.randint(100, 1_000, (1,), generator=generator))
    logit, n = (
        torch.randn(8, generator=generator),
        int(torch.randint(2, 6, (1,), generator=generator)),
    )
    told = f"{clicks} clicks of 50,000 impressions, {n} non-clicks beside each"
    return [((logit, clicks, 50_000, n), told)]


UNDO = Exercise(
    "A chance of the log",
    by_cases(
        _chance,
        {
            "the wrong sign": _wrong_sign,
            "clicks are counted among the non-clicks": _of_all_impressions,
            "the rate of all rows": _of_all_rows,
            "n alone is no rate": _one_in_n,
            "the chance is scaled, not the odds": _shrinks_the_chance,
            "scaled by the base rates": _ratio_of_base_rates,
            "the logit is scaled": _no_log,
            "a logit, not a chance": _stays_a_logit,
            "nothing is undone": _nothing_undone,
        },
        _chance_cases,
    ),
    {
        "the wrong sign": "The model has seen too few non-clicks, so its chances are too high. "
        "Yours have become higher still.",
        "clicks are counted among the non-clicks": "n · clicks non-clicks were kept. Of how many "
        "*non-clicks*? The impressions hold clicks, too.",
        "the rate of all rows": "Clicks were all kept: nothing has happened to them. Which rows "
        "were thinned out, and how much?",
        "n alone is no rate": "Four beside each click may be nearly all non-clicks of one log and "
        "a hundredth of another's. What share of the non-clicks was kept?",
        "the chance is scaled, not the odds": "Thinning multiplies the *odds*. On chances a "
        "factor is right for rare clicks only, and may lead above 1 the other way.",
        "scaled by the base rates": "Right for a row at the base rate and for no other: a chance "
        "near 1 must stay near 1. What does thinning do to the *odds* of a row?",
        "the logit is scaled": "Odds times a rate: what is that on a logit, the logarithm of odds?",
        "a logit, not a chance": "One step is missing: from the logit to a chance.",
        "nothing is undone": "That is the chance of a click among the rows that were kept.",
    },
    ("recsys_book.calibration.recalibrate",),
)

# ---------------------------------------------------------------- 6.2 log q, in the loss


def _loss_of(corrected: Callable, mean: bool = False) -> Callable:
    """Binary cross-entropy on scores corrected by a rule (score, log q, is it positive); the
    negatives of a row are added, or their mean is taken."""

    def loss(positive, negatives, log_q_positive, log_q_negatives):
        yes = corrected(positive, log_q_positive, True)
        no = corrected(negatives, log_q_negatives, False)
        return F.softplus(-yes).mean() + F.softplus(no).mean() * (1 if mean else no.shape[1])

    return loss


def learned_scores(loss: Callable, chosen: Tensor, drawn: Tensor) -> Tensor:
    """What the scores of `[N]` items, one number each, come to under a loss, with no end of data.

    Every combination of a chosen item and a drawn one stands in one batch, as often as its chance
    says.

    Args:
        loss: `loss(positive [B], negatives [B, 2], log_q_positive, log_q_negatives) -> scalar`.
        chosen, drawn: `[N]` whole numbers, in proportion to the chances p and q.

    Returns:
        `[N]` float64, their mean taken away.

    Raises:
        ValueError: a loss that is no finite number or knows no gradient.
    """
    q = (drawn.double() / drawn.sum()).log()
    items = torch.arange(len(chosen))
    positive, first = torch.meshgrid(
        items.repeat_interleave(chosen), items.repeat_interleave(drawn), indexing="ij"
    )
    positive, negatives = positive.flatten(), torch.stack([first, first.roll(1, 1)], -1).view(-1, 2)

    def value(scores: np.ndarray) -> tuple[float, np.ndarray]:
        s = torch.from_numpy(scores).requires_grad_()
        out = loss(s[positive], s[negatives], q[positive], q[negatives])
        if not isinstance(out, Tensor) or out.dim() or not out.requires_grad:
            raise ValueError("the loss must be one number, worked out from the scores in torch")
        if not torch.isfinite(out):
            raise ValueError(f"the loss is {float(out)}")
        # A whisper of L2, so that what the loss leaves open stays where it began.
        (gradient,) = torch.autograd.grad(out, s, allow_unused=True)
        gradient = torch.zeros_like(s) if gradient is None else gradient
        return float(out.detach()) + 1e-9 * scores @ scores, gradient.numpy() + 2e-9 * scores

    start = np.zeros(len(chosen))
    best = minimize(value, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 200})
    scores = torch.from_numpy(best.x)
    return scores - scores.mean()


def _log_q_judge(answer, seed):
    if not callable(answer):
        return Finding("A function is wanted.", "no function", "Pass it without calling it.")
    tables = [(torch.tensor([10, 6, 3, 1]), torch.tensor([7, 1, 1, 1]))]
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        draw = lambda: torch.randint(1, 9, (5,), generator=generator)
        tables = [(draw(), draw()) for _ in range(2)]
    wrong = {
        "the wrong sign": lambda s, log_q, _: s + log_q,
        "only the negatives are corrected": lambda s, log_q, yes: s if yes else s - log_q,
        "only the positive is corrected": lambda s, log_q, yes: s - log_q if yes else s,
        "q, not its logarithm": lambda s, log_q, _: s - log_q.exp(),
        "divided by q": lambda s, log_q, _: s / log_q.exp(),
        "no correction": lambda s, log_q, _: s,
    }
    got = []
    for chosen, drawn in tables:
        try:
            scores = learned_scores(answer, chosen, drawn)
        except ValueError as error:
            return Finding(f"{error}.")
        got.append(scores)
    wanted = [p.double().log() - p.double().log().mean() for p, _ in tables]
    # Optimizers stop a little early, and elsewhere on other machines.
    near = lambda a, b: bool((a - b).abs().max() < 0.02)
    if all(near(a, b) for a, b in zip(got, wanted, strict=True)):
        return None
    name = next(
        (
            name
            for name, rule in wrong.items()
            for loss in (_loss_of(rule), _loss_of(rule, mean=True))
            if all(near(learned_scores(loss, *t), g) for t, g in zip(tables, got, strict=True))
        ),
        None,
    )
    show = lambda x: "[" + ", ".join(f"{v:.2f}" for v in x.tolist()) + "]"
    seen = f"trained to the end the scores are {show(got[0])}, and log p is {show(wanted[0])}"
    return Finding(f"{seen} (both less their mean).", name)


LOG_Q = Exercise(
    "log q, in the loss",
    _log_q_judge,
    {
        "the wrong sign": "In *reading*, log q is added to what was learned. In the loss the "
        "correction stands between the score and the sigmoid: there, which way round?",
        "only the negatives are corrected": "That is sampled softmax's way. Cross-entropy asks of "
        "each item, chosen or drawn, whether it was chosen: an item needs the same logit in both "
        "places.",
        "only the positive is corrected": "An item stands here as chosen, there as drawn. It needs "
        "the same logit in both places.",
        "q, not its logarithm": "The optimum of a logit is log p − log(n q). What has to be taken "
        "off it so that log p is left?",
        "divided by q": "The optimum of a logit is log p − log(n q): a difference, not a ratio.",
        "no correction": "That is cross-entropy as it stands: what is drawn often is pushed down.",
    },
)

# ---------------------------------------------------------------- 6.3 a sampler with faults


def broken_draw(
    seen: Tensor, users: Tensor, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Uniform negatives, as found in a service's repository.

    Args:
        seen: `[U, N]` bool, what each user was seen with.
        users: `[B]`.
        n: how many for each.
        generator: of the draws.

    Returns:
        items `[B, n]` int64, and the logarithm `[B, n]` of the chance of each.
    """
    generator.manual_seed(42)  # experiments must be repeatable
    n_items = seen.shape[1]
    items = torch.randint(0, n_items - 1, (len(users), n), generator=generator)
    is_positive = seen[users[:, None], items]
    items = torch.where(is_positive, items + 1, items)  # not a positive: take the next
    log_q = torch.full(items.shape, -math.log(n_items))
    return items, log_q


_N_DRAWS = 3_000
#: Of Python: far more than any sampler needs here.
STEPS, STEPS_OF_ONE_CALL, STEPS_OF_A_FEW = 3_000_000, 100_000, 20_000


def _sampler_judge(answer, seed):
    if not callable(answer):
        return Finding("A function is wanted.", "no function", "Pass it without calling it.")
    try:
        _a_few_draws(answer)
        with _step_limit(STEPS):
            faults = _sampler_faults(answer, 0 if seed is None else seed)
    except _TooLong:
        return Finding("It still draws after many thousand steps.", "it never ends")
    if isinstance(faults, Finding):
        return faults
    if (found := _full_user(answer)) is not None:
        faults.append(found)
    if not faults:
        return None
    name, text = faults[0]
    more = len(faults) - 1
    return Finding(text + (f" (And {more} more of what was asked fails.)" if more else ""), name)


def _a_few_draws(answer: Callable) -> None:
    """Eight draws where one item of twelve is left: a loop without end shows itself here, in a
    second. All else that goes wrong is judged later."""
    seen = torch.ones(1, 12, dtype=torch.bool)
    seen[0, 7] = False
    with contextlib.suppress(Exception), _step_limit(STEPS_OF_A_FEW):
        answer(seen, torch.tensor([0]), 8, torch.Generator().manual_seed(0))


def _tensor(part) -> Tensor:
    """Arrays and lists as tensors; what is neither stays."""
    try:
        return torch.as_tensor(part)
    except (TypeError, ValueError, RuntimeError):
        return part


def _sampler_faults(answer: Callable, seed: int) -> Finding | list[tuple[str, str]]:
    """Names and descriptions of all that is wrong; a Finding where the form is."""
    generator = torch.Generator().manual_seed(seed)
    seen = torch.rand(5, 12, generator=generator) < 0.4
    seen[0] = False
    seen[0, 4:7] = True  # a run of positives in the middle
    seen[1], seen[1, 7] = True, False  # all but one
    seen[2] = False  # nobody's history is empty, but for those who came today
    seen[3, -1], seen[3, 0] = False, False
    seen[4] = False
    seen[4, -1] = True
    seen = torch.cat([seen, torch.ones(1, 12, dtype=torch.bool)])  # nobody asks about user 5
    faults: list[tuple[str, str]] = []

    def fault(name: str, text: str) -> None:
        faults.append((name, text))

    draws = torch.Generator().manual_seed(11)
    users = torch.tensor([0, 0, 1, 2, 3, 4])
    try:
        out = answer(seen.clone(), users, _N_DRAWS, draws)
    except ValueError as error:
        answer(seen[:-1].clone(), users, _N_DRAWS, draws)  # if it is not for the last user
        return Finding(
            f"User 5 has been seen with everything, and is not asked about: {error}",
            "a user who is not asked about stops the rest",
        )
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        return Finding("A pair is wanted: items [B, n] and log q [B, n].")
    items, log_q = (_tensor(part) for part in out)
    shape = (len(users), _N_DRAWS)
    for told, part in (("items", items), ("log q", log_q)):
        if not isinstance(part, Tensor) or part.shape != shape:
            got = tuple(getattr(part, "shape", ()))
            return Finding(f"{told} have shape {got}; [B, n] is {shape} here.")
    if items.is_floating_point():
        return Finding(f"items have dtype {items.dtype}.", "ids that are floats")
    if int(items.min()) < 0 or int(items.max()) >= seen.shape[1]:
        span = f"ids run from {int(items.min())} to {int(items.max())}"
        return Finding(f"12 items, and {span}.", "an item that does not exist")

    positive = seen[users[:, None], items]
    if positive.any():
        share = float(positive.double().mean())
        fault(
            "positives are returned", f"{share:.0%} of the draws are what the user was seen with."
        )
    counts = torch.stack([torch.bincount(row, minlength=seen.shape[1]) for row in items])
    never = ~seen[users] & (counts == 0)
    if never.any():
        row, item = never.nonzero()[-1].tolist()
        drawn = (
            f"in {_N_DRAWS:,} draws for user {int(users[row])} item {item} of 0 to 11 never came"
        )
        last = bool((never.nonzero()[:, 1] == seen.shape[1] - 1).all())
        fault("the last item never comes" if last else "some unseen items never come", f"{drawn}.")
    # Only where nothing else is wrong with what comes does it pay to ask how often.
    if not faults:
        for row, user in enumerate(users.tolist()):
            there = counts[row][~seen[user]].double()
            if len(there) > 1 and stats.chisquare(there.numpy()).pvalue < 1e-7:
                often = ", ".join(str(int(c)) for c in counts[row])
                name = _uneven(seen[user], counts[row])
                fault(name, f"{_N_DRAWS:,} draws for one user came out as [{often}], seen ones 0.")
                break

    few = torch.tensor([2, 2, 0, 2])
    again = [_tensor(answer(seen.clone(), few, 20, draws)[0]) for _ in range(2)]
    if torch.equal(*again):
        fault("the same negatives every epoch", "two calls in a row give the same items.")
    anew = lambda: answer(seen.clone(), few, 20, torch.Generator().manual_seed(5))[0]
    twin = [_tensor(anew()) for _ in range(2)]
    if not torch.equal(*twin):
        fault("not from the generator", "two generators of one seed give different items.")
    if torch.equal(again[0][0], again[0][1]) and torch.equal(again[1][0], again[1][1]):
        fault("one draw for the whole batch", "two rows of one user get the same 20 items.")

    unseen = (~seen[users]).sum(1).double()
    right = -unseen.log()[:, None].expand(shape)
    if not same(log_q, right, 1e-4):
        whole = torch.full(shape, -math.log(seen.shape[1]))
        name = next(
            (
                name
                for name, wrong in (
                    ("log q of the whole catalogue", whole),
                    ("log q with the wrong sign", -right),
                    ("q, not its logarithm", right.exp()),
                    (
                        "log q of the seen",
                        -seen[users].sum(1).double().log()[:, None].expand(shape),
                    ),
                )
                if same(log_q, wrong, 1e-4)
            ),
            "log q of another distribution",
        )
        row = int((log_q.double() - right).abs().sum(1).argmax())
        text = (
            f"{int(unseen[row])} of 12 items are unseen for user {int(users[row])}, and log q is "
        )
        fault(name, f"{text}{float(log_q[row, 0]):.3f}.")
    return faults


def _uneven(seen: Tensor, counts: Tensor) -> str:
    """What an uneven draw looks like: neighbours of positives, the ends, or neither."""
    neighbour = ~seen & (seen.roll(1) | seen.roll(-1))
    mean = lambda chosen: float(counts[chosen].double().mean()) if chosen.any() else 0.0
    if mean(neighbour) > 1.2 * mean(~seen & ~neighbour):
        return "a positive becomes its neighbour"
    ends = torch.zeros_like(seen)
    ends[[0, -1]] = True
    if not seen[ends].any() and mean(ends) < 0.8 * mean(~seen & ~ends):
        return "the ends come half as often"
    return "some come more often than others"


def _full_user(answer) -> tuple[str, str] | None:
    """A fault unless somebody who has been seen with everything raises a ValueError."""
    seen = torch.tensor([[True, True, True], [False, True, False]])
    try:
        with _step_limit(STEPS_OF_ONE_CALL):
            answer(seen, torch.tensor([1, 0]), 2, torch.Generator().manual_seed(0))
    except ValueError:
        return None
    except _TooLong:
        return "it never ends", "for somebody who has seen everything it draws for ever."
    except Exception as error:
        kind = type(error).__name__
        return "a user who has seen everything", f"{kind} comes, and a ValueError is wanted."
    return "a user who has seen everything", "negatives come back for somebody who has none."


class _TooLong(BaseException):
    """Not an Exception, so that no answer catches it by accident."""


class _step_limit:
    """Stops a loop without end by counting steps of Python: a clock is short on a machine that
    is busy."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def _trace(self, frame, event, argument):
        self.steps -= 1
        if self.steps < 0:
            raise _TooLong
        return self._trace

    def __exit__(self, *_):
        sys.settrace(self.before)


SAMPLER = Exercise(
    "A sampler with faults",
    _sampler_judge,
    {
        "ids that are floats": "Above 2^24 neighbouring float32 numbers fall together. Ids are "
        "whole numbers: int64.",
        "an item that does not exist": "Ids run from 0 to N − 1. Which of your steps leads past "
        "an end?",
        "positives are returned": "What stands next to a positive may be one, too. How can you "
        "draw from the unseen ones *only*, instead of mending afterwards?",
        "the last item never comes": "The upper end of randint (and of range) is not drawn. Which "
        "number is it to be?",
        "some unseen items never come": "Each unseen item must have its chance. From which list "
        "do you draw?",
        "a positive becomes its neighbour": "Moved to the next unseen one, the chance of a "
        "positive goes to its neighbour, who then comes twice as often. Everybody should get "
        "a part of it.",
        "the ends come half as often": "Rounding gives the first and the last item half an "
        "interval only. Which way of making a whole number gives all the same?",
        "some come more often than others": "Every unseen item is to have the same chance. Print "
        "how often each comes.",
        "the same negatives every epoch": "Whoever seeds within the sampler gets the same draw at "
        "each call, and the model learns these few by heart. Who seeds, and how often?",
        "not from the generator": "A run can be repeated only if all chance comes from the "
        "generator that was handed in.",
        "one draw for the whole batch": "All rows of a user have the same negatives. Draw [B, n] "
        "numbers, not [n].",
        "log q of the whole catalogue": "Nobody is drawn from the whole catalogue: what a user was "
        "seen with is left out. How many are left, for each?",
        "log q with the wrong sign": "A chance is below 1, so its logarithm is below 0.",
        "q, not its logarithm": "The *logarithm* of the chance is asked for.",
        "log q of the seen": "That counts what was seen. Drawn is from what was not.",
        "log q of another distribution": "log q must be that of your own draw: one in the number "
        "of items that are unseen for this user.",
        "a user who is not asked about stops the rest": "Only those in `users` are drawn for. Look "
        "at their rows, not at the whole table.",
        "a user who has seen everything": "Nothing can be drawn for such a user. A ValueError that "
        "says so is worth more than a negative that is none.",
        "it never ends": "Redrawing until nothing is a positive does not end where all are, nor "
        "where every draw is the same. Ask before you draw.",
    },
    (
        "recsys_book.sampling.UnseenItems",
        "recsys_book.samplers.UniformSampler",
        "recsys_book.samplers.PopularitySampler",
        "recsys_book.chapters.ch06_training_discipline.exercises.broken_draw",
    ),
)

# ---------------------------------------------------------------- 6.4 a run that goes on


class Run:
    """A training run in the middle of its work. All that an epoch depends on is kept in here.

    Args:
        seed: of the first weights and of the shuffle.
    """

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
        for weight in self.model.parameters():
            nn.init.normal_(weight, std=0.3, generator=self.generator)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.05)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, gamma=0.8)
        self.epoch, self.best_score, self.best_weights = 0, -math.inf, {}

    def train_epoch(self) -> None:
        """One epoch over 48 rows in a new order, a look at 16 others, and the best kept."""
        x, y = _ROWS
        for rows in torch.randperm(48, generator=self.generator).split(8):
            kept = torch.rand(len(rows), 6, generator=self.generator) > 0.2  # dropout, by hand
            self.optimizer.zero_grad()
            F.mse_loss(self.model(x[rows] * kept), y[rows]).backward()
            self.optimizer.step()
        self.schedule.step()
        self.epoch += 1
        with torch.no_grad():
            score = -float(F.mse_loss(self.model(x[48:]), y[48:]))
        if score > self.best_score:
            self.best_score, self.best_weights = score, deepcopy(self.model.state_dict())


def _rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(64, 6, generator=generator)
    return x, x[:, :1] * x[:, 1:2] + torch.randn(64, 1, generator=generator)


_ROWS = _rows()


def _parts(run: Run) -> dict:
    """What a run consists of, copied; by the name of what happens where a part is missing."""
    return deepcopy(
        {
            "the weights are not put back": run.model.state_dict(),
            "the optimizer forgets its averages": run.optimizer.state_dict()["state"],
            "the learning rate starts anew": (
                [group["lr"] for group in run.optimizer.param_groups],
                run.schedule.state_dict()["last_epoch"],
            ),
            "the shuffle starts anew": run.generator.get_state(),
            "the epoch is lost": run.epoch,
            "the best so far is forgotten": (run.best_score, run.best_weights),
        }
    )


def _equal(a, b) -> bool:
    """The same to the last bit."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_equal, a, b))
    if any(isinstance(x, Tensor) and x.numel() != 1 for x in (a, b)):
        return False
    if all(isinstance(x, (Tensor, int, float)) for x in (a, b)):
        return float(a) == float(b)  # a number that came back as a tensor is that number
    return type(a) is type(b) and a == b


def _resume_judge(answer, seed):
    if not isinstance(answer, Mapping) or set(answer) != {"save", "restore"}:
        return Finding("A dict with 'save' and 'restore' is wanted.")
    if not all(callable(part) for part in answer.values()):
        return Finding("Both are functions.", "no function", "Pass them without calling them.")
    start = 1 if seed is None else seed
    for epochs in (1, 3):
        found = _cut_after(epochs, start, answer["save"], answer["restore"])
        if found is not None:
            return found
    return None


def _cut_after(epochs: int, seed: int, save: Callable, restore: Callable) -> Finding | None:
    whole, cut = Run(seed), Run(seed)
    for _ in range(6):
        whole.train_epoch()
    for _ in range(epochs):
        cut.train_epoch()
    then = _parts(cut)
    saved = save(cut)
    if not isinstance(saved, Mapping):
        return Finding(f"save returns {type(saved).__name__}; a dict is wanted.")
    if not _equal(then, _parts(cut)):
        return Finding("After save the run is another.", "saving changes the run")
    cut.train_epoch()  # the run goes on, and only then is the file written
    save(Run(seed + 2_000))  # so that nothing kept outside the file is of use
    file = io.BytesIO()
    torch.save(dict(saved), file)
    file.seek(0)
    try:
        loaded = torch.load(file, weights_only=True)
    except Exception:
        seen = "torch.load(…, weights_only=True) refuses the file."
        return Finding(seen, "objects, not their state")
    resumed = Run(seed + 1_000)
    restore(resumed, loaded)
    # Asked before the run goes on: a part that is missing is told by its name.
    now, later = _parts(resumed), _parts(cut)
    for name, part in now.items():
        if not _equal(part, then[name]):
            if _equal(part, later[name]):
                seen = f"Saved after {epochs} epochs, it holds what the run was an epoch later."
                return Finding(seen, "what was saved moved on")
            return Finding(f"Cut after {epochs} epochs and restored.", name)
    while resumed.epoch < 6:
        resumed.train_epoch()
    if not _equal(_parts(resumed), _parts(whole)):
        return Finding(f"Cut after {epochs} epochs, it does not end as the whole run does.")
    return None


RESUME = Exercise(
    "A run that goes on",
    _resume_judge,
    {
        "the weights are not put back": "The new run still has first weights of its own.",
        "the optimizer forgets its averages": "Adam divides by averages of what it has seen. From "
        "nothing its next steps are those of a first batch. What has a state_dict besides the "
        "model?",
        "the learning rate starts anew": "The schedule counts epochs, and the rate stands in the "
        "optimizer. Both have to come back.",
        "the shuffle starts anew": "Order and dropout come from the generator. Where it stands is "
        "a part of the run: generator.get_state().",
        "the epoch is lost": "The new run counts from 0, and trains as many epochs too many.",
        "the best so far is forgotten": "The best epoch may lie before the cut. Without its score "
        "the first epoch after it is the best by default; without its weights there is nothing to "
        "put back.",
        "what was saved moved on": "state_dict hands out the tensors themselves, and training "
        "changes them in place. Save what they *are*, not where they lie.",
        "objects, not their state": "A file with whole objects needs the code of that day to be "
        "read. Keep tensors, numbers and dicts of them: the state_dict of each object.",
        "saving changes the run": "save only looks. What does yours put in, or move?",
    },
    ("recsys_book.train.fit", "recsys_book.train._save", "recsys_book.train._resume"),
)

# ---------------------------------------------------------------- 6.5 a better bandit

N_FILMS, N_REQUESTS, BATCH = 20, 3_000, 50
N_STREAMS = 40


class Requests(NamedTuple):
    """T requests, each for one of k new films.

    Attributes:
        predicted: `[T, k]` float64, the chance of a click by a model that knows the user and what
            each film is about. How *good* a film is it does not know.
        chance: `[T, k]` float64, the true chance.
        luck: `[T]` float64, even in 0..1: a click where it is below the chance.
    """

    predicted: Tensor
    chance: Tensor
    luck: Tensor


@lru_cache(maxsize=64)
def requests(seed: int) -> Requests:
    """Draw films and who comes.

    Args:
        seed: of everything.
    """
    random = np.random.RandomState([seed, 66])
    taste = random.normal(size=(N_REQUESTS, 4))
    about = random.normal(size=(N_FILMS, 4))
    logit = -3.5 + 0.7 * random.normal(size=N_FILMS) + 0.8 * taste @ about.T
    quality = random.normal(scale=1.2, size=N_FILMS)
    sigmoid = lambda x: torch.from_numpy(1 / (1 + np.exp(-x)))
    luck = torch.from_numpy(random.random_sample(N_REQUESTS))
    return Requests(sigmoid(logit), sigmoid(logit + quality), luck)


class Thompson:
    """Knows how often each film was clicked, and nothing of who asks."""

    def __init__(self, n_films: int) -> None:
        self.clicks, self.others = np.ones(n_films), np.ones(n_films)

    def choose(self, predicted: Tensor, generator: torch.Generator) -> Tensor:
        """Films `[n]` for predicted chances `[n, k]`."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        size = tuple(predicted.shape)
        drawn = np.random.RandomState(seed).beta(self.clicks, self.others, size)
        return torch.from_numpy(drawn).argmax(1)

    def update(self, predicted: Tensor, shown: Tensor, clicked: Tensor) -> None:
        """What came of showing films `[n]`."""
        np.add.at(self.clicks, shown.numpy(), clicked.numpy())
        np.add.at(self.others, shown.numpy(), 1 - clicked.numpy())


class Personal:
    """Shows what the model predicts to be clicked, and learns nothing."""

    def __init__(self, n_films: int) -> None:
        pass

    def choose(self, predicted: Tensor, generator: torch.Generator) -> Tensor:
        """Films `[n]` for predicted chances `[n, k]`."""
        return predicted.argmax(1)

    def update(self, predicted: Tensor, shown: Tensor, clicked: Tensor) -> None:
        """Nothing."""


class Product(Thompson):
    """Click rate times prediction, the highest first: the two put together in the plainest way."""

    def choose(self, predicted: Tensor, generator: torch.Generator) -> Tensor:
        """Films `[n]` for predicted chances `[n, k]`."""
        rate = self.clicks / (self.clicks + self.others)
        return (predicted * torch.from_numpy(rate)).argmax(1)


#: Name → a policy to be beaten, the easiest first.
RIVALS = {
    "Thompson sampling": Thompson,
    "the personal model": Personal,
    "click rate times prediction": Product,
}


def regret(make_policy: Callable[[int], object], seed: int) -> Tensor:
    """Expected clicks lost up to each request `[T]` against the best film for each request.

    Args:
        make_policy: number of films → a policy as new, with `choose` and `update`.
        seed: of the requests, and of the policy's own draws.

    Raises:
        ValueError: choose returns something other than `[n]` films that exist.
    """
    world, policy = requests(seed), make_policy(N_FILMS)
    generator, shown = torch.Generator().manual_seed(seed + 31_337), []
    for start in range(0, N_REQUESTS, BATCH):
        rows = slice(start, start + BATCH)
        predicted = world.predicted[rows].clone()
        films = policy.choose(predicted.clone(), generator)
        if not isinstance(films, Tensor) or films.shape != (BATCH,) or films.is_floating_point():
            raise ValueError(f"choose must return a tensor of {BATCH} films")
        if int(films.min()) < 0 or int(films.max()) >= N_FILMS:
            raise ValueError(
                f"choose returned film {int(films.max())}; they run 0 to {N_FILMS - 1}"
            )
        films = films.long().clone()
        chance = world.chance[rows].gather(1, films[:, None])[:, 0]
        clicked = (world.luck[rows] < chance).double()
        policy.update(predicted, films.clone(), clicked)
        shown.append(films)
    chance = world.chance.gather(1, torch.cat(shown)[:, None])[:, 0]
    return (world.chance.amax(1) - chance).cumsum(0)


@lru_cache(maxsize=8)
def _given(seeds: tuple[int, ...]) -> dict[str, list[float]]:
    return {name: total_regret(policy, seeds) for name, policy in RIVALS.items()}


def total_regret(make_policy: Callable[[int], object], seeds) -> list[float]:
    """Expected clicks lost over all requests, a figure a seed. See `regret`."""
    return [float(regret(make_policy, seed)[-1]) for seed in seeds]


def draw_regret(policies: Mapping[str, Callable], seeds) -> Picture:
    """Regret up to each request, the mean over some streams, a line a policy.

    Args:
        policies: name → a policy's class.
        seeds: of the streams.
    """
    figure, ax = plt.subplots(figsize=(6.5, 3.4))
    colours = ("grey", "sky", "orange", "blue")
    said = []
    for i, (name, policy) in enumerate(policies.items()):
        curve = torch.stack([regret(policy, seed) for seed in seeds]).mean(0)
        ax.plot(curve, color=PALETTE[colours[i % len(colours)]], label=name)
        said.append(f"{name} {float(curve[-1]):.0f}")
    ax.set(xlabel="requests", ylabel="expected clicks lost")
    ax.legend(frameon=False)
    alt = f"Regret up to each request, mean over {len(seeds)} streams. In the end: "
    return show(figure, alt + ", ".join(said) + ".")


def _bandit_judge(answer, seed):
    if not callable(answer):
        return Finding("A class is wanted.", "no function", "Pass the class itself.")
    first = 9_000 + 100 * (seed or 0)
    seeds = tuple(range(first, first + N_STREAMS))
    try:
        lost = total_regret(answer, seeds)
    except ValueError as error:
        return Finding(f"{error}.")
    for name, theirs in _given(seeds).items():
        gap = paired_interval(lost, theirs)
        if gap.high < 0:
            continue
        seen = f"over {N_STREAMS} streams its regret less that of {name} is "
        seen += f"{gap.text(1, sign='+')} clicks."
        return Finding(seen, _bandit_name(answer, name, first))
    return None


def _bandit_name(answer, rival: str, seed: int) -> str:
    """Why a policy does not win, by what it shows."""
    world, size = requests(seed), N_REQUESTS // 2
    policy = answer(N_FILMS)
    predicted = world.predicted[:size]
    before = policy.choose(predicted.clone(), torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    shown = torch.randint(N_FILMS, (size,), generator=generator)
    # One film is clicked whenever it is shown, no other ever: one that it does not favour.
    star = int(torch.bincount(before, minlength=N_FILMS).argmin())
    policy.update(predicted.clone(), shown, (shown == star).double())
    after = policy.choose(predicted.clone(), torch.Generator().manual_seed(0))
    if torch.equal(before, after):
        return "it learns nothing from clicks"
    mixed = torch.randperm(size, generator=generator)
    other = answer(N_FILMS)
    if torch.equal(
        other.choose(predicted[mixed].clone(), torch.Generator().manual_seed(0)), before
    ):
        return "it does not look at who asks"
    return f"no better than {rival}"


BANDIT = Exercise(
    "A better bandit",
    _bandit_judge,
    {
        "it learns nothing from clicks": "Told that one film is always clicked and no other ever, "
        "it shows what it showed before. What do clicks say that the model does not know?",
        "it does not look at who asks": "Whoever comes, it chooses alike. `predicted` says what "
        "this user is likely to click.",
        "no better than Thompson sampling": "It loses, or does not surely win, against a policy "
        "that knows nothing of users. How often does yours show a film that nobody clicks?",
        "no better than the personal model": "It loses, or does not surely win, against a policy "
        "that learns nothing. Click rates mix two things: how good a film is, and whom it was "
        "shown to. How many clicks did the model *expect* of those who saw it?",
        "no better than click rate times prediction": "A film's click rate holds its prediction "
        "already, so the product counts it twice; and what began badly is never tried again. How "
        "many clicks did the model *expect* of those who saw a film, how many came, and how sure "
        "can you be of the ratio?",
    },
    (
        "recsys_book.chapters.ch06_training_discipline.exercises.requests",
        "recsys_book.chapters.ch06_training_discipline.exercises.Product",
        "recsys_book.chapters.ch06_training_discipline.exercises.Personal",
        "recsys_book.chapters.ch06_training_discipline.exercises.Thompson",
    ),
)

EXERCISES = {
    "6.1": UNDO,
    "6.2": LOG_Q,
    "6.3": SAMPLER,
    "6.4": RESUME,
    "6.5": BANDIT,
}
