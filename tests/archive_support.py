"""What the tests of the archive share: a proxy that counts, cuts and kills; programs."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 60
"""When what is waited for is taken not to come."""

PROGRAM = """
import logging, os, sys
from inspect_trace import init_tracing, trace_action, trace_context

tracing = init_tracing(max_bytes=int(sys.argv[1]) if len(sys.argv) > 1 else None)
logger = logging.getLogger("program")
print(tracing.path, flush=True)
number = 0
for line in sys.stdin:
    for _ in range(int(line)):
        with trace_context(task="t"), trace_action(logger, "Step", "number %s", number):
            number += 1
    tracing.handler.flush()
    print(number, flush=True)
try:
    os.wait()
except ChildProcessError:
    print("no child", flush=True)
"""


class Program:
    """A program that traces as many actions as it is told to."""

    def __init__(self, environment: dict[str, str], *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *args],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.path = Path(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def trace(self, count: int) -> None:
        """So many actions are in the log when this returns."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        assert self._line()

    def end(self) -> tuple[int, str, str]:
        """Its exit code, and what it says at last."""
        out, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, errors

    def kill(self) -> None:
        """It is gone at once."""
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)


class Proxy:
    """Passes requests on to a server, one way to be told of them, and another to spoil them."""

    def __init__(self, url: str) -> None:
        self.requests: list[tuple[str, str, int]] = []
        """Method, path and status of those that were answered by the server."""
        self.fault: Callable[[str, str, str], bool] = lambda method, path, when: False
        """Called `before` a request is passed on and `after`; true cuts the connection."""
        target = urlsplit(url).netloc
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if proxy.fault(self.command, self.path, "before"):
                    return self.cut()
                server = http.client.HTTPConnection(target, timeout=DEADLINE_S)
                server.request(self.command, self.path, body, dict(self.headers))
                response = server.getresponse()
                content = response.read()
                proxy.requests.append((self.command, self.path, response.status))
                if proxy.fault(self.command, self.path, "after"):
                    return self.cut()
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = response.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return None

            def cut(self) -> None:
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(2)

            def handle_one_request(self) -> None:
                with suppress(OSError):
                    super().handle_one_request()

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """No more requests."""
        self._server.shutdown()
        self._server.server_close()

    def created(self) -> list[str]:
        """The objects with pieces of logs that were put there, one for each time."""
        return [
            path
            for method, path, status in self.requests
            if method == "PUT" and status == 200 and ".gz" in path
        ]


def until(holds: Callable[[], Any]) -> Any:
    """What a condition gives once it holds; nothing else tells when that is."""
    end_s = time.monotonic() + DEADLINE_S
    while not (found := holds()):
        assert time.monotonic() < end_s, "it does not come"
        time.sleep(0.02)
    return found


def archivers_of(directory: Path) -> Iterator[int]:
    """The archivers that take care of a directory, by their process ids."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"archive" in words and os.fsencode(directory) in words:
                    yield int(entry.name)


def end_archivers_of(directory: Path) -> None:
    """None is left."""
    for pid in archivers_of(directory):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not list(archivers_of(directory)))
