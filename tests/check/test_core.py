"""Verdicts on answers: right in another dress, and whatever an answer does."""

import contextlib
import functools
import math
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from fractions import Fraction

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
        lambda x: x.bfloat16().mean(),
        lambda x: x.half().mean(),
        lambda x: x.double().mean(),
        lambda x: x.numpy().astype(np.float16).mean(),
        lambda x: np.float64(x.mean()),
        lambda x: Fraction(float(x.mean())),
        lambda x: x.clone().requires_grad_().mean(),
    ):
        assert MEAN.verdict(answer) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_right_is_right_and_wrong_is_wrong_in_any_numeric_type(dtype):
    table = Exercise(
        "Table",
        by_cases(
            lambda x: x.softmax(1), {"sums": lambda x: x}, lambda g: [((torch.randn(4, 9),), "")]
        ),
        {"sums": "No."},
    )
    torch.manual_seed(0)
    assert table.verdict(lambda x: x.to(dtype).softmax(1)) is None
    assert table.verdict(lambda x: list(x.to(dtype).softmax(1))) is None
    assert table.verdict(lambda x: x.to(dtype).softmax(1) * 1.05) is not None
    assert table.verdict(lambda x: x.to(dtype).softmax(0)) is not None
    assert table.verdict(lambda x: x).name == "sums"


def test_whole_numbers_agree_exactly_however_large():
    big = torch.tensor([2**60])
    assert not same(big, big + 1, 1e-5) and same(big, [2**60], 1e-5)
    assert not same(torch.tensor(100_000), 100_001, 1e-5)
    assert same(torch.tensor(3), np.uint8(3), 0) and same(True, 1, 0)


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


def raising(error):
    def answer(x):
        raise error

    return answer


