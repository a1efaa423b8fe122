"""Calls that people make and no example shows: batches of nobody, padding that is not clean, more
candidates than there are, scores that cannot be compared. One convention for all, see
`recsys_book.arguments`."""

import itertools
import math

import pytest
import torch
from scipy.stats import chisquare

from recsys_book import embeddings, index, layers, losses, metrics, samplers, sampling
from recsys_book.data.interactions import ABSENT, Interactions
from recsys_book.evaluate import full_catalogue, leave_one_out, sampled_candidates
from recsys_book.layers import FieldEmbedding, FieldLinear, masked_mean
from recsys_book.models.baselines import EASE, IALS, ItemKNN, Popularity
from recsys_book.models.content_factorization import ContentFactorization
from recsys_book.models.dnn import DNN
from recsys_book.models.factorization_machine import FactorizationMachine
from recsys_book.models.matrix_factorization import MatrixFactorization
from recsys_book.models.ncf import GMF, NCFMLP, NeuMF
from recsys_book.models.wide_and_deep import Bag, Wide, WideAndDeep
from recsys_book.models.youtube_dnn import CandidateGenerator, WatchTimeRanker, pool_history

U, N = 3, 5
IDS, NUMBERS = torch.empty(0, dtype=torch.int64), torch.empty(0)
LOG = Interactions(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2]), U, N)
NO_LOG = Interactions(IDS, IDS, U, N)
FIELDS = torch.empty(0, 2, dtype=torch.int64)
BAGS = {0: (torch.empty(0, 4, dtype=torch.int64), torch.empty(0, 4, dtype=torch.bool))}
HISTORY, CONTEXT = torch.empty(0, 6, dtype=torch.int64), torch.empty(0, 1, dtype=torch.int64)


def item_scores(users):
    return torch.zeros(len(users), N)


SAMPLERS = {
    "uniform": samplers.UniformSampler,
    "popularity": samplers.PopularitySampler,
    "in-batch": samplers.InBatchSampler,
    "hard": lambda seen: samplers.HardSampler(seen, item_scores, pool=2),
}
PAIR_MODELS = {
    "MF": lambda: MatrixFactorization(U, N),
    "additive": lambda: MatrixFactorization(U, N, dim=0),
    "GMF": lambda: GMF(U, N),
    "NCF's MLP": lambda: NCFMLP(U, N),
    "NeuMF": lambda: NeuMF(U, N),
    "content": lambda: ContentFactorization(U, torch.rand(N, 2)),
    "popularity": lambda: Popularity(LOG),
    "item KNN": lambda: ItemKNN(LOG),
    "EASE": lambda: EASE(LOG),
    "iALS": lambda: IALS(LOG, dim=2, sweeps=1),
}
FIELD_MODELS = {
    "linear": (lambda: FieldLinear([3, 4]), {}),
    "FM": (lambda: FactorizationMachine([3, 4]), {}),
    "FM, bags": (lambda: FactorizationMachine([3, 4]), BAGS),
    "DNN": (lambda: DNN([3, 4], bag_fields=(0,)), BAGS),
    "wide": (lambda: Wide([3, 4], [(Bag(0), 1), (0, 1)]), BAGS),
    "wide, sparse": (lambda: Wide([3, 4], [(Bag(0), 1)], sparse=True), BAGS),
    "wide & deep": (
        lambda: WideAndDeep([3, 4], [(Bag(0), 1)], hidden=(4,), bag_fields=(0,)),
        BAGS,
    ),
}


def two_stages():
    generator = CandidateGenerator(N, 4, (6, 2), cardinalities=(3,), oldest=2.0)
    return generator, WatchTimeRanker(N, 1, (3,), dim=4, hidden=(6,))


def draw(kind, part):
    return lambda: getattr(SAMPLERS[kind](LOG)(IDS, IDS, 7, None), part)


def search(kind, part):
    vectors = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
    return lambda: index.build_index(vectors, kind).search(torch.empty(0, 4), 3)[part]


