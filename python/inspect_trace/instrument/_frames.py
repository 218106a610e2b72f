"""Keeps the frames of tracing out of the tracebacks that the program shows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = str(Path(__file__).parent.parent) + "/"


def hide_our_frames(error: BaseException) -> None:
    """Takes the outermost frames of a traceback away, as far as they are of this package.

    For an `except BaseException as error:` that goes on with a bare `raise`: this adds no frame
    anew, so that the traceback is the one that there were without tracing.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        trace = trace.tb_next
    error.__traceback__ = trace
