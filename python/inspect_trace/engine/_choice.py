"""Who is to write inspect_ai's trace log, as the environment has it."""

from __future__ import annotations

import os
from typing import Final

ENGINE_VARIABLE: Final = "INSPECT_TRACE_ENGINE"
OURS: Final = "inspect_trace"
THEIRS: Final = "inspect_ai"


def chosen_engine() -> tuple[str, str | None]:
    """The engine that is wanted, and what is wrong with the variable, if anything."""
    value = os.environ.get(ENGINE_VARIABLE, "")
    name = value.strip().lower().replace("-", "_")
    if name == THEIRS:
        return THEIRS, None
    if name in ("", OURS):
        return OURS, None
    return OURS, (
        f"{ENGINE_VARIABLE}={value}: there is no such engine (inspect_trace, or inspect_ai to have "
        "its own); using inspect_trace"
    )