class NoText(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Own(BaseException):
    pass


class NoRepr:
    def __repr__(self):
        raise ValueError("no repr")


class EndlessRepr:
    def __repr__(self):
        return "z" * 10_000_000


class LeavesWhenCompared:
    def __eq__(self, other):
        sys.exit(1)

    __hash__ = None


def without_end(x):
    return without_end(x)


ROUND = []
ROUND.append(ROUND)
STOPS, ENDS = "it stops with an error", "it ends the program"
ODD = {
    "exit": (lambda x: exit(), ENDS),
    "quit": (lambda x: quit("bye"), ENDS),
    "sys.exit": (lambda x: sys.exit(), ENDS),
    "sys.exit with a long text": (lambda x: sys.exit("z" * 100_000), ENDS),
    "KeyboardInterrupt": (raising(KeyboardInterrupt()), STOPS),
    "GeneratorExit": (raising(GeneratorExit()), STOPS),
    "an own BaseException": (raising(Own("x")), STOPS),
    "RecursionError": (without_end, STOPS),
    "MemoryError": (raising(MemoryError()), STOPS),
    "a text of 100,000 letters": (raising(ValueError("y" * 100_000)), STOPS),
    "a text of 100,000 words": (raising(ValueError("y " * 100_000)), STOPS),
    "a text of 100,000 lines": (raising(ValueError("y\n" * 100_000)), STOPS),
    "a text that no console prints": (raising(ValueError("\ud800\x1b[31m\x00\b")), STOPS),
    "an error without a text": (raising(NoText()), STOPS),
    "a long name of an error": (raising(type("T" * 100_000, (Exception,), {})("x")), STOPS),
    "a group of errors": (raising(ExceptionGroup("g", [ValueError("x" * 10_000)] * 99)), STOPS),
    "no repr": (lambda x: NoRepr(), None),
    "an endless repr": (lambda x: EndlessRepr(), None),
    "leaves when compared": (lambda x: LeavesWhenCompared(), ENDS),
    "a list of 100,000": (lambda x: list(range(100_000)), None),
    "a list of texts": (lambda x: ["z" * 10_000] * 10_000, None),
    "a dict": (lambda x: {"k": "z" * 1_000_000}, None),
    "a text": (lambda x: "z" * 1_000_000, None),
    "objects": (lambda x: np.array([object()] * 20), None),
    "a list in itself": (lambda x: ROUND, "it cannot be used as asked"),
    "a list in itself, as the answer": (ROUND, "it cannot be used as asked"),
    "a generator": (lambda x: (i for i in x), None),
    "not for this type": (lambda x: torch.ones(2, device="meta").tolist(), STOPS),
}


@pytest.mark.parametrize("case", ODD)
def test_whatever_an_answer_does_the_verdict_is_a_page(case):
    answer, name = ODD[case]
    found = MEAN.verdict(answer)
    assert found is not None and found.name == name
    text = report("1.1", MEAN, found)
    assert text.count("\n") < 40 and len(text) < 3_600 and max(map(len, text.split("\n"))) <= 88
    text.encode()  # and any console can print it
    assert not sys.stdin.closed  # which Python's own exit() closes


def test_a_long_finding_of_a_judge_is_a_page_too():
    judge = lambda answer, seed: Finding("seen " * 10_000, "x" * 500, "think\n" * 10_000)
    text = report("1.1", MEAN, Exercise("Long", judge, {}).verdict(1))
    assert text.count("\n") < 40 and "characters in all" in text
    direct = report("1.1", MEAN, Finding("seen " * 10_000, "n", "h " * 10_000))
    assert direct.count("\n") < 40


def test_what_an_answer_prints_is_cut_to_a_page(capsys):
    def loud(x):
        for i in range(200_000):
            print("line", i)
        print("to the other stream", file=sys.stderr)
        sys.stdout.write("z" * 100_000)
        return x.mean()

    assert MEAN.verdict(loud) is None
    out, err = capsys.readouterr()
    assert out.startswith("line 0\nline 1\n") and out.count("\n") < 45 and len(out) < 5_000
    assert "characters more were printed" in out and err == "to the other stream\n" * 2
    assert MEAN.verdict(lambda x: print("one word") or x.mean()) is None
    assert capsys.readouterr().out == "one word\none word\n"
    MEAN.verdict(lambda x: sys.stdout.close() or x.mean())
    print("still open")


def breaks_everything(x):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_grad_enabled(False)
    torch.inference_mode(True).__enter__()
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.set_float32_matmul_precision("medium")
    torch.set_default_device("meta")
    np.seterr(all="ignore")
    sys.setrecursionlimit(12_345)
    warnings.simplefilter("error")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["LEFT_BEHIND"] = "1"
    os.chdir("/")
    sys.stdout = sys.stdin = None
    return x.sum() / 2


def everything():
    return (
        torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(), torch.get_default_dtype(), torch.get_num_threads(),
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic,
        torch.get_float32_matmul_precision(), torch.get_default_device(), np.geterr(),
        sys.getrecursionlimit(), list(warnings.filters), signal.getsignal(signal.SIGINT),
        dict(os.environ), os.getcwd(), sys.stdin, sys.stdout,
    )  # fmt: skip


def test_what_an_answer_changes_for_everybody_is_put_back():
    before = everything()
    # It is right for two numbers and wrong for one; ours is worked out in the world as it was.
    found = MEAN.verdict(breaks_everything)
    assert found.seen.startswith("one number: wanted 4, got 2.")
    assert everything() == before
    leaves = Exercise("x", lambda answer, seed: answer(torch.ones(2)) and Finding("Wrong."), {})
    found = leaves.verdict(breaks_everything)
    assert "changed" in found.seen and "the default dtype" in found.seen
    assert everything() == before
    assert (torch.ones(1, requires_grad=True) * 2).requires_grad


def test_the_users_own_interrupt_still_interrupts():
    def swallowed(x):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return x.mean()

    for answer in (lambda x: signal.raise_signal(signal.SIGINT), swallowed):
        with pytest.raises(KeyboardInterrupt):
            MEAN.verdict(answer)
    judge = lambda answer, seed: signal.raise_signal(signal.SIGINT)  # at work on our side
    with pytest.raises(KeyboardInterrupt):
        Exercise("x", judge, {}).verdict(1)
    found = []
    thread = threading.Thread(
        target=lambda: found.append(MEAN.verdict(ODD["KeyboardInterrupt"][0]))
    )
    thread.start()
    thread.join()
    assert found[0].name == STOPS  # no signal arrives in another thread


IN_A_KERNEL = """
import os, sys
{first}
from recsys_book.check import check
from IPython import get_ipython
shell = get_ipython()
for answer in (lambda *_: exit(), lambda *_: quit(), lambda *_: sys.exit()):
    try:
        check("2.3", answer)
    except AssertionError as error:
        print("judged", "ends the program" in str(error), shell.exit_now)
def run(code):
    done = shell.run_cell(code)
    print("cell", type(done.error_in_exec).__name__, shell.exit_now)
run("exit()")
"""


@pytest.mark.parametrize("graded", [False, True])
def test_exit_in_a_notebook_leaves_the_kernel_alone(graded):
    first = "os.environ['NBGRADER_EXECUTION'] = 'autograde'" if graded else ""
    code = IN_A_KERNEL.format(first=first) + ("run('import os; os._exit(3)')" if graded else "")
    program = (
        "from IPython.core.interactiveshell import InteractiveShell as S\n"
        "from IPython.core.autocall import ExitAutocall\n"
        "class Kernel(S):\n"
        "    exit_now = False\n"
        "    def ask_exit(self): self.exit_now = True\n"
        "shell = Kernel.instance()\n"
        "for name in ('exit', 'quit'): shell.user_ns[name] = ExitAutocall(shell)\n"
        f"print(shell.run_cell({code!r}).success)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("judged", "cell"))]
    assert lines[:3] == ["judged True False"] * 3, done.stdout + done.stderr
    if graded:  # the cell's own exit() stops that cell, and says what to do
        assert lines[3:] == ["cell RuntimeError False"] * 2
        assert "nothing after it would be graded" in done.stdout + done.stderr
    else:  # a student may leave a kernel of their own
        assert lines[3:] == ["cell NoneType True"]


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


def test_what_the_package_has_ready_is_not_an_answer():
    whole = functools.partial(masked_mean, mask=torch.ones(1, 3))
    for answer in (masked_mean, layers.masked_mean, whole, {"mine": abs, "lent": masked_mean}):
        assert MEAN.verdict(answer).name == "the book's own code", answer
    own = Exercise("A layer", lambda answer, seed: None, {}, ("recsys_book.layers.MLP",))

    class Renamed(layers.MLP):
        pass

    for answer in (layers.MLP, Renamed, layers.MLP(2, (3,))):
        assert own.verdict(answer).name == "the book's own code", answer
    assert own.verdict(torch.nn.Linear(2, 3)) is None


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
    for bad in ("9.1", "x", "", 2, "²", None, "9" * 6_000, [2.1]):
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
