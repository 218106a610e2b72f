"""A log that sources write to, and what is in it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from conftest import records_of
from inspect_trace import init_tracing, instrument

from .stub_server import Stub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SourceLog:
    """The log of a test in which sources are on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def records(self) -> list[dict[str, Any]]:
        """What has been written so far."""
        return records_of(self.path)

    @property
    def ended(self) -> list[dict[str, Any]]:
        """The closing records so far."""
        return [record for record in self.records if record.get("event", "enter") != "enter"]

    @property
    def one(self) -> dict[str, Any]:
        """The one action's closing record."""
        (record,) = self.ended
        return record

    @property
    def events(self) -> list[str]:
        """What has been written of actions so far, as `action:event`."""
        return [f"{r['action']}:{r['event']}" for r in self.records if "action" in r]


@pytest.fixture
def source_log(tmp_path: Path) -> Iterator[SourceLog]:
    """A log of the test's own; all sources are off again when the test ends."""
    with init_tracing(path=tmp_path / "sources.log") as tracing:
        yield SourceLog(tracing.path)
        instrument.disable()


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server on loopback."""
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()
