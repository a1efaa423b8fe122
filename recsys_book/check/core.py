"""How an answer is judged: pass, or the likeliest misconception by name and a hint.

A wrong answer is compared with the answers that known misconceptions give. If it equals one of them
wherever we look, that one is named. An answer that equals none is shown the first place where it
differs from what was wanted.
"""

from __future__ import annotations

import functools
import inspect
import io
import math
import os
import random
import signal
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from importlib import import_module
from typing import Any, NoReturn, TextIO

import numpy as np
import torch
from torch import Tensor

WIDTH, PAGE = 88, 40  # columns and lines of a verdict, at most
LONGEST = 1_500  # characters of a part of it
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
        borrowed: "module.name" of what the package has ready; an answer may not be it.
    """

    title: str
    judge: Callable[[Any, int | None], Finding | None]
    hints: Mapping[str, str]
    borrowed: Sequence[str] = field(default=())

    def verdict(self, answer: Any, seed: int | None = None) -> Finding | None:
        """None if the answer holds, else what is wrong with it, in a page at most.

        Never raises for an answer, whatever that raises or returns: exit(), KeyboardInterrupt and
        errors without a readable text are findings too. What the answer prints is cut to a page,
        and what it changes for everybody (random streams, the default dtype, threads, …) is put
        back. Only os._exit and the like, which end the process, cannot be held; see
        the fence below.

        Raises:
            KeyError: a judge that names a misconception without a hint.
            KeyboardInterrupt: the user has interrupted.
        """
        with contained() as fence:
            try:
                found = self._judged(answer, seed)
            except BaseException as error:
                found = _stopped(error, fence)
            if fence.heard:  # also where the answer has swallowed it
                raise KeyboardInterrupt
        if found is None:
            return None
        hint = found.hint
        if found.name is not None and hint is None:
            hint = {**COMMON_HINTS, **self.hints}[found.name]
        seen = found.seen
        if fence.changed:
            seen = f"{seen} It has also changed {', '.join(fence.changed)} for everybody.".strip()
        return Finding(
            clipped(seen),
            None if found.name is None else clipped(found.name, 200),
            None if hint is None else clipped(hint),
        )

    def _judged(self, answer: Any, seed: int | None) -> Finding | None:
        if _missing(answer):
            return Finding(name="no answer yet", hint="Replace the dots or the None.")
        if (lent := _lent(answer, self.borrowed)) is not None:
            name = "the book's own code" if lent.startswith("recsys_book") else "ready-made code"
            return Finding(f"It calls {lent}.", name, "Write it yourself; then compare.")
        return self.judge(answer, seed)


def _stopped(error: BaseException, fence: Fence) -> Finding:
    """What an error says of an answer."""
    if fence.heard:
        raise KeyboardInterrupt from None
    modules = _modules_of(error)
    own = [module not in _OTHERS for module in modules]
    if isinstance(error, NotImplementedError) and not error.args:  # PyTorch's own have a text
        return Finding(name="no answer yet", hint="Write it where it says YOUR CODE HERE.")
    if isinstance(error, SystemExit):
        return Finding(
            _text_of(error),
            "it ends the program",
            "An answer gives something back; take exit(), quit() or sys.exit() out of it.",
        )
    if any(own):
        name = "it stops with an error"
        hint = "Call it by hand on a small case and read the last line."
    else:
        name = "it cannot be used as asked"
        hint = "Compare what it takes and returns with what the exercise asks for."
    return Finding(_text_of(error), name, hint)


def _text_of(error: BaseException) -> str:
    """An error's kind and message in a line, also where the message cannot be made."""
    try:
        text = clipped(str(error), 300)
    except BaseException as second:
        text = f"(its message cannot be read: {type(second).__name__[:80]})"
    return ": ".join(filter(None, [clipped(type(error).__name__, 80), text]))


_OTHERS = {"recsys_book", "torch", "numpy", "pandas", "scipy", "sklearn", "IPython"}
_OTHERS |= set(sys.stdlib_module_names) - {"__main__"}


def _modules_of(error: BaseException) -> list[str]:
    """Top-level modules of the lines that an error passed, the outermost first: an answer's own is
    none of ours, nor a library's."""
    modules, trace = [], error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        modules.append(str(name).partition(".")[0])
        trace = trace.tb_next
    return modules


