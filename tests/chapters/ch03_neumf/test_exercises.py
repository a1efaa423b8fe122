"""Chapter 03's exercises: right answers hold, and the mistakes learners make are told by name."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from verdicts import named, said

from recsys_book.chapters.ch03_neumf import exercises as chapter
from recsys_book.chapters.ch03_neumf.exercises import Contest, Knobs, Trial
from recsys_book.check import check
from recsys_book.reproduce import read_record
from recsys_book.show.intervals import paired_interval


def neumf(p, q, p2, q2, layers, h, b, **how):
    """Pair by pair, place by place, with the mistakes that `how` asks for."""
    logits = []
    for row in range(len(p)):
        x = torch.cat([q2[row], p2[row]] if how.get("film_first") else [p2[row], q2[row]])
        if how.get("shared"):
            x = torch.cat([p[row], q[row]])
        for number, (w, c) in enumerate(layers, 1):
            x = w.mv(x) + c
            if number < len(layers) or not how.get("last_straight"):
                x = x.clamp(min=0)
        product = p[row] * q[row]
        if how.get("dot"):
            logits.append(product.sum() + torch.dot(h[len(product) :], x) + b)
        else:
            parts = [x, product] if how.get("tower_first") else [product, x]
            logits.append(torch.dot(h, torch.cat(parts)) + b)
    logits = torch.stack(logits)
    return logits.sigmoid() if how.get("sigmoid") else logits


def with_mistake(mistake):
    return lambda *arguments: neumf(*arguments, **{mistake: True})


def fuse(h1, b1, h2, b2, alpha):
    return torch.cat([h1 * alpha, h2 - alpha * h2]), b2 + alpha * (b1 - b2)


def start(a, b, alpha):
    return 1 / (1 + torch.exp(-(alpha * a + (1 - alpha) * b)))


def fusion(fuse=fuse, start=start):
    return {"fuse": fuse, "start": start}


def weights(h1, h2, alpha):
    return torch.cat((alpha * h1, (1 - alpha) * h2))


def draw_by_loop(held_out, seen, n, generator):
    rows = []
    for user, film in enumerate(held_out.tolist()):
        allowed = [i for i in range(seen.shape[1]) if not seen[user, i] and i != film]
        order = torch.randperm(len(allowed), generator=generator)[:n]
        rows.append([film] + [allowed[i] for i in order])
    return torch.tensor(rows)


def draw_by_weight(held_out, seen, n, generator):
    allowed = (~seen).float()
    allowed[torch.arange(len(held_out)), held_out] = 0
    others = torch.multinomial(allowed, n, generator=generator)
    return torch.cat([held_out[:, None], others], 1)


def weighted(allowed_of, replacement=False):
    """A draw by weights that a learner works out wrongly."""

    def draw(held_out, seen, n, generator):
        others = torch.multinomial(
            allowed_of(held_out, seen), n, replacement=replacement, generator=generator
        )
        return torch.cat([held_out[:, None], others], 1)

    return draw


def correct_weights(held_out, seen):
    return (~seen).float().scatter(1, held_out[:, None], 0.0)


def by_popularity(held_out, seen):
    return correct_weights(held_out, seen) * (1 + 5 * torch.arange(seen.shape[1]))


def draw_and_mark(held_out, seen, n, generator):
    seen[torch.arange(len(seen)), held_out] = True
    others = torch.multinomial((~seen).float(), n, generator=generator)
    return torch.cat([held_out[:, None], others], 1)


def draw_globally(held_out, seen, n, generator):
    rows = []
    for user, film in enumerate(held_out.tolist()):
        allowed = [i for i in range(seen.shape[1]) if not seen[user, i] and i != film]
        rows.append([film, *random.sample(allowed, n)])
    return torch.tensor(rows)


def draw_seeded(held_out, seen, n, generator):
    return draw_by_loop(held_out, seen, n, torch.Generator().manual_seed(42))


def draw_with_numpy(held_out, seen, n, generator):
    random, rows = np.random.default_rng(generator.initial_seed()), []
    for user, film in enumerate(held_out.tolist()):
        allowed = np.setdiff1d(np.flatnonzero(~seen[user].numpy()), [film])
        rows.append([film, *random.choice(allowed, n, replace=False)])
    return np.array(rows)


def others_first(held_out, seen, n, generator):
    return draw_by_loop(held_out, seen, n, generator).flip(1)


def mean_place(scores, k):
    above, equal = (scores > scores[:, :1]).sum(1), (scores[:, 1:] == scores[:, :1]).sum(1)
    return above + 1 + equal / 2 <= k


def nan_on_top(scores, k):
    filled = torch.where(scores.isnan(), torch.inf, scores)
    return (filled[:, 1:] >= filled[:, :1]).sum(1) < k


def hit_by_loop(scores, k):
    found = []
    for own, *others in scores.tolist():
        before = sum(not other < own for other in others)
        found.append(own == own and before < k)
    return torch.tensor(found)


def rates_by_loop(item, candidates, n_items):
    count = [0] * n_items
    for film in item.tolist():
        count[film] += 1
    strict = kind = 0
    for own, *others in candidates.tolist():
        above = sum(count[i] > count[own] for i in others if i >= 0)
        equal = sum(count[i] == count[own] for i in others if i >= 0)
        strict += above + equal < 10
        kind += above < 10
    return strict / len(candidates), kind / len(candidates)


def rates_without_a_mask(item, candidates, n_items):
    s = torch.bincount(item, minlength=n_items)[candidates]
    strict = ((s[:, 1:] >= s[:, :1]).sum(1) < 10).float().mean()
    return float(strict), float(((s[:, 1:] > s[:, :1]).sum(1) < 10).float().mean())


def rates_with_zeros(item, candidates, n_items):
    s = torch.bincount(item, minlength=n_items)[candidates.clamp(min=0)] * (candidates >= 0)
    strict = ((s[:, 1:] >= s[:, :1]).sum(1) < 10).float().mean()
    return float(strict), float(((s[:, 1:] > s[:, :1]).sum(1) < 10).float().mean())


def rates_of_a_leak(item, candidates, n_items):
    return rates_by_loop(torch.cat([item, candidates[:, 0]]), candidates, n_items)


def cell(rates=rates_by_loop, error=0.0064, cells=4):
    return {"hit rates": rates, "standard error": error, "cells": cells}


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_right_answers_hold(seed, monkeypatch):
    monkeypatch.setattr(chapter, "the_papers_split", lambda: None)
    check("3.1", neumf, seed=seed)
    check("3.2", fusion(), seed=seed)
    check("3.3", draw_by_loop, seed=seed)
    check("3.3", draw_with_numpy, seed=seed)
    check("3.3", draw_by_weight, seed=seed)
    check("3.4", hit_by_loop, seed=seed)
    check("3.5", cell(), seed=seed)
    check("3.5", cell(lambda *a: torch.tensor(rates_by_loop(*a)), torch.tensor(0.00641)), seed=seed)


@pytest.mark.parametrize(
    ("number", "answer", "name"),
    [
        ("3.1", with_mistake("dot"), "a plain dot product"),
        ("3.1", with_mistake("tower_first"), "the halves are the wrong way round"),
        ("3.1", with_mistake("film_first"), "the film comes first in the tower"),
        ("3.1", with_mistake("shared"), "one pair of vectors for both halves"),
        ("3.1", with_mistake("last_straight"), "the last layer has no ReLU"),
        ("3.1", with_mistake("sigmoid"), "a probability, not a logit"),
        (
            "3.2",
            fusion(lambda h, b, h2, b2, a: (weights(h, h2, a), b + b2)),
            "only the weights are mixed",
        ),
        (
            "3.2",
            fusion(lambda h, b, h2, b2, a: (weights(h, h2, a), b2 * (1 - a))),
            "GMF's bias is forgotten",
        ),
        (
            "3.2",
            fusion(lambda h, b, h2, b2, a: (weights(h, h2, a), torch.zeros(1))),
            "the bias is left out",
        ),
        (
            "3.2",
            fusion(lambda h, b, h2, b2, a: (torch.cat([h, h2]), b + b2)),
            "alpha is forgotten",
        ),
        (
            "3.2",
            fusion(lambda h, b, h2, b2, a: (torch.cat([h, h2]) / 2, (b + b2) / 2)),
            "alpha is always a half",
        ),
        (
            "3.2",
            fusion(lambda h, b, h2, b2, a: fuse(h, b, h2, b2, 1 - a)),
            "alpha weighs the tower",
        ),
        (
            "3.2",
            fusion(lambda h, b, h2, b2, a: fuse(h2, b2, h, b, 1 - a)),
            "the halves are the wrong way round",
        ),
        (
            "3.2",
            fusion(start=lambda a, b, w: w * a.sigmoid() + (1 - w) * b.sigmoid()),
            "probabilities are averaged",
        ),
        ("3.2", fusion(start=lambda a, b, w: (a + b).sigmoid()), "logits are added up"),
        ("3.2", fusion(start=lambda a, b, w: b + w * (a - b)), "a logit, not a probability"),
        ("3.3", others_first, "the held-out film is not in column 0"),
        (
            "3.3",
            weighted(lambda held, seen: (~seen).float()),
            "the held-out film is among its own negatives",
        ),
        (
            "3.3",
            weighted(lambda held, seen: torch.ones(seen.shape).scatter(1, held[:, None], 0.0)),
            "a negative that the user has watched",
        ),
        ("3.3", weighted(correct_weights, replacement=True), "a negative comes twice"),
        ("3.3", weighted(by_popularity), "not every film is as likely as any other"),
        ("3.3", draw_and_mark, "it changes its arguments"),
        ("3.3", draw_globally, "every evaluation is another exam"),
        ("3.3", draw_seeded, "the generator decides nothing"),
        (
            "3.4",
            lambda s, k: (s[:, 1:] > s[:, :1]).sum(1) + 1 <= k,
            "a tie favours the film looked for",
        ),
        ("3.4", lambda s, k: (s[:, 1:] >= s[:, :1]).sum(1) < k, "NaN scores a hit"),
        ("3.4", lambda s, k: (~(s < s[:, :1])).sum(1) < k, "one place too few"),
        ("3.4", mean_place, "a tie is shared out"),
        ("3.4", nan_on_top, "NaN is a very high score"),
        ("3.5", cell(rates_without_a_mask), "the empty place is taken for the last film"),
        ("3.5", cell(rates_with_zeros), "an empty place is a rival"),
        ("3.5", cell(rates_of_a_leak), "the answers are counted too"),
        ("3.5", cell(lambda *a: rates_by_loop(*a)[::-1]), "kind first, strict second"),
        ("3.5", cell(lambda *a: (rates_by_loop(*a)[0],) * 2), "both are one tie rule"),
        ("3.5", cell(error=0.498), "the spread of one person"),
        ("3.5", cell(error=0.453 * 0.547 / 6_040), "a variance, not its root"),
        ("3.5", cell(cells=2), "near is taken for equal"),
    ],
)
def test_a_planted_mistake_is_named(number, answer, name, monkeypatch):
    monkeypatch.setattr(chapter, "the_papers_split", lambda: None)
    assert named(number, answer) == name


def test_the_figures_that_the_notebook_prints_are_the_records():
    figures = read_record("ch01/additive")["figures"]
    path = Path(__file__).parents[3] / "book/exercises/source/chapter_03/exercises_03.ipynb"
    text = path.read_text(encoding="utf-8")
    rates = [run["hit_rate"] for run in figures["mf_0"]["runs"]]
    short = lambda rate: f"{rate:.4f}".removeprefix("0")
    assert f"ended at {short(min(rates))} to {short(max(rates))} with three seeds" in text
    assert len(rates) == 3
    assert f"popularity gets {short(figures['popularity']['hit_rate'])} to" in text


def test_the_cell_is_judged_on_the_papers_split_where_it_is_at_hand(monkeypatch):
    planted = type("Split", (), {})()
    planted.train = type("Log", (), {"n_items": 30})()
    planted.train_and_validation = type("Log", (), {})()
    planted.train_and_validation.item = torch.arange(30).repeat_interleave(torch.arange(30))
    planted.test_candidates = torch.arange(30).repeat(2, 1).flip(0)
    planted.test_candidates[0, 0] = 25
    monkeypatch.setattr(chapter, "the_papers_split", lambda: planted)
    assert chapter.judged_on().endswith("on the paper's own split.")
    check("3.5", cell())

    def right_where_small(item, candidates, n_items):
        right = rates_by_loop(item, candidates, n_items)
        return right if n_items != 30 else (0.4531, 0.4538)

    assert "on the paper's split" in said("3.5", cell(right_where_small))
    monkeypatch.setattr(chapter, "the_papers_split", lambda: None)
    assert "not at hand" in chapter.judged_on()


@pytest.fixture(scope="module")
def fair():
    """A contest as it should be held, looked at once."""
    contest = Contest()
    for name in contest.NAMES:
        for knobs in ({"lr": 0.03}, {"lr": 0.03, "weight_decay": 1e-4}, {}):
            contest.attempt(name, **knobs)
    contest.attempt("MF", lr=0.03, weight_decay=3e-4, factors=16)
    contest.attempt("NeuMF", lr=0.05, weight_decay=1e-4)
    contest.look(contest.best("MF"), contest.best("NeuMF"))
    return contest


def verdict_of(test):
    lead = paired_interval(test["MF"], test["NeuMF"])
    return "MF" if lead.low > 0 else "NeuMF" if lead.high < 0 else "cannot be told apart"


def like(contest, **others):
    """A copy of a contest with some attributes changed."""
    copy = Contest()
    copy.tried = {name: list(trials) for name, trials in contest.tried.items()}
    copy.chosen, copy.test = dict(contest.chosen), contest.test
    for name, value in others.items():
        setattr(copy, name, value)
    return copy


def test_a_fair_contest_holds(fair):
    check("3.6", (fair, verdict_of(fair.test)))


CLEAR = {"MF": [0.5, 0.52, 0.51, 0.5, 0.53], "NeuMF": [0.1, 0.13, 0.12, 0.1, 0.12]}
OPEN = {"MF": [0.5, 0.3, 0.51, 0.2, 0.53], "NeuMF": [0.4, 0.43, 0.42, 0.4, 0.42]}


@pytest.mark.parametrize(
    ("test", "verdict", "name"),
    [
        (CLEAR, "MF", None),
        (CLEAR, "NeuMF", "the wrong winner"),
        (CLEAR, "cannot be told apart", "a tie where the interval is clear of 0"),
        (OPEN, "cannot be told apart", None),
        (OPEN, "MF", "a winner where the interval covers 0"),
        (OPEN, "NeuMF", "a winner where the interval covers 0"),
    ],
)
def test_the_verdict_is_the_intervals(fair, monkeypatch, test, verdict, name):
    monkeypatch.setattr(chapter, "_share", lambda model, knobs, seed: test[model][0])
    contest = like(fair, test=test)
    if name is None:
        check("3.6", (contest, verdict))
    else:
        assert named("3.6", (contest, verdict)) == name


def test_a_verdict_that_other_worlds_turn_round_does_not_hold(fair, monkeypatch):
    turned = {"MF": CLEAR["NeuMF"], "NeuMF": CLEAR["MF"]}
    contest = like(fair, test=CLEAR)
    share = lambda model, knobs, seed: (CLEAR if seed < 100 else turned)[model][seed % 5]
    monkeypatch.setattr(chapter, "_share", share)
    check("3.6", (contest, "MF"))
    assert named("3.6", (contest, "MF"), seed=1_000) == "it does not last"


def test_unfair_contests_are_named(fair):
    right = verdict_of(fair.test)
    unequal = like(fair)
    unequal.tried["MF"] = unequal.tried["MF"][:3]
    assert named("3.6", (unequal, right)) == "unequal budgets"
    twice = like(fair)
    twice.tried = {n: [t[0]] * 4 for n, t in fair.tried.items()}
    assert named("3.6", (twice, right)) == "hardly searched"
    blind = like(fair, test=None)
    assert named("3.6", (blind, right)) == "the test was not looked at"
    hoped = like(fair)
    hoped.chosen["NeuMF"] = Knobs()
    assert named("3.6", (hoped, right)) == "not chosen by validation"
    many = like(fair)
    many.tried = {n: t * 2 for n, t in fair.tried.items()}
    assert named("3.6", (many, right)) == "over the budget"
    forged = like(fair, test={n: [v + 0.3 for v in t] for n, t in fair.test.items()})
    assert named("3.6", (forged, right)) == "not what was run"
    assert "must be one of" in said("3.6", (fair, "MF wins"))
    assert "a pair" in said("3.6", fair).lower()


def test_a_straw_man_is_named(fair):
    straw = like(fair)
    slow = [Knobs(), Knobs(lr=0.002), Knobs(lr=0.003), Knobs(lr=0.004)]
    values = [(chapter._validation("MF", k, 0), chapter._validation("MF", k, 1)) for k in slow]
    straw.tried["MF"] = [Trial(*pair) for pair in zip(slow, values, strict=True)]
    straw.chosen["MF"] = straw.best("MF")
    assert named("3.6", (straw, "NeuMF")) == "a straw man"


def test_the_contest_counts_and_refuses(fair):
    contest = like(fair)
    with pytest.raises(ValueError, match="looked at"):
        contest.attempt("MF")
    with pytest.raises(ValueError, match="once"):
        contest.look(Knobs(), Knobs())
    full = Contest()
    full.tried["MF"] = fair.tried["MF"][:3] * 2
    with pytest.raises(ValueError, match="6 settings"):
        full.attempt("MF")
    with pytest.raises(ValueError, match="MF or NeuMF"):
        full.attempt("GMF")
    for knobs in ({"lr": 0}, {"factors": 64}, {"n_negatives": 2.5}, {"weight_decay": -1}):
        with pytest.raises(ValueError, match=next(iter(knobs))):
            Contest().attempt("MF", **knobs)


def test_a_model_that_diverged_scores_nothing():
    assert chapter._validation("NeuMF", Knobs(lr=1.0, weight_decay=1.0), 0) >= 0


def untouched(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("3.1", untouched),
        ("3.2", {"fuse": untouched, "start": untouched}),
        ("3.3", untouched),
        ("3.4", untouched),
        ("3.5", {"hit rates": untouched, "standard error": None, "cells": None}),
        ("3.6", (Contest(), None)),
    ],
)
def test_an_untouched_answer_is_no_answer_yet(number, answer):
    assert named(number, answer) == "no answer yet"


@pytest.mark.parametrize(
    ("number", "answer", "words"),
    [
        ("3.1", 3, "a function is wanted"),
        ("3.2", fuse, "'fuse' and 'start'"),
        ("3.2", fusion(lambda *a: 1.0), "must return a pair"),
        ("3.3", lambda *a: torch.zeros(3), "wanted (6, 7)"),
        ("3.3", lambda *a: "films", "no tensor"),
        ("3.4", lambda s, k: s, "wanted shape"),
        ("3.5", 0.453, "A dict"),
        ("3.5", cell(lambda *a: 0.45), "two hit rates are wanted"),
        ("3.5", cell(error="small"), "must be numbers"),
    ],
)
def test_bad_input_gets_one_clear_sentence(number, answer, words):
    assert words in said(number, answer)
