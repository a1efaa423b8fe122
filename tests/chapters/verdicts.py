"""What the tests of the exercises' checks ask of a wrong answer."""

import pytest

from recsys_book.check import NotYet, check


def named(number, answer, seed=None):
    """The misconception that an answer is taken for."""
    with pytest.raises(NotYet) as stopped:
        check(number, answer, seed=seed)
    return stopped.value.name


def said(number, answer):
    """The whole text of a verdict."""
    with pytest.raises(NotYet) as stopped:
        check(number, answer)
    return str(stopped.value)
