"""python -m recsys_book.reproduce NAME"""

import argparse

from recsys_book.reproduce import additive, embeddings, ladder, ladder_films, own_log, xor

RUNS = {
    module.NAME: module for module in (additive, embeddings, ladder, ladder_films, own_log, xor)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m recsys_book.reproduce", description="Repeat a recorded run of the book."
    )
    parser.add_argument("name", choices=sorted(RUNS), help="which run")
    RUNS[parser.parse_args().name].main()


if __name__ == "__main__":
    main()
