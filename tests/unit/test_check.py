"""How answers are judged, whatever the exercise."""

import functools
import math

import numpy as np
import pytest
import torch

from recsys_book import layers
from recsys_book.check import Exercise, Finding, NotYet, check, exercise, exercises, report
from recsys_book.check.core import by_cases, same
from recsys_book.layers import masked_mean

CASES = lambda generator: [
    ((torch.tensor([1.0, 3.0]),), "two numbers"),
    ((torch.tensor([4.0]),), "one number"),
]
MEAN = Exercise(
    "Mean",
    by_cases(lambda x: x.mean(), {"a sum": lambda x: x.sum(), "the last": lambda x: x[-1]}, CASES),
    {"a sum": "Divide.", "the last": "All of them."},
    ("recsys_book.layers.masked_mean",),
)


def test_a_right_answer_in_another_dress_holds():
    for answer in (
        lambda x: x.mean(),
        lambda x: float(sum(x) / len(x)),
        lambda x: x.numpy().mean(),
    ):
        assert MEAN.verdict(answer) is None


TABLE = Exercise("Table", by_cases(lambda x: x[:, None] * x, {}, CASES), {})
LONG = lambda generator: [((torch.arange(20.0),), "twenty numbers")]


def test_lists_of_lists_or_of_tensors_are_tables_too():
    for answer in (
        lambda x: (x[:, None] * x).tolist(),
        lambda x: list(x[:, None] * x),
        lambda x: [[a * b for a in x] for b in x],
        lambda x: tuple((x[:, None] * x).numpy()),
    ):
        assert TABLE.verdict(answer) is None
    assert "wanted shape (2, 2), got (2,)" in TABLE.verdict(lambda x: x.tolist()).seen
    assert TABLE.verdict(lambda x: [[1.0], [1.0, 2.0]]) is not None  # rows of unequal length
    assert TABLE.verdict(lambda x: [["a", "b"], ["c", "d"]]) is not None


def test_where_many_numbers_are_compared_the_first_that_is_off_is_told():
    one = Exercise("Long", by_cases(lambda x: x, {}, LONG), {})
    assert one.verdict(lambda x: x.tolist()) is None
    found = one.verdict(lambda x: x.where(x < 17, 0.0))
    assert found.seen == "twenty numbers: at [17] wanted 17, got 0 (3 of 20 numbers are off)."


def test_a_misconception_is_named_only_where_it_explains_every_case():
    assert MEAN.verdict(lambda x: x.sum()).name == "a sum"
    assert MEAN.verdict(lambda x: x[-1]).hint == "All of them."
    odd = MEAN.verdict(lambda x: x.sum() if len(x) == 2 else -1.0)
    assert odd.name is None and odd.seen == "two numbers: wanted 2, got 4."


def test_an_answer_that_breaks_down_is_told_in_a_sentence():
    found = MEAN.verdict(lambda x: x @ torch.ones(7))
    assert found.name == "it stops with an error" and "RuntimeError" in found.seen
    found = MEAN.verdict(lambda: 3)
    assert found.name == "it cannot be used as asked" and "TypeError" in found.seen
    assert MEAN.verdict(3).name == "no function"
    assert "returns nothing" in MEAN.verdict(lambda x: None).seen
    assert "wanted shape (), got (2,)" in MEAN.verdict(lambda x: x).seen
    assert "NaN" in MEAN.verdict(lambda x: x.mean() * math.nan).seen


def test_arguments_must_stay_as_they_were():
    assert MEAN.verdict(lambda x: x.div_(len(x)).sum()).name == "it changes its arguments"


@pytest.mark.parametrize("nothing", [None, ..., (1, None), {"a": 1, "b": ...}, [[None]]])
def test_no_answer_yet(nothing):
    assert MEAN.verdict(nothing).name == "no answer yet"


def test_a_stub_is_no_answer_yet():
    def stub(x):
        # YOUR CODE HERE
        raise NotImplementedError()

    assert MEAN.verdict(stub).name == "no answer yet"


