"""`init_tracing`: one call that sets up, changes nothing else, and can be taken back."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sys
from typing import TYPE_CHECKING, Any

import pytest

from conftest import records_of
from inspect_trace.action import trace_action, trace_message
from inspect_trace.handler import TraceHandler
from inspect_trace.levels import TRACE
from inspect_trace.setup import Tracing, init_tracing

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    RunPython = Callable[..., subprocess.CompletedProcess[str]]


class Shown(logging.Handler):
    """A handler of the program, from before tracing, that collects what it shows."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture(autouse=True)
def own_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of loggers of the test's own, with a root as a fresh program has it."""
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging.Logger, "root", root)
    monkeypatch.setattr(logging.Logger, "manager", logging.Manager(root))


@pytest.fixture
def shown() -> Shown:
    """A handler on the root logger from before tracing."""
    handler = Shown()
    logging.getLogger().addHandler(handler)
    return handler


def messages(path: Path) -> list[str]:
    return [record["message"] for record in records_of(path)]


def log_all(logger: logging.Logger, text: str = "") -> None:
    """One record at each of the usual levels."""
    for level in (logging.DEBUG, TRACE, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, f"{text}{level}")


ALL_TRACED = ["13", "20", "30", "40"]

# ---------------------------------------------------------------- setting up


def test_one_call_traces_the_program(trace_directory: Path) -> None:
    """Actions and messages of any logger go to this process's log."""
    with init_tracing() as tracing:
        with trace_action(logging.getLogger("any.package"), "A", "m"):
            trace_message(logging.getLogger("other"), "c", "m")
        assert tracing.path == trace_directory / f"trace-{os.getpid()}.log"
        assert messages(tracing.path) == ["A: m (enter)", "[c] m", "A: m (exit)"]
        assert tracing.handler in logging.getLogger().handlers


def test_what_other_handlers_show_does_not_change(shown: Shown) -> None:
    """The levels are lowered for the log alone: existing handlers show what they showed."""
    own_level = logging.getLogger("own_level")
    own_level.setLevel(logging.INFO)
    on_package = Shown()
    logging.getLogger("package").addHandler(on_package)
    loggers = [logging.getLogger(), own_level, logging.getLogger("package.module")]

    def show() -> list[list[str]]:
        for logger in loggers:
            log_all(logger)
        seen = [list(shown.messages), list(on_package.messages)]
        shown.messages.clear()
        on_package.messages.clear()
        return seen

    before = show()
    with init_tracing() as tracing:
        during = show()
        traced = messages(tracing.path)
    after = show()
    assert before == during == after
    assert traced == [*ALL_TRACED, "20", "30", "40", *ALL_TRACED]


def test_closing_takes_everything_back(shown: Shown) -> None:
    """Handlers, filters and levels are afterwards as they were before."""
    root, package = logging.getLogger(), logging.getLogger("package")
    package.propagate = False
    filters, handlers = list(shown.filters), list(root.handlers)  # pytest's own are there too
    with init_tracing(packages=["package"]) as tracing:
        pass
    assert root.handlers == handlers
    assert package.handlers == []
    assert (root.level, package.level) == (logging.WARNING, logging.NOTSET)
    assert shown.filters == filters
    log_all(root)
    assert messages(tracing.path) == []
    tracing.close()  # again


def test_a_program_without_handlers_goes_on_to_show_warnings(run_python: RunPython) -> None:
    """Where tracing's is the only handler, warnings still come to stderr, and nothing else."""
    program = """
        import logging, sys
        if sys.argv[1] == "traced":
            from inspect_trace.setup import init_tracing
            init_tracing()
        quiet = logging.getLogger("quiet"); quiet.setLevel(logging.ERROR)
        alone = logging.getLogger("alone"); alone.propagate = False
        handled = logging.getLogger("handled"); handled.addHandler(logging.NullHandler())
        for logger in (logging.getLogger(), logging.getLogger("a.b"), quiet, alone, handled):
            for level in (13, 20, 30, 40):
                logger.log(level, f"{logger.name} {level}")
        logging.getLogger().setLevel(logging.ERROR)
        logging.warning("not now") if sys.argv[1] == "plain" else logging.getLogger().warning("x")
    """
    plain, traced = (run_python(program, how).stderr for how in ("plain", "traced"))
    assert plain == traced
    assert "root 30\n" in plain


def test_a_stricter_root_level_stays_strict_on_stderr(run_python: RunPython) -> None:
    """A program that had set its root logger to ERROR does not see warnings because of tracing."""
    done = run_python("""
        import logging
        logging.getLogger().setLevel(logging.ERROR)
        from inspect_trace.setup import init_tracing
        init_tracing()
        logging.getLogger("x").warning("hidden")
        logging.getLogger("x").error("shown")
    """)
    assert done.stderr == "shown\n"


