"""The page of `inspect-trace timeline`, in a browser."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from cli.logs import MIXED, STARTED, action, record, write_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from browser.conftest import Open, Timeline

STACK = [
    {"file": "main.py", "line": 3, "function": "main"},
    {"file": "wait.py", "line": 7, "function": "wait_for_answer"},
]
NESTED = (
    action("Eval", "all", "enter", "e", task="t"),
    *(
        line
        for sample in ("s-1", "s-2")
        for line in (
            action("Sample", sample, "enter", sample, parent_id="e", task="t", sample_id=sample),
            action(
                "Tool",
                f"tool of {sample}",
                "enter",
                f"{sample}-t",
                parent_id=sample,
                task="t",
                sample_id=sample,
            ),
        )
    ),
    action("Tool", "tool of s-1", "exit", "s-1-t", second=8, task="t", sample_id="s-1"),
    action("Sample", "s-1", "exit", "s-1", second=10, task="t", sample_id="s-1"),
    record("[inspect-trace] waits", second=10, event="stall", trace_id="s-2-t", stack=STACK),
    record("last words", second=25),
)
MANY = 100_000


@pytest.fixture
def mixed(tmp_path: Path, open_timeline: Open, trace_dir: Path) -> Timeline:
    """The page of a log with an action of each fate; its process is dead."""
    log = write_log(trace_dir / "trace-4194304.log", *MIXED)
    os.utime(log, (STARTED, STARTED))
    return open_timeline()


@pytest.fixture
def nested(open_timeline: Open, trace_dir: Path) -> Timeline:
    """The page of a log with two samples, one of which was interrupted."""
    log = write_log(trace_dir / "trace-4194304.log", *NESTED)
    os.utime(log, (STARTED, STARTED))
    return open_timeline()


def middle(timeline: Timeline, number: int) -> tuple[float, float]:
    """The middle of an action, in the chart."""
    drawn = timeline.rectangle(number)
    return drawn["x"] + drawn["width"] / 2, drawn["y"] + drawn["height"] / 2


def test_loads_nothing_and_complains_of_nothing(mixed: Timeline) -> None:
    """The page asks for nothing but itself, and the console stays empty, whatever one does."""
    mixed.settle()
    for keys in ("e", "+", "0", "l", "?", Keys.ESCAPE, "/bad\n", Keys.ESCAPE):
        mixed.keys(keys)
    assert mixed.complaints() == []
    assert mixed.requests() == [mixed.path.as_uri()]


def test_network_is_forbidden(mixed: Timeline) -> None:
    """Even a script on the page cannot load anything, nor run what it adds as text."""
    outcome = mixed.driver.execute_async_script(
        "const done = arguments[0];"
        "fetch('file:///').then(() => done('loaded'), () => done('refused'))"
    )
    assert outcome == "refused"
    mixed.run(
        "const script = document.createElement('script');"
        "script.textContent = 'window.ran = true'; document.body.append(script)"
    )
    assert mixed.run("return window.ran") is None


def test_each_outcome_has_its_colour(mixed: Timeline) -> None:
    """Where an action is drawn there is the colour of how it ended, and beside it there is none."""
    numbers = mixed.actions()
    for detail, outcome in (
        ("ends well", "ended"),
        ("generate", "interrupted"),
        ("sleep 9", "cancelled"),
        ("bad", "failed"),
        ("slow", "timed-out"),
    ):
        assert mixed.action(numbers[detail])["outcome"] == outcome
        drawn = mixed.rectangle(numbers[detail])
        # At its lower edge, where there is no writing.
        x, y = drawn["x"] + 5, drawn["y"] + drawn["height"] - 1.5
        assert mixed.colour(x, y) == mixed.style(outcome)
    legend = mixed.text("legend").split("\n")
    assert [line for line in legend if line.isalpha() or " " in line] == [
        "Ended well",
        "Interrupted",
        "Failed",
        "Timed out",
        "Cancelled",
    ]


def test_open_actions_last_until_their_process_ended(nested: Timeline) -> None:
    """What a dead process had open is marked, and drawn until its last record."""
    numbers = nested.actions()
    shown = nested.action(numbers["tool of s-2"])
    assert shown["outcome"] == "interrupted"
    assert shown["start"] == pytest.approx(STARTED)
    assert shown["duration"] == pytest.approx(25)
    assert not nested.element("notice").is_displayed()
    assert nested.action(numbers["tool of s-1"])["duration"] == pytest.approx(8)
    ended, still_open = (nested.rectangle(numbers[f"tool of s-{n}"]) for n in (1, 2))
    assert still_open["width"] == pytest.approx(ended["width"] * 25 / 8, rel=0.01)


def test_running_actions_last_until_now(open_timeline: Open, tmp_path: Path) -> None:
    """What runs lasts until the page was made, and a line says that this is now."""
    log = write_log(tmp_path / "app.log", action("Model", "generate", "enter", "m"))
    timeline = open_timeline(str(log))
    shown = timeline.action(0)
    assert shown["outcome"] == "running"
    made = timeline.path.stat().st_mtime
    assert shown["start"] + shown["duration"] == pytest.approx(made, abs=60)
    assert "goes on beyond the right edge" in timeline.text("notice")
    timeline.keys("o")
    assert "Running" in timeline.text("details")
    assert "so far" in timeline.text("details")


def test_actions_are_in_what_they_are_part_of(nested: Timeline) -> None:
    """Each sample has a lane, in which an action stands below the one that it is in."""
    numbers = nested.actions()
    lanes = nested.state["lanes"]
    assert [lane["title"] for lane in lanes] == ["t", "s-1", "s-2"]
    assert [lane["rows"] for lane in lanes] == [1, 2, 2]
    assert nested.state["mostOpen"] == 5
    for sample in ("s-1", "s-2"):
        outer, inner = numbers[sample], numbers[f"tool of {sample}"]
        assert nested.action(inner)["parent"] == outer
        assert nested.action(inner)["lane"] == nested.action(outer)["lane"]
        assert nested.rectangle(inner)["y"] > nested.rectangle(outer)["y"]


def test_lanes_by_process(nested: Timeline) -> None:
    """The lanes can be the processes', and the samples' again."""
    box = nested.element("lanes-by")
    box.find_element(By.CSS_SELECTOR, "[value=process]").click()
    assert [lane["title"] for lane in nested.state["lanes"]] == ["Process 4194304"]
    rows = [nested.action(number)["row"] for number in nested.actions().values()]
    assert sorted(rows) == [0, 1, 2, 3, 4], "what is open at the same time is apart"
    nested.keys("l")
    assert nested.state["lanesBy"] == "sample"


def test_zoom(nested: Timeline) -> None:
    """Keys, buttons and the wheel zoom, the latter around the pointer; 0 shows all of it again."""
    whole = nested.state
    span = whole["to"] - whole["from"]
    nested.keys("+")
    assert nested.state["to"] - nested.state["from"] == pytest.approx(span / 2)
    nested.element("zoom-in").click()
    assert nested.state["to"] - nested.state["from"] == pytest.approx(span / 4)
    nested.keys("-")
    assert nested.state["to"] - nested.state["from"] == pytest.approx(span / 2)
    tool = nested.actions()["tool of s-1"]
    x, y = nested.rectangle(tool)["x"] + nested.rectangle(tool)["width"], 100
    nested.wheel(x, y, -240, control=True)
    assert nested.state["to"] - nested.state["from"] < span / 3
    drawn = nested.rectangle(tool)
    assert drawn["x"] + drawn["width"] == pytest.approx(x, abs=1)
    nested.keys("0")
    assert nested.state["from"] == pytest.approx(whole["from"])
    assert nested.state["to"] == pytest.approx(whole["to"])
    for _ in range(60):
        nested.keys("+")
    closest = nested.state
    assert closest["to"] - closest["from"] == pytest.approx(2e-5, rel=0.05)


def test_pan(nested: Timeline) -> None:
    """Dragging and arrow keys move what is in view, and never out of what there is."""
    nested.keys("++")
    before = nested.state
    span = before["to"] - before["from"]
    nested.pointer(("press", 700, 300), ("move", 600, 300), ("release", 500, 300))
    after = nested.state
    assert after["to"] - after["from"] == pytest.approx(span)
    assert after["from"] > before["from"]
    nested.keys(Keys.ARROW_LEFT)
    assert nested.state["from"] < after["from"]
    for _ in range(40):
        nested.keys(Keys.ARROW_LEFT)
    assert nested.state["from"] == pytest.approx(STARTED, abs=0.5)


def test_overview_chooses_a_range(nested: Timeline) -> None:
    """A range dragged on the strip at the top is what is shown then; dragging it moves it."""
    whole = nested.state
    nested.pointer(("press", 400, 20), ("move", 500, 20), ("release", 600, 20), within="overview")
    part = nested.state
    assert whole["from"] < part["from"] < part["to"] < whole["to"]
    nested.pointer(("press", 500, 20), ("release", 600, 20), within="overview")
    moved = nested.state
    assert moved["to"] - moved["from"] == pytest.approx(part["to"] - part["from"])
    assert moved["from"] > part["from"]
    # Something is open all the time, and the strip shows it.
    assert nested.colour(500, 44, "overview") != nested.colour(500, 2, "overview")


def test_tooltip_and_details(mixed: Timeline) -> None:
    """The pointer shows an action in short, a click all of it: error, stack trace and all."""
    failed = mixed.actions()["bad"]
    place = middle(mixed, failed)
    mixed.pointer(("move", *place))
    for words in ("Tool", "bad", "failed · 3.00 s", "ValueError: no such thing"):
        assert words in mixed.text("tooltip")
    mixed.pointer(("press", *place), ("release", *place))
    assert mixed.state["selected"] == failed
    told = mixed.text("details")
    for words in (
        "Failed",
        "Duration\n3.00 s",
        "Start\n2023-11-14 22:13:20.250",
        "Process\n4194304",
        "Trace id\nfailed",
        "Error\nValueError: no such thing",
        "Stack trace\nTraceback ...",
    ):
        assert words in told
    mixed.keys(Keys.ESCAPE)
    assert not mixed.element("details").is_displayed()


def test_where_it_waits(nested: Timeline) -> None:
    """Of an open action it is told where it waits, and what it is part of, which can be gone to."""
    nested.keys("/tool of s-2\n")
    told = nested.text("details")
    assert (
        "Where it was last seen to wait\nat wait_for_answer (wait.py:7)\nfrom main (main.py:3)"
        in told
    )
    assert "Sample\ns-2" in told
    around = nested.element("details").find_elements(By.CSS_SELECTOR, ".link")
    assert [each.text.split(" (")[0] for each in around] == ["▪ Sample: s-2", "▪ Eval: all"]
    around[0].click()
    assert nested.state["selected"] == nested.actions()["s-2"]
    assert "In it (1)" in nested.text("details")


def test_search(nested: Timeline) -> None:
    """What is sought stands out, is counted and gone through; lanes without a hit are left out."""
    nested.keys("/tool")
    assert nested.text("hits") == "2 hits"
    assert nested.state["shownLanes"] == 2
    numbers = nested.actions()
    sought, other = nested.rectangle(numbers["tool of s-1"]), nested.rectangle(numbers["s-1"])
    assert nested.colour(sought["x"] + 5, sought["y"] + 14.5) == nested.style("ended")
    assert nested.colour(other["x"] + 5, other["y"] + 14.5) != nested.style("ended")
    nested.keys(Keys.ENTER)
    assert (nested.text("hits"), nested.state["selected"]) == ("1 of 2", numbers["tool of s-1"])
    nested.keys(Keys.ENTER)
    assert (nested.text("hits"), nested.state["selected"]) == ("2 of 2", numbers["tool of s-2"])
    nested.element("chart").click()
    nested.keys("N")
    assert nested.text("hits") == "1 of 2"
    nested.keys("/of S-2 Tool")
    assert nested.text("hits") == "1 hit"
    nested.keys("x")
    assert nested.text("hits") == "no hits"
    nested.keys(Keys.ESCAPE)
    assert nested.text("hits") == ""
    assert nested.state["shownLanes"] == 3


def test_rows_can_be_low(nested: Timeline) -> None:
    """Rows are low where many are to be seen at once, and high for names to be read."""
    assert nested.state["labels"] == 5
    nested.keys("r")
    assert nested.state["labels"] == 0
    numbers = nested.actions()
    low = nested.rectangle(numbers["tool of s-2"])
    assert nested.colour(low["x"] + 5, low["y"] + 1) == nested.style("interrupted")
    nested.pointer(("move", low["x"] + 5, low["y"] + 2))
    assert "tool of s-2" in nested.text("tooltip")
    nested.keys("r")
    assert nested.state["labels"] == 5


def test_outcomes_can_be_hidden(mixed: Timeline) -> None:
    """A click on an outcome hides the actions that ended so, and shows them again."""
    before = mixed.state["rectangles"]
    ended = mixed.element("legend").find_element(By.TAG_NAME, "button")
    ended.click()
    assert mixed.state["rectangles"] < before
    assert ended.get_attribute("aria-pressed") == "false"
    mixed.pointer(("move", *middle(mixed, mixed.actions()["ends well"])))
    assert not mixed.element("tooltip").is_displayed()
    ended.click()
    assert mixed.state["rectangles"] == before


def test_keys_are_enough(mixed: Timeline) -> None:
    """Without a mouse: the chart takes the focus, keys go to what failed, and it is said aloud."""
    chart = mixed.element("chart")
    for _ in range(20):
        mixed.keys(Keys.TAB)
        if mixed.driver.switch_to.active_element == chart:
            break
    assert mixed.driver.switch_to.active_element == chart
    mixed.keys("e")
    assert mixed.action(mixed.state["selected"])["outcome"] in ("cancelled", "failed", "timed-out")
    said = mixed.run("return document.getElementById('announcement').textContent")
    assert said.startswith("Subprocess: sleep 9, Cancelled, 2.00 s")
    mixed.keys("o")
    mixed.keys("O")
    assert mixed.action(mixed.state["selected"])["outcome"] == "interrupted"
    mixed.keys("?")
    assert "Keys and mouse" in mixed.text("help")
    mixed.keys(Keys.ESCAPE)
    assert not mixed.element("help").is_displayed()


def test_hostile_texts_are_texts(open_timeline: Open, tmp_path: Path) -> None:
    """Markup in a log is shown letter by letter, and so is what would reorder or hide text."""
    hostile = "</script><img src=x onerror='window.ran=1'><b>\u202egpj\x1b[31m"
    lines = action(
        hostile,
        hostile,
        "error",
        hostile,
        second=3,
        error=hostile,
        error_type=hostile,
        stacktrace=hostile,
        sample_id=hostile,
        task=hostile,
    )
    timeline = open_timeline(str(write_log(tmp_path / "app.log", lines)))
    timeline.keys("e")
    timeline.pointer(("move", *middle(timeline, 0)))
    shown = hostile.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert timeline.text("details").count(shown) >= 6
    assert shown in timeline.text("tooltip")
    assert timeline.run("return window.ran") is None
    assert timeline.driver.find_elements(By.TAG_NAME, "img") == []
    assert timeline.complaints() == []


def test_dark_and_light(open_timeline: Open, tmp_path: Path) -> None:
    """The page follows what the reader prefers, also while it is open, and the chart with it."""
    timeline = open_timeline(str(write_log(tmp_path / "app.log", *MIXED)), dark=True)
    dark = timeline.colour(1270, 500)
    assert dark == timeline.style("page")
    assert int(dark[1:3], 16) < 64
    open_timeline.prefer("light")
    light = timeline.colour(1270, 500)
    assert light == timeline.style("page")
    assert int(light[1:3], 16) > 192


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out(width: int, open_timeline: Open, trace_dir: Path) -> None:
    """However narrow the window, nothing has to be scrolled sideways, and the chart has room."""
    write_log(trace_dir / "trace-1.log", *NESTED)
    timeline = open_timeline(width=width, height=800)
    timeline.keys("o")
    timeline.settle()
    root = timeline.run("return document.documentElement.scrollWidth")
    assert root <= width
    assert timeline.element("chart").rect["height"] > 150
    assert timeline.run("return document.documentElement.scrollHeight") <= 800


def many_lines() -> Iterator[str]:
    """A busy evaluation: 200 samples one after the other, 500 actions in each."""
    for number in range(MANY):
        sample = number // 500
        start = STARTED + sample * 5 + (number % 500) * 0.01
        event = "error" if number % 1000 == 7 else "exit"
        fields: dict[str, Any] = {"sample_id": f"s-{sample}", "task": "t"}
        yield action("Tool", f"call {number}", "enter", f"{number}", start_time=start, **fields)
        yield action("Tool", f"call {number}", event, f"{number}", duration=0.01, **fields)


def test_a_hundred_thousand_actions(open_timeline: Open, tmp_path: Path) -> None:
    """However many actions there are, a frame draws no more than the pixels; all are found."""
    timeline = open_timeline(str(write_log(tmp_path / "app.log", *many_lines())))
    state = timeline.state
    assert state["actions"] == MANY
    rows_in_view = 800 / 18
    assert 0 < state["rectangles"] < rows_in_view * 100
    timeline.element("lanes-by").find_element(By.CSS_SELECTOR, "[value=process]").click()
    state = timeline.state
    assert len(state["lanes"]) == 1
    assert state["mostOpen"] == 1, "each begins as the one before it ends"
    assert 0 < state["rectangles"] <= 1280 * 2, "a row has no more than its pixels"
    # A failure among hundreds in a pixel is seen.
    timeline.keys("0")
    failed = timeline.actions()["call 50007"]
    drawn = timeline.rectangle(failed)
    colours = {timeline.colour(drawn["x"] + by, drawn["y"] + 8) for by in (-1, 0, 1)}
    assert timeline.style("failed") in colours
    timeline.keys("/call 99999\n")
    assert timeline.text("hits") == "1 of 1"
    assert timeline.action(timeline.state["selected"])["detail"] == "call 99999"
    shown = timeline.rectangle(timeline.state["selected"])
    assert shown["width"] > 8
    assert 0 < shown["x"] < 1280


def test_a_deep_chain_and_a_crowd(open_timeline: Open, tmp_path: Path) -> None:
    """Thousands of actions in each other, and as many at the same time, are laid out, too."""
    chain = [action("Deep", f"{n}", "enter", f"d{n}", parent_id=f"d{n - 1}") for n in range(5000)]
    crowd = [action("Wide", f"{n}", "enter", f"w{n}", parent_id="d0") for n in range(5000)]
    timeline = open_timeline(str(write_log(tmp_path / "app.log", *chain, *crowd)))
    state = timeline.state
    assert state["actions"] == 10_000
    assert state["lanes"][0]["rows"] == 10_000, "no two that are open at once share a row"
    assert 0 < state["rectangles"] < 300


def test_what_is_left_out_is_told(open_timeline: Open, tmp_path: Path) -> None:
    """The page says how many actions are not on it."""
    timeline = open_timeline("--limit", "3", str(write_log(tmp_path / "app.log", *MIXED)))
    assert timeline.state["actions"] == 3
    assert timeline.text("notice").startswith("2 actions are not on this page (--limit)")
    empty = open_timeline("--action", "none", str(tmp_path / "app.log"))
    assert empty.state["actions"] == 0
    assert empty.complaints() == []
