"""Secrets: taken out of texts, and of everything that is written where that is asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

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
        "curl -H 'Authorization: REDACTED' https://u:REDACTED@host/?key=REDACTED&a=2 \udc80"
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
