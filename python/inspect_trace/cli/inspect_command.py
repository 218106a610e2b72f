"""The `inspect` script: `inspect trace ...` is ours, anything else is inspect_ai's own.

Both packages install a script of this name. Ours answers `trace` without importing inspect_ai
and hands every other command line, untouched, to the entry point which inspect_ai declares.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint


def main() -> None:
    """Run `inspect`."""
    if sys.argv[1:2] == ["trace"]:
        from inspect_trace.cli.start import main as trace_main

        trace_main(sys.argv[2:], prog_name="inspect trace")
        return
    entry_point = _inspect_ai_script()
    if entry_point is None:
        sys.stderr.write(
            "inspect: only `inspect trace` is available here; for the other commands install "
            "inspect_ai (pip install inspect-ai)\n"
        )
        sys.exit(1)
    command: Callable[[], int | str | None] = entry_point.load()
    if "inspect_ai._util.logger" in sys.modules:
        # Where a task has hooks of its own, older versions of inspect_ai load no entry points.
        import inspect_trace.engine.entry_point  # noqa: F401

    sys.exit(command())


def _inspect_ai_script() -> EntryPoint | None:
    """The console script `inspect` of the installed inspect_ai, if there is one."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        declared = distribution("inspect_ai").entry_points
    except PackageNotFoundError:
        return None
    scripts = declared.select(group="console_scripts", name="inspect")
    return next(iter(scripts), None)