def helper(x):
    return masked_mean(x[None, :, None], torch.ones(1, len(x)))[0, 0]


def helper_of_helper(x):
    return helper(x)


def test_what_the_package_has_ready_is_not_an_answer():
    def by_name(x):
        return masked_mean(x[None, :, None], torch.ones(1, len(x)))[0, 0]

    def by_module(x):
        return layers.masked_mean(x[None, :, None], torch.ones(1, len(x)))[0, 0]

    def by_import(x):
        from recsys_book.layers import masked_mean as other

        return other(x[None, :, None], torch.ones(1, len(x)))[0, 0]

    inner = lambda x: (lambda y: masked_mean(y[None, :, None], torch.ones(1, len(y))))(x)[0, 0]
    by_helper = lambda x: helper_of_helper(x)

    class ByCall:
        def __call__(self, x):
            return masked_mean(x[None, :, None], torch.ones(1, len(x)))[0, 0]

    partial = functools.partial(by_name)
    for answer in (
        masked_mean,
        by_name,
        by_module,
        by_import,
        inner,
        by_helper,
        ByCall(),
        partial,
    ):
        assert MEAN.verdict(answer).name == "the book's own code", answer
    both = {"mine": lambda x: x.mean(), "lent": by_name}  # a part of an answer
    assert MEAN.verdict(both).name == "the book's own code"


def test_a_variable_of_the_same_name_is_not_the_package():
    def answer(x):
        masked_mean = x.sum()
        return (lambda n: masked_mean / n)(len(x))

    assert MEAN.verdict(answer) is None


def test_sameness():
    t = torch.tensor
    assert same(t([1.0, 2.0]), [1, 2], 1e-6) and same(np.array([1]), t([1]), 0)
    assert same({"a": 1.0}, {"a": 1.0 + 1e-9}, 1e-6) and not same({"a": 1.0}, {"b": 1.0}, 1e-6)
    assert not same(t([1.0, 2.0]), t([[1.0, 2.0]]), 1e-6)
    assert same({1, 2}, [2, 1], 0) and same((t([1.0]), 2), [t([1.0]), 2], 0)
    assert not same(t(1.0), "1", 0) and not same(1.0, math.nan, 1)
    assert same(t([math.inf]), t([math.inf]), 1e-6)


def test_the_text_is_the_same_everywhere_and_has_no_traceback(capsys):
    check("2.3", lambda v, m: (v * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1))
    assert capsys.readouterr().out == "✓ 2.3 A mask, not a zero row: it holds.\n"
    with pytest.raises(NotYet) as stopped:
        check("2.3", lambda v, m: v.mean(1))
    lines = str(stopped.value).split("\n")
    assert lines[1] == "  Likeliest: it ignores the mask."
    assert stopped.value._render_traceback_() == lines  # what IPython prints in place of one
    assert report("1.1", MEAN, Finding("Seen.")) == "✗ 1.1 Mean: not yet.\n  Seen: Seen."


def test_unknown_numbers_are_told():
    with pytest.raises(ValueError, match=r"number is '2.9'; chapter 2 has 2.1, 2.2"):
        exercise("2.9")
    for bad in ("9.1", "x", "", 2):
        with pytest.raises(ValueError, match="number is"):
            exercise(bad)
    with pytest.raises(ValueError, match="chapter is 7; it must be 0 to 6"):
        exercises(7)


def test_a_judge_that_names_without_a_hint_is_a_fault_of_ours():
    bad = Exercise("Bad", lambda answer, seed: Finding(name="unheard of"), {"a": "b"})
    with pytest.raises(KeyError):
        bad.verdict(1)


def test_a_long_verdict_is_broken_into_lines_and_says_the_same():
    found = Finding("seen " * 40, "a name", "think " * 60)
    text = report("1.1", MEAN, found)
    assert max(map(len, text.split("\n"))) <= 88
    assert " ".join(text.split()).count("think") == 60 and "\n    think" in text
