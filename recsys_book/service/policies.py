"""Policies, and logs that grow by what they showed."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor

from recsys_book.service.log import Log
from recsys_book.service.online import Policy, Request
from recsys_book.service.world import SLATE, World


def random_policy(world: World, seed: int) -> Policy:
    """Ten films drawn evenly from those that are out."""
    generator = torch.Generator().manual_seed(seed)

    def policy(request: Request) -> Tensor:
        draw = torch.rand(len(request.users), world.n_films, generator=generator)
        return draw.masked_fill(~request.released, -1).topk(SLATE, dim=1).indices

    return policy


def grown(world: World, more: Log, days: int) -> World:
    """The world with further days behind its log, as if they had always been there."""
    columns = {f.name: getattr(world.log, f.name) for f in fields(Log)}
    both = {
        k: torch.cat([v, getattr(more, k)]) for k, v in columns.items() if isinstance(v, Tensor)
    }
    order = np.lexsort((both["time"].numpy(), both["user"].numpy()))
    both = {name: column[torch.from_numpy(order)] for name, column in both.items()}
    log = Log(**both, n_users=world.n_users, n_films=world.n_films)
    return replace(world, log=log, days=world.days + days)