EMPTY = {
    **{f"{kind} {part}": (draw(kind, part), (0, 7)) for kind in SAMPLERS for part in
       ("items", "log_q")},
    **{f"{name} pairs": (lambda m=make: m()(IDS, IDS), (0,)) for name, make in PAIR_MODELS.items()},
    **{f"{name} scores": (lambda m=make: m().score(IDS), (0, N)) for name, make in
       PAIR_MODELS.items()},
    **{name: (lambda m=make, b=bags: m()(FIELDS, b), (0,)) for name, (make, bags) in
       FIELD_MODELS.items()},
    **{f"{kind} search, {what}": (search(kind, part), (0, 3)) for kind in index.KINDS
       for part, what in enumerate(("scores", "ids"))},
    "generator": (lambda: two_stages()[0](HISTORY, CONTEXT, NUMBERS), (0, 2)),
    "generator, as served": (lambda: two_stages()[0].score(HISTORY, CONTEXT), (0, N)),
    "ranker": (lambda: two_stages()[1](IDS, HISTORY, CONTEXT, torch.empty(0, 1)), (0,)),
    "watch time": (
        lambda: two_stages()[1].predict_watch_time(IDS, HISTORY, CONTEXT, torch.empty(0, 1)), (0,)
    ),
    "explanation": (
        lambda: FIELD_MODELS["wide & deep"][0]().explain(FIELDS, BAGS).logits(), (0,)
    ),
    "unseen": (lambda: sampling.UnseenItems(LOG).sample(IDS, 7), (0, 7)),
    "unseen, distinct": (lambda: sampling.UnseenItems(LOG).sample_distinct(IDS, 2), (0, 2)),
    "unseen of a log of nothing": (
        lambda: sampling.UnseenItems(NO_LOG).sample(torch.tensor([0, 2]), 7), (2, 7)
    ),
    "with negatives": (
        lambda: sampling.with_negatives(IDS, IDS, sampling.UnseenItems(LOG), 2, torch.Generator())[
            1
        ],
        (0,),
    ),
    "beside negatives": (
        lambda: sampling.beside_negatives(
            IDS, IDS, sampling.UnseenItems(LOG), 2, torch.Generator()
        )[1],
        (0, 3),
    ),
    "candidates": (lambda: sampled_candidates(IDS, LOG, 2), (0, 3)),
    "mean of no bags": (lambda: masked_mean(torch.empty(0, 3, 2), BAGS[0][1][:, :3]), (0, 2)),
    "mean of bags without places": (
        lambda: masked_mean(torch.empty(2, 0, 3), torch.empty(2, 0, dtype=torch.bool)), (2, 3)
    ),
    "MLP": (lambda: layers.MLP(3, (2,))(torch.empty(0, 3)), (0, 1)),
    "look-up": (lambda: layers.look_up(torch.rand(3, 2, requires_grad=True), IDS), (0, 2)),
    "padded table": (lambda: embeddings.PaddedEmbedding(3, 2)(IDS), (0, 2)),
    "hashed table": (lambda: embeddings.HashedEmbedding(3, 2, 2)(IDS), (0, 2)),
    "hashes": (lambda: embeddings.hash_ids(IDS, 3), (0,)),
    **{
        f"{metric.__name__}, {ties}": (
            lambda m=metric, t=ties: m(torch.empty(0, 4), torch.empty(0, 4).bool(), 2, t), (0,)
        )
        for metric in (metrics.hit_rate_at_k, metrics.recall_at_k, metrics.ndcg_at_k)
        for ties in metrics.TIE_RULES
    },
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_a_batch_of_nobody_gets_an_empty_answer_of_the_right_shape(name):
    call, shape = EMPTY[name]
    answer = call()
    assert tuple(answer.shape) == shape
    if answer.requires_grad:
        answer.sum().backward()  # and training goes through it


NO_MEAN = {
    "AUC": lambda: metrics.auc(NUMBERS, NUMBERS),
    "AUC within users": lambda: metrics.user_auc(NUMBERS, NUMBERS, IDS),
    "log-loss": lambda: metrics.log_loss(NUMBERS, NUMBERS),
    "RMSE": lambda: metrics.rmse(NUMBERS, NUMBERS),
    "watch time": lambda: metrics.mispredicted_watch_time(NUMBERS, NUMBERS, IDS),
    "recall of a search": lambda: index.recall(torch.empty(0, 3), torch.empty(0, 3)),
    "share colliding": lambda: embeddings.share_colliding(IDS),
    "leave one out": lambda: leave_one_out(
        MatrixFactorization(U, N), IDS, torch.empty(0, 3, dtype=torch.int64), k=2
    ),
    "leave one out, nobody with an item": lambda: leave_one_out(
        MatrixFactorization(U, N), torch.arange(2), torch.full((2, 3), ABSENT), k=2
    ),
    "full catalogue": lambda: full_catalogue(MatrixFactorization(U, N).score, NO_LOG, k=2),
    "cross-entropy": lambda: losses.bce(NUMBERS, NUMBERS),
    "sampled softmax": lambda: losses.sampled_softmax_loss(NUMBERS, torch.empty(0, 3)),
    "in-batch softmax": lambda: losses.in_batch_softmax_loss(torch.empty(0, 0)),
    "watch-time loss": lambda: losses.watch_time_loss(NUMBERS, NUMBERS.bool(), NUMBERS),
}


@pytest.mark.parametrize("name", NO_MEAN)
def test_a_mean_over_nothing_is_one_clear_error(name):
    with pytest.raises(ValueError, match=r"0|empty|nobody|nothing"):
        NO_MEAN[name]()


def rows_are_distinct(candidates):
    ordered = candidates.sort(dim=1).values
    return bool((ordered[:, 1:] != ordered[:, :-1]).all())


@pytest.mark.parametrize(
    ("n_items", "owned", "n"),
    [(1_700, 60, 99), (1_700, 1_600, 99), (101, 1, 99), (101, 1, 100), (10_000, 5, 99), (9, 3, 1)],
)
def test_candidates_are_distinct_at_any_size_and_density(n_items, owned, n):
    generator = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(n_items, generator=generator) for _ in range(40)])
    item = order[:, :owned]
    known = Interactions(
        torch.arange(40).repeat_interleave(owned), item.flatten(), n_users=40, n_items=n_items
    )
    held = item[:, 0]
    candidates = sampled_candidates(held, known, n)
    assert candidates.shape == (40, 1 + n) and torch.equal(candidates[:, 0], held)
    assert rows_are_distinct(candidates)
    drawn = candidates[:, 1:]
    assert not torch.isin(torch.arange(40)[:, None] * n_items + drawn, known.keys()).any()
    assert torch.equal(candidates, sampled_candidates(held, known, n))  # the same seed
    assert not torch.equal(candidates, sampled_candidates(held, known, n, seed=1)) or owned == 1


