"""Exercises of chapter 03: NCF and NeuMF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Real

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys_book.chapters.ch03_neumf.lab import make_model
from recsys_book.check.core import Exercise, Finding, by_cases
from recsys_book.data import load
from recsys_book.data.fetch import DataUnavailable
from recsys_book.data.interactions import ABSENT, Interactions
from recsys_book.evaluate import full_catalogue
from recsys_book.metrics import share_of_learnable
from recsys_book.models.baselines import Popularity
from recsys_book.sampling import UnseenItems
from recsys_book.show.intervals import paired_interval

# ---------------------------------------------------------------- 3.1 two halves under one h


def _tower(x: Tensor, layers) -> Tensor:
    for weight, bias in layers:
        x = F.relu(x @ weight.T + bias)
    return x


def _neumf(p, q, p2, q2, layers, h, b):
    return torch.cat([p * q, _tower(torch.cat([p2, q2], 1), layers)], 1) @ h + b


def _plain_dot_product(p, q, p2, q2, layers, h, b):
    x = _tower(torch.cat([p2, q2], 1), layers)
    return (p * q).sum(1) + x @ h[p.shape[1] :] + b


def _tower_on_top(p, q, p2, q2, layers, h, b):
    return torch.cat([_tower(torch.cat([p2, q2], 1), layers), p * q], 1) @ h + b


def _film_first(p, q, p2, q2, layers, h, b):
    return _neumf(p, q, q2, p2, layers, h, b)


def _one_pair_of_vectors(p, q, p2, q2, layers, h, b):
    return _neumf(p, q, p, q, layers, h, b)


def _last_layer_straight(p, q, p2, q2, layers, h, b):
    x = _tower(torch.cat([p2, q2], 1), layers[:-1])
    weight, bias = layers[-1]
    return torch.cat([p * q, x @ weight.T + bias], 1) @ h + b


def _no_relu(p, q, p2, q2, layers, h, b):
    x = torch.cat([p2, q2], 1)
    for weight, bias in layers:
        x = x @ weight.T + bias
    return torch.cat([p * q, x], 1) @ h + b


def _neumf_probability(*arguments):
    return torch.sigmoid(_neumf(*arguments))


def _neumf_cases(generator):
    if generator is None:
        p, q = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]])
        p2, q2 = torch.tensor([[1.0, 0.5]]), torch.tensor([[-1.0, 2.0]])
        layers = [
            (torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 0], [-1, 0, 1, 0]]), torch.zeros(3)),
            (torch.tensor([[1.0, 1, 0], [-1, 0, 2]]), torch.tensor([0.0, 1.0])),
        ]
        h = torch.tensor([0.5, 2.0, 1.0, -1.0])
        return [((p, q, p2, q2, layers, h, 0.25), "one pair, two hidden layers")]
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    vectors = [draw(7, 4) for _ in range(4)]
    layers = [(draw(6, 8), draw(6)), (draw(5, 6), draw(5)), (draw(3, 5), draw(3))]
    return [((*vectors, layers, draw(7), 0.3), "7 pairs, three hidden layers")]


TWO_HALVES = Exercise(
    "Two halves under one h",
    by_cases(
        _neumf,
        {
            "a plain dot product": _plain_dot_product,
            "the halves are the wrong way round": _tower_on_top,
            "the film comes first in the tower": _film_first,
            "one pair of vectors for both halves": _one_pair_of_vectors,
            "the last layer has no ReLU": _last_layer_straight,
            "a tower that never bends": _no_relu,
            "a probability, not a logit": _neumf_probability,
        },
        _neumf_cases,
        1e-4,
    ),
    {
        "a plain dot product": "p · q adds the places up with weights of 1. What weighs them in a "
        "GMF?",
        "the halves are the wrong way round": "Which weights of h belong to the product? Look at "
        "the order in the formula.",
        "the film comes first in the tower": "The tower's first layer was made for [p'; q']: its "
        "left half meets the user.",
        "one pair of vectors for both halves": "The tower reads vectors of its own. Which two of "
        "the arguments have you not used?",
        "the last layer has no ReLU": "Each hidden layer is followed by a ReLU, the last one too: "
        "what comes out of it meets h.",
        "a tower that never bends": "Layers without a ReLU between them are one linear map, and "
        "the whole is the additive model again.",
        "a probability, not a logit": "The sigmoid is the loss's business. Here the number before "
        "it is wanted.",
    },
    ("recsys_book.models.ncf.NeuMF", "recsys_book.chapters.ch03_neumf.exercises._neumf"),
)

# ---------------------------------------------------------------- 3.2 start from two trained halves


def _fuse(h_gmf, b_gmf, h_mlp, b_mlp, alpha):
    h = torch.cat([alpha * h_gmf, (1 - alpha) * h_mlp])
    return torch.cat([h, (alpha * b_gmf + (1 - alpha) * b_mlp).reshape(1)])


def _with_bias(mix):
    """A fusion whose weights are right and whose bias is `mix(b_gmf, b_mlp, alpha)`."""

    def fuse(h_gmf, b_gmf, h_mlp, b_mlp, alpha):
        right = _fuse(h_gmf, b_gmf, h_mlp, b_mlp, alpha)
        return torch.cat([right[:-1], torch.as_tensor(mix(b_gmf, b_mlp, alpha)).reshape(1)])

    return fuse


def _swapped(h_gmf, b_gmf, h_mlp, b_mlp, alpha):
    return _fuse(h_mlp, b_mlp, h_gmf, b_gmf, 1 - alpha)


def _alpha_forgotten(h_gmf, b_gmf, h_mlp, b_mlp, alpha):
    return torch.cat([h_gmf, h_mlp, (b_gmf + b_mlp).reshape(1)])


def _always_half(h_gmf, b_gmf, h_mlp, b_mlp, alpha):
    return _fuse(h_gmf, b_gmf, h_mlp, b_mlp, 0.5)


def _alpha_on_the_tower(h_gmf, b_gmf, h_mlp, b_mlp, alpha):
    return _fuse(h_gmf, b_gmf, h_mlp, b_mlp, 1 - alpha)


def _fuse_cases(generator):
    if generator is None:
        h_gmf, h_mlp = torch.tensor([2.0, -4.0]), torch.tensor([1.0, 3.0, 6.0])
        b_gmf, b_mlp = torch.tensor(-3.0), torch.tensor(1.0)
        return [
            ((h_gmf, b_gmf, h_mlp, b_mlp, 0.5), "alpha .5, biases −3 and 1"),
            ((h_gmf, b_gmf, h_mlp, b_mlp, 0.2), "alpha .2, biases −3 and 1"),
        ]
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    return [((draw(6), draw(()), draw(4), draw(()), a), f"alpha {a}") for a in (0.3, 0.9)]


def _start(gmf_logit, mlp_logit, alpha):
    return torch.sigmoid(alpha * gmf_logit + (1 - alpha) * mlp_logit)


def _start_cases(generator):
    if generator is None:
        a, b = torch.tensor([4.0, 0.0]), torch.tensor([-1.0, 1.0])
        return [
            ((a, b, 0.5), "logits 4 and −1, 0 and 1, alpha .5"),
            ((a, b, 0.2), "logits 4 and −1, 0 and 1, alpha .2"),
        ]
    draw = lambda: 2 * torch.randn(9, generator=generator)
    return [((draw(), draw(), 0.7), "nine pairs of logits, alpha .7")]


_FUSE = by_cases(
    _fuse,
    {
        "only the weights are mixed": _with_bias(lambda a, b, alpha: a + b),
        "GMF's bias is forgotten": _with_bias(lambda a, b, alpha: (1 - alpha) * b),
        "the tower's bias is kept whole": _with_bias(lambda a, b, alpha: b),
        "the bias is left out": _with_bias(lambda a, b, alpha: 0.0),
        "alpha is forgotten": _alpha_forgotten,
        "alpha is always a half": _always_half,
        "alpha weighs the tower": _alpha_on_the_tower,
        "the halves are the wrong way round": _swapped,
    },
    _fuse_cases,
)
_START = by_cases(
    _start,
    {
        "probabilities are averaged": lambda a, b, alpha: (
            alpha * torch.sigmoid(a) + (1 - alpha) * torch.sigmoid(b)
        ),
        "logits are added up": lambda a, b, alpha: torch.sigmoid(a + b),
        "a logit, not a probability": lambda a, b, alpha: alpha * a + (1 - alpha) * b,
        "alpha weighs the tower": lambda a, b, alpha: _start(b, a, alpha),
    },
    _start_cases,
)


def _fusion_judge(answer, seed):
    if not isinstance(answer, Mapping) or set(answer) != {"fuse", "start"}:
        return Finding("A dict with the functions 'fuse' and 'start' is wanted.")

    def fused(*arguments):
        """h and b as one vector, so that the cases can compare them."""
        given = answer["fuse"](*arguments)
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise TypeError("fuse must return a pair, h and b")
        h, b = (torch.as_tensor(part, dtype=torch.float32) for part in given)
        if b.numel() != 1:
            raise ValueError(f"b has shape {tuple(b.shape)}; it must be one number")
        return torch.cat([h.reshape(-1), b.reshape(1)])

    for name, judge, function in (("fuse", _FUSE, fused), ("start", _START, answer["start"])):
        if not callable(answer[name]):
            return Finding(f"'{name}' is {answer[name]!r}.", "no function")
        found = judge(function, seed)
        if found is not None:
            told = "[h; b] of " if name == "fuse" and found.seen else ""
            return Finding(f"{name}, {told}{found.seen}", found.name)
    return None


FUSION = Exercise(
    "A start from two trained halves",
    _fusion_judge,
    {
        "only the weights are mixed": "Both biases are in there whole. At alpha = .5 the logit "
        "should be half the sum of the two *logits*. What is in a logit besides h?",
        "GMF's bias is forgotten": "Both models had a bias. NeuMF has one, and it takes its share "
        "of each.",
        "the tower's bias is kept whole": "The logit is alpha times GMF's plus (1 − alpha) times "
        "the tower's. Write both out, biases too.",
        "the bias is left out": "Trained models have a bias that is far from 0: one pair in five "
        "is a positive. Where has it gone?",
        "alpha is forgotten": "With both halves at full weight the logit is the sum. Everything "
        "is twice as sure as the two models were on average.",
        "alpha is always a half": "The paper took .5, and it is a knob. The second case has "
        "another one.",
        "alpha weighs the tower": "Alpha is GMF's share. With alpha = 1 the tower is gone.",
        "the halves are the wrong way round": "Which weights of h meet the product? Those come "
        "first.",
        "probabilities are averaged": "The fusion mixes the two h: it happens before the sigmoid. "
        "The sigmoid of a mean is not the mean of sigmoids.",
        "logits are added up": "One NeuMF trained from scratch is a sum. This one starts from a "
        "*mixture*, with alpha and 1 − alpha.",
        "a logit, not a probability": "What is a probability made of, once the logit is known?",
    },
    (
        "recsys_book.models.ncf.NeuMF",
        "recsys_book.chapters.ch03_neumf.exercises._fuse",
        "recsys_book.chapters.ch03_neumf.exercises._start",
    ),
)

# ---------------------------------------------------------------- 3.3 ninety-nine others


def _small_crowd():
    """Held-out films `[6]`, what was watched `[6, 20]` (not the held-out), n. User 5 has watched so
    much that exactly n films are left."""
    seen = torch.zeros(6, 20, dtype=torch.bool)
    for user in range(5):
        seen[user, torch.arange(user, 20, 4)] = True
    seen[5, :13] = True
    held_out = torch.tensor([1, 2, 3, 4, 0, 13])
    return held_out, seen, 6


def _crowd(generator):
    n_users, n_films, n = 40, 150, 30
    held_out = torch.randint(n_films, (n_users,), generator=generator)
    seen = torch.rand(n_users, n_films, generator=generator) < 0.4
    seen[torch.arange(n_users), held_out] = False
    return held_out, seen, n


def _candidates_judge(answer, seed):
    if not callable(answer):
        return Finding(f"It is {answer!r}; a function is wanted.", "no function")
    crowds = [_small_crowd()]
    if seed is not None:
        crowds.append(_crowd(torch.Generator().manual_seed(seed)))
    for held_out, seen, n in crowds:
        given, before = held_out.clone(), seen.clone()
        draw = lambda s, h=given, w=before, n=n: answer(h, w, n, torch.Generator().manual_seed(s))
        drawn = [draw(0 if seed is None else seed + 1), draw(7)]
        if not torch.equal(given, held_out) or not torch.equal(before, seen):
            return Finding(
                "After the call held_out or seen are others.", "it changes its arguments"
            )
        for one in drawn:
            found = _look_at_rows(one, held_out, seen, n)
            if found is not None:
                return found
        again = draw(0 if seed is None else seed + 1)
        if not torch.equal(torch.as_tensor(again), torch.as_tensor(drawn[0])):
            return Finding(
                "the same call with an equal generator gives other films.",
                "every evaluation is another exam",
            )
        if torch.equal(torch.as_tensor(drawn[1]), torch.as_tensor(drawn[0])):
            return Finding(name="the generator decides nothing")
    return _all_alike(answer, *_small_crowd())


def _look_at_rows(got, held_out, seen, n):
    """What is wrong with one draw of candidates; None if nothing is."""
    try:
        got = torch.as_tensor(got)
    except (TypeError, ValueError, RuntimeError):
        return Finding("It returns no tensor; [U, 1 + n] ids are wanted.")
    wanted = (len(held_out), 1 + n)
    if got.is_floating_point() or tuple(got.shape) != wanted:
        return Finding(f"it returns shape {tuple(got.shape)}, {got.dtype}; wanted {wanted}, int64.")
    if int(got.min()) < 0 or int(got.max()) >= seen.shape[1]:
        return Finding(f"film {int(got.max())} of {seen.shape[1]} (ids from 0), or one below 0.")
    others, sorted_ = got[:, 1:], got[:, 1:].sort(dim=1).values
    if not torch.equal(got[:, 0], held_out):
        return Finding("column 0 holds other films.", "the held-out film is not in column 0")
    for bad, name in (
        (others == held_out[:, None], "the held-out film is among its own negatives"),
        (seen.gather(1, others), "a negative that the user has watched"),
        (sorted_[:, 1:] == sorted_[:, :-1], "a negative comes twice"),
    ):
        if bad.any():
            return Finding(f"in {int(bad.any(1).sum())} of {len(got)} rows, in a draw.", name)
    return None


def _all_alike(answer, held_out, seen, n, times: int = 300):
    """Every film that may come up does so as often as any other, within six standard errors."""
    count = torch.zeros(seen.shape)
    for draw in range(times):  # each evaluation has a generator of its own
        generator = torch.Generator().manual_seed(1_000 + draw)
        got = torch.as_tensor(answer(held_out.clone(), seen.clone(), n, generator))
        found = _look_at_rows(got, held_out, seen, n)
        if found is not None:
            return found
        count.scatter_add_(1, got[:, 1:], torch.ones(len(got), n))
    allowed = ~seen
    allowed[torch.arange(len(held_out)), held_out] = False
    chance = n / allowed.sum(1, keepdim=True)  # [U, 1] of each allowed film, in one draw
    error = (times * chance * (1 - chance)).sqrt().clamp(min=1e-6)
    far = ((count - times * chance).abs() > 6 * error + 1e-6) & allowed
    if not far.any():
        return None
    user, film = (int(i) for i in far.nonzero()[0])
    seen_ = (
        f"film {film} came up {int(count[user, film])} times in {times} draws for user {user}; "
        f"about {float(times * chance[user]):.0f} are to be expected."
    )
    return Finding(seen_, "not every film is as likely as any other")


OTHERS = Exercise(
    "Ninety-nine others",
    _candidates_judge,
    {
        "the held-out film is not in column 0": "Whoever ranks has to know which one is looked "
        "for: it stands first.",
        "the held-out film is among its own negatives": "`seen` is what stands in the training "
        "data. The held-out film does not, so nothing forbids it yet. In the published file this "
        "happened to 156 of 6,040 users.",
        "a negative that the user has watched": "A good model ranks watched films high, and would "
        "be punished for it. What does `seen` say?",
        "a negative comes twice": "Drawn with replacement, a film can fill two places, and then "
        "fewer than n rivals stand there.",
        "every evaluation is another exam": "A draw without the generator comes from a global "
        "stream. Two models would be asked different questions.",
        "the generator decides nothing": "Generators with different seeds give the same films. "
        "Draw *from* it, and do not seed it yourself.",
        "not every film is as likely as any other": "Taking the first n, or drawing by popularity, "
        "asks another question. Each film that is allowed should come up equally often.",
    },
    ("recsys_book.evaluate.sampled_candidates", "recsys_book.sampling.UnseenItems"),
)

# ---------------------------------------------------------------- 3.4 who wins a tie


def _hits(scores: Tensor, k: int) -> Tensor:
    """What is not below the held-out film stands before it: itself, its equals, what is NaN."""
    return (~(scores < scores[:, :1])).sum(1) <= k


def _tie_cases(generator):
    nan, no = torch.nan, -torch.inf
    if generator is None:
        rows = [
            ([3.0, 1, 2, 0], "first of four"),
            ([2.0, 3, 1, 0], "second of four, k = 2"),
            ([1.0, 3, 2, 0], "third of four"),
            ([1.0, 1, 1, 1], "a model that says the same of all"),
            ([2.0, 2, 1, 0], "equal with one other, k = 2"),
            ([2.0, 3, 2, 0], "one above, one equal, k = 2"),
            ([1.0, 3, no, no], "two of four places are empty"),
            ([nan, nan, nan, nan], "a model that has diverged"),
            ([3.0, nan, nan, 0], "two rivals whose scores are no numbers"),
        ]
        rows += [
            ([1.0, 1, 1], "three equals"),
            ([1.0, 1, 1, 1, 1, 1, 1], "seven equals"),
            ([nan, 3, 2, 1], "only the film looked for is no number"),
        ]
        return [((torch.tensor([row]), 2), told) for row, told in rows]
    scores = torch.randint(6, (60, 12), generator=generator).float()
    scores[torch.rand(60, 12, generator=generator) < 0.05] = nan
    scores[:, 6:][torch.rand(60, 6, generator=generator) < 0.2] = no
    return [((scores, 4), "60 users, 12 candidates, k = 4")]


TIES = Exercise(
    "Who wins a tie",
    by_cases(
        _hits,
        {
            "a tie favours the film looked for": lambda s, k: (s > s[:, :1]).sum(1) < k,
            "a tie is shared out": lambda s, k: (
                (s > s[:, :1]).sum(1) + ((s == s[:, :1]).sum(1) + 1) / 2 <= k
            ),
            "NaN is a very high score": lambda s, k: (
                (
                    ~(
                        s.nan_to_num(torch.inf, neginf=-torch.inf)
                        < s.nan_to_num(torch.inf, neginf=-torch.inf)[:, :1]
                    )
                ).sum(1)
                <= k
            ),
            "NaN scores a hit": lambda s, k: (s >= s[:, :1]).sum(1) <= k,
            "one place too few": lambda s, k: (~(s < s[:, :1])).sum(1) < k,
            "one place too many": lambda s, k: (~(s < s[:, :1])).sum(1) <= k + 1,
            "a sort decides the ties": lambda s, k: (s.topk(k, dim=1).indices == 0).any(1),
            "a sort decides the ties, and sees NaN on top": lambda s, k: (
                s.argsort(dim=1, descending=True)[:, :k] == 0
            ).any(1),
        },
        _tie_cases,
    ),
    {
        "a tie favours the film looked for": "A model that says the same of all films would then "
        "hit every time. Who comes before the held-out film: those above it, or those that are not "
        "below?",
        "a tie is shared out": "You give the film the mean of the places that its equals fill. The "
        "rule here is strict: all of them come before it.",
        "NaN is a very high score": "For the others that is right. The film looked for has no "
        "score then, and is not found.",
        "NaN scores a hit": "Every comparison with NaN is false, so nothing is counted above it. "
        "Count what is *not below* the held-out film.",
        "one place too few": "The held-out film is not below itself. Did you count it?",
        "one place too many": "Ranks run from 1. Whoever stands at k + 1 is not among the first k.",
        "a sort decides the ties": "Which of two equals a sort puts first is an accident of the "
        "code, and the held-out film stands in column 0. Count instead.",
        "a sort decides the ties, and sees NaN on top": "Which of two equals a sort puts first is "
        "an accident of the code, and NaN comes out highest. Count instead.",
    },
    (
        "recsys_book.metrics.hit_rate_at_k",
        "recsys_book.metrics.ranking_at_k",
        "recsys_book.chapters.ch03_neumf.exercises._hits",
    ),
)

# ---------------------------------------------------------------- 3.5 one cell of the paper's table

#: HR@10 of MLP-0 on MovieLens-1M at 8, 16, 32 and 64 factors, as He et al. 2017 print it.
MLP_0 = (0.452, 0.454, 0.453, 0.453)


def _scores_of(item, candidates, n_items):
    count = torch.bincount(item, minlength=n_items).double()
    return torch.where(candidates == ABSENT, -torch.inf, count[candidates.clamp(min=0)])


def _both_rules(scores, k=10):
    own = scores[:, :1]
    worst, best = (scores >= own).sum(1) <= k, (scores > own).sum(1) < k
    return float(worst.double().mean()), float(best.double().mean())


def _cell(item, candidates, n_items):
    return _both_rules(_scores_of(item, candidates, n_items))


def _last_film(item, candidates, n_items):
    return _both_rules(torch.bincount(item, minlength=n_items).double()[candidates])


def _empty_rival(item, candidates, n_items):
    scores = _scores_of(item, candidates, n_items)
    return _both_rules(torch.where(candidates == ABSENT, 0.0, scores))


def _test_counted(item, candidates, n_items):
    return _cell(torch.cat([item, candidates[:, 0]]), candidates, n_items)


def _candidates_counted(item, candidates, n_items):
    return _cell(candidates[candidates != ABSENT], candidates, n_items)


def _cell_cases(generator):
    if generator is None:
        # Films 0 to 15 are watched 30, 29, 28, … times, film 16 never, the last three 9 times each.
        count = torch.tensor([*range(30, 14, -1), 0, 9, 9, 9])
        rows = [
            [9, *range(9)],  # nine are watched more: a hit
            [10, *range(10)],  # ten are watched more: none
            [12, *range(2, 12)],  # ten again
            [17, 18, *range(8)],  # eight more, one as often: a hit by either rule
            [17, 18, 19, *range(8)],  # eight more, two as often: a hit by the kind rule alone
            [16, *range(9)],  # nobody watched it, and it stands tenth
        ]
        candidates = torch.tensor([row + [ABSENT] * (12 - len(row)) for row in rows])
        return [
            ((_repeat(count), candidates, 20), "a planted log, 6 users"),
            ((_repeat(count), candidates[[0, 1, 4]], 20), "three of these users"),
        ]
    count = (60 * torch.rand(80, generator=generator) ** 3).long()
    rows = torch.rand(200, 80, generator=generator).topk(40, dim=1).indices
    rows[:, 1:][torch.rand(200, 39, generator=generator) < 0.7] = ABSENT
    return [((_repeat(count), rows, 80), "a planted log of 80 films, 200 users")]


def _repeat(count: Tensor) -> Tensor:
    """A log in which film i stands count[i] times."""
    return torch.repeat_interleave(torch.arange(len(count)), count)


@cache
def the_papers_split():
    """The NCF paper's split where a good copy is at hand, else None. Downloads nothing."""
    try:
        return load("ncf-ml-1m", download=False)
    except (DataUnavailable, ValueError):
        return None


