"""Feedback on the exercises: `check("2.3", masked_mean)`.

It prints that an answer holds, or stops with the likeliest misconception by name and a hint. The
same text stands in Jupyter, in Colab and in a graded copy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from recsys_book import rooms
from recsys_book.check.core import (
    COMMON_HINTS,
    Exercise,
    Finding,
    NotYet,
    report,
    stay_while_graded,
)

__all__ = ["COMMON_HINTS", "Exercise", "Finding", "NotYet", "check", "exercise", "exercises"]

N_CHAPTERS = 7

stay_while_graded()  # nbgrader: a cell that ends its kernel would cost the others their grades


def exercises(chapter: int) -> dict[str, Exercise]:
    """The exercises of a chapter by number ("2.1", "2.2", …).

    Raises:
        ValueError: no such chapter.
    """
    if chapter not in range(N_CHAPTERS):
        raise ValueError(f"chapter is {chapter!r}; it must be 0 to {N_CHAPTERS - 1}")
    room = rooms.rooms()[f"ch{chapter:02d}"]
    return import_module(f"recsys_book.chapters.{room}.exercises").EXERCISES


def exercise(number: str) -> Exercise:
    """The exercise with a number such as "2.3".

    Raises:
        ValueError: no such exercise; the message lists those of the chapter.
    """
    head = str(number).split(".")[0]
    if head not in map(str, range(N_CHAPTERS)):
        raise ValueError(f"number is {number!r:.80}; it must be chapter.exercise, such as '2.3'")
    known = exercises(int(head))
    if number not in known:
        raise ValueError(f"number is {number!r}; chapter {head} has {', '.join(known)}")
    return known[number]


def check(number: str, answer: Any, *, seed: int | None = None) -> None:
    """Print that an answer holds, or stop with what is likeliest wrong with it.

    Args:
        number: of the exercise, such as "2.3".
        answer: what the exercise asks for: a function, a number, a word, …
        seed: draws other cases than the small ones that are looked at without it. A grader uses
            one that students do not know.

    Raises:
        NotYet: the answer does not hold, whatever it did: returned another thing, raised an error,
            called exit(). Its text, a page at most, names the misconception and gives a hint.
        ValueError: no exercise of that number.
        KeyboardInterrupt: the user has interrupted.
    """
    one = exercise(number)
    found = one.verdict(answer, seed)
    text = report(number, one, found)
    if found is not None:
        raise NotYet(text, found.name)
    print(text)
