"""Runtime tracing: what a program is doing right now, what hung, what it did when it was killed."""

# What is public is loaded when it is first asked for (PEP 562): reading, the command line above
# all, has no use for the writing side, and importing that takes longer than reading a small log.

TYPE_CHECKING = False  # as in `typing`, which takes as long to import as the rest of this module
if TYPE_CHECKING:
    from ._core import __version__
    from .action import trace_action, trace_message
    from .context import trace_context
    from .handler import TraceHandler
    from .levels import HTTP, TRACE
    from .reader import (
        Action,
        Anomalies,
        FollowedRecords,
        Records,
        TraceRecord,
        anomalies,
        follow,
        scan,
    )
    from .redaction import redact
    from .setup import Tracing, init_tracing
    from .statistics import ActionStats, HttpStats, SlowAction, Stats, stats
    from .store import TraceFile, list_trace_files, resolve_trace_file, trace_dir
    from .tools import traced_subtask, traced_tool

__all__ = [
    "HTTP",
    "TRACE",
    "Action",
    "ActionStats",
    "Anomalies",
    "FollowedRecords",
    "HttpStats",
    "Records",
    "SlowAction",
    "Stats",
    "TraceFile",
    "TraceHandler",
    "TraceRecord",
    "Tracing",
    "__version__",
    "anomalies",
    "follow",
    "init_tracing",
    "list_trace_files",
    "redact",
    "resolve_trace_file",
    "scan",
    "stats",
    "trace_action",
    "trace_context",
    "trace_dir",
    "trace_message",
    "traced_subtask",
    "traced_tool",
]

_HOMES = {
    "_core": ["__version__"],
    "action": ["trace_action", "trace_message"],
    "context": ["trace_context"],
    "handler": ["TraceHandler"],
    "levels": ["HTTP", "TRACE"],
    "reader": [
        "Action",
        "Anomalies",
        "FollowedRecords",
        "Records",
        "TraceRecord",
        "anomalies",
        "follow",
        "scan",
    ],
    "redaction": ["redact"],
    "setup": ["Tracing", "init_tracing"],
    "statistics": ["ActionStats", "HttpStats", "SlowAction", "Stats", "stats"],
    "store": ["TraceFile", "list_trace_files", "resolve_trace_file", "trace_dir"],
    "tools": ["traced_subtask", "traced_tool"],
}
"""The public names by the module that they are loaded from."""


def _load(name: str) -> object:
    """Loads a public name, once: the next time it is found without asking."""
    for module, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            value: object = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _names() -> list[str]:
    """What `dir` shows: the public names too that nobody has asked for yet."""
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # to a type checker it would say that every name exists
    __getattr__ = _load
    __dir__ = _names
