"""`python -m inspect_trace`: the same as the `inspect-trace` command."""

from __future__ import annotations

from inspect_trace.cli.start import main

if __name__ == "__main__":
    main(prog_name="python -m inspect_trace")