def judged_on() -> str:
    """What 3.5's function was judged on, in a sentence."""
    small = "Judged on small planted logs"
    if the_papers_split() is None:
        return f"{small} alone: the paper's split is not at hand."
    return f"{small} and on the paper's own split."


_CELL = by_cases(
    lambda *arguments: torch.tensor(_cell(*arguments)),
    {
        "both are one tie rule": lambda *a: torch.tensor([_cell(*a)[0]] * 2),
        "both are the kind tie rule": lambda *a: torch.tensor([_cell(*a)[1]] * 2),
        "kind first, strict second": lambda *a: torch.tensor(_cell(*a)[::-1]),
        "the empty place is taken for the last film": lambda *a: torch.tensor(_last_film(*a)),
        "an empty place is a rival": lambda *a: torch.tensor(_empty_rival(*a)),
        "the answers are counted too": lambda *a: torch.tensor(_test_counted(*a)),
        "it counts candidates, not watches": lambda *a: torch.tensor(_candidates_counted(*a)),
        "a count of hits, not a share": lambda *a: torch.tensor(_cell(*a)) * len(a[1]),
    },
    _cell_cases,
)


def _cell_judge(answer, seed):
    wanted = {"hit rates", "standard error", "cells"}
    if not isinstance(answer, Mapping) or set(answer) != wanted:
        return Finding(f"A dict with {', '.join(sorted(wanted))} is wanted.")
    function = answer["hit rates"]
    if not callable(function):
        return Finding("'hit rates' must be a function.", "no function")

    def pair(*arguments):
        given = function(*arguments)
        if not isinstance(given, (tuple, list, Tensor, np.ndarray)) or len(given) != 2:
            raise TypeError("two hit rates are wanted: the strict rule's, then the kind rule's")
        return torch.tensor([float(g) for g in given], dtype=torch.float64)

    found = _CELL(pair, seed)
    if found is not None:
        return found
    split = the_papers_split()
    if split is not None:
        arguments = (split.train_and_validation.item, split.test_candidates, split.train.n_items)
        got, right = pair(*arguments).tolist(), _cell(*arguments)
        if max(abs(g - r) for g, r in zip(got, right, strict=True)) > 1e-6:
            return Finding(
                f"on the paper's split: wanted {right[0]:.4f} and {right[1]:.4f}, got "
                f"{got[0]:.4f} and {got[1]:.4f}; on the small logs it was right."
            )
    return _reading_judge(answer["standard error"], answer["cells"])


