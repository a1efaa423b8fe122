"""Your own log through the book's ladder: split, tuned baselines, matrix factorization, a report.

    python -m recsys_book.try_your_own ratings.csv --user userId --item movieId --time timestamp

Everything happens on your machine. The report is one HTML file with nothing behind it.
"""

from __future__ import annotations

import argparse
import base64
import html
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from recsys_book.chapters.own_log.figures import items_explorer
from recsys_book.chapters.own_log.lab import Trial, try_log
from recsys_book.data import Interactions
from recsys_book.reading.tables import read_cells
from recsys_book.show import plots


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, try, print, write the report. Returns the exit status: 2 for a log it cannot use."""
    options = _parser().parse_args(arguments)
    sep = {"\\t": "\t", "tab": "\t"}.get(options.sep, options.sep)
    try:
        _check_report(options)
        log = Interactions.from_csv(
            options.log, user=options.user, item=options.item, time=options.time,
            rating=options.rating, sep=sep, encoding=options.encoding, quotes=options.quotes,
        )  # fmt: skip
        if options.min_rating is not None:
            if log.rating is None:
                raise ValueError("--min-rating needs --rating, the name of the ratings' column")
            log = log[log.rating >= options.min_rating]
        names = [] if log.item_vocabulary is None else log.item_vocabulary.names.tolist()
        titles, groups = _titles(options, sep, names)
        trial = try_log(
            log, core=options.core, k=options.k, seed=options.seed,
            title=lambda item: titles.get(item, str(item)),
            say=lambda text: print(text, file=sys.stderr),
        )  # fmt: skip
    except (ValueError, OSError) as error:
        print("try_your_own:", " ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    partial = Path(f"{options.report}.partial")
    print("Map …", file=sys.stderr)
    partial.write_text(as_html(trial, Path(options.log).name, groups), encoding="utf-8")
    os.replace(partial, options.report)
    # After the report is safe: a console may lack a sign, and nothing is lost by that.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    print(as_text(trial))
    print(f"\nThe report is in {options.report}")
    return 0


def _check_report(options: argparse.Namespace) -> None:
    """Before anything is read: the report must not cost a file, nor the work of minutes."""
    report = Path(options.report).resolve()
    for name in ("log", "titles"):
        given = getattr(options, name)
        if given is not None and Path(given).resolve() in (report, Path(f"{report}.partial")):
            raise ValueError(f"--report is {options.report}, which is the {name} itself")
    if report.is_dir():
        raise ValueError(f"--report is {options.report}, a folder; it must be a file")
    if not report.parent.is_dir():
        raise ValueError(f"--report is {options.report}; its folder does not exist")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m recsys_book.try_your_own",
        description="Your own log through the book's baselines, on this machine.",
    )
    add = parser.add_argument
    add("log", help="a CSV file with a header line (.gz, .zip and the like are fine)")
    add("--user", required=True, help="column with user ids")
    add("--item", required=True, help="column with item ids")
    add("--time", help="column with times: numbers that rise, or dates")
    add("--rating", help="column with ratings; only needed for --min-rating")
    add("--min-rating", type=float, help="count only ratings from here up as chosen")
    add("--sep", default=",", help="what separates columns (default ','; 'tab' for tabs)")
    add("--no-quotes", dest="quotes", action="store_false", help="quotes are letters like others")
    add("--encoding", default="utf-8", help="of the text (default utf-8)")
    add("--titles", help="a CSV file with item ids and titles")
    add("--titles-item", help="its column with item ids (default: as --item)")
    add("--titles-title", default="title", help="its column with titles (default title)")
    add("--titles-group", help="its column with the kind of each item, such as genres (a|b)")
    add("--core", type=int, default=3, help="fewest interactions of a user and an item (default 3)")
    add("--k", type=int, default=10, help="length of the lists (default 10)")
    add("--seed", type=int, default=0)
    add("--report", default="report.html", help="where the report goes (default report.html)")
    return parser


def _titles(options: argparse.Namespace, sep: str, known: list) -> tuple[dict, dict | None]:
    """Item id → title, and item id → group where a column for it is named.

    Args:
        options: of the command.
        sep: of the file's columns.
        known: the log's item ids.
    """
    if options.titles is None:
        if options.titles_group is not None:
            raise ValueError("--titles-group needs --titles, the file that has the column")
        return {}, None
    item, title = options.titles_item or options.item, options.titles_title
    columns = {"--titles-item": item, "--titles-title": title}
    if options.titles_group is not None:
        columns["--titles-group"] = options.titles_group
    frame, _ = read_cells(
        options.titles, columns, sep=sep, encoding=options.encoding, quotes=options.quotes,
        as_text=True,
    )  # fmt: skip
    # Ids are compared as texts: 007 is the title of no item 7.
    by_text = {str(id): id for id in known}
    ids = [by_text.get(text.strip(), text.strip()) for text in frame[item]]
    names = {name: frame[column].str.split().str.join(" ") for name, column in columns.items()}
    titles = _by_id(ids, names["--titles-title"], title)
    if not set(ids) & set(known):
        raise ValueError(
            f"--titles: none of its ids (such as {frame[item].iloc[0]!r}) is in the log "
            f"(such as {known[0]!r}); is --titles-item {item!r} the right column?"
            if len(frame)
            else f"--titles: {options.titles} has no rows"
        )
    # An item without a title goes by its id.
    titles = {i: text for i, text in titles.items() if text}
    if options.titles_group is None:
        return titles, None
    return titles, _by_id(ids, names["--titles-group"], options.titles_group)


def _by_id(ids: list, texts: Iterable[str], column: str) -> dict:
    found: dict = {}
    for i, text in zip(ids, texts, strict=True):
        if found.setdefault(i, text) != text:
            raise ValueError(
                f"--titles has item {i!r} twice, with {found[i]!r} and {text!r} in {column!r}"
            )
    return found


def table(trial: Trial) -> pd.DataFrame:
    """The trial's figures, one line a model, intervals in brackets."""
    k = trial.k
    return pd.DataFrame(
        {
            "model": [row.model for row in trial.rows],
            f"HR@{k}": [row.hit_rate.text() for row in trial.rows],
            f"NDCG@{k}": [row.ndcg.text() for row in trial.rows],
            "NDCG above popularity": [
                "" if row.model == "Popularity" else row.above_popularity.text(sign="+")
                for row in trial.rows
            ],
            "chosen on validation": [
                ", ".join(f"{name} {value:g}" for name, value in row.settings.items())
                for row in trial.rows
            ],
        }
    )


