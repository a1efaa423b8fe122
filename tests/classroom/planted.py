"""One mistake a chapter, as a student would hand it in, and the name it must be told by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Planted:
    """A wrong answer to one exercise.

    Attributes:
        number: of the exercise.
        code: what stands in its answer cell.
        name: of the misconception.
    """

    number: str
    code: str
    name: str


PLANTED = {
    "chapter_00": Planted(
        "0.1",
        """
def ndcg(relevant, n_relevant, k):
    gain = 1 / torch.log2(torch.arange(k, dtype=torch.float64) + 2)
    top = relevant[:k].double()
    best = top.sort(descending=True).values
    return float(top @ gain[: len(top)] / (best @ gain[: len(top)]))
""",
        "the ideal is made of what was found",
    ),
    "chapter_01": Planted(
        "1.2",
        """
def nearest_sum(table):
    of_user = table.mean(dim=1, keepdim=True)
    of_film = table.mean(dim=0, keepdim=True)
    return of_user + of_film
""",
        "the mean is counted twice",
    ),
    "chapter_02": Planted(
        "2.3",
        """
def mean_of_watched(vectors, mask):
    watched = vectors * mask[..., None]
    return watched.mean(dim=1)
""",
        "it divides by L",
    ),
    "chapter_03": Planted(
        "3.2",
        """
def fuse(h_gmf, b_gmf, h_mlp, b_mlp, alpha):
    h = torch.cat([alpha * h_gmf, (1 - alpha) * h_mlp])
    return h, b_gmf + b_mlp


def start(gmf_logit, mlp_logit, alpha):
    return torch.sigmoid(alpha * gmf_logit + (1 - alpha) * mlp_logit)
""",
        "only the weights are mixed",
    ),
    "chapter_04": Planted(
        "4.2",
        """
def sampled_loss(positive, negative, count, positive_ids, negative_ids, tau):
    m = negative.shape[1]
    q = count / count.sum()
    logits = negative / tau + torch.log(m * q[negative_ids])
    logits = logits.masked_fill(negative_ids == positive_ids[:, None], -torch.inf)
    own = positive / tau
    return (torch.cat([own[:, None], logits], dim=1).logsumexp(dim=1) - own).mean()
""",
        "the wrong sign",
    ),
    "chapter_05": Planted(
        "5.3",
        """
def ftrl_step(w, z, n, g, lr, l1, l2, beta):
    new_n = n + g**2
    s = (new_n.sqrt() - n.sqrt()) / lr
    z = z + g - s * w
    w = -z / ((beta + new_n.sqrt()) / lr + l2)
    w = w.sign() * (w.abs() - l1).clamp(min=0)
    return w, z, new_n
""",
        "the threshold is on w",
    ),
    "chapter_06": Planted(
        "6.3",
        """
def draw(seen, users, n, generator):
    if seen[users].all(dim=1).any():
        raise ValueError("nothing is left to draw")
    items = torch.randint(seen.shape[1], (len(users), n), generator=generator)
    while (bad := seen[users[:, None], items]).any():
        items[bad] = (items[bad] + 1) % seen.shape[1]
    left = (~seen[users]).sum(dim=1)
    return items, -left.log()[:, None].expand(-1, n)
""",
        "a positive becomes its neighbour",
    ),
}