def _reading_judge(error, cells):
    """The two numbers beside the function; they need no data, as .453 of 6,040 is known."""
    if not isinstance(error, (Real, Tensor)) or not isinstance(cells, (Real, Tensor)):
        return Finding("'standard error' and 'cells' must be numbers.")
    p, n, error, cells = 0.453, 6_040, float(error), float(cells)
    near = lambda value: abs(error - value) <= 0.03 * value
    if not near((p * (1 - p) / n) ** 0.5):
        name = next(
            (
                name
                for name, value in (
                    ("the spread of one person", (p * (1 - p)) ** 0.5),
                    ("a variance, not its root", p * (1 - p) / n),
                    ("half the width of an interval", 1.96 * (p * (1 - p) / n) ** 0.5),
                )
                if near(value)
            ),
            None,
        )
        return Finding(f"your standard error is {error:.4g}.", name)
    if cells != len(MLP_0):
        same = sum(c == 0.453 for c in MLP_0)
        name = "near is taken for equal" if cells == same else None
        return Finding(f"you count {cells:g} of the {len(MLP_0)} cells.", name)
    return None


CELL = Exercise(
    "One cell of the paper's table",
    _cell_judge,
    {
        "both are one tie rule": "The first figure is strict. The second takes ties for the film "
        "looked for: only films that are watched *more often* come before it.",
        "both are the kind tie rule": "The second figure is kind. In the first, films watched *as "
        "often* come before the one looked for.",
        "kind first, strict second": "They are asked for the other way round: strict, then kind.",
        "the empty place is taken for the last film": "−1 is no film. As an index Python takes it "
        "for the last one.",
        "an empty place is a rival": "Against a film that nobody has watched, a place with a count "
        "of 0 ties. An empty place must come after everything.",
        "the answers are counted too": "Column 0 is what is to be found. Counting it before the "
        "ranking tells popularity the answers.",
        "it counts candidates, not watches": "How often a film was drawn as a candidate says "
        "nothing of how much it is liked. Count what stands in the log.",
        "a count of hits, not a share": "Divide by the number of users.",
        "the spread of one person": "One person hits or does not: that is sqrt(p (1 − p)). How "
        "does the *mean* of 6,040 of them spread?",
        "a variance, not its root": "p (1 − p) / n is a variance.",
        "half the width of an interval": "1.96 standard errors are half a 95 % interval. One was "
        "asked for.",
        "near is taken for equal": "Which of the four are no further from yours than one standard "
        "error? They need not be equal in three digits.",
    },
    (
        "recsys_book.models.baselines.Popularity",
        "recsys_book.evaluate.leave_one_out",
        "recsys_book.metrics.hit_rate_at_k",
        "recsys_book.metrics.ranking_at_k",
        "recsys_book.chapters.ch03_neumf.exercises._cell",
    ),
)