def clipped(text: str, longest: int = LONGEST) -> str:
    """A text in one line, without what cannot be printed, cut where it is too long."""
    few = text[: 2 * longest]  # the rest is not looked at, however long
    line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in few).split())
    if len(line) <= longest and len(few) == len(text):
        return line
    return f"{line[:longest]} … ({len(text):,} characters in all)"


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
                f"{word}: {clipped(text)}", WIDTH, initial_indent="  ", subsequent_indent="    ",
                break_on_hyphens=False,
            )  # fmt: skip
    if len(lines) > PAGE:
        lines = [*lines[: PAGE - 1], f"  … ({len(lines) - PAGE + 1} lines more)"]
    return "\n".join(lines)


# ---------------------------------------------------------------- the fence around an answer
#
# An answer is somebody's first attempt, run by a notebook or by a grader that has other answers to
# run. So whatever it raises becomes a verdict, exit() too; what it prints is cut to a page; and
# the global state that PyTorch, NumPy and Python keep is afterwards as it was.
#
# What no fence inside the process can hold: os._exit, os.abort and a crash of the interpreter end
# the process at once, a signal that the answer sends to itself is taken for the user's, and an
# endless loop is ended by the user or by the grader's time limit.

CHARACTERS = 4_000  # of what an answer prints; with PAGE lines about a page

_KEPT: list = []  # modes entered to undo an answer's; leaving them would bring the answer's back


def _set_inference(on: bool) -> None:
    mode = torch.inference_mode(on)
    mode.__enter__()
    _KEPT.append(mode)


def _set_cudnn(flags: tuple[bool, bool]) -> None:
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags


