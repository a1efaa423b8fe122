"""Chapter 05's exercises: right answers hold, and the mistakes learners make are told by name."""

import functools
import hashlib
import math

import numpy as np
import pytest
import torch
from verdicts import named, said

from recsys_book.chapters.ch05_wide_and_deep.exercises import app_log, catalogue, guess, two_models
from recsys_book.chapters.ch05_wide_and_deep.figures import ftrl_walk
from recsys_book.check import check, exercise
from recsys_book.models.wide_and_deep import hash_pairs
from recsys_book.optim import FTRL

SEEDS = [None, 1, 2]


def by_row_of_a_table(left, right, n_left, n_right):
    table = torch.arange(n_left * n_right).reshape(n_left, n_right)
    return table[left, right]


def by_column(left, right, n_left, n_right):
    return right * n_left + left


def read_as_digits(left, right, n_left, n_right):
    return torch.tensor(
        [int(f"{a}{b}") for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    )


def in_float(left, right, n_left, n_right):
    return left.float() * n_right + right


def python_hash(left, right, buckets):
    pairs = zip(left.tolist(), right.tolist(), strict=True)
    return torch.tensor([hash(pair) % buckets for pair in pairs])


def by_md5(left, right, buckets):
    pairs = zip(left.tolist(), right.tolist(), strict=True)
    digests = (hashlib.md5(f"{a}, {b}".encode()).digest() for a, b in pairs)
    return torch.tensor([int.from_bytes(digest[:8], "big") % buckets for digest in digests])


def salted(left, right, buckets):
    pairs = zip(left.tolist(), right.tolist(), strict=True)
    return torch.tensor([hash(f"{a}x{b}") % buckets for a, b in pairs])


class Salted:
    def __call__(self, left, right, buckets):
        pairs = zip(left.tolist(), right.tolist(), strict=True)
        return torch.tensor([hash(f"{a} {b}") % buckets for a, b in pairs])


def folded(left, right, buckets):
    x = left * 2654435761 + right
    for odd in (0x45D9F3B, 0x119DE1F3):
        x = (x ^ (x >> 15)) * odd
        x = x & 0xFFFFFFFF
    return (x ^ (x >> 16)) % buckets


def ftrl_with_loops(w, z, n, g, lr, l1, l2, beta):
    w, z, n = w.clone(), z.clone(), n.clone()
    for i in range(len(w)):
        more = float(n[i]) + float(g[i]) ** 2
        s = (math.sqrt(more) - math.sqrt(float(n[i]))) / lr
        z[i] = z[i] + g[i] - s * w[i]
        n[i] = more
        if abs(z[i]) <= l1:
            w[i] = 0
        else:
            w[i] = -(z[i] - math.copysign(l1, z[i])) / ((beta + math.sqrt(more)) / lr + l2)
    return w, z, n


def ftrl_of(edit):
    """FTRL as a learner writes it, with one line replaced."""
    text = """
def step(w, z, n, g, lr, l1, l2, beta):
    new_n = n + g * g
    sigma = (torch.sqrt(new_n) - torch.sqrt(n)) / lr
    new_z = z + g - sigma * w
    shrunk = torch.sign(new_z) * torch.relu(torch.abs(new_z) - l1)
    new_w = -shrunk / ((beta + torch.sqrt(new_n)) / lr + l2)
    return new_w, new_z, new_n
"""
    old, new = edit
    assert old in text
    space = {"torch": torch}
    exec(text.replace(old, new), space)
    return space["step"]


FTRL_MISTAKES = {
    "n forgets the past": ("new_n = n + g * g", "new_n = g * g"),
    "the rate looks at this step only": ("torch.sqrt(new_n)) / lr + l2", "g.abs()) / lr + l2"),
    "the threshold is on w": (
        "shrunk / ((beta + torch.sqrt(new_n)) / lr + l2)",
        "torch.nn.functional.softshrink(new_z / ((beta + torch.sqrt(new_n)) / lr + l2), l1)",
    ),
    "σ is left out": ("- sigma * w", ""),
    "σ is the whole, not its growth": (" - torch.sqrt(n)) / lr", ") / lr"),
    "the old n in w": ("torch.sqrt(new_n)) / lr + l2", "torch.sqrt(n)) / lr + l2"),
    "one rate for all weights": ("n + g * g", "n + torch.sum(g * g)"),
    "uphill": ("-shrunk", "shrunk"),
    "a gate, not a threshold": (
        "torch.sign(new_z) * torch.relu(torch.abs(new_z) - l1)",
        "new_z * (torch.abs(new_z) > l1)",
    ),
    "λ2 in the wrong place": ("(new_z) - l1)", "(new_z) - l1 - l2)"),
    "n adds g, not its square": ("n + g * g", "n + g.abs()"),
}


@pytest.mark.parametrize("name", FTRL_MISTAKES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_mistake_in_ftrl_is_named(name, seed):
    assert named("5.3", ftrl_of(FTRL_MISTAKES[name]), seed) == name


@pytest.mark.parametrize(
    "edit",
    [
        (" / lr + l2)", " / lr) - l2 * w"),  # as weight decay
        ("-shrunk", "-(shrunk + l2 * w)"),  # in the numerator
        (" + l2)", ")"),  # nowhere
        ("z + g -", "z + g + l2 * w -"),  # in the gradient
    ],
)
def test_l2_elsewhere_is_named(edit):
    assert named("5.3", ftrl_of(edit)) == "λ2 in the wrong place"


def test_the_books_ftrl_agrees_with_what_is_wanted():
    """Three steps of the optimizer, told to the check as a function of its state."""
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = FTRL([weight], lr=0.5, l1=1.0, l2=2.0)
    state = (torch.zeros(3),) * 3
    for g in torch.tensor([[-2.0, 3.0, 0.5], [-2.0, 0.0, 0.1], [1.0, -2.0, 0.2]]):
        weight.grad = g
        optimizer.step()
        state = ftrl_with_loops(*state, g, 0.5, 1.0, 2.0, 1.0)
        assert torch.allclose(weight, state[0], atol=1e-6)


def joint_by_autograd(wide, deep, clicked):
    wide, deep = wide.clone().requires_grad_(), deep.clone().requires_grad_()
    p = 1 / (1 + torch.exp(-wide - deep))
    loss = -(clicked * p.log() + (1 - clicked) * (1 - p).log()).mean()
    loss.backward()
    return loss.item(), wide.grad, deep.grad


def ensemble(wide, deep, clicked):
    n = len(clicked)
    a, b = torch.sigmoid(wide), torch.sigmoid(deep)
    p = (a + b) / 2
    loss = -(clicked * p.log() + (1 - clicked) * (1 - p).log()).mean()
    by_p = (p - clicked) / (p * (1 - p)) / n
    return loss, by_p * a * (1 - a) / 2, by_p * b * (1 - b) / 2


def apart(wide, deep, clicked):
    bce = torch.nn.BCEWithLogitsLoss()
    error = [(torch.sigmoid(x) - clicked) / len(x) for x in (wide, deep)]
    return bce(wide, clicked) + bce(deep, clicked), *error


def own_errors(wide, deep, clicked):
    loss = torch.nn.BCEWithLogitsLoss()(wide + deep, clicked)
    return loss, *((torch.sigmoid(x) - clicked) / 3 for x in (wide, deep))


def summed_gradient(wide, deep, clicked):
    error = torch.sigmoid(wide + deep) - clicked
    return torch.nn.BCEWithLogitsLoss()(wide + deep, clicked), error, error


def told(user, app, test):
    known = set(zip(user[~test].tolist(), app[~test].tolist(), strict=True))
    asked = list(zip(user[test].tolist(), app[test].tolist(), strict=True))
    return sum(pair in known for pair in asked) / len(asked)


def told_pairs(user, app, test):
    known = set(zip(user[~test].tolist(), app[~test].tolist(), strict=True))
    asked = set(zip(user[test].tolist(), app[test].tolist(), strict=True))
    return len(asked & known) / len(asked)


def told_users(user, app, test):
    known = set(user[~test].tolist())
    asked = user[test].tolist()
    return sum(u in known for u in asked) / len(asked)


def told_everything(user, app, test):
    return 1.0


def cut(user, app, seed):
    pairs = sorted(set(zip(user.tolist(), app.tolist(), strict=True)))
    order = np.random.default_rng(seed).permutation(len(pairs))
    asked = {pairs[i] for i in order[: len(pairs) // 5]}
    rows = zip(user.tolist(), app.tolist(), strict=True)
    return torch.tensor([row in asked for row in rows])


def cut_rows(user, app, seed):
    return torch.rand(len(user), generator=torch.Generator().manual_seed(seed)) < 0.2


def cut_users(user, app, seed):
    chosen = torch.rand(120, generator=torch.Generator().manual_seed(seed)) < 0.2
    return chosen[user]


def cut_apps(user, app, seed):
    chosen = torch.rand(60, generator=torch.Generator().manual_seed(seed)) < 0.2
    return chosen[app]


def cut_the_last(user, app, seed):
    pair = user * 60 + app
    every = pair.unique()
    return torch.isin(pair, every[-len(every) // 5 :])


def cut_unseeded(user, app, seed):
    pair = user * 60 + app
    return (torch.rand(120 * 60) < 0.2)[pair]


def cut_some_people(user, app, seed):
    """Draws, and then takes the first people."""
    pair = user * 60 + app
    every = pair.unique()
    first = int(torch.randint(len(every) // 2, (1,), generator=torch.Generator().manual_seed(seed)))
    return torch.isin(pair, every[first : first + len(every) // 5])


def cut_later_rows(user, app, seed):
    """Keeps a row of every pair for training, and draws from the others."""
    seen, rest = set(), []
    for pair in zip(user.tolist(), app.tolist(), strict=True):
        rest.append(pair in seen)
        seen.add(pair)
    return torch.tensor(rest) & cut_rows(user, app, seed)


def leak(share=told, split=cut):
    return {"share told": share, "split": split}


def test_a_memory_wins_by_row_and_is_worth_nothing_by_pair():
    for seed in range(3):
        log = app_log(seed)
        by_row, by_pair = (two_models(log, f(log.user, log.app, 0)) for f in (cut_rows, cut))
        assert by_row["remembers pairs"] > by_row["rates of apps"] + 0.15
        assert by_pair["remembers pairs"] == by_pair["rates of apps"]
    with pytest.raises(ValueError, match="test must be a bool tensor"):
        two_models(log, log.user)


def title_says_so(watched, shown):
    rows = zip(watched.itertuples(), shown.itertuples(), strict=True)
    columns = []
    for a, b in rows:
        of_it = a.title in b.title and len(b.title) > len(a.title)
        columns.append([of_it and a.genre == b.genre, a.genre == b.genre])
    return np.array(columns, dtype=float)


def any_common_word(watched, shown):
    rows = zip(watched.title, shown.title, strict=True)
    return np.array([len(set(a.split()) & set(b.split()) - {"The"}) for a, b in rows])


def has_a_number(watched, shown):
    return shown.title.str.contains("II|2|Return").to_numpy()


def is_inside(watched, shown):
    return np.array([a in b for a, b in zip(watched.title, shown.title, strict=True)])


def says_two(watched, shown):
    rows = zip(watched.itertuples(), shown.itertuples(), strict=True)
    return np.array([[b.title == f"{a.title} II", a.genre == b.genre] for a, b in rows])


def genre_and_years(watched, shown):
    gap = (shown.year - watched.year).to_numpy()
    same = (shown.genre == watched.genre).to_numpy()
    return np.stack([same, same & (gap > 0) & (gap < 7)], axis=1)


def learned_by_heart(watched, shown):
    world = catalogue(0)
    titles, train = world.films.title.to_numpy(), world.train
    parts = train.kind == "part two"
    known = set(zip(titles[train.watched[parts]], titles[train.shown[parts]], strict=True))
    rows = zip(watched.title, shown.title, strict=True)
    return np.array([pair in known for pair in rows])


def test_features_that_can_be_guessed_reach_what_is_wanted():
    world = catalogue(0)
    assert world is catalogue(0)
    assert not set(zip(world.train.watched, world.train.shown, strict=True)) & set(
        zip(
            world.asked.watched[world.asked.kind != "any two"],
            world.asked.shown[world.asked.kind != "any two"],
            strict=True,
        )
    )
    found = guess(title_says_so, world)
    assert found.share > 0.95 and found.gain[1] > 0
    assert "part two" in str(found)
    assert guess(learned_by_heart, world).share < 0.05  # nothing for pairs it has not met
    with pytest.raises(ValueError, match="must be"):
        guess(lambda a, b: np.zeros((len(a), 9)), world)


@pytest.mark.parametrize("seed", SEEDS)
def test_right_answers_hold(seed):
    check("5.1", by_row_of_a_table, seed=seed)
    check("5.1", by_column, seed=seed)
    check("5.2", by_md5, seed=seed)
    check("5.2", folded, seed=seed)
    assert exercise("5.2").judge(hash_pairs, seed) is None  # it holds, but is lent
    check("5.3", ftrl_with_loops, seed=seed)
    check("5.4", joint_by_autograd, seed=seed)
    check("5.5", leak(), seed=seed)
    check("5.6", title_says_so, seed=seed)


@pytest.mark.parametrize(
    ("number", "answer", "name"),
    [
        ("5.1", lambda a, b, n, m: a + b, "a sum stands for many pairs"),
        ("5.1", lambda a, b, n, m: a * b, "a product stands for many pairs"),
        ("5.1", lambda a, b, n, m: n * a + b, "the wrong size"),
        ("5.1", lambda a, b, n, m: a + b * m, "the wrong size"),
        ("5.1", read_as_digits, "digits side by side"),
        ("5.1", lambda a, b, n, m: 1 + m * a + b, "it counts from one"),
        ("5.1", in_float, "ids that are floats"),
        ("5.1", lambda a, b, n, m: a * (b.max() + 1) + b, "it depends on the batch"),
        ("5.1", lambda a, b, n, m: torch.arange(len(a)), "it depends on the batch"),
        ("5.2", lambda a, b, n: (a + b) % n, "order is lost"),
        ("5.2", lambda a, b, n: (a ^ b) % n, "order is lost"),
        ("5.2", lambda a, b, n: (a * 1_000 + b) % n, "the pattern of the ids shows through"),
        ("5.2", lambda a, b, n: (a * 31 + b) % n, "the pattern of the ids shows through"),
        ("5.2", python_hash, "the pattern of the ids shows through"),
        ("5.2", salted, "another bucket in every process"),
        ("5.2", functools.partial(salted), "another bucket in every process"),
        ("5.2", Salted(), "another bucket in every process"),
        ("5.2", lambda a, b, n: torch.randint(n, a.shape), "drawn anew every time"),
        ("5.2", lambda a, b, n: torch.arange(len(a)) % n, "it depends on the batch"),
        ("5.2", lambda a, b, n: torch.fmod(a * 2**62 - b * 7919, n), "out of range"),
        ("5.2", lambda a, b, n: (a * 0.618 + b * 0.414) % n, "ids that are floats"),
        ("5.2", hash_pairs, "the book's own code"),
        ("5.3", ftrl_walk, "the book's own code"),
        ("5.4", ensemble, "the mean of two chances"),
        ("5.4", apart, "two losses"),
        ("5.4", own_errors, "each side its own error"),
        ("5.4", summed_gradient, "gradients of a sum, a loss that is a mean"),
        ("5.5", leak(share=told_pairs), "it counts pairs"),
        ("5.5", leak(share=told_users), "a known person is not a known pair"),
        ("5.5", leak(share=told_everything), "the test finds itself"),
        ("5.5", leak(split=cut_rows), "rows are drawn"),
        ("5.5", leak(split=cut_later_rows), "a pair's first rows tell the rest"),
        ("5.5", leak(split=cut_users), "whole people are left out"),
        ("5.5", leak(split=cut_apps), "whole apps are left out"),
        ("5.5", leak(split=cut_the_last), "nothing is drawn"),
        ("5.5", leak(split=cut_unseeded), "the seed does not decide"),
        ("5.5", leak(split=cut_some_people), "some people only"),
        ("5.6", lambda a, b: np.ones(len(a)), "it says the same of every pair"),
        ("5.6", learned_by_heart, "it says the same of every pair"),
        ("5.6", has_a_number, "it looks at one side only"),
        ("5.6", genre_and_years, "alike is not the same as belonging together"),
        ("5.6", any_common_word, "it does not know which came first"),
        ("5.6", is_inside, "a lookalike is taken for part two"),
        ("5.6", says_two, "some part twos are missed"),
    ],
)
def test_a_planted_mistake_is_named(number, answer, name):
    assert named(number, answer) == name


UNTOUCHED = {"5.5": {"share told": None, "split": None}}


@pytest.mark.parametrize("number", ["5.1", "5.2", "5.3", "5.4", "5.5", "5.6"])
def test_no_answer_and_bad_answers_get_a_sentence(number):
    def untouched(*_):
        raise NotImplementedError

    answers = {"5.5": leak(untouched, untouched)}
    assert named(number, answers.get(number, untouched)) == "no answer yet"
    assert named(number, UNTOUCHED.get(number)) == "no answer yet"
    bad = {"5.5": leak(lambda *_: 0.5, lambda *_: 0.5)}.get(number, lambda *_: torch.zeros(3, 3, 3))
    for answer in (bad, 3, "words"):
        text = said(number, answer)
        assert "Traceback" not in text and text.startswith(f"✗ {number} ")
    assert named("5.5", {"split": cut}) is None
    assert "bool tensor" in said("5.5", leak(split=lambda u, a, s: u))
