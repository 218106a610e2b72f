"""A program traced by inspect_trace, with actions of every fate: what our own logs look like.

It says `hanging` on stdout inside two open actions, and goes on when its stdin is closed.
"""

from __future__ import annotations

import logging
import sys

from inspect_trace import HTTP, init_tracing, trace_action, trace_message

logger = logging.getLogger("program")


def main() -> None:
    """Trace a little of everything."""
    init_tracing()
    with trace_action(logger, "Fine", "ends %s", "well"):
        trace_message(logger, "Note", "between %(a)s", {"a": "ü"})
    for error in (ValueError("no such thing"), TimeoutError(), KeyboardInterrupt()):
        try:
            with trace_action(logger, "Bad", "ends in %s", type(error).__name__):
                raise error
        except BaseException:
            pass
    logger.log(HTTP, 'GET http://h/ "HTTP/1.1 200 OK" ')
    logger.log(HTTP, "POST http://h/ - 503")
    logger.warning("a warning", extra={"sample_id": 7})
    with trace_action(logger, "Outer", "waits"), trace_action(logger, "Inner", "for stdin"):
        print("hanging", flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == "__main__":
    main()
