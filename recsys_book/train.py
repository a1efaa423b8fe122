"""The training loop, to be read in one sitting."""

from __future__ import annotations

import copy
import math
import numbers
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from recsys_book.arguments import NotFinite, check_positive, check_whole
from recsys_book.machine import has_bfloat16

Batch = tuple[Tensor, ...]


@dataclass
class History:
    """What happened in training, one entry per finished epoch.

    Attributes:
        loss: mean training loss of each epoch.
        score: `validate(model)` after each epoch; empty without a `validate`.
        seconds: how long each epoch took, validation included.
        best_epoch: the epoch (from 0) whose weights the model now carries; −1 before the first.
        best_score: its score.
        finished: False while epochs remain, as in the checkpoint of an interrupted run.
    """

    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int = -1
    best_score: float = -math.inf
    finished: bool = False


def fit(
    model: nn.Module,
    batches: Callable[[int, torch.Generator], Iterable[Batch]],
    loss: Callable[[nn.Module, Batch], Tensor],
    optimizers: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
    *,
    validate: Callable[[nn.Module], float] | None,
    max_epochs: int,
    patience: int | None,
    after_epoch: Callable[[int, nn.Module], object] | None = None,
    seed: int = 0,
    schedules: Sequence[torch.optim.lr_scheduler.LRScheduler] = (),
    step_schedules: Sequence[torch.optim.lr_scheduler.LRScheduler] = (),
    clip_norm: float | None = None,
    amp: bool = False,
    checkpoint: str | os.PathLike | None = None,
) -> History:
    """Train until `validate` stops improving, and leave the best weights in the model.

    An epoch depends on nothing but the seed, its number and the weights it starts from. That is
    why a run that was killed and started again ends with the same weights as one that was not.

    Args:
        model: trained in place.
        batches: `batches(epoch, generator)` yields the batches of one epoch, tuples of tensors.
        loss: `loss(model, batch)` is a scalar tensor.
        optimizers: one, or several that all step on the same loss.
        validate: a figure to maximize, measured after every epoch in eval mode without gradients:
            one finite number, as a number or as a tensor or array of one. None keeps the last
            weights: there is nothing to choose by.
        max_epochs: stop after this many at the latest.
        patience: stop after this many epochs without a better score; None never stops early.
        after_epoch: `after_epoch(epoch, model)` looks on after every epoch, counted from 0, in eval
            mode without gradients; what it returns is not asked for.
        seed: decides every random draw in here.
        schedules: learning-rate schedules, stepped once an epoch.
        step_schedules: those that are stepped after every batch, such as a warm-up.
        clip_norm: limit of the gradient's norm over all parameters, or None.
        amp: mixed precision through torch.amp: float16 on a CUDA device, bfloat16 on a processor
            that multiplies in it (`has_bfloat16`). Elsewhere it changes nothing.
        checkpoint: a file, rewritten after every epoch. When it exists, training goes on from it.

    Returns:
        the History; the model carries the weights of `history.best_epoch`.

    Raises:
        NotFinite: a ValueError: a loss, a weight or a score that is no finite number, in whichever
            epoch; most likely the learning rate was too high. No epoch can be chosen by a score of
            NaN or −inf, and none after one of +inf.
        ValueError: a loss or score that is not one number, a checkpoint of another run, an argument
            out of range.
    """
    if isinstance(optimizers, torch.optim.Optimizer):
        optimizers = [optimizers]
    check_whole("max_epochs", max_epochs)
    if patience is not None:
        check_whole("patience", patience)
    if clip_norm is not None:
        check_positive("clip_norm", clip_norm)
    device = next(model.parameters()).device
    amp = amp and (device.type == "cuda" or has_bfloat16())
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    # bfloat16 has the exponents of float32: only float16 needs its loss scaled.
    scaler = torch.amp.GradScaler("cuda", enabled=amp and device.type == "cuda")
    stateful = [*optimizers, *schedules, *step_schedules, scaler]
    history, best_weights = History(), copy.deepcopy(model.state_dict())
    if checkpoint is not None and Path(checkpoint).exists():
        history, best_weights = _resume(Path(checkpoint), model, stateful, seed)

    bar = tqdm(
        total=max_epochs, initial=len(history.loss), unit="epoch", delay=1, leave=False,
        # tqdm's notebook bar does not read its own variable.
        disable=os.environ.get("TQDM_DISABLE", "") not in ("", "0"),
    )  # fmt: skip
    while not history.finished and len(history.loss) < max_epochs:
        epoch, start = len(history.loss), time.perf_counter()
        with _draws_of(epoch, seed, device) as generator:
            model.train()
            losses = []
            for batch in batches(epoch, generator):
                for optimizer in optimizers:
                    optimizer.zero_grad()
                with torch.autocast(device.type, half, enabled=amp):
                    value = loss(model, batch)
                _check_loss(value, epoch)
                scaler.scale(value).backward()
                if clip_norm is not None:
                    for optimizer in optimizers:
                        scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
                for optimizer in optimizers:
                    scaler.step(optimizer)
                scaler.update()
                for schedule in step_schedules:
                    schedule.step()
                losses.append(value.detach())
            for schedule in schedules:
                schedule.step()
            history.loss.append(_mean_loss(losses, epoch))
            _check_weights(model, epoch)
            history.score += _score(model, validate, epoch)
            if after_epoch is not None:
                with torch.no_grad():
                    after_epoch(epoch, model.eval())

        if validate is None or history.score[-1] > history.best_score:
            history.best_epoch = epoch
            history.best_score = history.score[-1] if validate else -math.inf
            best_weights = copy.deepcopy(model.state_dict())
        waited = epoch - history.best_epoch
        history.finished = epoch + 1 == max_epochs or (patience is not None and waited >= patience)
        history.seconds.append(time.perf_counter() - start)
        if checkpoint is not None:
            _save(Path(checkpoint), model, stateful, seed, history, best_weights)
        best = f", best {history.best_score:.4f}" if validate else ""
        bar.set_postfix_str(f"loss {history.loss[-1]:.4f}{best}", refresh=False)
        bar.update()
    bar.close()
    model.load_state_dict(best_weights)
    return history


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, what draws from torch's global stream, such as a new model, depends on the seed
    alone; outside, the stream goes on as if nothing had been drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def _draws_of(epoch: int, seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """A generator for the epoch; dropout's global stream is seeded too and put back after."""
    number = seed * 1_000_003 + epoch
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(number)
        yield torch.Generator(device).manual_seed(number)


def _check_loss(value: object, epoch: int) -> None:
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
        raise ValueError(
            f"loss returned a {type(value).__name__}{shape} in epoch {epoch}; it must be a tensor "
            "of one number"
        )


def _mean_loss(losses: list[Tensor], epoch: int) -> float:
    if not losses:
        raise ValueError(f"batches yielded nothing in epoch {epoch}; it must yield a batch")
    values = torch.stack(losses)
    if not torch.isfinite(values).all():
        first = int((~torch.isfinite(values)).nonzero()[0])
        raise NotFinite(f"loss is {float(values[first])} in epoch {epoch}, batch {first}")
    return float(values.mean())


def _check_weights(model: nn.Module, epoch: int) -> None:
    """The last step of an epoch can break weights that no loss has told of yet."""
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise NotFinite(f"weights {name} are not finite after epoch {epoch}")


@torch.no_grad()
def _score(model: nn.Module, validate: Callable | None, epoch: int) -> list[float]:
    if validate is None:
        return []
    model.eval()
    score = _one_number("validate returned", validate(model), f"after epoch {epoch}")
    if not math.isfinite(score):
        told = "NaN" if math.isnan(score) else score
        raise NotFinite(
            f"validate returned {told} after epoch {epoch}; it must be a finite number, to choose "
            "an epoch by"
        )
    return [score]


def _one_number(what: str, value: object, when: str) -> float:
    """A number, or a tensor or array of one, as a float; a text or a truth value is none."""
    item: Any = value
    if isinstance(value, (Tensor, np.ndarray)) and math.prod(value.shape) == 1:
        item = value.item()
    if isinstance(item, (bool, np.bool_)) or not isinstance(item, numbers.Real):
        shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
        raise ValueError(f"{what} a {type(value).__name__}{shape} {when}; it must be one number")
    try:
        return float(item)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if item > 0 else -math.inf  # type: ignore[operator]  # Real has an order


def _save(path: Path, model, stateful, seed, history: History, best_weights) -> None:
    """Write beside the old checkpoint, then swap: a kill in between leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    state = {
        "seed": seed,
        "history": asdict(history),
        "model": model.state_dict(),
        "best": best_weights,
        "stateful": [s.state_dict() for s in stateful],
        "kinds": [type(s).__name__ for s in stateful],
    }
    torch.save(state, partial)
    os.replace(partial, path)


def _resume(path: Path, model, stateful, seed) -> tuple[History, dict]:
    try:
        state = torch.load(path, weights_only=True, map_location=next(model.parameters()).device)
        history = History(**state["history"])
    except Exception as error:
        raise ValueError(
            f"checkpoint {path} cannot be read ({error}); delete it to start anew"
        ) from error
    if state["seed"] != seed:
        raise ValueError(f"checkpoint {path} has seed {state['seed']}, not {seed}: another run's")
    # SGD loads Adam's state without a murmur, so the names are compared.
    if state["kinds"] != [type(s).__name__ for s in stateful]:
        raise ValueError(f"checkpoint {path} has other optimizers or schedules: another run's")
    try:
        model.load_state_dict(state["model"])
        for target, saved in zip(stateful, state["stateful"], strict=True):
            target.load_state_dict(saved)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"checkpoint {path} is of another model or optimizer: {error}") from error
    if history.score and history.best_epoch < 0:
        raise ValueError(
            f"checkpoint {path} holds no best epoch: none of its scores {history.score[:3]} could "
            "be chosen; delete it to start anew"
        )
    return history, state["best"]
