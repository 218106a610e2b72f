"""The screen of `inspect-trace top`, on Textual: a table of what runs, and one of counters.

All that is shown is made by the core. It is read in a thread, so that the screen answers meanwhile.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input, Static
from textual.worker import get_current_worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspect_trace._core import LiveAction, LiveSnapshot, LiveView

ORDERS = ("longest", "newest", "action", "sample")
SHOWN_ROWS = 500
"""So many actions are in the table; how many more there are is told above it."""
MAX_REMOVED_ROWS = 20
"""Where more rows go at once, it costs less to draw the table anew."""
SHOWN_RECORDS = 1000
"""So many records of an action are shown."""
STEP_S = 0.1
WIDE_COLUMNS = 110
"""On a terminal that is narrower some columns are left out; the details have them."""


class Columns:
    """Which columns a terminal has room for, and how wide they are."""

    def __init__(self, width: int, *, several_logs: bool) -> None:
        self.is_wide = width >= WIDE_COLUMNS
        fixed = {"age": 9, "action": 15, "sample": 18 if self.is_wide else 14, "pid": 8}
        names = ["age", "action", "detail", "sample"]
        if self.is_wide:
            fixed |= {"inside": 20, "waits_in": 16}
            names += ["inside", "waits_in", "pid"]
            if several_logs:
                fixed["log"] = 18
                names.append("log")
        # Each has a space on either side.
        left = width - sum(fixed[name] + 2 for name in names if name != "detail") - 4
        self.widths = {name: fixed.get(name, max(left, 12)) for name in names}


TITLES = {
    "age": "Age",
    "action": "Action",
    "detail": "Detail",
    "sample": "Sample",
    "inside": "In",
    "waits_in": "Waits in",
    "pid": "Process",
    "log": "Log",
}


class DetailScreen(Screen[None]):
    """All of one action: where it is, where it waits, and its records."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "app.pop_screen", "Back"),
    ]

    def __init__(self, action: LiveAction, *, redact: bool) -> None:
        super().__init__()
        self._action = action
        self._redact = redact

    def compose(self) -> ComposeResult:
        """The details, and below them the records."""
        with VerticalScroll():
            yield Static(Text(self._action.details), id="details")
            yield Static("Reading its records ...", id="records")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read the records."""
        self.query_one(VerticalScroll).focus()
        self.read_records()

    @work(thread=True, exclusive=True)
    def read_records(self) -> None:
        """Read the action's records: that may take as long as its log is large."""
        worker = get_current_worker()
        text = b""
        try:
            report = self._action.records(limit=SHOWN_RECORDS, redact=self._redact)
            for chunk in report:
                if worker.is_cancelled:
                    return
                text += chunk
        except OSError as error:
            shown = error.strerror or str(error)
        else:
            shown = safe_lines(text)
        self.app.call_from_thread(self._show, shown)

    def _show(self, records: str) -> None:
        if self.is_mounted:
            title = "Its records, and those of actions right within it:\n"
            self.query_one("#records", Static).update(Text(title + records))


def safe_lines(text: bytes) -> str:
    """JSON Lines with nothing in them that steers a terminal."""
    from inspect_trace._core import terminal_safe

    lines = text.decode("utf-8", "replace").splitlines()
    return "\n".join(terminal_safe(line) for line in lines)