# ---------------------------------------------------------------- 3.6 an equal budget


@dataclass(frozen=True)
class _World:
    """A planted service. `log` to train on while choosing, `held` to choose by, `all` of both to
    train on anew, and `best`, the ten films that each user would truly like most."""

    log: Interactions
    held: Interactions
    all: Interactions
    best: Interactions


#: Users, films, rank of the tastes, watches of a user, of these held out.
_U, _N, _RANK, _WATCHES, _HELD = 120, 60, 4, 19, 3
EPOCHS = 12


@cache
def _world(seed: int) -> _World:
    draw = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=draw, dtype=torch.float64)
    uniform = lambda *shape: torch.rand(*shape, generator=draw, dtype=torch.float64)
    taste = normal(_U, _RANK) @ normal(_RANK, _N) * 1.5 / _RANK**0.5
    truth = taste + normal(_N)  # and how popular a film is with everybody
    gumbel = -(-uniform(_U, _N).log()).log()
    watched = (truth + gumbel).topk(_WATCHES, dim=1).indices
    watched = watched.gather(1, uniform(_U, _WATCHES).argsort(dim=1))
    rows = lambda films: Interactions(
        torch.arange(_U).repeat_interleave(films.shape[1]), films.flatten(), _U, _N
    )
    unseen = truth.scatter(1, watched, -torch.inf)
    return _World(
        rows(watched[:, _HELD:]), rows(watched[:, :_HELD]), rows(watched),
        rows(unseen.topk(10, dim=1).indices),
    )  # fmt: skip


