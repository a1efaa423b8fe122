"""Chapter 03: GMF, MLP and NeuMF beside tuned baselines, on the paper's own split.

One way of training for all (`train_implicit`: uniform negatives drawn anew every epoch, binary
cross-entropy, Adam), one evaluator, one rule: settings and the number of epochs are chosen on the
validation item, by NDCG@10 (HR@10 counts a rank of 10 as 1 and of 11 as 0, and is noisier); the
model is then trained anew on training and validation pairs for that many epochs, and the test item
is scored. What other rules would have printed is kept beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recsys_book.arguments import NotFinite
from recsys_book.data.interactions import Interactions
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.evaluate import RankingReport, leave_one_out, sampled_candidates
from recsys_book.implicit import train_implicit
from recsys_book.losses import bce
from recsys_book.models.baselines import Popularity
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.models.ncf import GMF, NCFMLP, NeuMF
from recsys_book.sampling import UnseenItems, beside_negatives
from recsys_book.train import History, fit, seeded

DECAY = 0.85  # of the learning rate, after every epoch, where a setting says no other
MAX_EPOCHS, PATIENCE = 14, 3  # epochs at most, where a setting says no other
SGD_EPOCHS = 5


def first_epochs(split: NCFSplit, n: int = 3, seed: int = 0) -> dict[str, float]:
    """A look that takes seconds: NeuMF with 8 factors, HR@10 on the validation items by epoch."""
    judge = make_judge(split)
    hit_rate = lambda model: float(judge.validation_report(model).hit_rate.mean())
    found = {"popularity": hit_rate(Popularity(split.train))}

    def validate(model: nn.Module) -> float:
        found[f"NeuMF, epoch {len(found)}"] = value = hit_rate(model)
        return value

    setting = Setting(0.008, 8, batch_size=2_048)
    model = make_model("NeuMF", split.train, 8, seed)  # in float32, on whatever machine
    adam(model, split.train, setting, seed, epochs=n, validate=validate)
    return found


def tower(factors: int) -> tuple[int, int, int]:
    """The paper's widths for so many predictive factors: 8 → (32, 16, 8)."""
    return 4 * factors, 2 * factors, factors


def make_model(name: str, log: Interactions, factors: int, seed: int) -> nn.Module:
    """GMF, MLP, NeuMF (as in the paper's text) or MF, the start decided by the seed alone."""
    u, n = log.n_users, log.n_items
    with seeded(seed):
        if name == "GMF":
            return GMF(u, n, factors)
        if name == "MLP":
            return NCFMLP(u, n, 2 * factors, tower(factors))
        if name == "NeuMF":
            return NeuMF(u, n, factors, 2 * factors, tower(factors))
        if name == "NeuMF, script":  # the official script's default: vectors twice as long
            return NeuMF(u, n, factors, 4 * factors, (4 * factors, 2 * factors, factors))
        if name == "MF":
            return MatrixFactorization(u, n, factors)
    raise ValueError(f"name is {name!r}; it must be GMF, MLP, NeuMF or MF")


def fine_tune(
    model: NeuMF,
    log: Interactions,
    *,
    lr: float,
    epochs: int,
    seed: int,
    validate: Callable[[nn.Module], float] | None = None,
    after_epoch: Callable[[int, nn.Module], object] | None = None,
    n_negatives: int = 4,
    batch_size: int = 4_096,
    amp: bool = True,
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
        patience=None, after_epoch=after_epoch, seed=seed, amp=amp,
    )  # fmt: skip


def score_of(train: Callable[[], History]) -> float:
    """The best validation score of a training; 0, the lowest there is, where it diverged."""
    try:
        return train().best_score
    except NotFinite:
        return 0.0


