"""Whether inspect_ai is built as we know it, in the places that we hook into.

It is judged by compiled code alone: that of the functions that are loaded, or that of the source
files, for which inspect_ai has not to be imported.
"""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HANDLER: Final = "LogHandler"


class Expected(NamedTuple):
    """What a function has to be like."""

    arguments: tuple[str, ...]
    """It takes these, perhaps among others."""
    names: tuple[str, ...]
    """It uses these globals and attributes, perhaps in a function within."""
    more: bool = True
    """Whether it may take other arguments."""


EXPECTED: Final[Mapping[str, Expected]] = {
    "LogHandler.__init__": Expected(
        ("self", "env_prefix", "trace_dir"),
        (
            "rotate_trace_files",
            "inspect_trace_file",
            "FileHandler",
            "trace_logger",
            "setFormatter",
            "TraceFormatter",
            "register",
            "compress_trace_log",
        ),
    ),
    "LogHandler.emit": Expected(
        ("self", "record"), ("trace_logger", "trace_logger_level", "levelno", "emit"), more=False
    ),
    "init_logger": Expected(("log_handler_var",), (HANDLER, "_logHandler", "addHandler")),
    "rotate_trace_files": Expected(("trace_dir",), ("unlink",), more=False),
    "inspect_trace_file": Expected(("trace_dir",), ("getpid",), more=False),
    "compress_trace_log": Expected(
        ("log_handler",), ("close", "baseFilename", "exists", "unlink"), more=False
    ),
}
"""The functions of `inspect_ai._util.logger` that the takeover stands on, and of
`inspect_ai._util.trace`, from where it has the last three."""


def changes(codes: Mapping[str, CodeType | None]) -> str | None:
    """What is not as we know it; None: all is."""
    for name, expected in EXPECTED.items():
        code = codes.get(name)
        if code is None:
            return f"there is no function {name}"
        takes = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if not set(expected.arguments) <= set(takes):
            return f"{name} takes other arguments"
        if not expected.more and len(takes) != len(expected.arguments):
            return f"{name} takes more arguments"
        used = {used for inner in _with_inner(code) for used in inner.co_names}
        missing = [used_name for used_name in expected.names if used_name not in used]
        if missing:
            return f"{name} does not use {missing[0]}"
    return None


def loaded_codes(module: Any) -> dict[str, CodeType | None]:
    """The code of the functions, of the loaded module `inspect_ai._util.logger`."""
    return {name: _code_of(module, name) for name in EXPECTED}


def source_codes(logger_source: bytes, trace_source: bytes) -> dict[str, CodeType | None]:
    """The code of the functions, of the sources of `logger.py` and `trace.py`.

    Raises:
        SyntaxError: They are for another Python.
    """
    found: dict[str, CodeType | None] = {}
    for source, file in ((trace_source, "trace.py"), (logger_source, "logger.py")):
        for code in _inner(compile(source, file, "exec", dont_inherit=True)):
            found[code.co_name] = code
            if code.co_name == HANDLER:
                found.update({f"{HANDLER}.{inner.co_name}": inner for inner in _inner(code)})
    return found


def _code_of(module: Any, name: str) -> CodeType | None:
    value = module
    for part in name.split("."):
        value = getattr(value, part, None)
    code = getattr(value, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    yield from _inner(code)
