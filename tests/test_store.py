"""The trace directory from Python: where it is, what it holds, which file a name stands for."""

from __future__ import annotations

import gzip
import os
import pwd
import struct
import sys
from pathlib import Path
from typing import NoReturn

import platformdirs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import inspect_trace
from inspect_trace import _core, store

RECORD = '{"timestamp": "2026-01-01T00:00:00+00:00", "level": "TRACE", "message": "m"}\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A trace directory with three logs, `trace-1.log` the oldest, `trace-3.log` the newest."""
    directory = tmp_path / "traces"
    directory.mkdir()
    (directory / "trace-1.log.gz").write_bytes(gzip.compress(RECORD.encode()))
    (directory / "trace-2.log.gz").write_bytes(gzip.compress(RECORD.encode()))
    (directory / "trace-3.log").write_text(RECORD)
    for age, name in enumerate(["trace-3.log", "trace-2.log.gz", "trace-1.log.gz"]):
        os.utime(directory / name, (1_000_000 - age, 1_000_000 - age))
    return directory


def names(files: list[inspect_trace.TraceFile]) -> list[str]:
    return [Path(file.path).name for file in files]


def test_trace_dir_defaults_to_the_directory_of_inspect_ai(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a variable the directory is the one that inspect_ai uses, and is not created."""
    monkeypatch.delenv("INSPECT_TRACE_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert inspect_trace.trace_dir() == platformdirs.user_data_path("inspect_ai") / "traces"
    assert not inspect_trace.trace_dir().exists()


PATHS = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "/", "//", "//a", "/a//b", "/a/", "/a/.", "/a/../b", "a", "~"]),
    st.text(alphabet="/.~a \u00e9\udcff", max_size=8),
)


def nobody(uid: int) -> NoReturn:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


@given(data=PATHS, home=PATHS, known=st.booleans())
@example(data=None, home="//", known=True)
@example(data=None, home="/a/", known=True)
@example(data=None, home=None, known=False)
def test_default_directory_is_what_platformdirs_says(
    data: str | None, home: str | None, known: bool
) -> None:
    """Whatever the environment, the default is `traces` in the directory that `platformdirs` gives.

    Where it gives none, because nobody knows the user's home, the error says what to do.
    """
    values = {"XDG_DATA_HOME": data, "HOME": home}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("INSPECT_TRACE_DIR", raising=False)
        for name, value in values.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        if not known:
            patch.setattr(pwd, "getpwuid", nobody)
        try:
            expected = platformdirs.user_data_path("inspect_ai") / "traces"
        except RuntimeError:
            with pytest.raises(FileNotFoundError, match="INSPECT_TRACE_DIR"):
                store.find_trace_dir()
        else:
            assert store.find_trace_dir() == str(expected)


@pytest.mark.parametrize(
    ("data", "home"), [("/data", "/home/me"), (None, "/home/me"), ("", "/home/me"), (None, "/")]
)
def test_usual_environments_need_no_platformdirs(
    data: str | None, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the answer is plain on Linux, `platformdirs`, slow to load, is not asked."""
    expected = platformdirs_says(monkeypatch, data, home)
    monkeypatch.setitem(sys.modules, "platformdirs", None)  # importing it fails
    assert store.find_trace_dir() == expected


def platformdirs_says(monkeypatch: pytest.MonkeyPatch, data: str | None, home: str) -> str:
    """Sets the environment, and tells what `platformdirs` makes of it."""
    for name in ("INSPECT_TRACE_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", home)
    if data is not None:
        monkeypatch.setenv("XDG_DATA_HOME", data)
    return str(platformdirs.user_data_path("inspect_ai") / "traces")


@given(named=st.text(alphabet="/.~a \u00e9\udcff", min_size=1, max_size=8))
def test_named_directory_is_written_as_pathlib_writes_it(named: str) -> None:
    """A named directory is made absolute, and `~` expanded, as `pathlib` does both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSPECT_TRACE_DIR", named)
        try:
            expected = Path(named).expanduser().absolute()
        except RuntimeError:  # the home of a user that there is not
            expected = platformdirs.user_data_path("inspect_ai") / "traces"
        assume(expected.is_dir() or not os.path.lexists(expected))
        assert store.find_trace_dir() == str(expected)


def test_a_trace_dir_that_is_a_dangling_link_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A symbolic link to nothing cannot become a directory: one line, and the default."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nothing")
    monkeypatch.setenv("INSPECT_TRACE_DIR", str(link))
    monkeypatch.setattr(store, "_reported", set())
    assert inspect_trace.trace_dir() == platformdirs.user_data_path("inspect_ai") / "traces"
    assert "not a directory" in capsys.readouterr().err


def test_trace_dir_follows_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """INSPECT_TRACE_DIR names the directory, whether it exists yet or not."""
    monkeypatch.setenv("INSPECT_TRACE_DIR", str(tmp_path / "new"))
    assert inspect_trace.trace_dir() == tmp_path / "new"


def test_a_trace_dir_that_is_a_file_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value that cannot be a directory gives one clear line, and the default."""
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("INSPECT_TRACE_DIR", str(file))
    monkeypatch.setattr(store, "_reported", set())
    for _ in range(3):
        assert inspect_trace.trace_dir() == platformdirs.user_data_path("inspect_ai") / "traces"
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "INSPECT_TRACE_DIR" in err
    assert "not a directory" in err


def test_list_is_newest_first(directory: Path) -> None:
    """Logs are listed by modification time, newest first, with size and pid."""
    files = inspect_trace.list_trace_files(directory)
    assert names(files) == ["trace-3.log", "trace-2.log.gz", "trace-1.log.gz"]
    assert [file.pid for file in files] == [3, 2, 1]
    assert files[0].size == len(RECORD)
    assert files[0].mtime == 1_000_000
    assert files[1].alive is False


def test_list_of_a_missing_directory_is_empty(tmp_path: Path) -> None:
    """A directory that nothing has been traced into yet holds no logs."""
    assert inspect_trace.list_trace_files(tmp_path / "missing") == []


def test_list_leaves_out_what_is_no_log(directory: Path) -> None:
    """Foreign files, FIFOs, symlinks and directories are not listed."""
    (directory / "README.txt").write_text("hello")
    (directory / "trace-9.log").symlink_to(directory / "trace-3.log")
    os.mkfifo(directory / "trace-8.log")
    (directory / "trace-7.log").mkdir()
    assert names(inspect_trace.list_trace_files(directory)) == [
        "trace-3.log",
        "trace-2.log.gz",
        "trace-1.log.gz",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "trace-3.log"),
        ("trace.log", "trace-3.log"),
        ("trace.log.1.gz", "trace-2.log.gz"),
        ("trace.log.2.gz", "trace-1.log.gz"),
        ("trace-2.log.gz", "trace-2.log.gz"),
        ("trace-2.log", "trace-2.log.gz"),
        ("trace-3.log.gz", "trace-3.log"),
    ],
)
def test_names_stand_for_files(directory: Path, name: str | None, expected: str) -> None:
    """Names, old names, and names from before or after the compression find their log."""
    assert inspect_trace.resolve_trace_file(name, directory) == directory / expected


