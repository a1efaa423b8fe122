"""How an answer is judged: pass, or the likeliest misconception by name and a hint.

A wrong answer is compared with the answers that known misconceptions give. If it equals one of them
wherever we look, that one is named. An answer that equals none is shown the first place where it
differs from what was wanted.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
import textwrap
import types
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

WIDTH = 88  # columns of a verdict
#: A test's arguments, and how to say them in a few words ("" lets the values speak).
Probe = tuple[tuple, str]


@dataclass(frozen=True)
class Finding:
    """What was seen in a wrong answer.

    Attributes:
        seen: one sentence with the figures, or "" where the name says it all.
        name: of the misconception; None if it is none of the known ones.
        hint: what to think about next; None takes the one kept with the name.
    """

    seen: str = ""
    name: str | None = None
    hint: str | None = None


class NotYet(AssertionError):
    """The answer does not hold. Prints as its message alone, without a traceback."""

    def __init__(self, text: str, name: str | None = None) -> None:
        super().__init__(text)
        self.name = name

    def _render_traceback_(self) -> list[str]:  # IPython asks for this
        return str(self).split("\n")


@dataclass(frozen=True)
class Exercise:
    """One exercise and how its answer is judged.

    Attributes:
        title: as in the notebook.
        judge: (answer, seed) → None if it holds, else a Finding. With seed None the same small
            cases each time, with a number cases drawn by it.
        hints: name of a misconception → hint, in words to the learner.
        borrowed: "module.name" of what the package has ready; an answer may not call it.
    """

    title: str
    judge: Callable[[Any, int | None], Finding | None]
    hints: Mapping[str, str]
    borrowed: Sequence[str] = field(default=())

    def verdict(self, answer: Any, seed: int | None = None) -> Finding | None:
        """None if the answer holds, else what is wrong with it. Never raises for an answer.

        Raises:
            KeyError: a judge that names a misconception without a hint.
        """
        if _missing(answer):
            return Finding(name="no answer yet", hint="Replace the dots or the None.")
        if (lent := _lent(answer, self.borrowed)) is not None:
            name = "the book's own code" if lent.startswith("recsys_book") else "ready-made code"
            return Finding(f"It calls {lent}.", name, "Write it yourself; then compare.")
        try:
            found = self.judge(answer, seed)
        except NotImplementedError:
            return Finding(name="no answer yet", hint="Write it where it says YOUR CODE HERE.")
        except Exception as error:
            if _in_own_code(error):
                name = "it stops with an error"
                hint = "Call it by hand on a small case and read the last line."
            else:
                name = "it cannot be used as asked"
                hint = "Compare what it takes and returns with what the exercise asks for."
            return Finding(f"{type(error).__name__}: {error}", name, hint)
        if found is not None and found.name is not None and found.hint is None:
            known = {**COMMON_HINTS, **self.hints}
            found = Finding(found.seen, found.name, known[found.name])
        return found


def _in_own_code(error: Exception) -> bool:
    """Whether an error came from a line of the answer, and not from ours at work on it."""
    others = {"recsys_book", "torch", "numpy", "pandas", "scipy", "sklearn"}
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        if module not in others and module not in sys.stdlib_module_names:
            return True
        trace = trace.tb_next
    return False


def report(number: str, exercise: Exercise, found: Finding | None) -> str:
    """The verdict as text, the same wherever it is read."""
    head = f"{number} {exercise.title}"
    if found is None:
        return f"✓ {head}: it holds."
    lines = [f"✗ {head}: not yet."]
    for word, text in (
        ("Likeliest", found.name and f"{found.name}."),
        ("Seen", found.seen),
        ("Hint", found.hint),
    ):
        if text:  # a graded copy does not break long lines
            lines += textwrap.wrap(
                f"{word}: {text}", WIDTH, initial_indent="  ", subsequent_indent="    ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    return "\n".join(lines)


# ---------------------------------------------------------------- judging by cases


def by_cases(
    right: Callable,
    wrong: Mapping[str, Callable],
    cases: Callable[[torch.Generator | None], Sequence[Probe]],
    tolerance: float = 1e-5,
) -> Callable[[Any, int | None], Finding | None]:
    """Judge a function by what it returns.

    Args:
        right: what is wanted.
        wrong: name of a misconception → the function that somebody with it writes.
        cases: (generator, or None for the small ones) → arguments and their description. At least
            one of the small cases must tell each misconception from what is right.
        tolerance: absolute and relative, for floats.
    """

    def judge(answer: Any, seed: int | None) -> Finding | None:
        if not callable(answer):
            return Finding(f"It is {_short(answer)}; a function is wanted.", "no function")
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        probes, gotten, first = cases(generator), [], None
        for arguments, told in probes:
            given = deepcopy(arguments)
            got = answer(*given)
            gotten.append(got)
            if not same(arguments, given, 0.0):
                return Finding(f"After the call the arguments of {told} are others.", _CHANGED)
            if first is None and not same(right(*deepcopy(arguments)), got, tolerance):
                first = len(gotten) - 1
        if first is None:
            return None
        name = next(
            (
                name
                for name, f in wrong.items()
                if all(
                    same(_quiet(f, p[0]), got, tolerance)
                    for p, got in zip(probes, gotten, strict=True)
                )
            ),
            None,
        )
        arguments, told = probes[first]
        wanted = right(*deepcopy(arguments))
        return Finding(difference(told, wanted, gotten[first], tolerance), name)

    return judge


_CHANGED = "it changes its arguments"
#: Names that any exercise may use.
COMMON_HINTS = {
    _CHANGED: "Work on a copy, or with operations that return a new tensor (add, not add_).",
    "no function": "Pass the function itself, without calling it.",
}


# ---------------------------------------------------------------- comparing and telling


def same(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two answers agree: shape by shape, floats within `tolerance`, the rest exactly."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], tolerance) for k in a)
    if isinstance(a, (set, frozenset)) or isinstance(b, (set, frozenset)):
        return isinstance(a, (set, frozenset, list, tuple)) and set(a) == set(b)
    if _is_number_like(a) and _is_number_like(b):
        x, y = _array(a), _array(b)
        if x is not None and y is not None:
            return x.shape == y.shape and bool(_close(x, y, tolerance).all())
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    try:
        return bool(a == b)
    except Exception:
        return False


def _close(x: np.ndarray, y: np.ndarray, tolerance: float) -> np.ndarray:
    return np.isclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True)


def _is_number_like(a: Any) -> bool:
    """A number, a tensor or an array; or numbers in lists, as deep as they like."""
    if isinstance(a, (Tensor, np.ndarray, np.number, np.bool_, bool, int, float)):
        return True
    return isinstance(a, (list, tuple)) and len(a) > 0 and all(map(_is_number_like, a))


def _array(a: Any) -> np.ndarray | None:
    """As float64; None where that cannot be, as for rows of unequal length."""
    if isinstance(a, Tensor):
        a = a.detach().cpu()
        a = a.to_dense() if a.layout != torch.strided else a
    try:
        if isinstance(a, (list, tuple)):
            parts = [_array(part) for part in a]
            return None if any(part is None for part in parts) else np.array(parts, np.float64)
        return np.asarray(a, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def difference(told: str, wanted: Any, got: Any, tolerance: float = 1e-5) -> str:
    """One sentence: what was wanted for a case, and what came."""
    if got is None:
        return f"{told}: it returns nothing (None). Is there a return?"
    x, y = (_array(v) if _is_number_like(v) else None for v in (wanted, got))
    if x is not None and y is not None:
        if x.shape != y.shape:
            return f"{told}: wanted shape {x.shape}, got {y.shape}."
        if np.isnan(y).any() and not np.isnan(x).any():
            return f"{told}: the answer has NaN in it; wanted {_short(wanted)}."
        off = np.argwhere(~_close(x, y, tolerance))
        if x.size > 12 and len(off):  # too many to show: the first that is off
            place = tuple(off[0].tolist())
            seen = f"{told}: at {list(place)} wanted {_short(x[place])}, got {_short(y[place])}"
            return f"{seen} ({len(off)} of {x.size} numbers are off)."
    return f"{told}: wanted {_short(wanted)}, got {_short(got)}."


def _short(value: Any) -> str:
    if isinstance(value, (Tensor, np.ndarray)) and np.prod(value.shape) > 12:
        array = _array(value).reshape(-1)
        some = ", ".join(_short(v) for v in array[:6])
        return f"shape {tuple(value.shape)}: {some}, …"
    if isinstance(value, (Tensor, np.ndarray)):
        return _short(value.tolist())
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)):
        return str(value) if not math.isfinite(value) else f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _quiet(f: Callable, arguments: tuple) -> Any:
    """What a misconception returns for a case; an object equal to nothing where it breaks down."""
    try:
        return f(*deepcopy(arguments))
    except Exception:
        return object()


def _missing(answer: Any) -> bool:
    """Whether an answer, or a part of it, is still None or dots."""
    if isinstance(answer, Mapping):
        answer = tuple(answer.values())
    if isinstance(answer, (list, tuple)):
        return any(_missing(part) for part in answer)
    return answer is None or answer is Ellipsis


def _lent(answer: Any, borrowed: Sequence[str]) -> str | None:
    """Which of the package's own functions an answer, or a part of it, is or calls; None if none
    of them."""
    things = {}
    for path in borrowed:
        module, _, name = path.rpartition(".")
        __import__(module)
        things[path] = getattr(sys.modules[module], name)
    if isinstance(answer, Mapping):
        return next(filter(None, (_lent(part, borrowed) for part in answer.values())), None)
    if isinstance(answer, functools.partial):
        return _lent(answer.func, borrowed)
    kind = answer if inspect.isclass(answer) else type(answer)
    own = inspect.isclass(answer) or kind.__module__ not in ("builtins", "functools", "torch")
    methods = list(vars(kind).values()) if own and callable(answer) else []
    for thing in (answer, *methods, *_helpers(answer, [])):
        for path, theirs in things.items():
            if thing is theirs:
                return path
            if inspect.isclass(thing) and inspect.isclass(theirs) and issubclass(thing, theirs):
                return path
        if not isinstance(thing, types.FunctionType):
            continue
        names, space = _names(thing.__code__), inspect.getclosurevars(thing)
        reach = {**thing.__globals__, **space.nonlocals}
        for path, theirs in things.items():
            module, _, name = path.rpartition(".")
            if any(reach.get(n) is theirs for n in names):
                return path
            modules = [reach.get(n) for n in names] + [sys.modules.get(n) for n in names]
            if name in names and any(
                isinstance(m, types.ModuleType) and getattr(m, name, None) is theirs
                for m in modules
            ):
                return path
    return None


def _helpers(answer: Any, found: list) -> list:
    """Functions of a learner's own notebook or module that an answer calls, and those they call."""
    if isinstance(answer, types.FunctionType):
        for name in _names(answer.__code__):
            other = answer.__globals__.get(name)
            own = isinstance(other, types.FunctionType) and other.__module__ == answer.__module__
            if own and other is not answer and other not in found:
                found.append(other)
                _helpers(other, found)
    return found


def _names(code: types.CodeType) -> set[str]:
    """Names that a function uses, those of functions inside it too."""
    names = set(code.co_names) | set(code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant) - set(code.co_cellvars)  # those are its own variables
    return names
