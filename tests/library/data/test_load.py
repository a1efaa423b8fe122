"""An unknown data set is told."""

import pytest

from recsys_book.data import load


def test_an_unknown_data_set():
    with pytest.raises(ValueError, match="name is 'netflix'; it must be one of .*ncf-ml-1m"):
        load("netflix")
