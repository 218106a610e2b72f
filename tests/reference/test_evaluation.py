"""Each of our commands on a real evaluation's trace, beside the reference's command."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from reference.conftest import Evaluation

SGR = re.compile(r"\x1b\[[0-9;]*m")
LOGS = ["finished", "unpacked", "killed"]
BUCKETS = ["running", "cancelled", "errors", "timeouts"]
MODEL_FIELDS = {
    "timestamp",
    "level",
    "message",
    "action",
    "event",
    "trace_id",
    "detail",
    "start_time",
    "duration",
    "error",
    "error_type",
    "stacktrace",
}
"""All that the reference's `dump` keeps of a record."""


def both(evaluation: Evaluation, log: str, *arguments: str) -> tuple[str, str]:
    """What both commands print for a log; neither complains."""
    command, *options = arguments
    path = str(getattr(evaluation, log))
    ours = evaluation.home.ours(command, path, *options)
    theirs = evaluation.home.theirs(command, path, *options)
    assert (ours.returncode, ours.stderr) == (0, "")
    assert (theirs.returncode, theirs.stderr) == (0, "")
    return ours.stdout, theirs.stdout


def words(text: str) -> list[list[str]]:
    """The words of each line that has any, without colours."""
    return [line.split() for line in SGR.sub("", text).splitlines() if line.strip()]


def records(evaluation: Evaluation, log: str) -> list[dict[str, Any]]:
    """The records of a log, by the standard library alone."""
    path = evaluation.unpacked if log == "finished" else getattr(evaluation, log)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_trace_has_everything(evaluation: Evaluation) -> None:
    """The evaluation left a record of every kind, or the tests below would show nothing."""
    found = {
        (record.get("action"), record.get("event")) for record in records(evaluation, "killed")
    }
    assert {
        ("Model", "exit"),
        ("Tool Call", "exit"),
        ("Subprocess", "exit"),
        ("Subprocess", "timeout"),
        ("Subtask", "exit"),
        ("Count", "exit"),
        ("Custom", "error"),
        ("Custom", "cancel"),
        ("Custom", "exit"),
        ("Hang", "enter"),
        ("Run Task", "enter"),
        (None, None),
    } <= found
    levels = {record["level"] for record in records(evaluation, "killed")}
    assert levels == {"TRACE", "HTTP", "WARNING"}
    samples = {(r["sample_id"], r["epoch"]) for r in records(evaluation, "killed") if "task" in r}
    assert samples == {("first", 1), ("first", 2), ("second", 1), ("second", 2)}


class TestList:
    """`list`."""

    def test_json(self, evaluation: Evaluation) -> None:
        """The same files with the same times, in the same order; ours may say more of each."""
        ours, theirs = (
            json.loads(run("list", "--json").stdout)
            for run in (evaluation.home.ours, evaluation.home.theirs)
        )
        assert [{"file": row["file"], "mtime": row["mtime"]} for row in ours] == theirs
        assert len(theirs) == 2

    def test_table(self, evaluation: Evaluation) -> None:
        """The same times and files (the reference's has a zone name and the quoted path, too)."""
        ours = evaluation.home.ours("list").stdout
        theirs = evaluation.home.theirs("list").stdout
        shared = [row[: len(known)] for row, known in zip(words(ours), words(theirs), strict=True)]
        assert shared == words(theirs)

    def test_newest_is_the_default(self, evaluation: Evaluation) -> None:
        """Without FILE both read the newest log."""
        ours, theirs = (
            json.loads(run("anomalies", "--json").stdout)["trace_file"]
            for run in (evaluation.home.ours, evaluation.home.theirs)
        )
        assert ours == theirs == str(evaluation.killed)


