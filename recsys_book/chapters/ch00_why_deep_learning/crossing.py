"""Chapter 00: screen and hour as one fact, for models that cannot put three facts together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from recsys_book.service.click_models import FIELDS, ClickModel, Examples, Task
from recsys_book.service.oracle import Ranking, catalogue
from recsys_book.service.world import DAYPARTS, DEVICES

DEVICE, DAYPART = FIELDS.index("device"), FIELDS.index("daypart")


def crossed(examples: Examples) -> Examples:
    """The same impressions; the field of the device now tells device and hour at once.

    The pair of this field and a film's tone is then an effect of three facts, which a sum of pairs
    can say.
    """
    ids = examples.ids.clone()  # ids count from 1
    ids[:, DEVICE] = (ids[:, DEVICE] - 1) * len(DAYPARTS) + ids[:, DAYPART]
    return replace(examples, ids=ids)


def cross(task: Task) -> Task:
    """The same task, its impressions `crossed`."""
    sizes = list(task.cardinalities)
    sizes[DEVICE] = len(DEVICES) * len(DAYPARTS) + 1
    return replace(task, cardinalities=sizes, examples=crossed(task.examples))


def crossed_scorer(task: Task, ranking: Ranking, model: ClickModel) -> Callable[[Tensor], Tensor]:
    """`score(users [U]) -> [U, N]` of a click model that was fitted to `cross(task)`."""

    @torch.no_grad()
    def score(users: Tensor) -> Tensor:
        model.eval()
        return model.preference(crossed(catalogue(task, ranking, users))).view(len(users), -1)

    return score