@dataclass(frozen=True)
class Knobs:
    """What may be turned. Epochs are 12 for all.

    Attributes:
        lr: of Adam, above 0, at most 1.
        weight_decay: Adam's L2, 0 to 1.
        factors: length of the vectors, 1 to 16.
        n_negatives: for each watch, 1 to 8.
    """

    lr: float = 0.001  # Adam's default
    weight_decay: float = 0.0
    factors: int = 8
    n_negatives: int = 4

    def __post_init__(self) -> None:
        for name, low, high in (
            ("lr", 1e-9, 1), ("weight_decay", 0, 1), ("factors", 1, 16), ("n_negatives", 1, 8),
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, Real) or not low <= value <= high:
                raise ValueError(f"{name} is {value!r}; it must lie between {low} and {high}")
            if name in ("factors", "n_negatives") and value != int(value):
                raise ValueError(f"{name} is {value!r}; it must be a whole number")


def _train(name: str, log: Interactions, knobs: Knobs, seed: int) -> nn.Module:
    """Uniform negatives drawn anew every epoch, log-loss, Adam with a falling rate."""
    model = make_model(name, log, int(knobs.factors), seed)
    draw, unseen = torch.Generator().manual_seed(seed), UnseenItems(log)
    adam = torch.optim.Adam(
        model.parameters(), lr=knobs.lr, weight_decay=knobs.weight_decay, fused=True
    )
    for _ in range(EPOCHS):
        rows = torch.randperm(len(log), generator=draw)
        users = log.user[rows]
        others = unseen.sample(users, int(knobs.n_negatives), draw)
        items = torch.cat([log.item[rows, None], others], dim=1)
        labels = torch.zeros(items.shape)
        labels[:, 0] = 1
        for u, i, y in zip(users.split(400), items.split(400), labels.split(400), strict=True):
            adam.zero_grad()
            F.binary_cross_entropy_with_logits(model(u[:, None], i), y).backward()
            adam.step()
        adam.param_groups[0]["lr"] *= 0.9
    return model