class TestDump:
    """`dump`."""

    @pytest.mark.parametrize("log", LOGS)
    def test_same_records(self, evaluation: Evaluation, log: str) -> None:
        """The fields which the reference keeps are the same, in records of the same order."""
        ours, theirs = (json.loads(text) for text in both(evaluation, log, "dump"))
        kept = [
            {name: value for name, value in record.items() if name in MODEL_FIELDS}
            for record in ours
        ]
        # The reference gives a default to actions without a detail; all of these have one.
        assert kept == theirs

    @pytest.mark.parametrize("log", LOGS)
    def test_better_no_field_is_lost(self, evaluation: Evaluation, log: str) -> None:
        """Ours keeps every field: task, sample, module, line, ..."""
        ours, theirs = (json.loads(text) for text in both(evaluation, log, "dump"))
        assert ours == records(evaluation, log)
        assert any("sample_id" in record for record in ours)
        assert not any("sample_id" in record for record in theirs)

    def test_same_layout(self, evaluation: Evaluation) -> None:
        """The layout is the reference's (the order of fields is the log's, not the model's)."""
        ours, theirs = both(evaluation, "killed", "dump", "--filter", "Run Task")
        (record,) = json.loads(ours)
        assert ours == json.dumps([record], indent=2) + "\n"
        assert sorted(line.rstrip(",") for line in ours.splitlines()) == sorted(
            line.rstrip(",") for line in theirs.splitlines()
        )

    @pytest.mark.parametrize(
        "text", ["sample=first", "SUBPROCESS", "no such text", "naïve", "漢字"]
    )
    def test_filter(self, evaluation: Evaluation, text: str) -> None:
        """`--filter` selects the same records."""
        ours, theirs = (
            json.loads(output) for output in both(evaluation, "unpacked", "dump", "--filter", text)
        )
        assert [record["message"] for record in ours] == [record["message"] for record in theirs]
        assert bool(ours) == (text != "no such text")

    def test_better_jsonl(self, evaluation: Evaluation) -> None:
        """`--jsonl` gives the log's own records, one a line."""
        result = evaluation.home.ours("dump", str(evaluation.finished), "--jsonl")
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert lines == records(evaluation, "finished")


class TestHttp:
    """`http`."""

    @pytest.mark.parametrize("log", LOGS)
    def test_json(self, evaluation: Evaluation, log: str) -> None:
        """The same requests in the same envelope."""
        ours, theirs = (json.loads(text) for text in both(evaluation, log, "http", "--json"))
        assert ours["trace_file"] == theirs["trace_file"]
        assert ours["as_of"] == pytest.approx(theirs["as_of"], abs=120)
        assert [
            {"timestamp": row["timestamp"], "message": row["message"]} for row in ours["requests"]
        ] == theirs["requests"]
        assert len(theirs["requests"]) == 24

    def test_filter(self, evaluation: Evaluation) -> None:
        """`--filter` selects the same requests."""
        ours, theirs = (
            [row["message"] for row in json.loads(text)["requests"]]
            for text in both(evaluation, "finished", "http", "--json", "--filter", "too many")
        )
        assert ours == theirs
        assert len(ours) == 4

    def test_better_failed_means_failed(self, evaluation: Evaluation) -> None:
        """`--failed` leaves out what succeeded with 201 or 204; the reference keeps these."""
        ours, theirs = (
            [row["message"] for row in json.loads(text)["requests"]]
            for text in both(evaluation, "finished", "http", "--json", "--failed")
        )
        assert [
            message for message in theirs if "201" not in message and "204" not in message
        ] == ours
        assert len(theirs) == 20
        assert len(ours) == 12

    @pytest.mark.parametrize("options", [(), ("--filter", "sample=second")])
    def test_table(self, evaluation: Evaluation, options: tuple[str, ...]) -> None:
        """The same requests in the same order; in ours each is one line, with its time."""
        ours, theirs = both(evaluation, "finished", "http", *options)
        times = re.compile(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\]")
        assert all(times.match(line) for line in ours.splitlines())
        assert set(times.findall(ours)) == set(times.findall(theirs))
        assert times.sub("", ours.replace("↵", " ")).split() == times.sub("", theirs).split()
        messages = [r for r in records(evaluation, "finished") if r["level"] == "HTTP"]
        assert len(ours.splitlines()) == len(messages) // (2 if options else 1)


