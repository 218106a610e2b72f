"""Traces the processes that a program starts, from their start until they are reaped.

Whatever is written in Python starts processes by `subprocess.Popen`: `subprocess.run`, asyncio,
anyio and trio too. So that is what is traced, and a process is one action however it was started.
Not traced are processes that are started by other means: `os.posix_spawn`, `os.fork`, uvloop.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from inspect_trace._core import trace_message
from inspect_trace._report import warn_of_exception
from inspect_trace.action import _outcome
from inspect_trace.levels import TRACE

from ._action import LOGGER, OpenAction
from ._command import command_of
from ._frames import hide_our_frames
from ._source import Source

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import ModuleType

    from ._source import Wrap

    _Reason: TypeAlias = Literal["timeout", "cancel"]

_KEY: Final = "_inspect_trace_run"
"""Where a `Popen` carries what is known of its run. A weak dictionary would need it hashable."""

_ENDING: Final = frozenset(
    (
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGABRT,
        signal.SIGKILL,
        signal.SIGTERM,
    )
)
"""What a program sends to a process that it wants to end."""

_PARAMETERS: Final = (
    "args",
    "bufsize",
    "executable",
    "stdin",
    "stdout",
    "stderr",
    "preexec_fn",
    "close_fds",
    "shell",
    "cwd",
    "env",
)
"""Those of `Popen` that may be given by position, as far as they are of interest."""


class _Run:
    """A process that was started, and is not reaped yet."""

    __slots__ = ("_action", "_ended_for", "_given_up_for", "_handled_before")

    def __init__(self, action: OpenAction) -> None:
        self._action = action
        self._given_up_for: _Reason | None = None
        self._ended_for: _Reason | None = None
        self._handled_before = id(sys.exc_info()[1])

    def given_up(self, error: BaseException) -> None:
        """Who waited for it in a task was cancelled; who ends it now may be another task."""
        self._given_up_for = _reason(error)

    def why(self) -> _Reason | None:
        """Why the program would end it right now: for what it is handling, or has given up for."""
        error = sys.exc_info()[1]
        if error is not None and id(error) != self._handled_before:
            reason = _reason(error)
            if reason is not None:
                return reason
        return self._given_up_for

    def signalled(self, reason: _Reason | None) -> None:
        """The program has sent it a signal that is to end it."""
        if self._ended_for is None:
            self._ended_for = reason

    def reaped(self, pid: int, status: int) -> None:
        """It has ended."""
        reason = self._ended_for
        if reason is None and status < 0:  # by `os.killpg`, say, which nobody looks at
            reason = self.why()
        fields = {} if status == sys.maxsize else status_fields(status)  # `__del__`: unknown
        error = {"timeout": TimeoutError(), "cancel": GeneratorExit(), None: None}[reason]
        self._action.finish(error, child_pid=pid, **fields)


def _reason(error: BaseException) -> _Reason | None:
    outcome = _outcome(error)
    if outcome == "timeout" or getattr(error, "source", None) == "deadline":  # trio says so
        return "timeout"
    return "cancel" if outcome == "cancel" else None


def status_fields(status: int) -> dict[str, Any]:
    """What is told of how a process ended: its status, as `Popen.returncode`, and its signal."""
    fields: dict[str, Any] = {"exit_status": status}
    if status < 0:
        try:
            fields["signal"] = signal.Signals(-status).name
        except ValueError:  # a real-time signal
            fields["signal"] = f"signal {-status}"
    return fields


def _start(wrapped: Any, process: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    action = _opened(args, kwargs)
    if action is None:
        wrapped(*args, **kwargs)
        return
    try:
        wrapped(*args, **kwargs)
    except BaseException as error:
        action.finish(error)
        raise
    action.detach()
    run = _Run(action)
    vars(process)[_KEY] = run
    trace_message(
        LOGGER,
        action.action,
        "process %d: %s",
        process.pid,
        action.detail,
        extra={"child_pid": process.pid},
    )


def _opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> OpenAction | None:
    """The action of a call of `Popen`, if it is traced."""
    try:
        if not LOGGER.isEnabledFor(TRACE):
            return None
        given = dict(zip(_PARAMETERS, args, strict=False)) | kwargs
        command = command_of(
            given.get("args"), is_shell=bool(given.get("shell")), environment=given.get("env")
        )
        action = OpenAction(command.action, command.detail, **command.fields)
    except Exception as error:
        warn_of_exception("tracing a process", error)
        return None
    return action if action.is_open else None


def _look_again(wrapped: Any, process: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of `Popen._wait` and `Popen._internal_poll`, by which all others reap."""
    try:
        return wrapped(*args, **kwargs)
    finally:
        _look(process)


def _look(process: Any) -> None:
    if process.returncode is not None:
        run = vars(process).pop(_KEY, None)
        if run is not None:
            run.reaped(process.pid, process.returncode)


def _signal(wrapped: Any, process: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    run: _Run | None = vars(process).get(_KEY)
    reason = None if run is None else run.why()
    wrapped(*args, **kwargs)
    sent = args[0] if args else kwargs.get("sig")
    if run is not None and process.returncode is None and sent in _ENDING:
        run.signalled(reason)


def _exited(wrapped: Any, transport: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Of asyncio's transport, whose child watcher reaps the process behind the back of `Popen`."""
    process = transport._proc  # noqa: SLF001
    wrapped(*args, **kwargs)
    if process is not None:
        _look(process)


def _asyncio_wait(
    wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    transport = instance._transport  # noqa: SLF001
    return _watched(wrapped(*args, **kwargs), getattr(transport, "_proc", None))


def _trio_wait(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _watched(wrapped(*args, **kwargs), instance._proc)  # noqa: SLF001


async def _watched(waiting: Awaitable[Any], process: Any) -> Any:
    try:
        return await waiting
    except BaseException as error:
        run: _Run | None = None if process is None else vars(process).get(_KEY)
        if run is not None:
            run.given_up(error)
        hide_our_frames(error)
        raise


def _system(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    line = args[0] if args else kwargs.get("command")
    action = _opened((), {"args": line, "shell": True})
    if action is None:
        status: int = wrapped(*args, **kwargs)
        return status
    try:
        status = wrapped(*args, **kwargs)
    except BaseException as error:
        action.finish(error)
        raise
    action.finish(**status_fields(os.waitstatus_to_exitcode(status)))
    return status


def _patch_subprocess(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "Popen.__init__", _start)
    wrap(module, "Popen._wait", _look_again)
    wrap(module, "Popen._internal_poll", _look_again)
    wrap(module, "Popen.send_signal", _signal)


def _patch_asyncio_transport(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "BaseSubprocessTransport._process_exited", _exited)


def _patch_asyncio(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "Process.wait", _asyncio_wait)
    wrap(module, "Process.communicate", _asyncio_wait)


def _patch_trio(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "Process.wait", _trio_wait)


def _patch_os(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "system", _system)


SOURCE: Final = Source(
    "subprocess",
    {
        "subprocess": _patch_subprocess,
        "asyncio.base_subprocess": _patch_asyncio_transport,
        "asyncio.subprocess": _patch_asyncio,
        "trio": _patch_trio,
        "os": _patch_os,
    },
)
