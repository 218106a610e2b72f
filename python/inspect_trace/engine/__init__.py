"""Inside inspect_ai: its trace log is written, closed, kept and compressed by this package.

inspect_ai finds `inspect_trace.engine.entry_point` through its own extension entry point (the group
`inspect_ai`), and loads it before an evaluation begins. What there is to know is in
docs/integration.md. `INSPECT_TRACE_ENGINE=inspect_ai` leaves everything as it is without us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._status import EngineStatus, status

if TYPE_CHECKING:
    from ._takeover import activate

__all__ = ["EngineStatus", "activate", "status"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """`activate`, with the writing side, which the command `status` has no use for."""
        if name == "activate":
            from ._takeover import activate

            return activate
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
