"""Draw the README's picture: the front page of the built book, as a browser shows it.

When the front page changes, after `make book`:

    .venv/bin/python book/tools/readme_picture.py

writes book/images/readme.png. It needs a built book in _build/html, and a Chromium or Chrome: one
on the path, or playwright's own. The page is served on this machine and the browser reaches nothing
else. The same page gives the same file: the size is fixed, the theme is the light one, nothing in
the page moves by itself, and colours are cut to a palette of 256.
"""

from __future__ import annotations

import argparse
import io
import shutil
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from serve import PREFIX, SITE, make_server

PICTURE = Path(__file__).parents[1] / "images" / "readme.png"
PAGE = "book/index.html"
WIDTH, HEIGHT = 1280, 900  # CSS pixels, which are the picture's
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


def photograph(address: str) -> bytes:
    """A PNG of the page once all its widgets are drawn.

    Args:
        address: of the page; nothing but this machine can be reached.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu", ONLY_HERE]
        )
        page = running.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme="light",
            reduced_motion="reduce",
        )
        page.goto(address)
        views = page.locator("script[type='application/vnd.jupyter.widget-view+json']").count()
        page.wait_for_function(
            "n => document.querySelectorAll('.rb-widget').length === n", arg=views
        )
        page.wait_for_load_state("networkidle")
        taken = page.screenshot(animations="disabled", caret="hide")
        running.close()
    return taken


def reduced(png: bytes) -> bytes:
    """The same picture in 256 colours, without metadata."""
    made = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
    return made.getvalue()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--site", type=Path, default=SITE, help="the built book (default: %(default)s)"
    )
    parser.add_argument("--to", type=Path, default=PICTURE, help="the file (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if not (arguments.site / PAGE).is_file():
        raise SystemExit(f"There is no book in {arguments.site}: run `make book` first.")
    server = make_server(0, arguments.site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        png = photograph(f"http://127.0.0.1:{server.server_port}{PREFIX}{PAGE}")
    finally:
        server.shutdown()
    arguments.to.write_bytes(reduced(png))
    print(f"{arguments.to}: {WIDTH} by {HEIGHT}, {arguments.to.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
