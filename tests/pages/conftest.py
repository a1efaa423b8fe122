"""The built book, served on this machine, in a headless browser that can reach nothing else."""

import os
import shutil
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from waiting import PATIENCE, laid_out

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "book" / "tools"))

#: Noise of the theme and the widget manager that no change here can silence; nothing else passes.
ALLOWED = (
    "Identifier 'THEBE_JS_URL' has already been declared",
    "invalid theme mode",
    "strict mode: use allowUnionTypes",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def missing(reason: str) -> None:
    """Skip with a visible reason; fail where a browser is required, as in CI."""
    if os.environ.get("RECSYS_BOOK_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def site() -> str:
    """Address of the built book, under the path it has when published."""
    from serve import PREFIX, make_server

    if not (SITE / "index.html").exists():
        missing("there is no built book in _build/html: run `make book` first")
    server = make_server(0, SITE)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    path = find_browser()
    if path is None:
        missing(f"no Chromium or Chrome found (looked for {', '.join(BROWSERS)})")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                # The network is cut off: no name but this machine's address resolves.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )  # fmt: skip
        yield running
        running.close()


@dataclass
class Heard:
    """What a page said and asked for."""

    console: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@pytest.fixture
def new_page(browser):
    """new_page(**options) → an empty page in a context of its own, as Browser.new_context takes."""
    contexts = []

    def new_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        return context.new_page()

    yield new_page
    for context in contexts:
        context.close()


@pytest.fixture
def open_page(new_page, site):
    """open_page(path, theme) → (page, heard), once all that loads has loaded and is drawn."""

    def open_page(path: str, theme: str = "light", status: int = 200):
        page = new_page(color_scheme=theme, viewport={"width": 1280, "height": 900})
        heard = Heard()

        def console(text: str, kind: str) -> None:
            if kind in ("error", "warning") and not any(a in text for a in ALLOWED):
                heard.console.append(text)

        page.on("console", lambda m: console(m.text, m.type))
        page.on("pageerror", lambda e: console(str(e), "error"))
        own = ("http://127.0.0.1", "data:", "blob:")
        page.on("request", lambda r: r.url.startswith(own) or heard.outside.append(r.url))
        page.on("response", lambda r: r.status < 400 or heard.failed.append(r.url))
        assert page.goto(site + path).status == status  # all that the page itself names is loaded
        page.evaluate("window.MathJax?.startup?.promise?.then(() => true)")  # formulas are set
        page.wait_for_function("""() =>
            document.querySelectorAll('.rb-widget').length === document.querySelectorAll(
                "script[type='application/vnd.jupyter.widget-view+json']").length
        """)  # widgets are there, and those that are images have loaded
        page.evaluate("""() => Promise.all(
            [...document.querySelectorAll('img.rb-picture')].map(i => i.decode()))""")
        laid_out(page)
        page.evaluate("document.fonts.ready.then(() => true)")  # asked for while laying out
        return page, heard

    return open_page