class ActionTable(DataTable[Text]):
    """The table of open actions."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Details")]


class TopApp(App[None]):
    """What runs, and counters."""

    CSS = """
    #title { height: 1; text-style: bold; padding: 0 1; }
    #state { height: 1; padding: 0 1; }
    #search { height: 3; }
    #actions { height: 1fr; }
    #counters { height: auto; max-height: 30%; border-top: solid $primary; }
    #details { padding: 1 1; }
    #records { padding: 0 1 1 1; }
    """
    TITLE = "inspect-trace top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "order", "Sort"),
        # Before any widget sees the key: what is typed right behind it is for the search already.
        Binding("slash", "search", "Find", key_display="/", priority=True),
        Binding("i", "innermost", "Innermost"),
        Binding("f,space", "freeze", "Freeze"),
        Binding("t", "theme", "Light/dark"),
        Binding("question_mark,h", "keys", "Help", key_display="?"),
        Binding("escape", "clear", "Clear", show=False),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "interrupt", "Quit", show=False, priority=True),
    ]

    def __init__(self, view: LiveView, *, interval_s: float, redact: bool) -> None:
        """A screen of a view whose first reading is done.

        Args:
            view: What is looked at.
            interval_s: How long to wait between two looks, seconds.
            redact: Whether secrets are left out of records too.
        """
        super().__init__()
        self.failure: OSError | None = None
        self.is_interrupted = False
        self._view = view
        self._interval_s = interval_s
        self._redact = redact
        self._order = 0
        self._text = ""
        self._innermost = False
        self._frozen = False
        self._choice = 0  # how often something else was chosen
        self._columns: Columns | None = None
        self._shown: list[tuple[str, ...]] = []
        self._actions: list[LiveAction] = []
        self._cursor_row = 0  # as it was left when the table was drawn
        self._followed: int | None = None
        self._snapshot: LiveSnapshot | None = None

    def compose(self) -> ComposeResult:
        """Two lines, the tables, and the keys."""
        yield Static(id="title", markup=False)
        yield Static(id="state", markup=False)
        search = Input(id="search", placeholder="Text in an action, a detail, a sample or a task")
        search.display = False
        yield search
        with Vertical():
            yield ActionTable(id="actions", cursor_type="row", zebra_stripes=True)
            yield DataTable[Text](id="counters", cursor_type="none", show_cursor=False)
        yield Footer()

    def on_mount(self) -> None:
        """Show what there is, and begin to look again and again."""
        counters = self.query_one("#counters", DataTable)
        for title in ("Action", "open", "done", "failed", "cancelled", "per s", "p50", "p99"):
            counters.add_column(Text(title, justify="left" if title == "Action" else "right"))
        counters.can_focus = False
        self.query_one("#actions").focus()
        self.show_now()
        self.set_interval(self._interval_s, self.look)

    def on_resize(self) -> None:
        """Another terminal has room for other columns."""
        if self._snapshot is not None:
            self._show(self._snapshot)

    def look(self) -> None:
        """Look again, unless that is not wanted, or goes on."""
        is_looking = any(w.group == "look" and w.is_running for w in self.workers)
        if not (self._frozen or is_looking):
            self._look()

    @work(thread=True, group="look", exit_on_error=False)
    def _look(self) -> None:
        try:
            while self._view.step(STEP_S):
                if get_current_worker().is_cancelled:
                    return
            choice = self._choice
            snapshot = self._take()
        except OSError as error:
            self.failure = error
            self.call_from_thread(self.exit)
            return
        self.call_from_thread(self._show_looked, snapshot, choice)

    def _show_looked(self, snapshot: LiveSnapshot, choice: int) -> None:
        # Made before another key was pressed, it would show for a moment what was before.
        if choice == self._choice and not self._frozen:
            self._show(snapshot)

    def show_now(self) -> None:
        """Show what is known, chosen anew."""
        self._show(self._take())

    def _take(self) -> LiveSnapshot:
        return self._view.snapshot(
            time.time(),
            text=self._text or None,
            limit=SHOWN_ROWS,
            order=ORDERS[self._order],
            innermost=self._innermost,
        )

    def _show(self, snapshot: LiveSnapshot) -> None:
        self._snapshot = snapshot
        if not self.screen_stack or not self.is_running:
            return
        main = self.screen_stack[0]
        main.query_one("#title", Static).update(Text(self._title(snapshot), no_wrap=True))
        state = Text(self._state(snapshot), no_wrap=True, overflow="ellipsis")
        main.query_one("#state", Static).update(state)
        self._show_actions(main.query_one("#actions", DataTable), snapshot)
        self._show_counters(main.query_one("#counters", DataTable), snapshot)

    def _title(self, snapshot: LiveSnapshot) -> str:
        from inspect_trace._core import terminal_safe

        files = snapshot.trace_files
        what = terminal_safe(files[0]) if len(files) == 1 else f"{len(files)} logs"
        room = self.size.width - len(" TRACE:  ")
        # The end of a path tells more than its beginning.
        return f"TRACE: {what if len(what) <= room else '…' + what[1 - room :]}"

    def _state(self, snapshot: LiveSnapshot) -> str:
        parts = [f"{snapshot.running} running"]
        if snapshot.interrupted:
            parts.append(f"{snapshot.interrupted} interrupted")
        if self._view.over:
            parts.append("all processes have ended")
        elif len(snapshot.trace_files) > 1:
            parts.append(f"{snapshot.written} logs are written")
        shown = min(snapshot.chosen, SHOWN_ROWS)
        if shown < snapshot.running + snapshot.interrupted:
            parts.append(f"{shown} shown")
        if self._text:
            parts.append(f"find: {self._text}")
        if self._innermost:
            parts.append("innermost only")
        parts.append(
            f"{ORDERS[self._order]} first" if self._order < 2 else f"by {ORDERS[self._order]}"
        )
        if self._frozen:
            parts.append("FROZEN at " + time.strftime("%H:%M:%S", time.localtime(snapshot.as_of)))
        return " · ".join(parts)

    def _show_actions(self, table: DataTable[Text], snapshot: LiveSnapshot) -> None:
        columns = Columns(self.size.width, several_logs=len(snapshot.trace_files) > 1)
        actions = snapshot.open
        if self._columns is None or self._columns.widths != columns.widths:
            table.clear(columns=True)
            self._shown = []
            for name, width in columns.widths.items():
                table.add_column(TITLES[name], width=width, key=name)
            self._columns = columns
        selected = self._selected(table)
        place = table.scroll_y
        rows = [_cells(action, columns) for action in actions]
        if len(self._shown) - len(rows) > MAX_REMOVED_ROWS:
            table.clear()
            self._shown = []
        # Rows are told by their places: the longest ones stay where they are, and only what is
        # different is drawn.
        for index, (action, cells) in enumerate(zip(actions, rows, strict=True)):
            if index >= len(self._shown):
                texts = zip(cells, columns.widths, strict=True)
                table.add_row(*(_text(cell, name, action) for cell, name in texts), key=str(index))
                continue
            was_dead = self._actions[index].interrupted
            for name, cell, old in zip(columns.widths, cells, self._shown[index], strict=True):
                if cell != old or action.interrupted != was_dead:
                    table.update_cell(str(index), name, _text(cell, name, action))
        for index in range(len(rows), len(self._shown)):
            table.remove_row(str(index))
        self._actions, self._shown = actions, rows
        numbers = [action.number for action in actions]
        if selected in numbers:
            table.move_cursor(row=numbers.index(selected), animate=False, scroll=False)
        self._cursor_row = row = table.cursor_row
        if selected is not None and selected not in numbers:
            # It has ended: the cursor goes with the one in its place.
            self._followed = numbers[row] if 0 < row < len(numbers) else None
        table.scroll_to(y=place, animate=False)

    def _show_counters(self, table: DataTable[Text], snapshot: LiveSnapshot) -> None:
        table.clear()
        counters = snapshot.counters
        counters.sort(key=lambda c: (-c.open, -(c.done + c.failed + c.cancelled)))
        for counter in counters:
            numbers: Sequence[object] = (
                *(counter.open, counter.done, counter.failed, counter.cancelled),
                *(counter.rate, counter.p50, counter.p99),
            )
            texts = [Text(str(number), justify="right") for number in numbers]
            if counter.failed:
                texts[2].stylize("bold red")
            table.add_row(Text(counter.action[:30]), *texts)

    def _selected(self, table: DataTable[Text]) -> int | None:
        """The number of the action that the cursor goes with: the one that it was moved to.

        Whoever has not moved it, or to the top again, looks at the top, whatever comes there.
        """
        row = table.cursor_row
        if row != self._cursor_row:
            self._followed = self._actions[row].number if 0 < row < len(self._shown) else None
        return self._followed

    @on(DataTable.RowSelected, "#actions")
    def show_details(self, selected: DataTable.RowSelected) -> None:
        """Show all of the action whose row was chosen."""
        if selected.cursor_row < len(self._actions):
            action = self._actions[selected.cursor_row]
            self.push_screen(DetailScreen(action, redact=self._redact))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What chooses among actions is of no use where all of one is shown."""
        of_table = action in ("order", "search", "innermost", "freeze", "clear")
        if of_table and len(self.screen_stack) > 1:
            return False
        # In the search itself it is a character.
        if action == "search" and isinstance(self.focused, Input):
            return False
        return super().check_action(action, parameters)

    def action_interrupt(self) -> None:
        """Leave as other commands do on Ctrl-C."""
        self.is_interrupted = True
        self.exit()

    def action_order(self) -> None:
        """Sort in the next way."""
        self._order = (self._order + 1) % len(ORDERS)
        self._choose_again()

    def action_innermost(self) -> None:
        """Only what no other action is open in, or all."""
        self._innermost = not self._innermost
        self._choose_again()

    def action_freeze(self) -> None:
        """Stop looking, or go on."""
        self._frozen = not self._frozen
        if self._frozen and self._snapshot is not None:
            self._show(self._snapshot)
        else:
            self.look()

    def action_theme(self) -> None:
        """Light or dark."""
        self.theme = "textual-dark" if self.theme == "textual-light" else "textual-light"

    def action_keys(self) -> None:
        """Show or hide all keys."""
        if self.screen.query("HelpPanel"):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def action_search(self) -> None:
        """Ask for a text."""
        search = self.query_one("#search", Input)
        search.display = True
        self.screen.set_focus(search)

    def action_clear(self) -> None:
        """Show all again."""
        search = self.query_one("#search", Input)
        search.value = ""
        self._close_search()

    @on(Input.Changed, "#search")
    def find(self, changed: Input.Changed) -> None:
        """Show only what has the text."""
        self._text = changed.value.strip()
        self._choose_again()

    @on(Input.Submitted, "#search")
    def _close_search(self) -> None:
        self.query_one("#search", Input).display = False
        self.query_one("#actions").focus()

    def _choose_again(self) -> None:
        # Also of a frozen screen: of what is known, as of now.
        self._choice += 1
        self.show_now()


def _cells(action: LiveAction, columns: Columns) -> tuple[str, ...]:
    return tuple(str(getattr(action, name)) for name in columns.widths)


def _text(cell: str, name: str, action: LiveAction) -> Text:
    text = Text(
        cell, no_wrap=True, overflow="ellipsis", justify="right" if name == "age" else "left"
    )
    if action.interrupted:
        # Also told without colours.
        if name == "action":
            text = Text("dead ", style="bold red", no_wrap=True) + text
        text.stylize("dim")
    return text
