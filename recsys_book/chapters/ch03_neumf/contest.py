"""Chapter 03 on the paper's own split: one judge, one way of training, and every person's place.

`train_implicit` trains them all: uniform negatives drawn anew every epoch, binary cross-entropy,
Adam. Settings and the number of epochs are chosen on the validation item, by NDCG@10 (HR@10 counts
a rank of 10 as 1 and of 11 as 0, and is noisier); the model is then trained anew on training and
validation pairs for that many epochs, and the test item is looked for. Of each person it is kept
at which of the first ten places it was found, so that two models can be compared person by person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recsys_book.data.interactions import Interactions
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.evaluate import leave_one_out, sampled_candidates
from recsys_book.implicit import train_implicit
from recsys_book.losses import bce
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.models.ncf import GMF, NCFMLP, NeuMF
from recsys_book.sampling import UnseenItems, beside_negatives
from recsys_book.train import History, fit, seeded

#: One character a person: at which of the first ten places the film was found, 0 for none.
PLACES = "0123456789a"


def to_word(ranks: Tensor) -> str:
    """Everybody's rank `[U]`, from 1, as one text: a character of `PLACES` each."""
    return "".join(PLACES[rank] if rank <= 10 else PLACES[0] for rank in ranks.tolist())


def hits(word: str) -> np.ndarray:
    """`[U]`, HR@10 of everybody: 1 where the film is among the first ten, 0 where not."""
    return np.array([float(place != PLACES[0]) for place in word])


def gains(word: str) -> np.ndarray:
    """`[U]`, NDCG@10 of everybody: 1 / log2(place + 1), 0 where the film is not among ten."""
    gain = [0.0, *(1 / np.log2(np.arange(1, 11) + 1))]
    return np.array([gain[PLACES.index(place)] for place in word])


@dataclass(frozen=True)
class Judge:
    """The one evaluator.

    Attributes:
        split: the paper's.
        candidates: `[U, 100]`, the validation item and 99 items drawn once.
        known: `[U, N]` bool, the training and validation pairs.
    """

    split: NCFSplit
    candidates: Tensor
    known: Tensor

    def validation(self, model: Callable) -> float:
        """NDCG@10 on the validation items, which everything is chosen by."""
        return float(leave_one_out(model, self.split.users, self.candidates).ndcg.mean())

    def test(self, model: Callable) -> list[float]:
        """HR@10 and NDCG@10 on the test items, among the authors' 99."""
        report = leave_one_out(model, self.split.users, self.split.test_candidates)
        return [float(report.hit_rate.mean()), float(report.ndcg.mean())]

    def places(self, model: Any) -> dict[str, str]:
        """Where everybody's test item was found, "among 99" and "among all"; see `to_word`.

        Of equal scores the test item's counts as the lowest.
        """
        return {"among 99": to_word(self._among_99(model)), "among all": to_word(self._all(model))}

    def _among_99(self, model: Callable) -> Tensor:
        report = leave_one_out(model, self.split.users, self.split.test_candidates)
        place = (2 ** (1 / report.ndcg.double()) - 1).round()  # NDCG is 1 / log2(place + 1)
        return torch.where(report.hit_rate > 0, place, 11).long()

    @torch.no_grad()
    def _all(self, model: Any) -> Tensor:
        """Of the whole catalogue without what was known."""
        ranks = []
        for users in self.split.users.split(256):
            scores = model.score(users)
            own = scores.gather(1, self.split.test_candidates[users, :1])  # [b, 1]
            others = scores.masked_fill(self.known[users], -torch.inf)
            ranks.append((others >= own).sum(1))  # its own is among them
        return torch.cat(ranks)


def make_judge(split: NCFSplit) -> Judge:
    """A judge for the split; the validation item's 99 opponents are drawn with a fixed seed."""
    pairs = split.train_and_validation
    known = torch.zeros(pairs.n_users, pairs.n_items, dtype=torch.bool)
    known[pairs.user, pairs.item] = True
    return Judge(split, sampled_candidates(split.validation, pairs), known)


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Setting:
    """What is tuned, and the size.

    Attributes:
        factors: length of the vectors of GMF and MF, width of the last layer of the tower.
        lr: Adam's, in the first epoch.
        batch_size: observed pairs a step; its negatives come on top.
        n_negatives: per observed pair.
        weight_decay: Adam's L2.
        decay: the learning rate is multiplied by it after every epoch.
    """

    factors: int
    lr: float
    batch_size: int
    n_negatives: int = 4
    weight_decay: float = 0.0
    decay: float = 1.0


def make_model(name: str, log: Interactions, factors: int, seed: int) -> nn.Module:
    """MF with biases, GMF, MLP or NeuMF; the start is decided by the seed alone.

    Towers have three layers, as in the paper: 4, 2 and 1 times `factors` wide, over two vectors
    that together are as wide as the first. In the official script these are twice as long: "MLP,
    script" and "NeuMF, script". "MLP, 4 layers" has one layer more in front, of twice the width.
    """
    u, n = log.n_users, log.n_items
    kind, _, variant = name.partition(", ")
    dim, tower = (4 if variant else 2) * factors, (4 * factors, 2 * factors, factors)
    if variant == "4 layers":
        tower = (8 * factors, *tower)
    with seeded(seed):
        if kind == "MF":
            return MatrixFactorization(u, n, factors)
        if kind == "GMF":
            return GMF(u, n, factors)
        if kind == "MLP":
            return NCFMLP(u, n, dim, tower)
        if kind == "NeuMF":
            return NeuMF(u, n, factors, dim, tower)
    raise ValueError(f"name is {name!r}; it must be MF, GMF, MLP or NeuMF")


