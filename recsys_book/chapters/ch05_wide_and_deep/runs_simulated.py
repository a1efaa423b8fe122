"""Chapter 05 on the simulated service: pairs seen and hidden, optimizers, L1, policies.

Settings are chosen in worlds 100 and 101, which no figure comes from: each kind tries twelve drawn
settings in both, and the one with the lowest mean log-loss on validation days (20 to 23) decides,
with the number of epochs that was best there. Figures come from worlds 0 to 4, days 24 to 27, each
world with half of its sequel pairs hidden from training (none of them in the part on policies).

**Logging policies.** Offline figures are of the last four days of a log; online, the model, trained
anew on the whole log, fills the lists for 14 days. The log is either the service's own 28 days, or
14 further days in which a trained wide model (with the crosses made by hand), or chance, filled
the lists.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from recsys_book.chapters.ch05_wide_and_deep import lab
from recsys_book.chapters.ch05_wide_and_deep.lab import KINDS, Setting
from recsys_book.metrics import auc, log_loss
from recsys_book.models.wide_and_deep import Wide
from recsys_book.reproduce import Pieces, piece, wait_for
from recsys_book.service import run_online, simulate
from recsys_book.service.online import oracle_policy
from recsys_book.service.policies import grown, random_policy
from recsys_book.service.world import World

NAME = "ch05/simulated"
SEEDS, TUNING_WORLDS = (0, 1, 2, 3, 4), (100, 101)
L1S = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
BUCKETS = (1_000, 10_000, 100_000)  # an exact cross has a million pairs
LOGS = ("service", "wide", "random")
IN_CHARGE = ("wide", "wide, more crosses", "deep", "wide & deep")
BEFORE = "wide, more crosses"  # who filled the lists of the second log
MORE_DAYS, HELD_DAYS, ONLINE_DAYS = 14, 4, 14


class Work(Pieces):
    """The run: each public method is one kind of piece."""

    @piece
    def try_kind(self, kind: str, world: int) -> list:
        """Every drawn setting of a kind in one tuning world: [log-loss, epochs] each."""
        task = lab.make_task(simulate(seed=world), seed=world)
        settings = lab.draws(KINDS[kind][1])
        return [lab.try_setting(task, kind, setting) for setting in settings]

    def setting(self, kind: str) -> Setting:
        """The best on average, with its epochs."""
        tried = np.array([self.try_kind(kind, world) for world in TUNING_WORLDS])  # [W, n, 2]
        best = int(tried[:, :, 0].mean(0).argmin())
        return replace(
            lab.draws(KINDS[kind][1])[best], epochs=round(float(tried[:, best, 1].mean()))
        )

    @piece
    def memory(self, kind: str, seed: int) -> dict:
        """A kind in one world, part by part."""
        task, model = self._trained(kind, seed)
        found = lab.judge(task, lambda examples: lab.predict(model, examples))
        wide = model if isinstance(model, Wide) else getattr(model, "wide", None)
        return {"parts": found, "kept": lab.weights_kept(wide) if wide is not None else None}

    @piece
    def ensemble(self, seed: int) -> dict:
        """The mean of the logits of a wide and a deep model that were trained by themselves."""
        for kind in ("wide", "deep"):
            self.setting(kind)  # both, before the first is trained
        task, wide = self._trained("wide", seed)
        _, deep = self._trained("deep", seed)
        return {"parts": lab.judge(task, lab.average(wide, deep))}

    @piece
    def path(self, l1: float, seed: int) -> dict:
        """The joint model under another L1, all else as chosen."""
        task, model = self._trained("wide & deep", seed, l1=l1)
        found = lab.judge(task, lambda examples: lab.predict(model, examples))
        return {
            "parts": found,
            "kept": lab.weights_kept(model.wide),
            "sequels": lab.sequels_kept(task, model.wide),
            "pairs_met": lab.pairs_met(task, task.rows(0, lab.TEST_FROM)),
        }

    @piece
    def hashed(self, buckets: int, seed: int) -> dict:
        """The joint model with pairs that share weights, all else as chosen."""
        task, model = self._trained("wide & deep", seed, buckets=buckets)
        found = lab.judge(task, lambda examples: lab.predict(model, examples))
        return {"parts": found, "kept": lab.weights_kept(model.wide)}

    @piece
    def in_charge(self, kind: str, logging: str, seed: int) -> dict:
        """A model's figures on the held-out end of a log, and its clicks when it makes the lists.

        `kind` may also be "oracle", which has no offline part.
        """
        setting = None if kind == "oracle" else self.setting(kind)
        world, first = self._logged(logging, seed)
        if setting is None:
            policy = oracle_policy(world)
            return {"clicks": run_online(world, policy, ONLINE_DAYS, seed=seed).clicks}
        task = lab.make_task(world, hide=False)
        end = world.days - HELD_DAYS
        held = task.rows(end, world.days)
        rows = task.rows(first, end)
        model, _ = lab.train(task, kind, setting, rows, seed=seed)
        label, logit = task.examples.label[held], lab.predict(model, task.examples[held])
        rows = task.rows(first, world.days)
        model, _ = lab.train(task, kind, setting, rows, seed=seed)
        online = run_online(world, lab.policy_of(task, model), ONLINE_DAYS, seed=seed)
        return {
            "auc": auc(label, logit),
            "log_loss": log_loss(label, logit),
            "rows": len(rows),
            "clicks": online.clicks,
            "watch_hours": online.watch_hours,
        }

    def _trained(self, kind: str, seed: int, **changed):
        """A world's task, and a kind trained on it as chosen, but for what is changed."""
        task = lab.make_task(simulate(seed=seed), seed=seed)
        rows = task.rows(0, lab.TEST_FROM)
        setting = replace(self.setting(kind), **changed)
        model, _ = lab.train(task, kind, setting, rows, seed=seed)
        return task, model

    def _logged(self, logging: str, seed: int) -> tuple[World, int]:
        """A world with the log that models learn from, and its first day."""
        world = simulate(seed=seed)
        if logging == "service":
            return world, 0
        if logging == "random":
            policy = random_policy(world, seed)
        else:
            task = lab.make_task(world, hide=False)
            rows = task.rows(0, world.days)
            model, _ = lab.train(task, BEFORE, self.setting(BEFORE), rows, seed=seed)
            policy = lab.policy_of(task, model)
        more = run_online(world, policy, MORE_DAYS, seed=1_000 + seed)
        return grown(world, more.log, MORE_DAYS), world.days

    # ------------------------------------------------------------ the record

    def figures(self) -> dict:
        """What the record holds."""
        # One by one below: so they are worked out side by side.
        tries = [self.try_kind(kind, world) for kind in KINDS for world in TUNING_WORLDS]
        wait_for(*tries)
        in_charge = (*IN_CHARGE, "oracle")
        return {
            "settings": {kind: asdict(self.setting(kind)) for kind in KINDS},
            "memory": {kind: [self.memory(kind, seed) for seed in SEEDS] for kind in KINDS}
            | {"average": [self.ensemble(seed) for seed in SEEDS]},
            "path": {f"{l1:g}": [self.path(l1, seed) for seed in SEEDS] for l1 in L1S},
            "hashed": {str(n): [self.hashed(n, seed) for seed in SEEDS] for n in BUCKETS},
            "in_charge": {
                logging: {
                    k: [self.in_charge(k, logging, seed) for seed in SEEDS] for k in in_charge
                }
                for logging in LOGS
            },
        }


def report(figures: dict) -> None:
    """Print what was found."""
    for kind, rows in figures["memory"].items():
        for part in lab.PARTS:
            print(f"{kind:22} {part:13}", [round(row["parts"][part]["excess"], 4) for row in rows])
    for l1, rows in figures["path"].items():
        print("L1", l1, [(r["kept"]["pairs"], round(r["parts"]["all"]["auc"], 4)) for r in rows])
    for logging, kinds in figures["in_charge"].items():
        for kind, rows in kinds.items():
            offline = [round(row.get("auc", 0), 4) for row in rows]
            print(logging, kind, offline, [row["clicks"] for row in rows])
