"""Frames a second of the explorer while it plays, in headless Chromium without a GPU.

    python benchmarks/explorer_fps.py

Needs Chromium or Chrome. 60 is as fast as the browser draws.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import sync_playwright

from recsys_book.widgets import EmbeddingExplorer

GAPS = """async () => {
    const slider = document.querySelector('.rb-range');
    slider.value = 0;
    slider.dispatchEvent(new Event('input'));
    document.querySelector('.rb-play').click();
    const times = [];
    await new Promise((done) => {
        const step = (now) => { times.push(now); times.length < 300 ? requestAnimationFrame(step) : done(); };
        requestAnimationFrame(step);
    });
    return times.slice(1).map((t, i) => t - times[i]);
}"""  # noqa: E501


def page_of(n: int, epochs: int = 8) -> str:
    """An explorer of n points at random."""
    random = np.random.RandomState(0)
    widget = EmbeddingExplorer.from_vectors(
        [torch.from_numpy(random.randn(n, 16)).float() for _ in range(epochs)],
        [random.randn(n, 2) for _ in range(epochs)],
        [f"A point called {i}" for i in range(n)],
        title="Points", epochs=range(epochs),
        colourings={"kind": [f"kind {i % 12}" for i in range(n)]},
    )  # fmt: skip
    return f"<!doctype html><html lang='en'><body>{widget.to_html()}</body></html>"


def main() -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        raise SystemExit(f"no browser found (looked for {', '.join(names)})")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        running = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        )
        for n in (1_000, 2_000, 5_000):
            path = Path(folder) / f"{n}.html"
            path.write_text(page_of(n))
            page = running.new_page()
            page.goto(path.as_uri())
            page.locator(".rb-map").click()  # a point pinned: lines and titles are drawn too
            gaps = np.array(page.evaluate(GAPS))
            slow = np.quantile(gaps, 0.95)
            print(
                f"{n:5} points: median {1000 / np.median(gaps):.0f} frames a second, "
                f"slowest twentieth {1000 / slow:.0f}"
            )
            page.close()
        running.close()


if __name__ == "__main__":
    main()