@pytest.mark.parametrize("n_items", [12, 1_000])
def test_every_item_is_as_likely_and_no_column_knows_it(n_items):
    """In the crowded way (12 items) and the other."""
    n, users = 5, 4_000
    known = Interactions(torch.arange(users), torch.arange(users) % 2, users, n_items)
    drawn = sampled_candidates(known.item, known, n, seed=3)[:, 1:]
    for column in range(n):
        unseen = drawn[:, column]
        counts = (unseen % 10).bincount(minlength=10) if n_items == 1_000 else unseen.bincount()
        expected = torch.ones(users, n_items, dtype=torch.float64)
        expected[known.user, known.item] = 0
        expected = (expected / (n_items - 1)).sum(0)
        if n_items == 1_000:
            expected = expected.view(-1, 10).sum(0)
        assert chisquare(counts.numpy(), expected.numpy()).pvalue > 1e-4


def test_every_set_is_as_likely_where_few_are_left():
    users = 3_000
    known = Interactions(torch.arange(users), torch.zeros(users, dtype=torch.int64), users, 6)
    drawn = sampled_candidates(known.item, known, 2)[:, 1:].sort(dim=1).values
    pairs = list(itertools.combinations(range(1, 6), 2))
    counts = [int((drawn == torch.tensor(pair)).all(dim=1).sum()) for pair in pairs]
    assert sum(counts) == users and chisquare(counts).pvalue > 1e-4


