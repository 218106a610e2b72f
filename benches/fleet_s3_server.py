"""S3 of the files of a directory, as moto serves it on a free port of 127.0.0.1; it keeps count.

It prints the port; for each line on its standard input, what was asked of it since the last one:
JSON with `requests`, `answer_bytes` and `cpu_s`. It ends with its input.

    python benches/fleet_s3_server.py DIRECTORY BUCKET
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ACCOUNT = "123456789012"
"""That of whoever asks moto without saying who it is."""


class Counted:
    """An application, and what was asked of it."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._requests, self._answer_bytes, self._cpu_s = 0, 0, time.process_time()

    def __call__(self, environment: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        """Answers a request, and counts it."""
        answer = list(self._application(environment, start))
        with self._lock:
            self._requests += 1
            self._answer_bytes += sum(map(len, answer))
        return answer

    def take(self) -> dict[str, float]:
        """What was asked since the last time."""
        cpu_s = time.process_time()
        with self._lock:
            taken = {
                "requests": self._requests,
                "answer_bytes": self._answer_bytes,
                "cpu_s": cpu_s - self._cpu_s,
            }
            self._requests, self._answer_bytes, self._cpu_s = 0, 0, cpu_s
        return taken


class Quiet(WSGIRequestHandler):
    """Tells nobody of each request; connections stay."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        """Does nothing."""


def main() -> None:
    """The command line: see the top of the file."""
    directory, bucket = Path(sys.argv[1]), sys.argv[2]
    backend = s3_backends[ACCOUNT]["aws"]
    backend.create_bucket(bucket, "us-east-1")
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        backend.put_object(bucket, str(path.relative_to(directory)), path.read_bytes())
    counted = Counted(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, counted, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for _ in sys.stdin:
        print(json.dumps(counted.take()), flush=True)
    server.shutdown()


if __name__ == "__main__":
    main()