@dataclass(frozen=True)
class PaperJudge:
    """The one evaluator: HR@10 and NDCG@10 of the held-out item among 99 others, or among all.

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
        return float(self.validation_report(model).ndcg.mean())

    def validation_report(self, model: Callable) -> RankingReport:
        """HR@10 and NDCG@10 on the validation items, user by user."""
        return leave_one_out(model, self.split.users, self.candidates)

    def test(self, model: Callable, ties: str = "worst") -> tuple[float, float]:
        """HR@10 and NDCG@10 on the test items among the authors' 99."""
        report = leave_one_out(model, self.split.users, self.split.test_candidates, ties=ties)
        return float(report.hit_rate.mean()), float(report.ndcg.mean())

    @torch.no_grad()
    def full(self, score: Callable) -> dict[str, tuple[float, float]]:
        """HR@10 and NDCG@10 of the test items in the full catalogue, without what was known.

        One item a user is looked for, so its rank is a count and nothing need be sorted; the
        figures are those of `full_catalogue`.

        Args:
            score: `score(users) -> [U, N]`.

        Returns:
            tie rule, "worst" and "best" → (HR, NDCG).
        """
        above, equal = [], []
        for users in self.split.users.split(256):
            scores = score(users)
            own = scores.gather(1, self.split.test_candidates[users, :1])  # [b, 1]
            scores = scores.masked_fill(self.known[users], -torch.inf)
            above.append((scores > own).sum(1))
            equal.append((scores == own).sum(1))
        above, equal = torch.cat(above), torch.cat(equal)  # [U]; its own score is among the equal
        found = {}
        for ties, rank in (("worst", above + equal), ("best", above + 1)):
            hit = (rank <= 10).double()
            found[ties] = float(hit.mean()), float((hit / (rank + 1.0).log2()).mean())
        return found


def make_judge(split: NCFSplit) -> PaperJudge:
    """A judge for the split; the validation item's 99 opponents are drawn with a fixed seed."""
    pairs = split.train_and_validation
    known = torch.zeros(pairs.n_users, pairs.n_items, dtype=torch.bool)
    known[pairs.user, pairs.item] = True
    candidates = sampled_candidates(split.validation, split.train_and_validation)
    return PaperJudge(split, candidates, known)


@dataclass
class Watched:
    """A training with what it scored after each epoch, and before the first where it had a start.

    Attributes:
        validation: what the epoch is chosen by; empty where the last one stays.
        best: which one stays, counted from 0.
        test: HR@10 and NDCG@10 on the test items. Nothing is chosen by it here: it shows what
            choosing by it would have printed.
        weights: of the model.
        seconds: spent in training alone, without scoring.
    """

    validation: list[float]
    best: int
    test: list[tuple[float, float]]
    weights: list[dict]
    seconds: float


def watch(
    judge: PaperJudge,
    train: Callable[..., History],
    *,
    choose: bool,
    start: nn.Module | None = None,
) -> Watched:
    """Train, scoring after every epoch.

    Args:
        judge: who scores.
        train: `train(validate=…, after_epoch=…)` trains a model and returns the History.
        choose: the best epoch by the validation item; otherwise the last one stays.
        start: scored before the first epoch and counted as one, so that no training at all can be
            the best.
    """
    test, weights, scoring = [], [], 0.0

    def validate(model: nn.Module) -> float:
        nonlocal scoring
        began = time.perf_counter()
        value = judge.validation(model)
        scoring += time.perf_counter() - began
        return value

    def look(_: int, model: nn.Module) -> None:
        nonlocal scoring
        began = time.perf_counter()
        test.append(judge.test(model))
        weights.append({k: v.clone() for k, v in model.state_dict().items()})
        scoring += time.perf_counter() - began

    scores = []
    if start is not None:
        look(-1, start)
        scores = [judge.validation(start)] if choose else []
    scoring = 0.0  # of the epochs alone
    history = train(validate=validate if choose else None, after_epoch=look)
    scores += history.score
    best = scores.index(max(scores)) if choose else len(test) - 1
    return Watched(scores, best, test, weights, sum(history.seconds) - scoring)


