"""A log of 20 million rows through from_frame, two splits and Popularity: seconds and memory.

python benchmarks/own_log.py
"""

import resource
import time

import numpy as np
import pandas as pd

from recsys_book.data import Interactions, by_time, leave_last_out
from recsys_book.models.baselines import Popularity


def main(n_rows: int = 20_000_000) -> None:
    random = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "user": random.randint(0, 500_000, n_rows),
            "item": random.zipf(1.3, n_rows) % 100_000,
            "time": random.randint(1_500_000_000, 1_600_000_000, n_rows),
        }
    )
    start = time.perf_counter()
    log = Interactions.from_frame(frame, user="user", item="item", time="time")
    print(log)
    for cut in (by_time, leave_last_out):
        split = cut(log)
        print(f"{cut.__name__}: {split}")
    popularity = Popularity(split.train)
    print(f"most popular: {int(popularity.counts.max()):,} interactions")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{time.perf_counter() - start:.1f} s, at most {peak:.1f} GiB")


if __name__ == "__main__":
    main()
