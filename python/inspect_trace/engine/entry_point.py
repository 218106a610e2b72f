"""What inspect_ai loads: to be imported is all that happens to an entry point of its group."""

from __future__ import annotations

from inspect_trace._report import warn_of_exception

try:
    from ._takeover import activate

    activate()
except Exception as error:  # an evaluation is worth more than its trace
    warn_of_exception("taking over inspect_ai's trace log", error)
