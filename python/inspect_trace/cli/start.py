"""The start of a process that is the command: everything else is loaded from here.

Loading click makes some ten thousand objects that live as long as the process. Looking for garbage
among them, while they are loaded and again when the process ends, would take a fifth of the time
that a short command takes.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(args: Sequence[str] | None = None, prog_name: str = "inspect-trace") -> None:
    """Run the command line (default: the process's own) and leave with its exit code."""
    gc.disable()
    try:
        from inspect_trace.cli.main import main as run_and_leave
    except KeyboardInterrupt:
        sys.exit(130)  # as for any Ctrl-C
    gc.freeze()
    gc.enable()
    run_and_leave(args, prog_name)
