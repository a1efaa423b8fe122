"""Chapter 02's exercises: right answers hold, and the mistakes learners make are told by name."""

import numpy as np
import pytest
import torch
from verdicts import named

from recsys_book.chapters.ch02_embeddings.exercises import (
    far_over_near,
    three_maps,
    wide_over_narrow,
)
from recsys_book.check import NotYet, check


def gradient_by_autograd(ids, upstream, n_rows):
    table = torch.zeros(n_rows, upstream.shape[1], requires_grad=True)
    (table[ids] * upstream).sum().backward()
    return table.grad


def gradient_by_assignment(ids, upstream, n_rows):
    gradient = torch.zeros(n_rows, upstream.shape[1])
    for i, row in enumerate(ids):
        gradient[row] = upstream[i]
    return gradient


def gradient_of_a_mean(ids, upstream, n_rows):
    gradient = torch.zeros(n_rows, upstream.shape[1])
    for i, row in enumerate(ids):
        gradient[row] += upstream[i] / len(ids)
    return gradient


def gradient_mean_by_row(ids, upstream, n_rows):
    gradient = torch.zeros(n_rows, upstream.shape[1])
    for row in set(ids.tolist()):
        gradient[row] = upstream[ids == row].mean(0)
    return gradient


def gradient_of_read_rows(ids, upstream, n_rows):
    return torch.stack([upstream[ids == row].sum(0) for row in sorted(set(ids.tolist()))])


def mean_of_rows_that_are_not_zero(vectors, mask):
    kept = vectors.masked_fill(~mask[:, :, None], 0)
    return kept.sum(1) / kept.abs().sum(2).ne(0).sum(1, keepdim=True).clamp(min=1)


def mean_by_loop(vectors, mask):
    rows = []
    for v, m in zip(vectors, mask, strict=True):
        rows.append(v[m].mean(0) if m.any() else torch.zeros(v.shape[1]))
    return torch.stack(rows)


def step_by_autograd(p, q, y, lr):
    p, q = p.clone().requires_grad_(), q.clone().requires_grad_()
    target = torch.tensor(y)
    torch.nn.functional.binary_cross_entropy_with_logits(p @ q, target).backward()
    return (p - lr * p.grad).detach(), (q - lr * q.grad).detach()


def step_in_turn(p, q, y, lr):
    e = 1 / (1 + torch.exp(-(p * q).sum())) - y
    p = p - lr * e * q
    e = 1 / (1 + torch.exp(-(p * q).sum())) - y
    return p, q - lr * e * p


def step_with_new_p(p, q, y, lr):
    e = 1 / (1 + torch.exp(-(p * q).sum())) - y
    p = p - lr * e * q
    return p, q - lr * e * p


def by_search(n, share):
    m = 1
    while 1 - (1 - 1 / m) ** (n - 1) > share:
        m = int(m * 1.001) + 1
    return m


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_right_answers_hold(seed):
    check("2.1", gradient_by_autograd, seed=seed)
    check("2.2", by_search, seed=seed)
    check("2.2", lambda n, share: -1.0045 * n / np.log(1 - share), seed=seed)  # half a percent
    with pytest.raises(NotYet, match="it says inf rows"):
        check("2.2", lambda n, share: np.inf, seed=seed)
    check("2.2", lambda n, share: n / -np.log(1 - share), seed=seed)
    check("2.3", mean_by_loop, seed=seed)
    check("2.4", step_by_autograd, seed=seed)


def measured(maps=None, **other):
    maps = maps or three_maps()
    answer = {
        "a: groups": 1,
        "b: far over near": far_over_near(maps["b"][0], maps["b"][2]),
        "c: wide over narrow": wide_over_narrow(maps["c"][0], maps["c"][2]),
    }
    return answer | other