def test_a_level_set_later_counts_for_other_handlers(shown: Shown) -> None:
    """When the program changes a level, handlers show what that level lets pass."""
    root = logging.getLogger()
    with init_tracing() as tracing:
        root.setLevel(logging.DEBUG)
        log_all(root)
        assert shown.messages == ["10", *ALL_TRACED]
        assert messages(tracing.path) == ALL_TRACED
    assert root.level == logging.DEBUG  # the program's own choice stays


def test_a_root_level_that_lets_pass_already_is_left_alone(shown: Shown) -> None:
    """Tracing lowers levels, it never raises one."""
    root = logging.getLogger()
    for level in (logging.DEBUG, logging.NOTSET):
        root.setLevel(level)
        with init_tracing():
            assert root.level == level
            root.debug("x")
    assert len(shown.messages) == 2


def test_records_of_other_processes_pass_the_guard(shown: Shown) -> None:
    """A record received from another process has passed that process's levels."""
    with init_tracing():
        foreign = logging.makeLogRecord(
            {"name": "x", "levelno": logging.INFO, "msg": "foreign", "process": os.getpid() + 1}
        )
        logging.getLogger("x").handle(foreign)
    assert shown.messages == ["foreign"]


def test_a_queue_handler_is_guarded_where_it_takes_records(shown: Shown) -> None:
    """With logging through a queue, what comes out of it does not change either."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    root = logging.getLogger()
    root.removeHandler(shown)
    root.addHandler(logging.handlers.QueueHandler(waiting))
    listener = logging.handlers.QueueListener(waiting, shown)
    listener.start()
    with init_tracing():
        log_all(root)
    listener.stop()
    assert shown.messages == ["30", "40"]


# ---------------------------------------------------------------- packages


def test_packages_alone_are_traced(shown: Shown) -> None:
    """With packages given, other loggers keep their levels."""
    with init_tracing(packages=["mine"]) as tracing:
        log_all(logging.getLogger("mine.module"), "mine ")
        log_all(logging.getLogger("other"), "other ")
        assert logging.getLogger().level == logging.WARNING
        assert messages(tracing.path) == [
            *(f"mine {level}" for level in ALL_TRACED),
            *("other 30", "other 40"),
        ]
    assert shown.messages == ["mine 30", "mine 40", "other 30", "other 40"]


def test_one_package_may_be_given_as_a_text() -> None:
    """A single name is a package, not a list of letters."""
    with init_tracing(packages="mine"):
        assert logging.getLogger("mine").level == TRACE
        assert "m" not in logging.root.manager.loggerDict


def test_packages_with_levels_of_their_own() -> None:
    """A mapping gives each package its level, lower than TRACE too."""
    with init_tracing(packages={"low": "debug", "high": logging.WARNING}) as tracing:
        log_all(logging.getLogger("low"), "low ")
        log_all(logging.getLogger("high"), "high ")
        assert messages(tracing.path) == [
            *(f"low {level}" for level in ["10", *ALL_TRACED]),
            *("high 30", "high 40"),
        ]


def test_packages_that_do_not_propagate_are_reached() -> None:
    """The handler also goes where a package's records end, and each record is written once."""
    top = logging.getLogger("top")
    top.propagate = False
    with init_tracing(packages=["top.inner", "top", "free"]) as tracing:
        for name in ("top.inner", "top", "free"):
            logging.getLogger(name).log(TRACE, name)
        assert messages(tracing.path) == ["top.inner", "top", "free"]
        assert tracing.handler in top.handlers
    assert top.handlers == []


def test_a_package_level_that_lets_pass_already_is_left_alone() -> None:
    """A package's own lower level stays."""
    logging.getLogger("mine").setLevel(logging.DEBUG)
    with init_tracing(packages=["mine"]):
        assert logging.getLogger("mine").level == logging.DEBUG


# ---------------------------------------------------------------- level, path, environment


@pytest.mark.parametrize(
    ("value", "level"),
    [("TRACE", 13), ("http", 15), ("Info", 20), (" warning ", 30), ("WARN", 30), ("7", 7)],
)
def test_the_level_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, level: int
) -> None:
    """`INSPECT_TRACE_LEVEL` is a name in any case or a number."""
    monkeypatch.setenv("INSPECT_TRACE_LEVEL", value)
    with init_tracing() as tracing:
        assert tracing.handler.level == level


@pytest.mark.parametrize("value", ["loud", "-3", "0", "1.5", "NOTSET", "\u0663x"])
def test_a_bad_level_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    """A value that is no level is one line on stderr, and TRACE is used."""
    monkeypatch.setenv("INSPECT_TRACE_LEVEL", value)
    with init_tracing() as tracing:
        assert tracing.handler.level == TRACE
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"inspect-trace: INSPECT_TRACE_LEVEL={value}: ")


