"""The small plots of the seven questions."""

import pytest

from recsys_book.chapters.closing import questions

PLOTS = ("length", "neumf", "wide", "stages", "new_item", "overfitting", "speed")


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_small_and_says_what_it_shows(name):
    picture = getattr(questions, name)()
    assert picture.width == 560 and len(picture.png) < 60_000
    assert any(character.isdigit() for character in picture.alt)