#: What is put back, in this order: name, how to read it, how to set it.
SETTINGS: tuple[tuple[str, Callable[[], Any], Callable[[Any], Any]], ...] = (
    ("inference mode", torch.is_inference_mode_enabled, _set_inference),
    ("whether gradients are kept", torch.is_grad_enabled, torch.set_grad_enabled),
    ("the default dtype", torch.get_default_dtype, torch.set_default_dtype),
    (
        "the default device",
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device.type == "cpu" else device),
    ),
    ("the number of threads", torch.get_num_threads, torch.set_num_threads),
    (
        "deterministic algorithms",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda flags: torch.use_deterministic_algorithms(flags[0], warn_only=flags[1]),
    ),
    (
        "cuDNN's flags",
        lambda: (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        _set_cudnn,
    ),
    (
        "the precision of matrix products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    ("anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    ("NumPy's rules for errors", np.geterr, lambda rules: np.seterr(**rules)),
    ("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    ("the working folder", os.getcwd, os.chdir),
    ("the environment", lambda: dict(os.environ), lambda then: _set_environment(then)),
)


def _set_environment(then: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(then)


def read_settings() -> dict[str, Any]:
    """Name of a setting → its value now."""
    return {name: read() for name, read, _ in SETTINGS}


def put_back(before: dict[str, Any]) -> list[str]:
    """Set what differs from `before`; the names of what did."""
    changed = []
    for name, read, write in SETTINGS:
        try:
            if read() == before[name]:
                continue
        except OSError:  # a working folder that is gone
            pass
        changed.append(name)
        write(before[name])
    return changed


def _streams() -> tuple:
    """The random streams that everybody shares."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    numbers = np.random.get_state()  # noqa: NPY002 — a learner may use the old stream
    return torch.get_rng_state(), cuda, random.getstate(), numbers


def _put_streams_back(before: tuple) -> None:
    of_torch, cuda, of_python, of_numpy = before
    torch.set_rng_state(of_torch)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)
    random.setstate(of_python)
    np.random.set_state(of_numpy)  # noqa: NPY002


class _Page(io.TextIOBase):
    """Passes on what is written until a page is full, and counts the rest."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.lines, self.characters, self.dropped = stream, 0, 0, 0

    def write(self, text: str) -> int:
        room = CHARACTERS - self.characters
        if self.lines >= PAGE or room <= 0:
            self.dropped += len(text)
            return len(text)
        lines = text.splitlines(keepends=True)[: PAGE - self.lines]
        shown = "".join(lines)[:room]
        self.lines += shown.count("\n")
        self.characters += len(shown)
        self.dropped += len(text) - len(shown)
        self.stream.write(shown)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def writable(self) -> bool:
        return True

    def end(self) -> None:
        if self.dropped:
            self.stream.write(f"\n… ({self.dropped:,} characters more were printed)\n")

    def __getattr__(self, name: str) -> Any:  # encoding and the like
        return getattr(self.stream, name)


@contextmanager
def _a_page_at_most() -> Iterator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    pages = [_Page(stream) for stream in before[1:] if stream is not None]
    # Python's own exit() closes sys.stdin, and nobody is there to be asked anything.
    sys.stdin = io.StringIO()
    if len(pages) == 2:
        sys.stdout, sys.stderr = pages
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for page in pages:
            page.end()


@contextmanager
def _heard_interrupts() -> Iterator[list[int]]:
    """A list that is not empty once the user has pressed Ctrl-C (or "interrupt" in a notebook): an
    answer may raise KeyboardInterrupt by itself, and that is something else."""
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield heard  # no signal arrives here
        return

    def note(number: int, frame: Any) -> Any:
        heard.append(number)
        return before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _notebook_stays() -> Iterator[None]:
    """In a notebook exit() raises nothing: it asks the kernel to end after the cell."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get() if get is not None else None
    if shell is None:
        yield
        return

    def leave() -> NoReturn:
        raise SystemExit("exit() in a notebook")

    own = shell.__dict__.get("ask_exit")
    shell.__dict__["ask_exit"] = leave
    try:
        yield
    finally:
        del shell.__dict__["ask_exit"]
        if own is not None:
            shell.__dict__["ask_exit"] = own


def stay_while_graded() -> None:
    """In a notebook that nbgrader is grading, let exit() and os._exit stop a cell and no more.

    Outside the fence, too: exit() in an answer's cell would end the kernel, and nbgrader would give
    up every exercise of the notebook. Where nbgrader is not at work nothing changes.
    """
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get() if get is not None else None
    if shell is None or not os.environ.get("NBGRADER_EXECUTION"):
        return
    kernel, leave = os.getpid(), os._exit

    def stay(*_: Any) -> None:
        raise RuntimeError(
            "this ends the program, and nothing after it would be graded; take exit(), quit() or "
            "os._exit() out of the cell"
        )

    def leave_children(status: int) -> None:
        if os.getpid() != kernel:  # a process that the kernel has started ends as it should
            leave(status)
        stay()

    shell.__dict__["ask_exit"] = stay
    os._exit = leave_children


class Fence:
    """What went on inside.

    Attributes:
        changed: names of the settings that were put back.
        heard: not empty once the user has interrupted.
    """

    def __init__(self, heard: list[int]) -> None:
        self.changed: list[str] = []
        self.heard = heard


@contextmanager
def contained() -> Iterator[Fence]:
    """Run somebody else's code: exceptions pass (catch them inside), all else is put back."""
    with ExitStack() as stack:
        fence = Fence(stack.enter_context(_heard_interrupts()))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(_a_page_at_most())
        stack.enter_context(_notebook_stays())
        settings, streams = read_settings(), _streams()
        try:
            yield fence
        finally:
            fence.changed = put_back(settings)
            _put_streams_back(streams)


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
        settings = read_settings()
        for arguments, told in probes:
            given = deepcopy(arguments)
            got = answer(*given)
            put_back(settings)  # in another default dtype, say, ours would count otherwise
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
    """Whether two answers agree: shape by shape, floats within `tolerance`, the rest exactly.

    Numbers of 16 bits agree within twice what such a number can be off by, of the largest.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k], tolerance) for k in a)
    if isinstance(a, (set, frozenset)) or isinstance(b, (set, frozenset)):
        return isinstance(a, (set, frozenset, list, tuple)) and set(a) == set(b)
    if _is_number_like(a) and _is_number_like(b):
        x, y = _array(a), _array(b)
        if x is not None and y is not None:
            if x.shape != y.shape:
                return False
            if x.dtype.kind in "iu" and y.dtype.kind in "iu":
                return bool((x == y).all())
            return bool(_close(x, y, tolerance, max(_coarse(a), _coarse(b))).all())
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    try:
        return bool(a == b)
    except Exception:
        return False


def _close(x: np.ndarray, y: np.ndarray, tolerance: float, coarse: float = 0.0) -> np.ndarray:
    x, y = x.astype(np.float64), y.astype(np.float64)
    finite = np.abs(x[np.isfinite(x)])
    largest = float(finite.max()) if finite.size else 0.0
    room = max(tolerance, 2 * coarse)
    return np.isclose(x, y, rtol=room, atol=max(tolerance, room * largest * (coarse > 0)),
                      equal_nan=True)  # fmt: skip


def _coarse(a: Any) -> float:
    """Relative step between numbers of 16 bits or fewer; 0 of others, whose steps are far below any
    tolerance."""
    if isinstance(a, (list, tuple)):
        return max(map(_coarse, a), default=0.0)
    if isinstance(a, Tensor) and a.is_floating_point() and a.element_size() < 4:
        return torch.finfo(a.dtype).eps
    if isinstance(a, (np.ndarray, np.floating)) and a.dtype == np.float16:
        return float(np.finfo(np.float16).eps)
    return 0.0


def _is_number_like(a: Any) -> bool:
    """A number, a tensor or an array; or numbers in lists, as deep as they like."""
    if isinstance(
        a, (Tensor, np.ndarray, np.number, np.bool_, bool, int, float, Fraction, Decimal)
    ):
        return True
    return isinstance(a, (list, tuple)) and len(a) > 0 and all(map(_is_number_like, a))


def _array(a: Any) -> np.ndarray | None:
    """As whole numbers of 64 bits, else as float64; None where that cannot be, as for rows of
    unequal length or complex numbers."""
    if isinstance(a, Tensor):
        a = a.detach().cpu().resolve_conj()
        a = a.to_dense() if a.layout != torch.strided else a
        a = a.double() if a.is_floating_point() else a  # NumPy has no bfloat16
    try:
        if isinstance(a, (list, tuple)):
            parts = [_array(part) for part in a]
            return None if any(part is None for part in parts) else np.array(parts)
        array = np.asarray(a)
        if array.dtype.kind in "biu":
            return array.astype(np.int64) if array.dtype.kind == "b" else array
        return None if array.dtype.kind == "c" else array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
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
        off = np.argwhere(~_close(x, y, tolerance, max(_coarse(wanted), _coarse(got))))
        if x.size > 12 and len(off):  # too many to show: the first that is off
            place = tuple(off[0].tolist())
            seen = f"{told}: at {list(place)} wanted {_short(x[place])}, got {_short(y[place])}"
            return f"{seen} ({len(off)} of {x.size} numbers are off)."
    return f"{told}: wanted {_short(wanted)}, got {_short(got)}."


def _short(value: Any, depth: int = 0) -> str:
    """A value in a few words, also where its own repr is endless or broken."""
    if isinstance(value, (Tensor, np.ndarray)) and np.prod(value.shape) > 12:
        array = _array(value)
        if array is not None:
            some = ", ".join(_short(v) for v in array.reshape(-1)[:6])
            return f"shape {tuple(value.shape)}: {some}, …"
    elif isinstance(value, (Tensor, np.ndarray)) and _array(value) is not None:
        return _short(_array(value).tolist())
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (float, np.floating)):
        return str(value) if not math.isfinite(value) else f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        if depth > 3:
            return "[…]"
        some = [_short(v, depth + 1) for v in value[:12]]
        return "[" + ", ".join(some + ["…"] * (len(value) > 12)) + "]"
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that cannot be shown"
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
    """Which of the package's own functions or classes an answer, or a part of it, is; None if none
    of them. One that calls them is the learner's own."""
    if isinstance(answer, Mapping):
        return next(filter(None, (_lent(part, borrowed) for part in answer.values())), None)
    if isinstance(answer, functools.partial):
        return _lent(answer.func, borrowed)
    for path in borrowed:
        module, _, name = path.rpartition(".")
        theirs = getattr(import_module(module), name)
        inherits = (
            inspect.isclass(answer) and inspect.isclass(theirs) and issubclass(answer, theirs)
        )
        if answer is theirs or inherits or (inspect.isclass(theirs) and type(answer) is theirs):
            return path
    return None
