"""Exercises of chapter 01: sums, products and bends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys_book.chapters.ch01_mlp_vs_dot_product.toys import parity, xor
from recsys_book.check.core import Exercise, Finding, by_cases

# ---------------------------------------------------------------- 1.1 XNOR by hand


def _vector(values, n: int) -> Tensor | None:
    try:
        values = torch.as_tensor(values, dtype=torch.float64).flatten()
    except (TypeError, ValueError, RuntimeError):
        return None
    return values if len(values) == n and bool(torch.isfinite(values).all()) else None


def _xnor_judge(answer, seed):
    try:
        p, q, additive = answer
    except (TypeError, ValueError):
        return Finding("Three things are wanted: p, q and a number.")
    p, q = _vector(p, 2), _vector(q, 2)
    if p is None or q is None:
        return Finding("p and q should be two numbers each, one a user and one a film.")
    scores = torch.outer(p, q)  # [2, 2]
    wanted = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    told = ", ".join(f"{x:+g}" for x in scores.flatten().tolist())
    seen = f"the four products are {told} (user 0 with film 0 and 1, user 1 with film 0 and 1)."
    if not torch.equal(scores.sign().float(), wanted):
        if torch.equal(scores.sign().float(), -wanted):
            return Finding(seen, "that is XOR")
        if bool((scores == 0).any()):
            return Finding(seen, "a zero likes nothing and dislikes nothing")
        if len(set(scores.sign().flatten().tolist())) == 1:
            return Finding(seen, "everybody gets the same")
        return Finding(seen, "one side has one sign")
    try:
        additive = float(additive)
    except (TypeError, ValueError):
        return Finding("The third answer should be a number, a log-loss.")
    if abs(additive - math.log(2)) < 0.005:
        return None
    seen = f"you say that the best sum has a log-loss of {additive:g}."
    for value, name in (
        (0.0, "a sum is thought to fit"),
        (0.5, "a chance for a loss"),
        (0.25, "three of four"),
        (1.0, "a logarithm of base 2"),
    ):
        if abs(additive - value) < 0.005:
            return Finding(seen, name)
    return Finding(seen, "accuracy is thought to help" if 0.25 < additive < math.log(2) else None)


XNOR = Exercise(
    "XNOR by hand",
    _xnor_judge,
    {
        "that is XOR": "There like means *different* numbers, here *the same*. Turn the signs of "
        "one side, and of one side only.",
        "a zero likes nothing and dislikes nothing": "A product with a zero is 0: no sign. Which "
        "two numbers, besides 0 and 1, tell two users apart?",
        "everybody gets the same": "All four products have one sign. What has to change sign when "
        "the user changes?",
        "one side has one sign": "One of your two sides does not change its sign, so the other one "
        "decides alone.",
        "a sum is thought to fit": "Take the three lines of the chapter and turn the signs round: "
        "what do the two diagonals of a sum have in common?",
        "a chance for a loss": "One half is the probability it gives to each. The loss is minus "
        "its natural logarithm.",
        "three of four": "Three cells can be right, but then the fourth is loudly wrong. Which "
        "scores have the lowest *log-loss*?",
        "a logarithm of base 2": "That is one bit. The book's log-loss is in nats: the natural "
        "logarithm.",
        "accuracy is thought to help": "Three right cells pull the fourth the wrong way by as much "
        "as all three together. Write the scores as a + b + c and try to go below one half each.",
    },
)

# ---------------------------------------------------------------- 1.2 what a sum can say


def _nearest_sum(table: Tensor) -> Tensor:
    return table.mean(1, keepdim=True) + table.mean(0, keepdim=True) - table.mean()


def _mean_twice(table):
    return table.mean(1, keepdim=True) + table.mean(0, keepdim=True)


def _only_films(table):
    return table.mean(0, keepdim=True).expand_as(table).clone()


def _only_users(table):
    return table.mean(1, keepdim=True).expand_as(table).clone()


def _half_of_both(table):
    return _mean_twice(table) / 2


def _nearest_product(table):
    u, s, vh = torch.linalg.svd(table, full_matrices=False)
    return u[:, :1] * s[:1] @ vh[:1]


def _sums_not_means(table):
    return table.sum(1, keepdim=True) + table.sum(0, keepdim=True) - table.mean()


def _the_remainder(table):
    return table - _nearest_sum(table)


def _sum_cases(generator):
    if generator is None:
        return [
            ((torch.tensor([[-1.0, 1.0], [1.0, -1.0]]),), "XOR"),
            (
                (torch.tensor([[5.0, 3.0, 1.0], [4.0, 1.0, 1.0]]),),
                "two users' ratings [5, 3, 1] and [4, 1, 1]",
            ),
        ]
    table = torch.randn(7, 5, generator=generator) + torch.randn(5, generator=generator)
    return [((table + 2,), "a table of 7 users and 5 films")]


SUM = Exercise(
    "What a sum can say",
    by_cases(
        _nearest_sum,
        {
            "the mean is counted twice": _mean_twice,
            "films only": _only_films,
            "users only": _only_users,
            "half of each": _half_of_both,
            "a product, not a sum": _nearest_product,
            "sums, not means": _sums_not_means,
            "what is left over": _the_remainder,
        },
        _sum_cases,
        1e-4,
    ),
    {
        "the mean is counted twice": "A user's mean and a film's mean both hold the mean of the "
        "whole table. Give it to one of them only. (A table of fives must come back as fives.)",
        "films only": "One user likes everything more than the other does. Where is that?",
        "users only": "One film is liked more than another. Where is that?",
        "half of each": "Averaging the two means halves what users and films differ by.",
        "a product, not a sum": "That is the nearest table of rank 1, a number a user *times* a "
        "number a film.",
        "sums, not means": "A user with many films is not one who likes more. Divide.",
        "what is left over": "That is what a sum can *not* say. The sum itself is asked for.",
    },
)

# ---------------------------------------------------------------- 1.3 rescue the narrow network

N_SEEDS, STEPS, FITS_BELOW = 10, 1_000, 0.05
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "ReLU": torch.relu,
    "leaky ReLU": F.leaky_relu,
    "tanh": torch.tanh,
    "square": torch.square,
}


def train_narrow(
    activation: Callable[[Tensor], Tensor], seeds: Sequence[int] = range(N_SEEDS)
) -> Tensor:
    """Train networks with two hidden units on XOR, one a seed, each as if it were alone.

    Args:
        activation: a function of a tensor, number by number, that autograd can follow.
        seeds: of the random starts (those of `torch.nn.Linear`).

    Returns:
        `[seeds]` log-loss of each after 1,000 steps of Adam at a rate of 0.05.
    """
    return _trained(activation, tuple(seeds)).clone()


@lru_cache(maxsize=16)  # the check asks again for what an exercise has just measured
def _trained(activation: Callable[[Tensor], Tensor], seeds: tuple[int, ...]) -> Tensor:
    ids, likes = xor()
    x, y = ids.float(), likes.expand(len(seeds), 4)
    starts = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        # Both layers have two inputs: weights and biases within 1 / sqrt(2), as in nn.Linear.
        starts.append((2 * torch.rand(9, generator=generator) - 1) / math.sqrt(2))
    weights = torch.stack(starts).requires_grad_()  # [S, 9]
    optimizer = torch.optim.Adam([weights], lr=0.05)

    def losses() -> Tensor:
        first, bias = weights[:, :4].view(-1, 2, 2), weights[:, None, 4:6]
        hidden = activation(x @ first + bias)  # [S, 4, 2]
        logits = (hidden * weights[:, None, 6:8]).sum(-1) + weights[:, 8:]
        return F.binary_cross_entropy_with_logits(logits, y, reduction="none").mean(1)

    for _ in range(STEPS):
        optimizer.zero_grad()
        losses().sum().backward()
        optimizer.step()
    return losses().detach()


#: What is to be counted in exercise 1.3.
MEASURED = ("leaky ReLU", "tanh", "square")


def _counted() -> dict[str, tuple[int, int]]:
    """For each activation: how many of the ten seeds fit, and how many beat a coin."""
    found = {}
    for name in MEASURED:
        losses = train_narrow(ACTIVATIONS[name])
        coin = int((losses < math.log(2) - 0.005).sum())
        found[name] = int((losses < FITS_BELOW).sum()), coin
    return found


def _rescue_judge(answer, seed):
    keys = {*MEASURED, "yours"}
    if not isinstance(answer, Mapping) or set(answer) != keys:
        return Finding(f"A dict with {', '.join(sorted(keys))} is wanted.")
    try:
        counts = {name: float(answer[name]) for name in MEASURED}
    except (TypeError, ValueError):
        return Finding(f"{', '.join(MEASURED)} should be numbers: of ten seeds how many fit?")
    if not callable(answer["yours"]):
        return Finding("'yours' should be a function of a tensor.", "no function")
    return _judge_counts(counts) or _judge_activation(answer["yours"], seed)


def _judge_counts(counts: Mapping[str, float]) -> Finding | None:
    true = _counted()
    # Rounding differs between machines, and may carry one seed over the line.
    near = lambda values: all(abs(counts[name] - values[name]) <= 1 for name in MEASURED)
    if near({name: fit for name, (fit, _) in true.items()}):
        return None
    seen = ", ".join(f"{name} {counts[name]:g}" for name in MEASURED)
    seen = f"of ten seeds you say that so many fit: {seen}."
    if all(abs(counts[name] - true[name][0] / N_SEEDS) <= 0.11 for name in MEASURED):
        return Finding(seen, "a share, not a count")
    if near({name: N_SEEDS - fit for name, (fit, _) in true.items()}):
        return Finding(seen, "failures are counted")
    if near({name: coin for name, (_, coin) in true.items()}):
        return Finding(seen, "better than a coin is taken for a fit")
    if counts["leaky ReLU"] >= 8:
        return Finding(seen, "shut units are taken for the whole story")
    return Finding(seen)


def _judge_activation(f: Callable[[Tensor], Tensor], seed: int | None) -> Finding | None:
    x = torch.linspace(-4, 4, 81).requires_grad_()
    y = f(x)
    if not isinstance(y, Tensor) or y.shape != x.shape or not bool(torch.isfinite(y).all()):
        return Finding("'yours' should give one finite number for each number.")
    apart = torch.cat([f(part) for part in x.detach().split(1)])
    if not torch.allclose(apart, y.detach(), atol=1e-4):
        return Finding(name="it looks at other numbers too")
    slope = torch.autograd.grad(y.sum(), x, allow_unused=True)[0] if y.requires_grad else None
    if slope is None or not bool(slope.any()):
        return Finding(name="no gradient comes through")
    y = y.detach()
    x = x.detach()
    line = torch.stack([x, torch.ones_like(x)], dim=1)
    if _made_of(line, y):
        return Finding(name="a straight line")
    turns = float(y.diff().min()) < -1e-6 and float(y.diff().max()) > 1e-6
    for name in MEASURED:
        if name == "leaky ReLU" and turns:
            continue  # |x| is made of the two as well, and is another thing: it turns round
        if _made_of(torch.column_stack([ACTIVATIONS[name](x), line]), y):
            return Finding(f"it is a {name} and a straight line.", "one of the three")
    first = 100 if seed is None else 1_000 + 10 * seed
    losses = train_narrow(f, range(first, first + N_SEEDS))
    fit = int((losses < FITS_BELOW).sum())
    if fit >= N_SEEDS - 1:
        return None
    steps = y.diff()
    one_way = bool((steps >= -1e-6).all()) or bool((steps <= 1e-6).all())
    seen = f"{fit} of ten other seeds fit with yours."
    return Finding(seen, "it only ever rises" if one_way else "too few seeds fit")


def _made_of(columns: Tensor, y: Tensor) -> bool:
    """Whether y `[n]` is a weighted sum of columns `[n, c]`."""
    left = y - columns @ torch.linalg.lstsq(columns, y[:, None]).solution[:, 0]
    return float(left.abs().max()) < 1e-3 * (1e-6 + float((y - y.mean()).abs().max()))


RESCUE = Exercise(
    "Rescue the narrow network",
    _rescue_judge,
    {
        "a share, not a count": "Of ten seeds: a whole number from 0 to 10.",
        "failures are counted": "Count the seeds *under* the line.",
        "better than a coin is taken for a fit": "A loss of .35 is half of a coin's: two cells are "
        "right and the other two still a coin flip. Under .05 it fits.",
        "shut units are taken for the whole story": "That looks like a guess. A leaky ReLU is "
        "never shut; run it and count. If it fails too, shut units were not the whole story.",
        "it looks at other numbers too": "An activation treats each number alone: no softmax, no "
        "mean over units, and no units added by stealth.",
        "no gradient comes through": "Its slope is 0 everywhere (a step, a sign, rounding), so the "
        "first layer never learns.",
        "one of the three": "It was measured already; moving or stretching it makes no new one.",
        "a straight line": "Without a bend two layers are one, and the whole is a sum.",
        "it only ever rises": "Seen along user + film, XOR is no, yes, no: up and down again. One "
        "that only rises needs both units to work together, and training has to find that.",
        "too few seeds fit": "It can turn round, and still too many starts are stuck. Where is its "
        "slope zero, or where does it have a corner? Something smooth that waves may do.",
    },
)

# ---------------------------------------------------------------- 1.4 a third order


def _third_order(v: Tensor) -> Tensor:
    one, two, three = v.sum(1), v.pow(2).sum(1), v.pow(3).sum(1)  # [B, D]
    return ((one.pow(3) - 3 * one * two + 2 * three) / 6).sum(-1)


def _pairs_only(v):
    return 0.5 * (v.sum(1).square() - v.square().sum(1)).sum(-1)


def _cube_less_cubes(v):
    return (v.sum(1).pow(3) - v.pow(3).sum(1)).sum(-1) / 6


def _cube_less_cubes_halved(v):
    return 0.5 * (v.sum(1).pow(3) - v.pow(3).sum(1)).sum(-1)


def _adjacent(v):
    return (v[:, :-2] * v[:, 1:-1] * v[:, 2:]).sum((1, 2))


def _third_cases(generator):
    if generator is None:
        three = torch.tensor([[[1.0, 2.0], [3.0, -1.0], [2.0, 1.0]]])
        four = torch.tensor([[[1.0, 2.0], [2.0, 1.0], [3.0, 1.0], [1.0, -1.0]]])
        return [((three,), "three fields"), ((four,), "four fields")]
    return [((torch.randn(8, f, 4, generator=generator),), f"{f} fields") for f in (3, 6, 12)]


_judge_term = by_cases(
    _third_order,
    {
        "pairs, not triples": _pairs_only,
        "the product of all fields": lambda v: v.prod(1).sum(-1),
        "each triple in all six orders": lambda v: 6 * _third_order(v),
        "a field meets itself": lambda v: v.sum(1).pow(3).sum(-1) / 6,
        "the cubes are all that is taken off": _cube_less_cubes,
        "the halves of the pairs": _cube_less_cubes_halved,
        "the dimensions are added up too early": lambda v: _third_order(v.sum(-1, keepdim=True)),
        "neighbours only": _adjacent,
    },
    _third_cases,
    1e-3,
)


def _third_judge(answer, seed):
    keys = {"term", "numbers", "lowest"}
    if not isinstance(answer, Mapping) or set(answer) != keys:
        return Finding(f"A dict with {', '.join(sorted(keys))} is wanted.")
    if (found := _judge_term(answer["term"], seed)) is not None:
        return found
    numbers = _vector(answer["numbers"], 6)
    if numbers is None:
        return Finding(
            "numbers should be [3, 2]: for each field one for the value 0 and one for 1."
        )
    ids, odd = parity(3)
    scores = numbers.view(3, 2)[torch.arange(3), ids].prod(1)  # [8]
    right = int(((scores > 0) == odd.bool()).sum())
    if bool((scores == 0).any()):
        return Finding(f"{int((scores == 0).sum())} products are 0.", "a zero is no sign")
    if right == 0:
        return Finding("all eight signs are wrong.", "all signs turned round")
    if right < 8:
        return Finding(f"{right} of eight corners have the right sign.", "a field does not flip")
    try:
        lowest = float(answer["lowest"])
    except (TypeError, ValueError):
        return Finding("lowest should be a number, a log-loss.")
    if abs(lowest - math.log(2)) < 0.005:
        return None
    name = "a third order is thought to be enough" if lowest < 0.05 else None
    name = "seven of eight again" if 0.05 <= lowest < math.log(2) else name
    return Finding(f"you say that the log-loss on four fields can fall to {lowest:g}.", name)


THIRD = Exercise(
    "A third order",
    _third_judge,
    {
        "pairs, not triples": "That is the FM's own term, two at a time.",
        "the product of all fields": "With three fields there is one triple, and it is right. With "
        "four there are four triples, and no product of four.",
        "each triple in all six orders": "Only i < j < k counts; the six orders of a triple are "
        "one triple.",
        "a field meets itself": "The cube of the sum holds v_i v_i v_j too. A field is no partner "
        "of its own.",
        "the cubes are all that is taken off": "The cube of the sum holds three kinds: all alike, "
        "two alike, all different. You took off the first kind only.",
        "the halves of the pairs": "½ [square of sum − sum of squares] does not turn into cubes "
        "like that. Multiply (a + b + c)³ out and count what you find.",
        "the dimensions are added up too early": "Multiply dimension by dimension, then add up the "
        "D products.",
        "neighbours only": "Fields 1, 2 and 4 are a triple too.",
        "a zero is no sign": "A product with a zero is 0. Use one number and its opposite.",
        "all signs turned round": "An *odd* number of ones is a like. Turn one field's signs.",
        "a field does not flip": "Changing any one field must change the sign. Is there a field "
        "whose two numbers have one sign?",
        "a third order is thought to be enough": "A triple sees three of the four fields, and the "
        "fourth flips the label whatever it sees. What was parity orthogonal to?",
        "seven of eight again": "A few corners more can be right, and the others are loudly wrong. "
        "Ask for the lowest log-loss, not for the accuracy.",
    },
)

# ---------------------------------------------------------------- 1.5 how hard is a product

DIM, NOISE, MOST, CLOSE = 16, 0.1, 100, 0.15


def product_world(seed: int) -> Callable[[int, int], tuple[Tensor, Tensor, Tensor]]:
    """A world in which something is the weighted product of two vectors.

    Args:
        seed: of the weights, one a dimension, of both signs, the same for all examples.

    Returns:
        `examples(n, draw)` → inputs `[n, 32]` (p and q of 16 numbers side by side), what was
        observed `[n]` (with noise of standard deviation .1), and the truth behind it `[n]`, of
        standard deviation 1.
    """
    weights = torch.randn(DIM, generator=torch.Generator().manual_seed(seed))
    weights = weights / weights.norm()

    def examples(n: int, draw: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1_000_003 * (seed + 1) + draw)
        p, q = torch.randn(2, n, DIM, generator=generator)
        truth = (p * q) @ weights
        noise = NOISE * torch.randn(n, generator=generator)
        return torch.cat([p, q], dim=1), truth + noise, truth

    return examples


def _product_judge(answer, seed):
    try:
        learn, n = answer
        n = int(n)
    except (TypeError, ValueError):
        return Finding("A pair is wanted: a function and a number of examples.")
    if not callable(learn):
        return Finding("The first should be a function of inputs and targets.", "no function")
    if not 1 <= n <= MOST:
        return Finding(f"{n:,} examples; from 1 to {MOST} are given.", "more than there is")
    first = 500 if seed is None else 10_000 + 10 * seed
    worst = None
    for world in (first, first + 1):
        examples = product_world(world)
        inputs, observed, _ = examples(n, 0)
        predict = learn(inputs.clone(), observed.clone())
        if not callable(predict):
            return Finding("learn should return a function of inputs.", "no function")
        fresh, _, truth = examples(2_000, 1)
        got = _predicted(predict, fresh)
        if got is None:
            return Finding("What learn returns should give one finite number an example.")
        error = float((got - truth).square().mean().sqrt())
        if worst is None or error > worst[0]:
            worst = error, predict, (inputs, observed), (fresh, truth, got)
    if worst[0] < CLOSE:
        return None
    error, predict, (inputs, observed), fresh = worst
    own = float((_predicted(predict, inputs) - observed).square().mean().sqrt())
    seen = f"from {n} examples the RMSE on fresh ones is {error:.2f}, on its own {own:.2f} (always "
    seen += "answering the mean has 1)."
    return Finding(seen, _kind_of_predictor(predict, own, *fresh))


def _predicted(predict: Callable, inputs: Tensor) -> Tensor | None:
    got = torch.as_tensor(predict(inputs.clone())).detach().cpu().float()
    got = got.squeeze(-1) if got.shape == (len(inputs), 1) else got
    return got if got.shape == (len(inputs),) and bool(torch.isfinite(got).all()) else None


def _kind_of_predictor(
    predict, own: float, fresh: Tensor, truth: Tensor, got: Tensor
) -> str | None:
    """What a predictor that is too far off looks like, from what it answers."""
    near = lambda a, b: float((a - b).abs().max()) < 1e-3 * (1 + float(got.abs().max()))
    half = len(fresh) // 2
    (p, q), (r, s) = fresh[:half].split(DIM, 1), fresh[half:].split(DIM, 1)
    ask = lambda a, b: _predicted(predict, torch.cat([a, b], dim=1))
    if near(ask(p, q) + ask(r, s), ask(p, s) + ask(r, q)):
        return "still a sum"
    plain = (fresh[:, :DIM] * fresh[:, DIM:]).sum(1)
    if abs(float(torch.corrcoef(torch.stack([plain, got]))[0, 1])) > 0.99:
        return "all products weigh the same"
    bilinear = near(ask(2 * p, q), 2 * ask(p, q)) and near(ask(p, 3 * q), 3 * ask(p, q))
    if bilinear:
        unit = torch.eye(DIM)
        cross = ask(unit.repeat_interleave(DIM, 0), unit.repeat(DIM, 1)).view(DIM, DIM)
        off = cross - torch.diag(cross.diagonal())
        return "every number with every other" if float(off.abs().max()) > 1e-3 else "too few"
    if own >= 0.5 * float((got - truth).square().mean().sqrt()):
        return None
    scale = torch.linspace(0.5, 2, DIM)
    if near(ask(p, q), ask(p * scale, q / scale)):  # each product is as it was
        return "products, and then a bend"
    return "learned by heart"


PRODUCT = Exercise(
    "How hard is a product?",
    _product_judge,
    {
        "more than there is": "The check gives a hundred examples at most. That is the point.",
        "still a sum": "What it says of p does not depend on q: it adds a part of p and a part of "
        "q. No number of examples helps.",
        "all products weigh the same": "That is p·q. Here each dimension has a weight of its own, "
        "and some are negative: those sixteen numbers are what has to be learned.",
        "every number with every other": "256 products p_d q_e for a hundred examples: many "
        "weights fit them all, and most are wrong. Which products does the target hold?",
        "learned by heart": "It fits its own examples and not fresh ones. Does anything in its "
        "inputs say what is multiplied by what? Let it see p_d q_d and little else, and let what "
        "follows be simple.",
        "products, and then a bend": "It sees the right products. What comes after them may still "
        "bend in many ways, and a hundred examples do not say which. What does the formula do "
        "with the products?",
        "too few": "The right products, and too few examples for sixteen weights under noise. A "
        "few more, or a little shrinkage.",
    },
)

EXERCISES = {"1.1": XNOR, "1.2": SUM, "1.3": RESCUE, "1.4": THIRD, "1.5": PRODUCT}
