"""`inspect-trace timeline`: the file that is written; tests/browser looks at it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.logs import MIXED, action, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run

KEY = "sk-ant-api03-" + "a1B2c3D4" * 6


def facts(page: str) -> dict[str, Any]:
    """The data within a page."""
    _, _, data = page.partition('<script type="application/json" id="data">')
    shown: dict[str, Any] = json.loads(data.partition("</script>")[0])
    return shown


def test_a_page_is_written(inspect_trace: Run, tmp_path: Path) -> None:
    """The page has the actions of all logs, and the command says what to do with it."""
    logs = [write_log(tmp_path / f"{name}.log", *MIXED) for name in "ab"]
    out = tmp_path / "out.html"
    result = inspect_trace("timeline", "-o", str(out), *map(str, logs))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{out} is written: open it in a browser.\n"
    page = out.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    shown = facts(page)
    assert [log["path"] for log in shown["logs"]] == list(map(str, logs))
    assert sorted(shown["trace_id"]) == sorted(["ok", "open", "cancelled", "failed", "late"] * 2)
    assert sorted(shown["outcome"]) == sorted("01345" * 2)
    assert shown["texts"][shown["error"][1]] == "no such thing"


def test_never_overwrites(inspect_trace: Run, tmp_path: Path) -> None:
    """A file that is there stays as it is without --force, and a log even with it."""
    log = write_log(tmp_path / "app.log", *MIXED)
    out = tmp_path / "out.html"
    out.write_text("mine")
    refused = inspect_trace("timeline", "-o", str(out), str(log))
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "pass --force" in refused.stderr
    assert out.read_text() == "mine"
    assert inspect_trace("timeline", "--force", "-o", str(out), str(log)).returncode == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert inspect_trace("timeline", "--force", "-o", str(log), str(log)).returncode == 1
    assert inspect_trace("timeline", str(log)).returncode == 2, "OUT has to be named"


def test_what_is_left_out_is_told(inspect_trace: Run, tmp_path: Path) -> None:
    """To standard output as well; what is skipped or left out is on standard error."""
    log = write_log(tmp_path / "app.log", *MIXED, "no record")
    result = inspect_trace("timeline", "--limit", "4", "-o", "-", str(log))
    assert result.returncode == 0
    assert len(facts(result.stdout)["trace_id"]) == 4
    told = result.stderr.splitlines()
    assert told[0] == "1 action is not on the page (a shorter one that ended well): see --limit"
    assert "1 line" in told[1]
    last = inspect_trace("timeline", "--tail", "2", "--action", "tool", "-o", "-", str(log))
    assert facts(last.stdout)["trace_id"] == []


def test_secrets_are_left_out(inspect_trace: Run, tmp_path: Path) -> None:
    """Keys are not on the page, unless they are asked for."""
    log = write_log(tmp_path / "app.log", action("Tool", f"curl {KEY}", "enter", "t"))
    assert KEY not in inspect_trace("timeline", "-o", "-", str(log)).stdout
    assert KEY in inspect_trace("timeline", "--no-redact", "-o", "-", str(log)).stdout
