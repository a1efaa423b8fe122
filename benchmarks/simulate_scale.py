"""How long simulate() takes, and how much memory, at the size you name.

python benchmarks/simulate_scale.py 100000 100000
python benchmarks/simulate_scale.py 1000000 1000000
"""

import resource
import sys
import time

from recsys_book.service import simulate


def main() -> None:
    n_users, n_films = (int(a) for a in sys.argv[1:3]) if len(sys.argv) > 2 else (2_000, 1_000)
    start = time.perf_counter()
    world = simulate(n_users, n_films)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{world}\n{seconds:.1f} s, at most {peak:.1f} GiB")


if __name__ == "__main__":
    main()
