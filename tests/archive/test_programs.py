"""Programs whose logs are shipped by an archiver that starts by itself."""

from __future__ import annotations

import pytest

from archive.place import URL, Place
from archive_support import Program, archivers_of, end_archivers_of, until

pytest.importorskip("obstore")
pytest.importorskip("boto3")
pytest.importorskip("moto")

# The libraries leave sessions to the garbage collector, and call what botocore has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_a_program_is_archived_by_itself(place: Place) -> None:
    """With the variable set an archiver that is no child ships the log, and then ends."""
    program = Program(place.archiving)
    program.trace(10)
    until(lambda: [each for each in place.manifests() if each["records"] == 20])
    program.trace(5)
    until(lambda: [each for each in place.manifests() if each["records"] == 30])
    assert len(list(archivers_of(place.directory))) == 1
    assert program.end() == (0, "no child\n", "")
    until(place.finished)
    until(lambda: not list(archivers_of(place.directory)))
    place.check_whole()
    assert place.manifests()[0]["interval"] == 0.2


def test_what_a_killed_program_traced_last_arrives(place: Place) -> None:
    """The last records before a SIGKILL are in the archive soon after."""
    program = Program(place.archiving)
    program.trace(40)
    program.kill()
    (manifest,) = until(place.finished)
    assert manifest["records"] == 80
    place.check_whole()


def test_an_archiver_that_is_killed_is_followed_by_another(place: Place) -> None:
    """What it left is shipped by the archiver of the next program."""
    first = Program(place.archiving)
    first.trace(10)
    until(lambda: [each for each in place.manifests() if each["records"] == 20])
    end_archivers_of(place.directory)
    first.trace(10)
    assert first.end()[0] == 0
    second = Program(place.archiving)
    second.trace(3)
    assert second.end()[0] == 0
    until(lambda: place.finished(2))
    place.check_whole()


def test_a_program_waits_at_its_end_if_asked(place: Place) -> None:
    """With INSPECT_TRACE_ARCHIVE_WAIT_S the log is in the archive when the program has ended."""
    environment = {
        **place.archiving,
        "INSPECT_TRACE_ARCHIVE_INTERVAL_S": "600",
        "INSPECT_TRACE_ARCHIVE_WAIT_S": "50",
    }
    program = Program(environment)
    program.trace(30)
    assert program.end() == (0, "no child\n", "")
    (manifest,) = place.finished()
    assert manifest["records"] == 60


def test_a_store_that_refuses_is_not_felt(place: Place) -> None:
    """The program runs and ends as it would; once the store answers, everything gets there."""
    refused = []

    def refuse(method: str, path: str, when: str) -> bool:
        refused.append(path)
        return True

    place.proxy.fault = refuse
    program = Program(place.archiving)
    program.trace(30)
    until(lambda: refused)
    assert program.end() == (0, "no child\n", "")
    assert place.all_keys() == []
    place.proxy.fault = lambda method, path, when: False
    until(place.finished)
    place.check_whole()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"INSPECT_TRACE_ARCHIVE": "bucket/x"}, "'bucket/x' is no URL"),
        ({"INSPECT_TRACE_ARCHIVE": "ftp://x/y"}, "'ftp://x/y' is of no kind of store"),
        ({"INSPECT_TRACE_ARCHIVE_INTERVAL_S": "often"}, "it has to be a number of seconds"),
    ],
)
def test_a_wrong_setting_is_one_line(place: Place, changes: dict[str, str], reason: str) -> None:
    """The program goes on, and is told once."""
    program = Program({**place.archiving, **changes})
    code, out, errors = program.end()
    assert (code, out) == (0, "no child\n")
    assert errors.count("\n") == 1
    assert reason in errors


def test_one_archiver_takes_care_of_a_directory(place: Place) -> None:
    """Another one says so, and does nothing."""
    program = Program(place.archiving)
    program.trace(1)
    until(place.manifests)
    done = place.run("archive", "--to", URL)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "another archiver takes care of" in done.stderr
    program.end()