def as_text(trial: Trial) -> str:
    """What the command prints."""
    lines = [*trial.notes, "", table(trial).to_string(index=False)]
    lines += ["", "In brackets: 95 % intervals over users (bootstrap, 2,000 draws)."]
    lines += ["", f"Five users, by {trial.best} (best on validation):"]
    for example in trial.examples:
        lines.append(f"  user {example.user} ({example.n_known} known)")
        for item, nearest in example.items:
            lines.append(f"    {item}" + (f"   near {'; '.join(nearest)}" if nearest else ""))
    return "\n".join(lines)


_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .3rem .9rem .3rem 0; }
tr { border-bottom: 1px solid #8886; } img { max-width: 100%; height: auto; background: #fff;
padding: 6px; border-radius: 6px; } small { opacity: .85; }
"""


def as_html(trial: Trial, name: str, groups: dict | None = None) -> str:
    """The report: one page with nothing behind it, light and dark.

    Args:
        trial: what came out.
        name: of the log.
        groups: item id → its kind, for the map's colours.
    """
    plots.use_style()
    figure, ax = plt.subplots(figsize=(6.4, 0.6 + 0.45 * len(trial.rows)))
    for y, row in enumerate(trial.rows):
        i = row.ndcg
        ax.plot([i.low, i.high], [y, y], color=plots.PALETTE["blue"], lw=3)
        ax.plot(i.mean, y, "o", color=plots.PALETTE["blue"], ms=8)
    ax.set_yticks(range(len(trial.rows)), [row.model for row in trial.rows])
    ax.set(xlabel=f"NDCG@{trial.k}, with 95 % intervals over users", xlim=(0, None))
    ax.invert_yaxis()
    alt = f"NDCG@{trial.k} of " + ", ".join(f"{r.model} {r.ndcg.mean:.3f}" for r in trial.rows)
    png = base64.b64encode(plots.to_png(figure, dpi=160)).decode()
    escape = lambda text: html.escape(str(text))
    examples = ""
    for example in trial.examples:
        rows = "".join(
            f"<tr><td>{escape(item)}</td><td>{escape('; '.join(nearest))}</td></tr>"
            for item, nearest in example.items
        )
        examples += (
            f"<h3>User {escape(example.user)}, {example.n_known} known</h3><div class='wide'>"
            f"<table><tr><th>recommended</th><th>nearest among the known</th></tr>{rows}</table>"
            "</div>"
        )
    mapped = ""
    if trial.items is not None:
        kinds = None if groups is None else [groups.get(i, "") for i in trial.items.ids]
        try:
            shown = items_explorer(trial.items, kinds).to_html()
        except ValueError as error:  # a map less is no reason to lose the report
            shown = f"<p>There is no map: {escape(error)}</p>"
        mapped = (
            "<h2>A map of your items</h2><p>The vectors of matrix factorization, which is told ids "
            "only. Neighbours in the list are those among the vectors; on the map, distances "
            f"between groups and their sizes mean little.</p>{shown}"
        )
    notes = "".join(f"<li>{escape(note)}</li>" for note in trial.notes)
    figures = table(trial).to_html(index=False, border=0)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width'><title>{escape(name)}</title>"
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(name)}: the first rungs</h1>"
        f"<h2>What was done</h2><ul>{notes}</ul>"
        f"<h2>How the models rank</h2><p><img alt='{escape(alt)}' "
        f"src='data:image/png;base64,{png}'></p><div class='wide'>{figures}</div>"
        "<p><small>Full catalogue, without what a user had before. Ties count worst. In brackets: "
        "95 % intervals over users. Each model had up to four settings, chosen on validation, and "
        "was tested once.</small></p>"
        f"<h2>Five users, by {escape(trial.best)}</h2>{examples}{mapped}</main></body></html>\n"
    )


if __name__ == "__main__":
    sys.exit(main())
