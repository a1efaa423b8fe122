"""The recorded run of the repairs: plans, choices, equal budgets."""

import numpy as np

from recsys_book.chapters.ch06_training_discipline import repairs as lab
from recsys_book.chapters.ch06_training_discipline import (
    runs_one_epoch as one_epoch,
)
from recsys_book.chapters.ch06_training_discipline import (
    runs_repairs as discipline,
)
from recsys_book.chapters.ch06_training_discipline import (
    runs_samplers as samplers,
)


class NoCells:
    """Pieces that are made up: each is what `made[key]` says."""

    def __init__(self, made):
        self.made = made

    def get(self, key, make):
        return self.made(key)


def test_every_piece_of_a_plan_has_what_it_needs_and_can_be_called():
    for module in (discipline, one_epoch, samplers):
        plan = module.plan()
        work = module.Work(None)
        for (name, *arguments), needs in plan.items():
            assert set(needs) <= set(plan)
            wanted = getattr(work, name).__code__.co_argcount - 1
            assert wanted - len(getattr(work, name).__defaults__ or ()) <= len(arguments) <= wanted


def tried(key):
    """Every step's last combination is the best but for the first step's second."""
    step = key.split(" ", 2)[2].rsplit(" ", 1)[0]
    n = len(lab.grid_of(step))
    losses = list(np.linspace(0.5, 0.4, n))
    if step == "stop in time":
        losses[1] = 0.1
    return {"tried": losses}


def test_choices_are_the_best_on_the_mean_of_the_tuning_worlds():
    work = discipline.Work(NoCells(tried))
    chosen = work.chosen(discipline.LIVE)
    assert chosen["stop in time"] == {"epochs": 2}
    assert chosen["dropout"] == {"dropout": 0.5, "epochs": lab.LONGER[-1]}
    assert work.chosen(discipline.LIVE, until="shuffle") == {"stop in time": {"epochs": 2}}
    edges = work.on_the_edge(discipline.LIVE)
    assert "stop in time: epochs 2" not in edges and "dropout: dropout 0.5" in edges


def test_every_optimizer_has_as_many_tries_and_its_own_decays():
    work = discipline.Work(NoCells(tried))
    recipes = {name: work._optimizer_recipes(name) for name in discipline.OPTIMIZERS}
    assert {len(r) for r in recipes.values()} == {12}
    for name, some in recipes.items():
        assert len({(r.lr, r.epochs) for r in some}) == 12
        assert {r.weight_decay for r in some} == set(discipline.OPTIMIZERS[name][2])
        assert {r.dropout for r in some} == {work.good().dropout}
