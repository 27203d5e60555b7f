"""The page of curves over HTTP, for this machine only."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

from ghn.analysis.curves.logs import Logs
from ghn.analysis.explorer.page import assembled
from ghn.common.text import without_nan

ADDRESS = "127.0.0.1"

TRIED = 20
"""Ports that are tried after one that is taken."""


def page_of(logs: Logs, *, seconds: float | None) -> str:
    """The page with the curves as they are now.

    Args:
        logs: What to show.
        seconds: Between its looks for more, from the server that it came from; None for a page that stays as it is.
    """
    assets = files("ghn.analysis.curves") / "assets"
    return assembled(
        assets.joinpath("watch.html").read_text(encoding="utf-8"),
        assets.joinpath("watch.css").read_text(encoding="utf-8"),
        [assets.joinpath(name).read_text(encoding="utf-8") for name in ("chart.js", "watch.js")],
        {"seconds": seconds, "data": without_nan(logs.document())},
        connect="'none'" if seconds is None else "'self'",
    )


class Server(ThreadingHTTPServer):
    """Serves the page at `/` and what it shows at `/data`, to this machine.

    Args:
        folder: Whose trainings are shown.
        port: At which; one that is taken gives way to the next free one, 0 takes any.
        seconds: Between the page's looks for more.

    Raises:
        OSError: If none of the ports is free.
    """

    daemon_threads = True
    # A port that another server listens to is not shared.
    allow_reuse_port = False

    def __init__(self, folder: Path, *, port: int = 0, seconds: float = 3.0) -> None:
        self.logs, self.seconds = Logs(folder), seconds
        self.reading = threading.Lock()
        for number in range(port, port + TRIED) if port else [0]:
            try:
                super().__init__((ADDRESS, number), _Handler)
                return
            except OSError as error:
                taken = error
        raise taken

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "ghn", ""

    def do_GET(self) -> None:
        # Another name for this address is another page's, which is to learn nothing.
        if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost")}:
            self._give(HTTPStatus.FORBIDDEN, "text/plain", "this server is for this machine only")
        elif self.path == "/":
            with self.server.reading:
                text = page_of(self.server.logs, seconds=self.server.seconds)
            self._give(HTTPStatus.OK, "text/html", text)
        elif self.path == "/data":
            with self.server.reading:
                found = self.server.logs.document()
            self._give(HTTPStatus.OK, "application/json", json.dumps(without_nan(found)))
        else:
            self._give(HTTPStatus.NOT_FOUND, "text/plain", "there are / and /data")

    def _give(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: Any) -> None:
        """Say nothing: the terminal shows where the page is."""
