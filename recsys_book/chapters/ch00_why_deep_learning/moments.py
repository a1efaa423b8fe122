"""Chapter 00's map: the same people in four moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recsys_book.service.click_models import ClickModel, Task
from recsys_book.service.oracle import make_ranking, scorer

#: Device and time of day: phone or TV, in the morning or at night.
MOMENTS = ((0, 0), (0, 3), (3, 0), (3, 3))


def lists_by_moment(
    task: Task, models: Mapping[str, ClickModel], people: Tensor
) -> dict[str, Tensor]:
    """What models would rank for the same people in four moments.

    Args:
        task: of the world.
        models: name → trained.
        people: who, `[P]`.

    Returns:
        name → scores `[4 · P, N]` of the films that are out, moment by moment, less each row's
        mean: only the order of a list counts.
    """
    ranking, found = make_ranking(task), {}
    for name, model in models.items():
        rows = []
        for device, daypart in MOMENTS:
            of_all = lambda value: torch.full_like(ranking.device, value)
            moment = replace(ranking, device=of_all(device), daypart=of_all(daypart))
            rows.append(scorer(task, moment, model)(people)[:, ranking.out])
        scores = torch.cat(rows)
        found[name] = scores - scores.mean(dim=1, keepdim=True)
    return found


def alike(scores: Tensor) -> Tensor:
    """How alike one person's lists are in two moments, the mean over people.

    Args:
        scores: `[4 · P, N]` of `lists_by_moment`.

    Returns:
        `[4, 4]` correlations of the scores of all films, in the order of MOMENTS.
    """
    rows = scores.view(len(MOMENTS), -1, scores.shape[1])  # [4, P, N]
    length_one = rows / rows.norm(dim=2, keepdim=True)
    return torch.einsum("apn,bpn->abp", length_one, length_one).mean(2)