@dataclass(frozen=True)
class Setting:
    """What is tuned, and the size.

    Attributes:
        lr: Adam's, in the first epoch.
        factors: length of the vectors of GMF and MF, width of the last layer of the tower.
        n_negatives: per observed pair.
        weight_decay: Adam's L2.
        batch_size: observed pairs a step.
        decay: the learning rate is multiplied by it after every epoch.
        epochs: at most; None for as many as the experiment gives all others.
    """

    lr: float
    factors: int = 32
    n_negatives: int = 4
    weight_decay: float = 0.0
    batch_size: int = 4_096
    decay: float = DECAY
    epochs: int | None = None


def adam(
    model: nn.Module,
    log: Interactions,
    setting: Setting,
    seed: int,
    *,
    amp: bool = False,
    **more,
) -> History:
    """`train_implicit` with the chapter's batch and schedule.

    Args:
        model: trained in place.
        log: observed pairs.
        setting: learning rate, negatives, L2.
        seed: of order and negatives.
        amp: see `fit`: what it does depends on the processor. The recorded runs ask for it, and
            tell what they had; a page that is run live must show the same everywhere and does not.
        more: for `train_implicit`: epochs, validate, patience.
    """
    return train_implicit(
        model, log, lr=setting.lr, seed=seed, weight_decay=setting.weight_decay,
        n_negatives=setting.n_negatives, batch_size=setting.batch_size, decay=setting.decay,
        side_by_side=True, amp=amp, **more,
    )  # fmt: skip


def try_setting(judge: PaperJudge, name: str, setting: Setting, seed: int = 0) -> tuple[float, int]:
    """The best NDCG@10 on validation under a setting, and after how many epochs."""
    model = make_model(name, judge.split.train, setting.factors, seed)
    history = adam(
        model, judge.split.train, setting, seed,
        epochs=setting.epochs or MAX_EPOCHS, validate=judge.validation, patience=PATIENCE, amp=True,
    )  # fmt: skip
    return history.best_score, history.best_epoch + 1


def hill_climb(score: Callable, start, moves: Sequence[Callable], budget: int) -> tuple:
    """Search settings one knob at a time, going on in a direction for as long as it helps.

    Args:
        score: `score(setting)`, to be maximized.
        start: a setting.
        moves: functions from a setting to a neighbouring one.
        budget: settings tried at most.

    Returns:
        the best setting, and everything tried as (setting, score) in order.
    """
    tried = {start: score(start)}
    best = start
    for move in moves:
        while len(tried) < budget:
            new = move(best)
            if new in tried:
                break
            tried[new] = score(new)
            if tried[new] <= tried[best]:
                break
            best = new
    return best, list(tried.items())


@dataclass
class TableCell:
    """One model, size and seed: chosen on validation, trained anew on everything, scored.

    Attributes:
        chosen: the training on the training pairs.
        refit: the training on training and validation pairs, as many epochs.
        epochs: how many of them validation chose.
    """

    chosen: Watched
    refit: Watched
    epochs: int

    def figures(self) -> dict:
        """What is recorded. "test" is the figure of the table; the curves tell the what-ifs."""
        return {
            "epochs": self.epochs,
            "validation": self.chosen.validation,
            "test": self.refit.test[self.epochs - 1],
            "test_by_epoch": self.refit.test,
            "test_by_epoch_without_refit": self.chosen.test,
            "training_seconds": [self.chosen.seconds, self.refit.seconds],
        }


def run_cell(judge: PaperJudge, name: str, setting: Setting, seed: int) -> TableCell:
    """A cell of GMF, MLP, NeuMF or MF, trained from scratch."""
    split = judge.split

    def train(log: Interactions, epochs: int, patience: int | None, choose: bool) -> Watched:
        model = make_model(name, log, setting.factors, seed)
        more = {"epochs": epochs, "patience": patience, "amp": True}
        run = lambda **watched: adam(model, log, setting, seed, **watched, **more)
        return watch(judge, run, choose=choose)

    chosen = train(split.train, setting.epochs or MAX_EPOCHS, PATIENCE, True)
    # As many epochs as before, so that it can be seen what the test would have chosen.
    refit = train(split.train_and_validation, len(chosen.test), None, False)
    return TableCell(chosen, refit, chosen.best + 1)


