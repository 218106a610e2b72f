"""`top`: the screen driven by Textual's own pilot on live logs, and once on a real terminal."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.logs import MIXED, action, dead_pid, write_log
from cli.screen import DEADLINE_S, OnScreen, Program
from inspect_trace import _core

pytest.importorskip("textual")

from textual.widgets import DataTable, Input, Static

from inspect_trace.cli.top_screen import DetailScreen, TopApp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

    from cli.conftest import Run

SEARCH_BORDER = "▔"
"""Where a text is asked for, and nowhere else."""


def app_of(*names: str, redact: bool = True) -> TopApp:
    """The screen of some logs, which are read once already."""
    view = _core.LiveView(names, os.sep, os.sep, redact=redact)
    while view.step(1):
        pass
    return TopApp(view, interval_s=0.05, redact=redact)


def drive(
    app: TopApp, steps: Callable[[Pilot[None]], Awaitable[None]], size: tuple[int, int] = (130, 40)
) -> None:
    """Run the screen without a terminal, and do something with it."""

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await steps(pilot)

    asyncio.run(run())


def rows(app: TopApp, table: str = "#actions") -> list[list[str]]:
    """What stands in a table."""
    widget = app.screen_stack[0].query_one(table, DataTable)
    return [[str(cell) for cell in widget.get_row_at(index)] for index in range(widget.row_count)]


def names(app: TopApp) -> list[str]:
    """The details of the actions in the table, which tell them apart."""
    return [row[2] for row in rows(app)]


def state(app: TopApp) -> str:
    """The line above the table."""
    return str(app.screen_stack[0].query_one("#state", Static).render())


async def until(pilot: Pilot[None], is_so: Callable[[], bool]) -> None:
    """Wait until the screen is like that."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline_s, rows(pilot.app)  # type: ignore[arg-type]
        await pilot.pause(0.01)