def test_too_few_others_are_told_with_their_number_and_whose():
    owned = [(0, i) for i in range(3)] + [(1, i) for i in range(91)]
    user, item = torch.tensor(owned).T
    known = Interactions(user, item, n_users=2, n_items=100)
    assert rows_are_distinct(sampled_candidates(torch.tensor([0, 0]), known, n=9))
    with pytest.raises(ValueError, match="n is 99; user 1 has not been seen with 9 of the 100"):
        sampled_candidates(torch.tensor([0, 0]), known)
    with pytest.raises(ValueError, match="user 1 has not been seen with 9 of the 100"):
        sampled_candidates(torch.tensor([0, 0]), known, n=10**15)
    for bad in (0, -1, 2.5, True, None):
        with pytest.raises(ValueError, match="n is"):
            sampled_candidates(torch.tensor([0, 0]), known, n=bad)


def test_a_held_out_item_that_is_not_known_yet_is_not_drawn_beside_itself():
    known = Interactions(torch.tensor([0, 1]), torch.tensor([0, 0]), 2, 4)
    candidates = sampled_candidates(torch.tensor([3, ABSENT]), known, n=2)
    assert sorted(candidates[0].tolist()) == [1, 2, 3]
    assert candidates[1].tolist() == [ABSENT] * 3  # nothing to rank
    report = leave_one_out(MatrixFactorization(2, 4), torch.arange(2), candidates, k=1)
    assert report.n_not_ranked == 1


