"""S3, as moto serves it, on a free port of 127.0.0.1, which it prints; until stdin is closed."""

from __future__ import annotations

import logging
import sys

from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)  # noqa: T201
sys.stdin.read()
server.stop()
