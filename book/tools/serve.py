"""Serve the built book on this machine only, under the path it has when published."""

from __future__ import annotations

import argparse
import functools
import http.server
from pathlib import Path
from urllib.parse import urlsplit

from recsys_book import BOOK

SITE = Path(__file__).parents[2] / "_build" / "html"
PREFIX = urlsplit(BOOK).path  # "/recsys-book/"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of the book under its prefix, and its own page for what is not there."""

    def translate_path(self, path: str) -> str:
        return super().translate_path("/" + path.removeprefix(PREFIX))

    def send_error(self, code, message=None, explain=None):
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.exists():
            return super().send_error(code, message, explain)
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Silence: the address is all a reader needs."""


def make_server(port: int, site: Path = SITE) -> http.server.ThreadingHTTPServer:
    """A server on the loopback address; port 0 takes any free one."""
    handler = functools.partial(Handler, directory=str(site))
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    if not (SITE / "index.html").exists():
        raise SystemExit("There is no book yet: run `make book` first.")
    server = make_server(arguments.port)
    print(f"http://127.0.0.1:{server.server_port}{PREFIX}  (Ctrl-C to stop)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