class TestAnomalies:
    """`anomalies`."""

    @pytest.mark.parametrize("log", LOGS)
    @pytest.mark.parametrize("options", [(), ("--all",), ("--filter", "sample=first")])
    def test_json(self, evaluation: Evaluation, log: str, options: tuple[str, ...]) -> None:
        """The same buckets with the same rows in the same order."""
        ours, theirs = (
            json.loads(text) for text in both(evaluation, log, "anomalies", "--json", *options)
        )
        assert ours["trace_file"] == theirs["trace_file"]
        assert list(theirs) == ["trace_file", "as_of", *BUCKETS]
        assert set(theirs) <= set(ours)
        for bucket in BUCKETS:
            assert len(ours[bucket]) == len(theirs[bucket]), bucket
            for our_row, their_row in zip(ours[bucket], theirs[bucket], strict=True):
                if bucket == "running":
                    their_row.pop("duration")  # see the improvement below
                assert {name: our_row[name] for name in their_row} == their_row

    def test_rows_there_are(self, evaluation: Evaluation) -> None:
        """The buckets compared above hold what the evaluation did."""
        answer = json.loads(both(evaluation, "killed", "anomalies", "--json")[0])
        actions = {bucket: {row["action"] for row in answer[bucket]} for bucket in BUCKETS}
        assert actions == {
            "running": {"Run Task", "Outer", "Hang"},
            "cancelled": {"Custom"},
            "errors": {"Custom"},
            "timeouts": {"Subprocess"},
        }

    def test_while_it_runs(self, evaluation: Evaluation) -> None:
        """While the process lives, both tell the same actions and the same running times."""
        ours, theirs = (evaluation.while_hanging[name] for name in ("ours", "theirs"))
        assert ours["process"] == {"pid": evaluation.killed_pid, "alive": True, "ended_at": None}
        for our_row, their_row in zip(ours["running"], theirs["running"], strict=True):
            assert our_row["interrupted"] is False
            assert our_row["start_time"] == their_row["start_time"]
            assert our_row["duration"] == ours["as_of"] - our_row["start_time"]
            assert their_row["duration"] == theirs["as_of"] - their_row["start_time"]

    def test_better_the_dead_run_no_longer(self, evaluation: Evaluation) -> None:
        """Once it is killed its open actions are interrupted, at the log's last record."""
        ours, theirs = (
            json.loads(text) for text in both(evaluation, "killed", "anomalies", "--json")
        )
        hang = next(row for row in ours["running"] if row["action"] == "Hang")
        assert all(row["interrupted"] for row in ours["running"])
        assert ours["process"]["alive"] is False
        assert ours["process"]["pid"] == evaluation.killed_pid
        assert hang["duration"] == ours["process"]["ended_at"] - hang["start_time"]
        assert hang["duration"] < 1  # it hung as the last thing it did
        their_hang = next(row for row in theirs["running"] if row["action"] == "Hang")
        assert their_hang["duration"] == theirs["as_of"] - their_hang["start_time"]

    def test_better_samples_are_told(self, evaluation: Evaluation) -> None:
        """Ours says which sample each action belongs to, and gives its id and error type."""
        ours, theirs = (
            json.loads(text) for text in both(evaluation, "killed", "anomalies", "--json")
        )
        for row in ours["errors"]:
            assert row["sample_id"] in {"first", "second"}
            assert row["epoch"] in {1, 2}
            assert row["task"] == "task"
            assert row["error_type"] == "ValueError"
            assert len(row["trace_id"]) == 22
        assert set(theirs["errors"][0]) == {"action", "detail", "start_time", "duration", "error"}

    @pytest.mark.parametrize("options", [(), ("--all",)])
    @pytest.mark.parametrize("log", ["finished", "unpacked"])
    def test_table(self, evaluation: Evaluation, log: str, options: tuple[str, ...]) -> None:
        """The same sections with the same rows, except for the text that would harm."""
        ours, theirs = both(evaluation, log, "anomalies", *options)
        assert ours.splitlines()[0] == f"TRACE: {shlex.quote(str(getattr(evaluation, log)))}"
        ours_rows, theirs_rows = words(ours), words(theirs)
        for name in ("Running", "Cancelled", "Error", "Timeout"):
            heading = [name, "Actions"]
            assert (heading in ours_rows) == (heading in theirs_rows)
        harmless = [row for row in theirs_rows if row[0] in ("TRACE:", "Subprocess")]
        assert harmless[0] in ours_rows
        for row in theirs_rows:
            if "cancelled" in row or "timeout" in row:
                assert row in ours_rows

    def test_better_table_shows_text_as_it_is(self, evaluation: Evaluation) -> None:
        """Markup stays text and escape sequences become visible; the reference fails on both."""
        path = str(evaluation.killed)
        ours = evaluation.home.ours("anomalies", path, "--all")
        assert ours.returncode == 0
        assert "[bold]markup[/bold]" in ours.stdout
        assert "\\x1b[31mred" in ours.stdout
        assert "\x1b" not in ours.stdout
        assert "Interrupted Actions" in ours.stdout
        theirs = evaluation.home.theirs("anomalies", path, "--all")
        assert "[bold]markup[/bold]" not in theirs.stdout
        assert "\x1b" in theirs.stdout
