"""Secrets: taken out of texts, and of everything that is written where that is asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import records_of
from inspect_trace import (
    TraceHandler,
    init_tracing,
    instrument,
    redact,
    trace_action,
    trace_message,
)

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-proj-abcdefghijkl0123456789"
logger = logging.getLogger("redact")


def test_a_text() -> None:
    """The secret goes, its name and what is around it stay."""
    assert redact(f"curl -H 'Authorization: Bearer {KEY}' https://u:p@host/?key=1&a=2 \udc80") == (
        "curl -H 'Authorization: Bearer REDACTED' https://u:REDACTED@host/?key=REDACTED&a=2 \udc80"
    )
    text = "max_tokens=100"
    assert redact(text) is text


@given(st.text(alphabet=st.characters(), max_size=40), st.text(max_size=10))
def test_any_text(before: str, after: str) -> None:
    """Whatever stands around a key, the key goes, and once is enough."""
    once = redact(f"{before} {KEY} {after}")
    assert KEY not in once
    assert redact(once) == once


def test_everything_that_is_written(tmp_path: Path) -> None:
    """Details, errors with their stacks, messages, and extras: no key is in the log."""
    with init_tracing(path=tmp_path / "x.log", redact=True) as tracing:
        trace_message(logger, "Start", "with %s", KEY)
        logger.info("to https://h/?sig=%s", "abc", extra={"api_key": "abcdef", "n": 1})
        try:
            with trace_action(logger, "Model", "generate --api-key abcdef", KEY):
                raise ValueError(f"bad key {KEY}")
        except ValueError:
            logger.exception("failed")
        tracing.handler.flush()
        content = tracing.path.read_text()
    assert KEY not in content
    assert "abcdef" not in content
    message, info, _, error, failed = records_of(tracing.path)
    assert message["message"] == "[Start] with REDACTED"
    assert (info["message"], info["api_key"], info["n"]) == (
        "to https://h/?sig=REDACTED",
        "REDACTED",
        1,
    )
    assert "REDACTED" in error["error"]
    assert "REDACTED" in failed["exc_info"]


@pytest.mark.parametrize(("value", "message"), [("1", "REDACTED"), ("0", KEY), ("", KEY)])
def test_the_environment_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    """`INSPECT_TRACE_REDACT` decides where the program does not."""
    monkeypatch.setenv("INSPECT_TRACE_REDACT", value)
    with init_tracing(path=tmp_path / "x.log") as tracing:
        trace_message(logger, "Start", KEY)
        trace_message(logger, "Start", "with %s", KEY)
    assert [r["message"] for r in records_of(tracing.path)] == [
        f"[Start] {message}",
        f"[Start] with {message}",
    ]


def test_an_odd_environment_redacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What nobody can have meant is told, and taken for what is safe."""
    monkeypatch.setenv("INSPECT_TRACE_REDACT", "on")
    with init_tracing(path=tmp_path / "x.log") as tracing:
        trace_message(logger, "Start", KEY)
    assert "INSPECT_TRACE_REDACT=on: it can be 1 or 0; taken for 1" in capfd.readouterr().err
    assert records_of(tracing.path)[0]["message"] == "[Start] REDACTED"


def test_one_handler_of_a_log_asks(tmp_path: Path) -> None:
    """Once a handler wants a log to be redacted, nothing that others write there has a secret."""
    first = TraceHandler(tmp_path / "x.log")
    record = logging.LogRecord("x", logging.INFO, __file__, 1, KEY, None, None)
    first.handle(record)
    second = TraceHandler(tmp_path / "x.log", redact=True)
    first.handle(record)
    second.handle(record)
    first.close()
    second.close()
    messages = [r["message"] for r in records_of(tmp_path / "x.log")]
    assert messages == [KEY, "REDACTED", "REDACTED"]


@given(value=st.text(max_size=20), name=st.sampled_from(["api_key", "Authorization", "x"]))
def test_extras_stay_json(tmp_path_factory: pytest.TempPathFactory, value: str, name: str) -> None:
    """Whatever an extra is, its line stays a record, and its text is redacted as by itself."""
    path = tmp_path_factory.mktemp("extras") / "x.log"
    handler = TraceHandler(path, redact=True)
    record = logging.LogRecord("x", logging.INFO, __file__, 1, f"{name}={value}", None, None)
    record.extra = {name: [value, 1], "message": f"{name}: {value}"}
    handler.handle(record)
    handler.close()
    (written,) = records_of(path)
    assert written["message"] == redact(f"{name}={value}")
    assert written["extra"]["message"] == redact(f"{name}: {value}")
    assert written["extra"][name][1] == 1


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    """By default what is logged is stored as it is."""
    handler = TraceHandler(tmp_path / "x.log")
    logger.addHandler(handler)
    logger.warning(KEY)
    logger.removeHandler(handler)
    handler.close()
    assert records_of(tmp_path / "x.log")[0]["message"] == KEY


def test_the_sources_redact(tmp_path: Path) -> None:
    """What a source writes has no secrets in any case."""
    with init_tracing(path=tmp_path / "x.log") as tracing:
        instrument.enable("subprocess")
        try:
            subprocess.run([sys.executable, "-c", "", "--api-key", "abcdef", KEY], check=True)
        finally:
            instrument.disable()
        tracing.handler.flush()
        content = tracing.path.read_text()
    assert '"action": "Subprocess"' in content
    assert "abcdef" not in content
    assert KEY not in content