def _ndcg(model, relevant: Interactions, seen: Interactions) -> float:
    """NDCG@10 in the whole catalogue; 0, the lowest there is, for a model that has diverged."""
    if isinstance(model, nn.Module) and not all(p.isfinite().all() for p in model.parameters()):
        return 0.0
    return float(full_catalogue(model.score, relevant, seen).ndcg.mean())


def _validation(name: str, knobs: Knobs, seed: int) -> float:
    world = _world(seed)
    return _ndcg(_train(name, world.log, knobs, seed), world.held, world.log)


def _share(name: str, knobs: Knobs, seed: int) -> float:
    """Share of the learnable, trained on everything and judged by the truth."""
    world = _world(seed)
    popularity = _ndcg(Popularity(world.all), world.best, world.all)
    found = _ndcg(_train(name, world.all, knobs, seed), world.best, world.all)
    return share_of_learnable(found, popularity, 1.0)


@dataclass(frozen=True)
class Trial:
    """A setting that was tried, and its validation NDCG@10 in each practice world."""

    knobs: Knobs
    by_world: tuple[float, ...]

    @property
    def validation(self) -> float:
        """The mean over the worlds."""
        return sum(self.by_world) / len(self.by_world)


class Contest:
    """MF against NeuMF on a planted service of 120 users and 60 films.

    Keeps count of what was tried: at most `BUDGET` settings for each, and one look at the test.

    Attributes:
        tried: name → a Trial for each setting tried: `knobs` and `validation`, its NDCG@10.
        popularity: validation NDCG@10 of the most popular films.
        test: name → share of the learnable in each of five other worlds; None before the look.
    """

    NAMES, BUDGET = ("MF", "NeuMF"), 6
    PRACTICE, TEST = (0, 1), (10, 11, 12, 13, 14)

    def __init__(self) -> None:
        self.tried: dict[str, list[Trial]] = {name: [] for name in self.NAMES}
        self.chosen: dict[str, Knobs] | None = None
        self.test: dict[str, list[float]] | None = None
        worlds = [_world(seed) for seed in self.PRACTICE]
        scores = [_ndcg(Popularity(w.log), w.held, w.log) for w in worlds]
        self.popularity = sum(scores) / len(scores)

    def attempt(self, name: str, **knobs) -> float:
        """Train one model with these knobs (see `Knobs`) in two worlds.

        Args:
            name: "MF" or "NeuMF".
            knobs: lr, weight_decay, factors, n_negatives; those left out stay as they come.

        Returns:
            validation NDCG@10, the mean of the two worlds.

        Raises:
            ValueError: a knob out of range, a budget used up, or a test that has been looked at.
        """
        if name not in self.NAMES:
            raise ValueError(f"name is {name!r}; it must be MF or NeuMF")
        if self.test is not None:
            raise ValueError("the test has been looked at; nothing may be tried any more")
        if len(self.tried[name]) >= self.BUDGET:
            raise ValueError(f"{name} has had its {self.BUDGET} settings")
        setting = Knobs(**knobs)
        trial = Trial(setting, tuple(_validation(name, setting, seed) for seed in self.PRACTICE))
        self.tried[name].append(trial)
        return trial.validation

    def best(self, name: str) -> Knobs:
        """The setting with the best validation so far."""
        return max(self.tried[name], key=lambda trial: trial.validation).knobs

    def look(self, mf: Knobs, neumf: Knobs) -> dict[str, list[float]]:
        """Train both anew in five other worlds and look at the test. Once.

        Args:
            mf, neumf: the settings chosen, such as `contest.best("MF")`.

        Returns:
            name → share of the learnable in each world (0 is popularity, 1 who knows the truth).
        """
        if self.test is not None:
            raise ValueError("the test may be looked at once")
        self.chosen = {"MF": mf, "NeuMF": neumf}
        self.test = {n: [_share(n, k, s) for s in self.TEST] for n, k in self.chosen.items()}
        return self.test