def test_names_are_looked_for_in_the_current_directory_too(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative name that the trace directory does not have is found where the user is."""
    (tmp_path / "mine.log").write_text(RECORD)
    monkeypatch.chdir(tmp_path)
    assert inspect_trace.resolve_trace_file("mine.log", directory) == tmp_path / "mine.log"


def test_a_missing_file_is_one_clear_line(directory: Path) -> None:
    """What cannot be found is said in one line that names it."""
    with pytest.raises(FileNotFoundError) as caught:
        inspect_trace.resolve_trace_file("trace-99.log", directory)
    assert "trace-99.log" in str(caught.value.strerror)
    assert "\n" not in str(caught.value)


def test_an_empty_directory_is_one_clear_line(tmp_path: Path) -> None:
    """No log at all is said in one line that names the directory."""
    with pytest.raises(FileNotFoundError) as caught:
        inspect_trace.resolve_trace_file(None, tmp_path)
    assert str(tmp_path) in str(caught.value.strerror)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """A directory given as a file is refused as one."""
    with pytest.raises(IsADirectoryError):
        inspect_trace.resolve_trace_file(str(tmp_path), tmp_path)


def test_compressed_logs_open_anywhere_and_in_parts(directory: Path) -> None:
    """Python's gzip reads a large log that was compressed, as a whole and each member of it."""
    log = directory / "trace-1.log"
    (directory / "trace-1.log.gz").unlink()
    content = RECORD.encode() * 30_000
    log.write_bytes(content)
    os.utime(log, (1, 1))
    assert _core.housekeep(str(directory), 10).compressed == 1
    compressed = (directory / "trace-1.log.gz").read_bytes()
    assert gzip.decompress(compressed) == content

    parts, at = [], 0
    while at < len(compressed):
        assert compressed[at : at + 16].endswith(b"IT\x04\0")
        (length,) = struct.unpack_from("<I", compressed, at + 16)
        parts.append(gzip.decompress(compressed[at : at + length]))
        at += length
    assert b"".join(parts) == content
    assert len(parts) == 3
    assert all(part.endswith(b"\n") for part in parts)
    assert len(list(inspect_trace.scan(directory / "trace-1.log.gz"))) == 30_000