def test_users_ranked_among_few_films_are_ranked_rightly():
    """Of 9 others each stands there once: with repeats the held-out film fell behind."""
    known = Interactions(torch.arange(3), torch.tensor([0, 1, 2]), 3, 10)
    counts = torch.arange(10).flip(0).double()  # film 0 is the best
    model = lambda users, items: counts[items]
    candidates = sampled_candidates(known.item, known, n=9)
    assert leave_one_out(model, torch.arange(3), candidates, k=3).hit_rate.tolist() == [1, 1, 1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_what_the_mask_leaves_out_changes_neither_mean_nor_gradient(bad, dtype):
    mask = torch.tensor([[True, False, True], [False, False, False]])
    clean = torch.randn(2, 3, 4).to(dtype).requires_grad_()
    dirty = clean.detach().masked_fill(~mask[..., None], bad).requires_grad_()
    for vectors in (clean, dirty):
        pooled = masked_mean(vectors, mask)
        assert torch.isfinite(pooled).all() and pooled.dtype == dtype
        (pooled * torch.arange(1.0, 9).view(2, 4).to(dtype)).sum().backward()
    assert torch.equal(masked_mean(clean, mask), masked_mean(dirty, mask))
    assert torch.equal(clean.grad, dirty.grad) and torch.isfinite(dirty.grad).all()
    assert torch.equal(dirty.grad[~mask], torch.zeros(4, 4, dtype=dtype))
    assert torch.equal(masked_mean(dirty, mask)[1], torch.zeros(4, dtype=dtype))  # an empty bag


@pytest.mark.parametrize("mask", [torch.ones(2, 3), torch.ones(2, 4).bool(), torch.ones(2).bool()])
def test_a_mask_of_another_kind_is_refused(mask):
    with pytest.raises(ValueError, match="mask has shape"):
        masked_mean(torch.rand(2, 3, 4), mask)


def bag_models():
    crosses = [(Bag(0), 1), (0, 1)]
    return {
        "table": FieldEmbedding([5, 4], 3, init_std=1),
        "linear": FieldLinear([5, 4]),
        "FM": FactorizationMachine([5, 4], init_std=1),
        "DNN": DNN([5, 4], bag_fields=(0,), init_std=1),
        "wide": Wide([5, 4], crosses),
        "wide, hashed": Wide([5, 4], crosses, buckets=6),
        "wide, sparse": Wide([5, 4], crosses, sparse=True),
        "wide & deep": WideAndDeep([5, 4], crosses, hidden=(4,), bag_fields=(0,), init_std=1),
    }


def gradients(model):
    got = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {name: g.to_dense() if g.is_sparse else g for name, g in got.items()}


@pytest.mark.parametrize("name", bag_models())
def test_padding_in_bags_changes_nothing_whatever_stands_there(name):
    torch.manual_seed(0)
    model = bag_models()[name]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    ids = torch.tensor([[1, 2], [2, 3], [1, 1]])
    bag = torch.tensor([[1, 2], [2, 0], [0, 0]])
    mask = torch.tensor([[True, True], [True, False], [False, False]])  # the last is empty
    # Id 0 stands in no field of ids, and in no real place of a bag. What it points at is lost.
    padded = torch.cat([bag, torch.zeros(3, 4, dtype=torch.int64)], dim=1)
    longer = torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], dim=1)
    answers, grads = [], []
    for spoilt, (ids_of_bag, real) in itertools.product(
        (False, True), ((bag, mask), (padded, longer))
    ):
        if spoilt:
            with torch.no_grad():
                for module in model.modules():
                    if isinstance(module, FieldEmbedding):
                        module.table.weight[0] = math.nan
                    if isinstance(module, Wide) and not module.buckets:
                        module.table.weight[0] = math.inf
                        module.cross_weights(0)[0] = math.inf
        model.zero_grad()
        out = model(ids, {0: (ids_of_bag, real)})
        out.square().sum().backward()
        answers.append(out.detach())
        grads.append({k: g.clone() for k, g in gradients(model).items()})
    assert torch.isfinite(answers[0]).all()
    for answer, gradient in zip(answers[1:], grads[1:], strict=True):
        torch.testing.assert_close(answer, answers[0])
        for key, value in gradient.items():
            torch.testing.assert_close(value, grads[0][key])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_padding_in_histories_changes_nothing_whatever_stands_there(bad):
    torch.manual_seed(0)
    generator = CandidateGenerator(N, 4, (6, 2), init_std=1)
    ranker = WatchTimeRanker(N, dim=4, hidden=(6,), init_std=1)
    history = torch.tensor([[1, 2], [3, N], [N, N]])  # the last is empty
    padded = torch.cat([history, torch.full((3, 5), N)], dim=1)
    items = torch.tensor([0, 1, 2])
    for model, table, call in (
        (generator, generator.watched, lambda h: generator(h)),
        (ranker, ranker.items, lambda h: ranker(items, h)),
    ):
        grads, answers = [], []
        for spoilt, given in itertools.product((False, True), (history, padded)):
            with torch.no_grad():
                table.weight[N] = bad if spoilt else 0.0
            model.zero_grad()
            out = call(given)
            out.square().sum().backward()
            answers.append(out.detach())
            grads.append(table.weight.grad.clone())
        assert torch.isfinite(answers[0]).all()
        for answer, gradient in zip(answers, grads, strict=True):
            torch.testing.assert_close(answer, answers[0])
            torch.testing.assert_close(gradient, grads[0])
            assert torch.equal(gradient[N], torch.zeros_like(gradient[N]))
        assert torch.equal(pool_history(table, history)[2], torch.zeros(4))
    no_place = torch.empty(3, 0, dtype=torch.int64)
    torch.testing.assert_close(generator(no_place), generator(torch.full((3, 4), N)))