def test_measured_maps_hold_and_looks_deceive():
    maps = three_maps()
    check("2.5", measured())
    in_map = {
        "b: far over near": far_over_near(maps["b"][1], maps["b"][2]),
        "c: wide over narrow": wide_over_narrow(maps["c"][1], maps["c"][2]),
    }
    answer = measured()
    assert answer["b: far over near"] > 5 * in_map["b: far over near"]
    assert answer["c: wide over narrow"] > 5 * in_map["c: wide over narrow"]
    assert named("2.5", measured(**{"a: groups": 9})) == "islands are taken for groups"
    for key, name in (("b: far over near", "a gap"), ("c: wide over narrow", "a size")):
        assert named("2.5", measured(**{key: in_map[key]})) == f"{name} is read off the map"
        assert named("2.5", measured(**{key: 1 / answer[key]})) == "upside down"
    assert named("2.5", measured(**{"b: far over near": 4.5})) is None
    assert named("2.5", measured(**{"a: groups": "one"})) is None


def line(n, noise, seed=0):
    points = np.zeros((n, 16))
    points[:, 0] = np.linspace(0, 10, n)
    points[:, 1:4] = noise * np.random.default_rng(seed).normal(size=(n, 3))
    return points


def test_a_lie_holds_and_honest_maps_do_not():
    check("2.6", (line(100, 0.1), 2))
    assert named("2.6", (line(100, 0.1), 30)) == "no lie yet"
    groups = line(90, 0.1)
    groups[30:, 5] += 50
    groups[60:, 6] += 50
    assert named("2.6", (groups, 5)) == "the groups are there"
    cloud = np.random.default_rng(0).normal(size=(60, 16))
    assert named("2.6", (cloud, 2)) == "a bad map, not a lie"
    assert (
        named("2.6", (np.repeat(line(20, 0.1), 5, axis=0), 5)) == "some points are the same point"
    )
    assert named("2.6", (np.zeros((40, 3)), 5)) is None


@pytest.mark.parametrize(
    ("number", "answer", "name"),
    [
        ("2.1", gradient_by_assignment, "the last one wins"),
        ("2.1", gradient_of_a_mean, "it averages over the batch"),
        ("2.1", gradient_mean_by_row, "it averages the visits of a row"),
        ("2.1", gradient_of_read_rows, "only the rows that were read"),
        ("2.1", torch.nn.functional.embedding, "ready-made code"),
        ("2.2", lambda n, share: n, "as many rows as ids"),
        ("2.2", lambda n, share: n / share, "one in 1/share"),
        ("2.2", lambda n, share: -n / np.log(share), "the complement"),
        ("2.2", lambda n, share: n**2 / (-2 * np.log(1 - share)), "no two ids meet at all"),
        ("2.3", lambda v, m: (v * m[:, :, None]).sum(1) / v.size(1), "it divides by L"),
        ("2.3", lambda v, m: v.sum(1) / v.shape[1], "it ignores the mask"),
        ("2.3", lambda v, m: (v * m[:, :, None]).sum(1), "a sum, not a mean"),
        ("2.3", mean_of_rows_that_are_not_zero, "a row of zeros is taken for padding"),
        (
            "2.3",
            lambda v, m: (v * m[:, :, None]).sum(1) / m.sum(1)[:, None],
            "an empty history is not a number",
        ),
        ("2.4", lambda p, q, y, lr: (p, step_by_autograd(p, q, y, lr)[1]), "only the film moves"),
        ("2.4", step_in_turn, "one after the other"),
        ("2.4", step_with_new_p, "q meets the new p"),
        (
            "2.4",
            lambda p, q, y, lr: (p + lr * (torch.sigmoid(p @ q) - y) * q,
                                 q + lr * (torch.sigmoid(p @ q) - y) * p),
            "uphill",
        ),
        ("2.4", lambda p, q, y, lr: (p - lr * (p @ q - y) * q, q - lr * (p @ q - y) * p),
         "squared error"),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_named(number, answer, name):
    assert named(number, answer) == name
