"""How much an approximate index finds, at the least effort and at the default one.

python -m recsys_book.chapters.ch04_youtube_dnn.bench_index
"""

from __future__ import annotations

import torch

from recsys_book.index import K_MEASURED, build_index, recall


def main(n: int = 5_000, dim: int = 16, k: int = K_MEASURED) -> None:
    """The table in `build_index`: recall of 100 queries on planted vectors."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    tail = torch.nn.functional.normalize(draw(n, dim)) * draw(n, 1).exp()
    shared = torch.eye(dim)[0]
    worlds = {
        "lengths with a long tail": (tail, draw(100, dim)),
        "one direction shared": (
            0.6 * draw(n, dim) + 3 * draw(n, 1) * shared,
            0.7 * draw(100, dim) + 1.5 * shared,
        ),
        "all directions alike": (draw(n, dim), draw(100, dim)),
    }
    print(f"{'':26}{'ivf, least':>12}{'default':>9}{'hnsw, least':>13}{'default':>9}")
    for name, (items, queries) in worlds.items():
        exact = build_index(items).search(queries, k)[1]
        row = []
        for kind in ("ivf", "hnsw"):
            index = build_index(items, kind)
            least = max(1, index._store.nlist // 16) if kind == "ivf" else 2 * k
            row += [recall(index.search(queries, k, e)[1], exact) for e in (least, None)]
        print(f"{name:26}{row[0]:12.2f}{row[1]:9.2f}{row[2]:13.2f}{row[3]:9.2f}")


if __name__ == "__main__":
    main()
