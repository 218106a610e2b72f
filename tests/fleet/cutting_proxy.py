"""A proxy on loopback that cuts connections in the middle of what they carry."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 16_384


class CuttingProxy:
    """Passes connections on to a port; every so many-th is cut after some bytes of the answer."""

    def __init__(self, port: int, *, every: int, after_bytes: int) -> None:
        self._target = ("127.0.0.1", port)
        self._every, self._after_bytes = every, after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.cut = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            is_cut = self.connections % self._every == 0
            threading.Thread(target=self._serve, args=(client, is_cut), daemon=True).start()

    def _serve(self, client: socket.socket, is_cut: bool) -> None:
        with client, socket.create_connection(self._target) as server:
            threading.Thread(target=_pass_on, args=(client, server), daemon=True).start()
            if _pass_on(server, client, self._after_bytes if is_cut else None):
                self.cut += 1
                # Whoever waits for more from it waits no longer, and it ends at once.
                for end in (client, server):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()


def _pass_on(source: socket.socket, target: socket.socket, most: int | None = None) -> bool:
    """Passes bytes on until the end, or so many of them; whether there would have been more."""
    passed = 0
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            if most is not None and passed + len(chunk) > most:
                target.sendall(chunk[: most - passed])
                return True
            target.sendall(chunk)
            passed += len(chunk)
        target.shutdown(socket.SHUT_WR)
    return False


@contextlib.contextmanager
def cutting_proxy(port: int, *, every: int, after_bytes: int) -> Iterator[CuttingProxy]:
    """One that runs meanwhile."""
    proxy = CuttingProxy(port, every=every, after_bytes=after_bytes)
    try:
        yield proxy
    finally:
        proxy.close()