def pretrained(gmf: dict, mlp: dict, log: Interactions, factors: int, alpha: float) -> NeuMF:
    """NeuMF from the weights of a trained GMF and a trained MLP."""
    parts = make_model("GMF", log, factors, 0), make_model("MLP", log, factors, 0)
    for part, weights in zip(parts, (gmf, mlp), strict=True):
        part.load_state_dict(weights)
    return NeuMF.from_pretrained(*parts, alpha=alpha)


def run_pretrained(
    judge: PaperJudge, parts: Sequence[dict], factors: int, lr: float, seed: int, alpha: float = 0.5
) -> tuple[TableCell, dict]:
    """A cell of NeuMF that starts from GMF and MLP and goes on with plain SGD.

    Args:
        judge: who scores.
        parts: of GMF and of MLP, their weights {"chosen", "refit"}: after the epochs chosen on
            validation, trained without the validation pairs and with them.
        factors: of both.
        lr: of SGD.
        seed: of order and negatives.
        alpha: weight of GMF at the start.

    Returns:
        the cell, whose first "epoch" is the start itself, so that SGD may be left out where it
        helps nothing; and what any alpha gives before SGD: alpha → {"chosen", "refit"} → NDCG@10 on
        validation, HR@10 and NDCG@10 on test.
    """
    split, start = judge.split, {}

    def train(log: Interactions, which: str, choose: bool) -> Watched:
        weights = [part[which] for part in parts]
        for a in ALPHAS:
            mixed = pretrained(*weights, log, factors, a)
            start.setdefault(str(a), {})[which] = [judge.validation(mixed), *judge.test(mixed)]
        model = pretrained(*weights, log, factors, alpha)
        more = {"lr": lr, "epochs": SGD_EPOCHS, "seed": seed}
        run = lambda **watched: fine_tune(model, log, **watched, **more)
        return watch(judge, run, choose=choose, start=model)

    chosen = train(split.train, "chosen", True)
    refit = train(split.train_and_validation, "refit", False)
    return TableCell(chosen, refit, chosen.best + 1), start


ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def protocols(
    judge: PaperJudge, name: str, factors: int, cell: TableCell, *, what_ifs: bool
) -> dict:
    """What a model scores under other rules than the table's.

    Args:
        judge: who scores.
        name: of the model, see `make_model`.
        factors: its size.
        cell: its trainings.
        what_ifs: also without refitting, and with the epoch that the sampled test likes best.

    Returns:
        "refit/validation" and, for the what-ifs, "refit/test", "no refit/validation" and
        "no refit/test" → {"sampled": {"worst", "best"}, "full": {"worst", "best"}}, HR@10 and
        NDCG@10 each, by tie rule.
    """
    model = make_model(name, judge.split.train, factors, 0).eval()
    found = {}
    for refit, watched in (("refit", cell.refit), ("no refit", cell.chosen)):
        best = max(range(len(watched.test)), key=lambda i: watched.test[i][0])
        known: dict[int, dict] = {}
        for by, epoch in (("validation", cell.epochs - 1), ("test", best)):
            if not what_ifs and (refit, by) != ("refit", "validation"):
                continue
            if epoch not in known:
                model.load_state_dict(watched.weights[epoch])
                known[epoch] = both_ways(judge, model)
            found[f"{refit}/{by}"] = known[epoch]
    return found


def both_ways(judge: PaperJudge, model) -> dict:
    """HR@10 and NDCG@10 among 99 and among all, by tie rule."""
    sampled = {ties: judge.test(model, ties) for ties in ("worst", "best")}
    return {"sampled": sampled, "full": judge.full(model.score)}
