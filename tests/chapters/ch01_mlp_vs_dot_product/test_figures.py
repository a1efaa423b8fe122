"""What chapter 01 draws, and how it reads its records."""

import numpy as np
import pandas as pd
import pytest
import torch

from recsys_book.chapters.ch01_mlp_vs_dot_product import figures
from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import xor
from recsys_book.reproduce import table


def record(**tables):
    return {"name": "ch01/made", "figures": {name: table(frame) for name, frame in tables.items()}}


def test_hits_are_read_person_by_person():
    rows = [("popularity", 0, "0110"), ("mf_8", 0, "1111"), ("mf_8", 1, "1010")]
    hits = figures.hits_of(record(hits=pd.DataFrame(rows, columns=["model", "seed", "hits"])))
    assert hits["popularity"].tolist() == [[0, 1, 1, 0]]
    assert hits["mf_8"].mean(axis=0).tolist() == [1, 0.5, 1, 0.5]


def test_errors_are_found_by_width_examples_and_steps():
    columns = ["width", "n_examples", "steps", "seed", "rmse"]
    rows = [(64, 500, 10, s, 1.0 + s) for s in (0, 1)] + [
        (64, 500, 80, 0, 0.5),
        (16, 500, 10, 0, 2),
    ]
    made = record(dot_product=pd.DataFrame(rows, columns=columns))
    assert figures.errors_of(made)(64, 500, 10) == [1.0, 2.0]
    alt = figures.dot_product_figure(made, bilinear=(500, 0.0)).alt
    assert alt.endswith("bilinear with 500 examples 0.00")
    assert "64 units and 80 steps from 0.50 to 0.50" in alt and "16 units and 10 steps" in alt
    with pytest.raises(KeyError):
        figures.errors_of(made)(64, 501, 10)


def test_the_line_in_the_plane_of_the_hidden_units_separates():
    ids, likes = xor()
    x = ids.float()
    count, both = torch.relu(x.sum(1)), torch.relu(x.sum(1) - 1)
    above = both > (count - 0.5) / 2  # the line that the figure draws
    assert np.array_equal(above.numpy(), (likes == 0).numpy())
    assert "a straight line separates them" in figures.plane_figure(count, both, likes).alt