def test_the_argument_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A level given by the program is used whatever the variable says."""
    monkeypatch.setenv("INSPECT_TRACE_LEVEL", "loud")
    with init_tracing(level="HTTP") as tracing:
        assert tracing.handler.level == 15
    with pytest.raises(ValueError, match="'loud' is not a log level"):
        init_tracing(level="loud")
    assert not any(isinstance(h, TraceHandler) for h in logging.getLogger().handlers)


def test_the_log_is_where_it_was_asked_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Path and directory go to the handler; without them the variables count."""
    with init_tracing(path=tmp_path / "x.log") as tracing:
        assert tracing.path == tmp_path / "x.log"
    with init_tracing(directory=tmp_path / "d") as tracing:
        assert tracing.path.parent == tmp_path / "d"
    monkeypatch.setenv("INSPECT_TRACE_FILE", str(tmp_path / "f.log"))
    with init_tracing() as tracing:
        assert tracing.path == tmp_path / "f.log"


# ---------------------------------------------------------------- again, and over again


def test_calling_again_returns_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """A second call changes nothing; tracing is set up once."""
    with init_tracing(level="HTTP") as tracing:
        assert init_tracing() is tracing
        assert init_tracing(level="HTTP") is tracing
        assert sum(isinstance(h, TraceHandler) for h in logging.getLogger().handlers) == 1
    assert capsys.readouterr().err == ""


def test_contradicting_arguments_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second call that asks for something else says that it is ignored, and for what."""
    with init_tracing(path=tmp_path / "one.log", packages=["a"]) as tracing:
        again = init_tracing(path=tmp_path / "two.log", level=10, packages=("a",))
        assert again is tracing
    [line] = capsys.readouterr().err.splitlines()
    assert "one.log" in line
    assert "path, level" in line
    assert "packages" not in line


def test_setting_up_again_after_closing(tmp_path: Path) -> None:
    """After `close` a new call sets up anew."""
    first = init_tracing(path=tmp_path / "x.log")
    first.close()
    with init_tracing(path=tmp_path / "x.log") as second:
        assert second is not first
        logging.getLogger().warning("again")
        first.close()  # too late to harm
        logging.getLogger().log(TRACE, "still")
    assert messages(tmp_path / "x.log") == ["again", "still"]


def test_setting_up_again_after_the_handler_was_cleared_away(tmp_path: Path) -> None:
    """Where the program's own configuration has removed the handler, a new call brings it back."""
    first = init_tracing(path=tmp_path / "x.log")
    logging.getLogger().handlers.clear()
    with init_tracing(path=tmp_path / "x.log") as second:
        assert second is not first
        logging.getLogger().log(TRACE, "back")
        assert messages(tmp_path / "x.log") == ["back"]
    assert logging.getLogger().level == logging.WARNING


def test_a_handler_that_goes_away_is_not_kept_alive(shown: Shown) -> None:
    """The guard holds no handler that the program has forgotten."""
    import gc
    import weakref

    with init_tracing():
        watched = weakref.ref(shown)
        logging.getLogger().removeHandler(shown)
        frames: Iterator[Any] = iter(())
        del shown, frames
        gc.collect()
        # The fixture's own reference is still there: look for any of tracing's.
        holder = watched()
        assert holder is not None
        names = {type(r).__module__ for r in gc.get_referrers(holder)}
        assert not any(name.startswith("inspect_trace") for name in names)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the reference needs Python 3.11")
def test_tracing_works_in_a_program_that_logs_to_inspect_ais_own_handler(
    run_python: RunPython, tmp_path: Path
) -> None:
    """After inspect_ai has set up its logging, both write the program's actions, once each."""
    done = run_python(
        """
        import logging, os, sys, warnings
        warnings.simplefilter("ignore")
        os.environ["XDG_DATA_HOME"] = sys.argv[1]
        from inspect_ai._util.logger import init_logger
        from inspect_ai._util.trace import inspect_trace_file, trace_action as reference_action
        init_logger("warning")
        from inspect_trace.setup import init_tracing
        from inspect_trace.action import trace_action
        tracing = init_tracing(path=sys.argv[2], packages=["mine", "inspect_ai"])
        with trace_action(logging.getLogger("mine"), "Mine", "m"):
            pass
        with reference_action(logging.getLogger("inspect_ai.x"), "Theirs", "m"):
            pass
        theirs = inspect_trace_file().read_text()
        tracing.handler.flush()
        ours = tracing.path.read_text()
        for name in ("Theirs", "Mine"):
            print(ours.count(f'"action": "{name}"'), theirs.count(f'"action": "{name}"'))
        """,
        tmp_path / "data",
        tmp_path / "x.log",
    )
    assert done.stdout.split("\n")[0] == "2 2"
    assert done.stdout.split("\n")[1].startswith("2 ")
    assert done.stderr == ""


def test_repr_names_the_log(tmp_path: Path) -> None:
    """The representation tells where the log is."""
    with init_tracing(path=tmp_path / "x.log") as tracing:
        assert isinstance(tracing, Tracing)
        assert repr(tracing) == f"<Tracing {tmp_path / 'x.log'}>"
