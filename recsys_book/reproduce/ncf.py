"""The NCF paper's table on MovieLens-1M, and tuned baselines on the same split.

GMF, MLP and NeuMF are the paper's: separate vectors, no L2, 4 negatives a positive, Adam, here with
a learning rate that falls by 15 % every epoch. It is chosen at 8 factors for 8 and 16 (batches of
2,048 pairs), at 32 for 32 and 64 (4,096; small models were seen to want small batches). Baselines,
and one NeuMF "tuned like MF", have the same budget: eight settings each, one knob at a time.
Everything is chosen on the validation item; the test item is scored after refitting on both.

Sizes 8 and 32 have three seeds, 16 and 64 one. A run that was killed goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import torch

from recsys_book.data import load
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.experiments import ncf as lab
from recsys_book.models.baselines import EASE, IALS, ItemKNN, Popularity
from recsys_book.reproduce.cells import Cells
from recsys_book.reproduce.record import Run
from recsys_book.train import has_bfloat16, keep_freed_memory

NAME = "ncf"
RECORD = "ncf-ml-1m"
SEEDS = {8: (0, 1, 2), 16: (0,), 32: (0, 1, 2), 64: (0,)}
MODELS = ("GMF", "MLP", "NeuMF")
TUNED_AT = {8: 8, 16: 8, 32: 32, 64: 32}  # whose learning rate a size takes
BATCH = {8: 2_048, 32: 4_096}
FIRST_RATE = {"GMF": 0.008, "MLP": 0.004, "NeuMF": 0.004}
BUDGET = 8
FIRST_SGD_RATE = 1.0


def lr_moves() -> list:
    """Double the learning rate, or halve it."""
    return [lambda s: replace(s, lr=s.lr * 2), lambda s: replace(s, lr=s.lr / 2)]


def penalty_and_negatives(first: float) -> list:
    """Begin with a penalty and make it four times as strong, or a quarter; double the negatives."""
    more = lambda s: replace(s, weight_decay=s.weight_decay * 4 or first)
    less = lambda s: replace(s, weight_decay=s.weight_decay / 4)
    return [more, less, lambda s: replace(s, n_negatives=s.n_negatives * 2)]


class Table:
    """The run: each method is one kind of piece."""

    def __init__(self, split: NCFSplit, cells: Cells) -> None:
        self.split, self.cells, self.judge = split, cells, lab.make_judge(split)

    def search(self, key: str, name: str, start: lab.Setting, moves: list) -> lab.Setting:
        """The best of at most BUDGET settings, by HR@10 on the validation item."""

        def make() -> dict:
            score = lambda setting: lab.try_setting(self.judge, name, setting)[0]
            best, tried = lab.climb(score, start, moves, BUDGET)
            return {"best": asdict(best), "tried": [[asdict(s), v] for s, v in tried]}

        return lab.Setting(**self.cells.get(f"search/{key}", make)["best"])

    def run(self, label: str, name: str, setting: lab.Setting, seed: int) -> dict:
        """One cell trained from scratch; its weights are kept for pre-training."""
        key = f"{label}/{setting.factors}/{seed}"

        def make() -> dict:
            cell = lab.run_cell(self.judge, name, setting, seed)
            if name in ("GMF", "MLP"):
                at = cell.epochs - 1
                parts = {"chosen": cell.chosen.weights[at], "refit": cell.refit.weights[at]}
                self.cells.keep(key, parts)
            what_ifs = setting.factors == 32 or name == "MF"
            rules = lab.protocols(self.judge, name, setting.factors, cell, what_ifs=what_ifs)
            return cell.figures() | {"protocols": rules}

        return self.cells.get(key, make)

    def parts(self, factors: int, seed: int) -> list[dict]:
        """Kept weights of GMF and MLP: {"chosen", "refit"} each."""
        return [self.cells.kept(f"{name}/{factors}/{seed}") for name in ("GMF", "MLP")]

    def search_sgd(self, factors: int) -> float:
        """The learning rate of plain SGD after pre-training, by doubling."""

        def make() -> dict:
            parts = [part["chosen"] for part in self.parts(factors, 0)]

            def score(lr: float) -> float:
                model = lab.pretrained(*parts, self.split.train, factors, 0.5)
                history = lab.fine_tune(
                    model, self.split.train, lr=lr, epochs=lab.SGD_EPOCHS, seed=0,
                    validate=self.judge.validation,
                )  # fmt: skip
                return history.best_score

            moves = [lambda lr: lr * 4, lambda lr: lr / 4]
            best, tried = lab.climb(score, FIRST_SGD_RATE, moves, BUDGET)
            return {"best": best, "tried": [list(pair) for pair in tried]}

        return self.cells.get(f"search/SGD/{factors}", make)["best"]

    def run_pretrained(self, factors: int, lr: float, seed: int) -> dict:
        """One cell of NeuMF with pre-training."""

        def make() -> dict:
            cell, start = lab.run_pretrained(
                self.judge, self.parts(factors, seed), factors, lr, seed
            )
            rules = lab.protocols(self.judge, "NeuMF", factors, cell, what_ifs=factors == 32)
            return cell.figures() | {"protocols": rules, "alpha": start}

        return self.cells.get(f"NeuMF-pre/{factors}/{seed}", make)

    def closed(self, name: str, make_model, start: dict, moves: list, seeds=(0,)) -> dict:
        """A closed form or count: settings on validation, refit, test."""
        judge, split = self.judge, self.split

        def make() -> dict:
            score = lambda items: judge.validation(make_model(split.train, 0, **dict(items)))
            step = [
                lambda items, move=move: tuple(sorted(move(dict(items)).items())) for move in moves
            ]
            first = tuple(sorted(start.items()))
            best, tried = lab.climb(score, first, step, BUDGET if moves else 1)
            runs = []
            for seed in seeds:
                model = make_model(split.train_and_validation, seed, **dict(best))
                alone = make_model(split.train, seed, **dict(best))
                rules = {
                    "refit/validation": lab.both_ways(judge, model),
                    "no refit/validation": lab.both_ways(judge, alone),
                }
                runs.append({"test": judge.test(model), "protocols": rules})
            tried = [[dict(items), value] for items, value in tried]
            return {"best": dict(best), "tried": tried, "runs": runs}

        return self.cells.get(name, make)


def times(key: str, factor: float):
    """A move that multiplies one knob."""
    return lambda knobs: knobs | {key: type(knobs[key])(knobs[key] * factor)}


def total() -> int:
    """How many pieces the whole table has."""
    n = sum(len(seeds) for seeds in SEEDS.values())
    return len(MODELS) * (2 + n) + 2 + n + 3 + 4 + 2 * (1 + 3) + 3


def baselines(table: Table) -> dict:
    """Popularity and the closed forms, tuned."""
    make_ials = lambda log, seed, **knobs: IALS(log, seed=seed, **knobs)
    return {
        "Popularity": table.closed("Popularity", lambda log, seed: Popularity(log), {}, []),
        "ItemKNN": table.closed(
            "ItemKNN", lambda log, seed, **knobs: ItemKNN(log, **knobs),
            {"k": 100, "shrinkage": 10.0, "damping": 0.5},
            [times("k", 0.5), times("k", 2), times("shrinkage", 0.5), times("shrinkage", 2)],
        ),
        "EASE": table.closed(
            "EASE", lambda log, seed, **knobs: EASE(log, **knobs),
            {"l2": 500.0}, [times("l2", 2), times("l2", 0.5)],
        ),
        "IALS": table.closed(
            "IALS", make_ials, {"dim": 64, "unobserved_weight": 0.2, "l2": 0.005},
            [times("l2", 2), times("l2", 0.5), times("unobserved_weight", 0.5),
             times("unobserved_weight", 2), times("dim", 2)],
            seeds=(0, 1, 2),
        ),
    }  # fmt: skip


def prepare() -> NCFSplit:
    """The split, and the process set for speed."""
    torch.set_flush_denormal(True)  # weights that a penalty drove to nothing slow everything down
    keep_freed_memory()
    split = load("ncf-ml-1m")
    print(split)
    return split


def main() -> None:
    """Run it all, print it, record it."""
    split = prepare()
    run = Run(RECORD, f"python -m recsys_book.reproduce {NAME}", [0, 1, 2])
    cells = Cells(RECORD, [SEEDS, TUNED_AT, BATCH, BUDGET], total())
    table = Table(split, cells)
    figures = {"baselines": baselines(table), "rates": {}, "cells": {}, "tuned": {}}
    for name in MODELS:
        best = {}
        for size, batch in BATCH.items():
            first = lab.Setting(FIRST_RATE[name], size, batch_size=batch)
            best[size] = table.search(f"{name}/{size}", name, first, lr_moves())
        figures["rates"][name] = {str(size): setting.lr for size, setting in best.items()}
        for factors, seeds in SEEDS.items():
            setting = replace(best[TUNED_AT[factors]], factors=factors)
            rows = [table.run(name, name, setting, seed) for seed in seeds]
            figures["cells"][f"{name}/{factors}"] = rows
            show(cells, f"{name} {factors}", rows)
    script = replace(best[8], factors=8)  # the vectors that the official script takes
    rows = [table.run("NeuMF script", "NeuMF, script", script, seed) for seed in SEEDS[8]]
    figures["cells"]["NeuMF, script/8"] = rows
    show(cells, "NeuMF, script, 8", rows)
    rates = {size: table.search_sgd(size) for size in BATCH}
    figures["rates"]["SGD"] = {str(size): rate for size, rate in rates.items()}
    for factors, seeds in SEEDS.items():
        rate = rates[TUNED_AT[factors]]
        rows = [table.run_pretrained(factors, rate, seed) for seed in seeds]
        figures["cells"][f"NeuMF-pre/{factors}"] = rows
        show(cells, f"NeuMF-pre {factors}", rows)
    starts = {
        "MF": (lab.Setting(0.008, factors=64), 1e-6),
        "NeuMF": (best[32], 1e-8),
    }
    for name, (start, penalty) in starts.items():
        moves = penalty_and_negatives(penalty) + lr_moves()
        if name == "MF":
            moves.append(lambda s: replace(s, factors=s.factors * 2))
        setting = table.search(f"{name} tuned", name, start, moves)
        rows = [table.run(f"{name} tuned", name, setting, seed) for seed in (0, 1, 2)]
        figures["tuned"][name] = {"setting": asdict(setting), "runs": rows}
        show(cells, f"{name} tuned", rows)
    # What is often called "MF" in a comparison: as many factors as NeuMF, Adam as it comes.
    untuned = lab.Setting(0.001, factors=32)
    rows = [table.run("MF untuned", "MF", untuned, seed) for seed in (0, 1, 2)]
    figures["tuned"]["MF untuned"] = {"setting": asdict(untuned), "runs": rows}
    show(cells, "MF untuned", rows)
    figures["seeds_by_factors"] = {str(k): list(v) for k, v in SEEDS.items()}
    figures["bfloat16"] = has_bfloat16()
    figures["all_cells"] = cells.sums()
    path = run.write(figures)
    cells.finish()
    print("written to", path)


def quick() -> None:
    """One cell, NeuMF with 8 factors, printed and not recorded."""
    judge = lab.make_judge(prepare())
    cell = lab.run_cell(judge, "NeuMF", lab.Setting(FIRST_RATE["NeuMF"], 8, batch_size=BATCH[8]), 0)
    hit_rate, ndcg = cell.figures()["test"]
    seconds = sum(cell.figures()["training_seconds"])
    print(
        f"NeuMF, 8 factors, seed 0: HR@10 {hit_rate:.4f}  NDCG@10 {ndcg:.4f}, {cell.epochs} epochs "
        f"chosen on validation; trained in {seconds:.0f} s. The paper: .688 / .410"
    )


def show(cells: Cells, label: str, rows: list[dict]) -> None:
    """One line on what was found."""
    pairs = ", ".join(f"{row['test'][0]:.4f}/{row['test'][1]:.4f}" for row in rows)
    cells.bar.write(f"{label}: {pairs}  epochs {[row['epochs'] for row in rows]}")
