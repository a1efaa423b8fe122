"""The recorded run of the repairs: choices, equal budgets."""

import numpy as np

from recsys_book.chapters.ch06_training_discipline import repairs as lab
from recsys_book.chapters.ch06_training_discipline import (
    runs_repairs as discipline,
)


def tried(size, step, world):
    """Every step's last combination is the best but for the first step's second."""
    n = len(lab.grid_of(step))
    losses = list(np.linspace(0.5, 0.4, n))
    if step == "stop in time":
        losses[1] = 0.1
    return losses


def test_choices_are_the_best_on_the_mean_of_the_tuning_worlds():
    work = discipline.Work()
    work.tune = tried
    chosen = work.chosen(discipline.LIVE)
    assert chosen["stop in time"] == {"epochs": 2}
    assert chosen["dropout"] == {"dropout": 0.5, "epochs": lab.LONGER[-1]}
    assert work.chosen(discipline.LIVE, until="shuffle") == {"stop in time": {"epochs": 2}}
    edges = work.on_the_edge(discipline.LIVE)
    assert "stop in time: epochs 2" not in edges and "dropout: dropout 0.5" in edges


def test_every_optimizer_has_as_many_tries_and_its_own_decays():
    work = discipline.Work()
    work.tune = tried
    recipes = {name: work._optimizer_recipes(name) for name in discipline.OPTIMIZERS}
    assert {len(r) for r in recipes.values()} == {12}
    for name, some in recipes.items():
        assert len({(r.lr, r.epochs) for r in some}) == 12
        assert {r.weight_decay for r in some} == set(discipline.OPTIMIZERS[name][2])
        assert {r.dropout for r in some} == {work.good().dropout}