VERDICTS = ("MF", "NeuMF", "cannot be told apart")
#: Above popularity's validation, reached by either model with a few settings tried.
_REACH = 0.08
_LEAST = 3  # different settings of each


def _says(shares: Mapping[str, list[float]]) -> tuple[str, str]:
    """The verdict of a paired interval, and the interval as text."""
    lead = paired_interval(shares["MF"], shares["NeuMF"])
    verdict = VERDICTS[2] if lead.low <= 0 <= lead.high else VERDICTS[int(lead.high < 0)]
    return verdict, f"MF less NeuMF is {lead.text()}"


def _contest_judge(answer, seed):
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        return Finding("A pair is wanted: the contest and your verdict.")
    contest, verdict = answer
    if not isinstance(contest, Contest):
        return Finding("The first of the pair must be the Contest.")
    if verdict not in VERDICTS:
        return Finding(f"The verdict is {verdict!r}; it must be one of {', '.join(VERDICTS)}.")
    n = {name: len(contest.tried[name]) for name in Contest.NAMES}
    if n["MF"] != n["NeuMF"]:
        return Finding(f"{n['MF']} settings of MF, {n['NeuMF']} of NeuMF.", "unequal budgets")
    if max(n.values()) > Contest.BUDGET:
        return Finding(f"{n['MF']} settings each, {Contest.BUDGET} are allowed.", "over the budget")
    distinct = {name: len({trial.knobs for trial in contest.tried[name]}) for name in n}
    if min(distinct.values()) < _LEAST:
        least = min(distinct, key=distinct.get)
        return Finding(f"{distinct[least]} different settings of {least}.", "hardly searched")
    bests = {name: max(contest.tried[name], key=lambda trial: trial.validation) for name in n}
    for name, best in bests.items():  # asked before the test, so that nobody has to look twice
        if best.validation < contest.popularity + _REACH:
            seen = f"validation NDCG of {name}'s best is {best.validation:.3f}, of popularity "
            return Finding(f"{seen}{contest.popularity:.3f}.", "a straw man")
    if contest.test is None or contest.chosen is None:
        return Finding(name="the test was not looked at")
    for name, best in bests.items():
        if contest.chosen[name] != best.knobs:
            seen = f"{name} was tested with {contest.chosen[name]}; {best.knobs} had more."
            return Finding(seen, "not chosen by validation")
        again = [_share(name, best.knobs, Contest.TEST[0]) - contest.test[name][0]]
        if seed is not None:
            again.append(_validation(name, best.knobs, Contest.PRACTICE[0]) - best.by_world[0])
        if max(map(abs, again)) > 0.05:
            return Finding(f"{name}, trained again, gives other figures.", "not what was run")
    really, told = _says(contest.test)
    if verdict != really:
        if really == VERDICTS[2]:
            return Finding(f"{told}; you name {verdict}.", "a winner where the interval covers 0")
        if verdict == VERDICTS[2]:
            return Finding(f"{told}.", "a tie where the interval is clear of 0")
        return Finding(f"{told}; you name {verdict}.", "the wrong winner")
    if seed is None:
        return None
    fresh = {n: [_share(n, contest.chosen[n], seed + s) for s in range(3)] for n in Contest.NAMES}
    other, told = _says(fresh)
    if {other, verdict} == {"MF", "NeuMF"}:
        return Finding(f"in three worlds you have not seen {told}.", "it does not last")
    return None