@dataclass
class Trained:
    """A training that has ended.

    Attributes:
        model: with the weights of the epoch that was chosen, or of the last.
        validation: NDCG@10 on the validation items by epoch; empty where none was to be chosen.
        test: HR@10 and NDCG@10 on the test items by epoch, where it was watched. Nothing is chosen
            by it: it shows what choosing by it would have printed.
        epochs: after how many the model stands as it is.
        seconds: spent in training, without scoring.
    """

    model: nn.Module
    validation: list[float]
    test: list[list[float]]
    epochs: int
    seconds: float


def choose(
    judge: Judge,
    name: str,
    setting: Setting,
    seed: int,
    epochs: int,
    patience: int | None,
    watch_test: bool = True,
) -> Trained:
    """Train on the training pairs, and keep the epoch that validation likes best.

    Args:
        judge: who scores.
        name: see `make_model`.
        setting: all that is tuned.
        seed: of the start, the order and the negatives.
        epochs: at most.
        patience: see `fit`.
        watch_test: also score the test items after every epoch, for the record.
    """
    log = judge.split.train
    model = make_model(name, log, setting.factors, seed)
    run = lambda **more: adam(model, log, setting, seed, epochs, patience=patience, **more)
    return _watched(judge, model, run, watch_test)


def refit(judge: Judge, name: str, setting: Setting, seed: int, epochs: int) -> Trained:
    """Train anew on training and validation pairs, for as many epochs as were chosen.

    The test items are watched, for the record: there is nothing left to choose.
    """
    log, test = judge.split.train_and_validation, []
    model = make_model(name, log, setting.factors, seed)
    watch = lambda epoch, model: test.append(judge.test(model))
    history = adam(model, log, setting, seed, epochs, after_epoch=watch)
    return Trained(model.eval(), [], test, epochs, sum(history.seconds))


def adam(
    model: nn.Module, log: Interactions, setting: Setting, seed: int, epochs: int, **more: Any
) -> History:
    """`train_implicit` under a setting; `more` is for it."""
    return train_implicit(
        model, log, lr=setting.lr, seed=seed, epochs=epochs, weight_decay=setting.weight_decay,
        n_negatives=setting.n_negatives, batch_size=setting.batch_size, decay=setting.decay,
        side_by_side=True, **more,
    )  # fmt: skip


def _watched(
    judge: Judge, model: nn.Module, train: Callable[..., History], watch_test: bool = True
) -> Trained:
    test, scoring = [], 0.0

    def validate(model: nn.Module) -> float:
        nonlocal scoring
        began = time.perf_counter()
        value = judge.validation(model)
        if watch_test:
            test.append(judge.test(model))
        scoring += time.perf_counter() - began
        return value

    found = train(validate=validate)
    seconds = sum(found.seconds) - scoring
    return Trained(model.eval(), found.score, test, found.best_epoch + 1, seconds)


# ---------------------------------------------------------------- pre-training


def fuse(gmf: dict, mlp: dict, log: Interactions, factors: int, alpha: float) -> NeuMF:
    """NeuMF from the weights of a trained GMF and a trained MLP (section 3.4.1)."""
    parts = make_model("GMF", log, factors, 0), make_model("MLP", log, factors, 0)
    for part, weights in zip(parts, (gmf, mlp), strict=True):
        part.load_state_dict(weights)
    return NeuMF.from_pretrained(*parts, alpha=alpha).eval()


def sgd(
    model: NeuMF,
    log: Interactions,
    *,
    lr: float,
    batch_size: int,
    epochs: int,
    seed: int,
    n_negatives: int = 4,
    validate: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
) -> History:
    """Go on with plain SGD after pre-training, as the paper does (section 3.4.1).

    The loss is a mean over the batch, so a single pair moves its vectors by lr / batch: rates far
    above Adam's are no mistake.
    """
    unseen = UnseenItems(log)

    def batches(epoch: int, generator: torch.Generator) -> Iterator[tuple]:
        order = torch.randperm(len(log), generator=generator, device=generator.device)
        for rows in order.split(batch_size):
            yield beside_negatives(log.user[rows], log.item[rows], unseen, n_negatives, generator)

    return fit(
        model, batches, lambda model, batch: bce(model(batch[0], batch[1]), batch[2]),
        torch.optim.SGD(model.parameters(), lr=lr), validate=validate, max_epochs=epochs,
        patience=patience, seed=seed,
    )  # fmt: skip


def choose_sgd(judge: Judge, model: NeuMF, **more: Any) -> Trained:
    """Go on with SGD on the training pairs; `more` is for `sgd`.

    The start is counted as epoch 0: where SGD helps nothing, it is left out.
    """
    start, score = {k: v.clone() for k, v in model.state_dict().items()}, judge.validation(model)
    test = judge.test(model)
    found = _watched(judge, model, lambda **watch: sgd(model, judge.split.train, **more, **watch))
    if score >= max(found.validation):
        model.load_state_dict(start)
        found.epochs = 0
    found.validation, found.test = [score, *found.validation], [test, *found.test]
    return found
