"""Training on implicit feedback: what was chosen, against items drawn as if declined."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from recsys_book.data.interactions import Interactions
from recsys_book.losses import bce
from recsys_book.sampling import UnseenItems, beside_negatives, with_negatives
from recsys_book.train import History, fit

DECAY = 0.8  # of the learning rate, after every epoch: late epochs settle instead of jumping


def train_implicit(
    model: nn.Module,
    train: Interactions,
    *,
    lr: float,
    epochs: int,
    seed: int,
    weight_decay: float = 0.0,
    n_negatives: int = 4,
    batch_size: int = 1_024,
    decay: float = DECAY,
    side_by_side: bool = False,
    amp: bool = False,
    validate: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
    after_epoch: Callable[[int, nn.Module], object] | None = None,
) -> History:
    """Binary cross-entropy on observed pairs and uniform negatives drawn anew every epoch; Adam.

    With `n_negatives=0` nothing ever contradicts the observed pairs: chapter 02 shows what then
    becomes of the vectors.

    Args:
        model: `model(users [B], items [B])` gives logits `[B]`; trained in place.
        train: the observed pairs, on the model's device.
        lr: learning rate of the first epoch.
        epochs: at most.
        seed: of order and negatives.
        weight_decay: Adam's L2.
        n_negatives: per observed pair; 0 trains on the observed pairs alone.
        batch_size: observed pairs a step.
        decay: what the learning rate is multiplied by after each epoch.
        side_by_side: give the model users `[B, 1]` and items `[B, 1 + n]`: quicker, for models
            whose ids may broadcast.
        amp: see `fit`.
        validate, patience, after_epoch: see `fit`.
    """
    unseen = UnseenItems(train)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=lr, weight_decay=weight_decay, fused=side_by_side
    )
    add_negatives = beside_negatives if side_by_side else with_negatives

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        order = torch.randperm(len(train), generator=generator, device=generator.device)
        for rows in order.split(batch_size):
            users, items = train.user[rows], train.item[rows]
            if n_negatives == 0:
                yield users, items, torch.ones(len(rows), device=users.device)
            else:
                yield add_negatives(users, items, unseen, n_negatives, generator)

    return fit(
        model,
        batches,
        lambda model, batch: bce(model(batch[0], batch[1]), batch[2]),
        optimizer,
        schedules=[torch.optim.lr_scheduler.ExponentialLR(optimizer, decay)],
        validate=validate,
        max_epochs=epochs,
        patience=patience,
        after_epoch=after_epoch,
        seed=seed,
        amp=amp,
    )
