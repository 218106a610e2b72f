"""Runtime tracing: what a program is doing right now, what hung, what it did when it was killed."""

from ._core import __version__
from .action import trace_action, trace_message
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
from .setup import Tracing, init_tracing
from .store import TraceFile, list_trace_files, resolve_trace_file, trace_dir

__all__ = [
    "HTTP",
    "TRACE",
    "Action",
    "Anomalies",
    "FollowedRecords",
    "Records",
    "TraceFile",
    "TraceHandler",
    "TraceRecord",
    "Tracing",
    "__version__",
    "anomalies",
    "follow",
    "init_tracing",
    "list_trace_files",
    "resolve_trace_file",
    "scan",
    "trace_action",
    "trace_dir",
    "trace_message",
]