BUDGET = Exercise(
    "An equal budget",
    _contest_judge,
    {
        "unequal budgets": "Whoever was tried more often has more chances to look good. Give both "
        "the same number of settings.",
        "over the budget": "Contest counts. Start a new one and stay within the budget.",
        "hardly searched": "The same setting twice is one setting. Which knobs have you not "
        "turned?",
        "the test was not looked at": "contest.look(…), once, when both settings are chosen.",
        "not chosen by validation": "The setting that goes to the test is the one that validation "
        "liked best, whatever you hoped for. contest.best(name) knows it.",
        "a straw man": "That one has hardly begun to learn. A verdict about the *models* needs "
        "both near their best: it is far from what a few settings reach. Which knob decides how "
        "much is learned in 12 epochs?",
        "not what was run": "The figures in the contest are not those of the settings in it. Start "
        "a new one, and let it keep the record.",
        "a winner where the interval covers 0": "Another draw of worlds may name the other one. "
        "What can be said is that these worlds do not tell.",
        "a tie where the interval is clear of 0": "Small is not the same as uncertain. On which "
        "side of 0 does the whole interval lie?",
        "the wrong winner": "The difference is MF less NeuMF. Which sign has it?",
        "it does not last": "Settings and verdict fit the worlds they were looked at in. Search "
        "again, with settings that do well in both practice worlds.",
    },
)

EXERCISES = {
    "3.1": TWO_HALVES,
    "3.2": FUSION,
    "3.3": OTHERS,
    "3.4": TIES,
    "3.5": CELL,
    "3.6": BUDGET,
}