def test_what_runs_is_shown_and_what_ended_counted(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Actions come and go as the program begins and ends them; when it dies they are marked."""
    with Program(tmp_path, environment) as program:
        program.tell("begin", "first")
        app = app_of(program.path)

        async def steps(pilot: Pilot[None]) -> None:
            await until(pilot, lambda: names(app) == ["first"])
            row = rows(app)[0]
            assert row[1:4] == ["Tool Call", "first", "s-first t"]
            assert row[6] == str(program.pid)
            program.tell("begin", "second")
            await until(pilot, lambda: names(app) == ["first", "second"])
            assert rows(app)[1][4] == "Tool Call: first"
            program.tell("fail", "second")
            await until(pilot, lambda: names(app) == ["first"])
            assert rows(app, "#counters")[0][:5] == ["Tool Call", "1", "0", "1", "0"]
            assert state(app).startswith("1 running")
            program.kill()
            await until(pilot, lambda: rows(app)[0][1] == "dead Tool Call")
            await until(pilot, lambda: "all processes have ended" in state(app))
            assert state(app).startswith("0 running · 1 interrupted")

        drive(app, steps)


def three_actions(directory: Path) -> Path:
    """The log of a process that nobody knows, with three open actions."""
    return write_log(
        directory / "app.log",
        action("Model", "generate", "enter", "1", start_time=1_700_000_030, sample_id="b"),
        action("Tool", "outer", "enter", "2", start_time=1_700_000_010, sample_id="c"),
        action(
            "Tool", "inner", "enter", "3", start_time=1_700_000_020, sample_id="a", parent_id="2"
        ),
    )


def test_choosing(tmp_path: Path) -> None:
    """Keys sort, show only innermost actions, and look for a text."""
    app = app_of(str(three_actions(tmp_path)))

    async def steps(pilot: Pilot[None]) -> None:
        assert names(app) == ["outer", "inner", "generate"]
        await pilot.press("down")
        for expected in (
            ["generate", "inner", "outer"],  # the newest first
            ["generate", "outer", "inner"],  # by action
            ["inner", "generate", "outer"],  # by sample
            ["outer", "inner", "generate"],
        ):
            await pilot.press("s")
            assert names(app) == expected
            cursor = app.query_one("#actions", DataTable).cursor_row
            assert expected[cursor] == "inner", "the cursor stays with its action"
        await pilot.press("i")
        assert names(app) == ["inner", "generate"]
        assert "innermost only" in state(app)
        await pilot.press("i", "slash", *"TOOL")
        assert names(app) == ["outer", "inner"]
        assert "2 shown · find: TOOL" in state(app)
        await pilot.press("enter")
        assert not app.query_one("#search", Input).display
        await pilot.press("escape")
        assert len(names(app)) == 3

    drive(app, steps)


def test_who_has_not_moved_the_cursor_sees_what_comes(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """The newest first, new actions come in at the top, and there the screen stays."""
    with Program(tmp_path, environment) as program:
        for number in range(20):
            program.tell("begin", f"old-{number}")
        app = app_of(program.path)

        async def steps(pilot: Pilot[None]) -> None:
            await pilot.press("s")
            table = app.query_one("#actions", DataTable)
            for number in range(8):
                program.tell("begin", f"new-{number}")
            app.look()
            await until(pilot, lambda: names(app)[0] == "new-7")
            await pilot.pause()
            assert (table.cursor_row, table.scroll_y) == (0, 0)
            await pilot.press("down", "down")
            program.tell("begin", "newest")
            app.look()
            await until(pilot, lambda: names(app)[0] == "newest")
            assert names(app)[table.cursor_row] == "new-5", "once moved, it goes with its action"

        drive(app, steps)


def test_freezing(tmp_path: Path, environment: dict[str, str]) -> None:
    """A frozen screen stays as it is, whatever the program does, until it goes on."""
    with Program(tmp_path, environment) as program:
        program.tell("begin", "first")
        app = app_of(program.path)

        async def steps(pilot: Pilot[None]) -> None:
            await until(pilot, lambda: names(app) == ["first"])
            await pilot.press("f")
            assert "FROZEN" in state(app)
            await until(pilot, lambda: not any(worker.is_running for worker in app.workers))
            frozen = rows(app)
            program.tell("begin", "second")
            app.look()
            await pilot.pause()
            assert rows(app) == frozen
            await pilot.press("f")
            await until(pilot, lambda: names(app) == ["first", "second"])

        drive(app, steps)


def test_details(tmp_path: Path) -> None:
    """Enter shows all of an action, where it waits, and its records, without secrets in them."""
    stack = [{"file": "/a/b.py", "line": 7, "function": "wait_for_it"}]
    secret = "sk-ant-api03-" + "a1B2" * 20
    log = write_log(
        tmp_path / "app.log",
        action("Tool", f"use {secret}", "enter", "1"),
        action("Tool", "other", "enter", "2", start_time=1_700_000_099),
        '{"timestamp": "2023-11-14T22:14:20+00:00", "level": "TRACE", "message": "m", '
        f'"event": "stall", "trace_id": "1", "duration": 60.0, "stack": {stack}}}'.replace(
            "'", '"'
        ),
        action("Model", "child", "enter", "3", parent_id="1", start_time=1_700_000_098),
    )
    app = app_of(str(log))

    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        screen = app.screen
        assert isinstance(screen, DetailScreen)
        shown = str(screen.query_one("#details", Static).render())
        assert "Tool: use REDACTED" in shown
        assert "wait_for_it (/a/b.py:7)" in shown
        records: Any = screen.query_one("#records", Static)
        await until(pilot, lambda: "Its records" in str(records.render()))
        text = str(records.render())
        assert [text.count(name) for name in ('"stall"', "child (enter)", "other", secret)] == [
            1,
            1,
            0,
            0,
        ]
        # Keys of the table do nothing here.
        await pilot.press("s", "slash", "i", "f", "escape")
        assert app.screen is app.screen_stack[0]
        assert names(app) == ["use REDACTED", "child", "other"]

    drive(app, steps)


def test_hostile_texts_and_small_terminals(tmp_path: Path) -> None:
    """Markup and escapes are shown as they are, in any size, and in the light theme."""
    hostile = "[red]x[/red] \x1b[2J [/] [@click=app.quit]q[/]"
    log = write_log(
        tmp_path / "app.log",
        action(hostile, hostile, "enter", "1", sample_id=hostile, task=hostile),
        action(hostile, hostile, "enter", "2"),
        action(hostile, hostile, "error", "2"),
    )

    async def steps(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, TopApp)
        assert names(app)[0].startswith("[red]x[/red] \\x1b[2J [/]")
        await pilot.press("t")
        assert app.theme == "textual-light"
        await pilot.press("question_mark", "question_mark", "enter")
        shown = str(app.screen.query_one("#details", Static).render())
        assert "[@click=app.quit]q[/]" in shown
        await pilot.resize_terminal(120, 30)
        await pilot.press("escape")
        await until(pilot, lambda: len(rows(app)[0]) == 7)

    for size in ((20, 5), (80, 24), (200, 60)):
        drive(app_of(str(log)), steps, size)


def test_a_directory(tmp_path: Path, environment: dict[str, str]) -> None:
    """Logs that come to a directory are shown, with their names."""
    directory = tmp_path / "logs"
    write_log(directory / f"trace-{dead_pid()}.log", *MIXED)
    app = app_of(str(directory))

    async def steps(pilot: Pilot[None]) -> None:
        assert rows(app)[0][1] == "dead Model"
        with Program(tmp_path, environment, INSPECT_TRACE_DIR=str(directory)) as program:
            program.tell("begin", "first")
            await until(pilot, lambda: len(rows(app)) == 2)
            first, second = rows(app)
            assert (first[2], second[1]) == ("first", "dead Model")
            assert first[-1] == Path(program.path).name

    drive(app, steps, (200, 40))


def test_a_log_that_goes_away(tmp_path: Path) -> None:
    """What cannot be read any more ends the screen with the reason."""
    directory = tmp_path / "logs"
    write_log(directory / "app.log", *MIXED)
    app = app_of(str(directory))

    async def steps(pilot: Pilot[None]) -> None:
        (directory / "app.log").unlink()
        directory.rmdir()
        deadline_s = time.monotonic() + DEADLINE_S
        while app.failure is None:
            assert time.monotonic() < deadline_s
            await pilot.pause(0.01)

    drive(app, steps)
    assert isinstance(app.failure, FileNotFoundError)


def test_on_a_real_terminal(tmp_path: Path, environment: dict[str, str]) -> None:
    """The command draws, answers keys, follows the program, and leaves the terminal as it was."""
    with (
        Program(tmp_path, environment) as program,
        OnScreen("top", "--interval", "0.05", program.path, environment=environment) as screen,
    ):
        program.tell("begin", "first")
        screen.shows("TRACE: ", Path(program.path).name, "1 running", "first", "Quit")
        program.tell("begin", "second")
        screen.shows("2 running", "second")
        screen.send("i")
        screen.shows("innermost only")
        screen.send("\r")
        screen.shows("running for", "Back")
        screen.send("\x1b")
        screen.shows("Tool Call", "innermost only")
        screen.send("q")
        assert screen.end() == 0
    assert screen.output.count(b"\x1b[?1049h") == screen.output.count(b"\x1b[?1049l") == 1


def test_keys_behind_the_one_that_searches(tmp_path: Path, environment: dict[str, str]) -> None:
    """What is typed, or pasted, in one go with the `/` is what is looked for."""
    path = str(three_actions(tmp_path))
    with OnScreen("top", path, environment=environment, columns=120, lines=40) as screen:
        screen.shows("3 running", "Waits in")
        screen.send("/TO/OL")
        assert SEARCH_BORDER in screen.shows("find: TO/OL")
        screen.send("\x1b")
        screen.shows("3 running · longest first")
        screen.send("/TOOL")
        screen.shows("2 shown", "find: TOOL")
        screen.send("\r")
        screen.until(lambda text: SEARCH_BORDER not in text)
        screen.send("q")
        assert screen.end() == 0


def test_ctrl_c(tmp_path: Path, environment: dict[str, str]) -> None:
    """It ends as every command does on Ctrl-C, and leaves the terminal as it was."""
    path = str(three_actions(tmp_path))
    with OnScreen("top", path, environment=environment, columns=120, lines=40) as screen:
        screen.shows("3 running", "Waits in")
        screen.send("\x03")
        assert screen.end() == 130
    assert screen.output.count(b"\x1b[?1049l") == 1


def test_without_a_terminal(inspect_trace: Run, tmp_path: Path) -> None:
    """One line says what does not need one."""
    result = inspect_trace("top", str(three_actions(tmp_path)))
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "anomalies --watch" in result.stderr


def test_no_such_log(environment: dict[str, str], tmp_path: Path) -> None:
    """What is wrong with the name is told before the screen is taken."""
    with OnScreen("top", str(tmp_path / "none.log"), environment=environment) as screen:
        assert screen.end() == 1
    assert b"none.log" in screen.output
    assert b"\x1b[?1049h" not in screen.output
