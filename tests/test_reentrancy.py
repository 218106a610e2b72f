"""Logging from wherever Python calls code: nothing waits for itself, and nothing is lost uncounted.

Each program runs in a process of its own, and is shown with its stacks if it hangs.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from inspect_trace import scan

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    RunPython = Callable[..., subprocess.CompletedProcess[str]]

# Python 3.12 warns of forks in a process with threads.
PRELUDE = """
import warnings
warnings.filterwarnings("ignore", message=".*fork.*")
import atexit, gc, logging, os, signal, sys, threading, time, weakref
from inspect_trace import TRACE, TraceHandler, init_tracing, trace_action, trace_message
logger = logging.getLogger("x")
"""


@pytest.fixture
def run(run_python: RunPython, tmp_path: Path) -> Callable[[str], Counter[str]]:
    """Runs a program that traces to the file of its first argument; gives messages and counts."""

    def run_with_prelude(source: str) -> Counter[str]:
        path = tmp_path / "x.log"
        done = run_python(PRELUDE + textwrap.dedent(source), path)
        assert (done.stdout, done.stderr) == ("", "")
        records = scan(path)
        found = Counter(record.message for record in records)
        assert records.skipped is None
        return found

    return run_with_prelude


# ---------------------------------------------------------------- signals


# Handlers are interrupted by the next signal: each takes its number in one step.
SIGNALS = """
import itertools
init_tracing(path=sys.argv[1])
numbers = itertools.count()
handled = []
def on_alarm(signal_number, frame):
    number = next(numbers)
    trace_message(logger, "Signal", "%d", number)
    with trace_action(logger, "Handling", "%d", number):
        logger.info("handled %d", number, extra={"line": frame and frame.f_lineno})
    handled.append(number)
signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
"""

SIGNALS_END = """
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
assert len(handled) == next(numbers)
logger.info("end", extra={"turns": turns, "signals": len(handled)})
"""


def ended(path: Path) -> tuple[int, int]:
    """How many turns the program made, and how many signals it handled, as it said at its end."""
    # Not by its place: what a child left in its tail may be joined behind it.
    [end] = [record for record in scan(path) if record.message == "end"]
    return end["turns"], end["signals"]


def test_signals_over_a_tracing_loop(run: Callable[..., Counter[str]], tmp_path: Path) -> None:
    """Signals every 200 µs, whose handler traces in all ways, lose and repeat nothing."""
    found = run(
        SIGNALS
        + """
turns = 0
while len(handled) < 3000:
    with trace_action(logger, "Work", "%d", turns):
        trace_message(logger, "Loop", "%d", turns)
    logger.info("turn %d", turns, extra={"values": [1] * 20})
    turns += 1
"""
        + SIGNALS_END
    )
    turns, signals = ended(tmp_path / "x.log")
    expected = ["end"]
    for n in range(turns):
        expected += [f"Work: {n} (enter)", f"[Loop] {n}", f"Work: {n} (exit)", f"turn {n}"]
    for n in range(signals):
        expected += [f"[Signal] {n}", f"Handling: {n} (enter)", f"Handling: {n} (exit)"]
        expected.append(f"handled {n}")
    assert found == Counter(expected)


def test_signals_over_handlers_that_open_and_close(
    run: Callable[..., Counter[str]], tmp_path: Path
) -> None:
    """Signals that fall into the opening, the closing and the forking of logs lose nothing."""
    found = run(
        SIGNALS
        + """
other = logging.Logger("other", TRACE)
turns = 0
while len(handled) < 1500:
    handler = TraceHandler(f"{sys.argv[1]}.{turns % 3}")
    other.addHandler(handler)
    other.info("%d", turns)
    other.removeHandler(handler)
    handler.close()
    if turns % 20 == 0:
        child = os.fork()
        if child == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            logger.info("child %d", turns)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    turns += 1
"""
        + SIGNALS_END
    )
    turns, signals = ended(tmp_path / "x.log")
    for n in range(0, turns, 20):
        assert found[f"child {n}"] == 1
    for n in range(signals):
        assert found[f"handled {n}"] >= 1  # a child may handle one before its timer is off
    written = [record.message for n in range(3) for record in scan(tmp_path / f"x.log.{n}")]
    assert sorted(map(int, written)) == list(range(turns))


def test_signals_that_raise(run: Callable[..., Counter[str]], tmp_path: Path) -> None:
    """Exceptions of a signal's handler reach the program from anywhere in tracing; logs stay whole.

    What was acknowledged before is there, and tracing works afterwards.
    """
    found = run("""
        tracing = init_tracing(path=sys.argv[1])
        class Alarm(BaseException):
            pass
        armed = False
        def on_alarm(number, frame):
            if armed:
                raise Alarm
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        acknowledged = []
        raised = turn = 0
        while raised < 1000:
            try:
                armed = True
                while True:
                    turn += 1
                    logger.info("%d", turn, extra={"values": [1] * 50})
                    acknowledged.append(turn)
                    with trace_action(logger, "Work", "%d", turn):
                        pass
            except Alarm:
                armed = False
                raised += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        for turn in acknowledged:
            logger.info("acknowledged %d", turn)
        assert tracing.handler.dropped == 0
    """)
    acknowledged = [
        message.removeprefix("acknowledged ")
        for message in found
        if message.startswith("acknowledged ")
    ]
    assert len(acknowledged) > 100
    assert [number for number in acknowledged if found[number] != 1] == []
    enters = {m for m in found if m.endswith("(enter)")}
    assert all(found[message] == 1 for message in enters)


# ---------------------------------------------------------------- the collector


def test_finalisers_and_weak_references(run: Callable[..., Counter[str]]) -> None:
    """`__del__`, weakref callbacks and collector callbacks that run inside a record may trace."""
    found = run("""
        init_tracing(path=sys.argv[1])
        class Cyclic:
            def __init__(self, number):
                self.me, self.number = self, number
            def __del__(self):
                logger.info("deleted %d", self.number)
                with trace_action(logger, "Delete", "%d", self.number):
                    pass
        class Text:
            def __str__(self):
                gc.collect()
                return "text"
        def callback(number):
            return lambda reference: trace_message(logger, "Reference", "%d", number)
        def on_collection(phase, info):
            if phase == "stop":
                logger.info("collected")
        gc.disable()
        gc.callbacks.append(on_collection)
        references = []
        for number in range(100):
            thing = Cyclic(number)
            references.append(weakref.ref(thing, callback(number)))
            weakref.finalize(thing, logger.info, "finalized %d", number)
            del thing
            with trace_action(logger, "Work", "%s %d", Text(), number):
                logger.info("%s %d", "outer", number, extra={"other": Text()})
        gc.callbacks.clear()
    """)
    for n in range(100):
        assert found[f"deleted {n}"] == found[f"[Reference] {n}"] == found[f"finalized {n}"] == 1
        assert found[f"Delete: {n} (enter)"] == found[f"Delete: {n} (exit)"] == 1
        assert found[f"outer {n}"] == found[f"Work: text {n} (exit)"] == 1
    assert found["collected"] >= 200


def test_collections_at_any_allocation(run: Callable[..., Counter[str]]) -> None:
    """With the collector running at nearly every allocation, finalisers trace at any moment."""
    found = run("""
        init_tracing(path=sys.argv[1])
        class Cyclic:
            def __init__(self, number):
                self.me, self.number = self, number
            def __del__(self):
                trace_message(logger, "Deleted", "%d", self.number)
        gc.set_threshold(1)
        for number in range(2000):
            Cyclic(number)
            logger.info("%d", number, extra={"values": [number, {"a": [None]}]})
        gc.set_threshold(700)
        gc.collect()
    """)
    expected = [message for n in range(2000) for message in (str(n), f"[Deleted] {n}")]
    assert found == Counter(expected)


# ---------------------------------------------------------------- recursion


def test_records_inside_records(run: Callable[..., Counter[str]]) -> None:
    """Filters, texts, factories and other handlers that trace get their records, to any depth."""
    found = run("""
        tracing = init_tracing(path=sys.argv[1])
        def filter_that_traces(record):
            depth = getattr(record, "depth", 0)
            if depth:
                logger.info("filter %d", depth, extra={"depth": depth - 1})
            return True
        class Text:
            def __init__(self, depth):
                self.depth = depth
            def __str__(self):
                if self.depth:
                    with trace_action(logger, "Text", "%s", Text(self.depth - 1)):
                        pass
                return f"<{self.depth}>"
        class Other(logging.Handler):
            inside = False
            def emit(self, record):
                if not self.inside:
                    self.inside = True
                    trace_message(logger, "Other", "%s", record.getMessage())
                    self.inside = False
        tracing.handler.addFilter(filter_that_traces)
        logger.info("filtered", extra={"depth": 5})
        logger.info("%s", Text(5))
        logger.addHandler(Other())
        logger.info("handled")
    """)
    texts = [f"Text: <{n}> ({event})" for n in range(5) for event in ("enter", "exit")]
    for message in ["filtered", "<5>", "handled", "[Other] handled"]:
        assert found[message] == 1
    for n in range(1, 6):
        assert found[f"filter {n}"] == 1
    assert all(found[text] >= 1 for text in texts)


def test_hooks_for_exceptions(run_python: RunPython, tmp_path: Path) -> None:
    """Hooks for exceptions of threads, finalisers and the program itself may trace them."""
    path = tmp_path / "x.log"
    run_python(
        PRELUDE
        + textwrap.dedent("""
        init_tracing(path=sys.argv[1])
        def hook(name):
            def log(first, *rest):
                error = rest[0] if rest else first.exc_value
                logger.error("%s", name, exc_info=(type(error), error, error.__traceback__))
            return log
        sys.excepthook = hook("program")
        threading.excepthook = hook("thread")
        sys.unraisablehook = hook("finaliser")
        class Raising:
            def __del__(self):
                raise ValueError("in a finaliser")
        def fail():
            raise ValueError("in a thread")
        Raising()
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        child = os.fork() if hasattr(os, "fork") else 1
        if child == 0:
            raise ValueError("in the program")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        """),
        path,
    )
    places = {record.message: record["exc_info"] for record in scan(path)}
    assert set(places) == {"program", "thread", "finaliser"}
    assert places["thread"].endswith("ValueError: in a thread")
    assert places["finaliser"].endswith("ValueError: in a finaliser")
    assert places["program"].endswith("ValueError: in the program")


# ---------------------------------------------------------------- the end


def test_exit_hooks_of_all_kinds(run_python: RunPython, tmp_path: Path) -> None:
    """What exit hooks log, whenever they were registered, is in the log; so is what follows."""
    path = tmp_path / "x.log"
    done = run_python(
        "import atexit; atexit.register(lambda: logger.info('first registered'))\n"
        + PRELUDE
        + textwrap.dedent("""
        atexit.register(lambda: logger.info("before tracing"))
        tracing = init_tracing(path=sys.argv[1])
        class Late:
            def __del__(self, log=logger.info):
                log("finaliser")
        kept = Late()
        weakref.finalize(kept.__class__, lambda: logger.info("finalize"))
        def hook():
            with trace_action(logger, "Exit", "hook"):
                trace_message(logger, "Exit", "inside")
        atexit.register(hook)
        atexit.register(logging.shutdown)
        def linger():
            threading.main_thread().join()
            for number in range(1000):
                logger.info("lingering %d", number)
        threading.Thread(target=linger).start()
        logger.info("main")
        """),
        path,
    )
    assert (done.stdout, done.stderr) == ("", "")
    found = Counter(record.message for record in scan(path))
    assert found == Counter(
        ["main", "Exit: hook (enter)", "[Exit] inside", "Exit: hook (exit)"]
        + ["first registered", "before tracing", "finaliser", "finalize"]
        + [f"lingering {number}" for number in range(1000)]
    )


def test_the_first_record_of_all_at_the_end(run: Callable[..., Counter[str]]) -> None:
    """A finaliser that runs after the modules have been taken down may log the first record."""
    found = run("""
        init_tracing(path=sys.argv[1])
        class Late:
            def __del__(self, log=logger.info):
                log("finaliser")
        kept = Late()
    """)
    assert found == Counter(["finaliser"])


def test_daemon_threads_at_exit(run_python: RunPython, tmp_path: Path) -> None:
    """Daemon threads that log while the interpreter ends neither crash it nor lose anything."""
    path = tmp_path / "x.log"
    for turn in range(10):
        acknowledged = tmp_path / f"acknowledged{turn}"
        done = run_python(
            PRELUDE
            + textwrap.dedent("""
            tracing = init_tracing(path=sys.argv[1])
            acknowledged = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            turn = sys.argv[3]
            def work(name):
                number = 0
                while True:
                    logger.info("%s %s %d", turn, name, number, extra={"values": [1] * 20})
                    os.write(acknowledged, b"%s %s %d\\n" % (turn.encode(), name.encode(), number))
                    number += 1
                    with trace_action(logger, "Work", name):
                        pass
            for name in "abcd":
                threading.Thread(target=work, args=(name,), daemon=True).start()
            while os.fstat(acknowledged).st_size < 500:
                time.sleep(0)
            """),
            path,
            acknowledged,
            turn,
        )
        assert (done.stdout, done.stderr) == ("", "")
        found = Counter(record.message for record in scan(path))
        lines = acknowledged.read_text().splitlines()
        assert len(lines) > 10
        assert [line for line in lines if found[line] != 1] == []


def test_closing_while_threads_log(run: Callable[..., Counter[str]]) -> None:
    """Of records that meet the closing of their handler each is written or counted as dropped."""
    found = run("""
        for turn in range(20):
            handler = TraceHandler(sys.argv[1])
            own = logging.Logger("own", TRACE)
            own.addHandler(handler)
            begun = threading.Barrier(5)
            logged = [0] * 4
            stop = threading.Event()
            def work(name):
                begun.wait()
                while not stop.is_set():
                    own.info("%d %d %d", turn, name, logged[name])
                    logged[name] += 1
            threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
            for thread in threads:
                thread.start()
            begun.wait()
            while sum(logged) < 200:
                time.sleep(0)
            handler.close()
            closed_at = sum(logged)
            while sum(logged) < closed_at + 50:
                time.sleep(0)
            stop.set()
            for thread in threads:
                thread.join()
            assert 50 - 4 <= handler.dropped < sum(logged)
            kept = TraceHandler(sys.argv[1])
            kept.handle(logging.makeLogRecord({"msg": "total"}))
            kept.close()
    """)
    assert found["total"] == 20
    assert all(count == 1 for message, count in found.items() if message != "total")


def test_counts_after_closing_are_exact(run: Callable[..., Counter[str]], tmp_path: Path) -> None:
    """Written and dropped records add up to those logged, with `close` at a random moment."""
    run("""
        import random
        for turn in range(30):
            handler = TraceHandler(sys.argv[1])
            own = logging.Logger("own", TRACE)
            own.addHandler(handler)
            def work(name):
                for number in range(300):
                    own.info("turn", extra={"turn": turn, "by": name, "number": number})
            threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(random.randrange(20)):
                time.sleep(0)
            handler.close()
            for thread in threads:
                thread.join()
            kept = TraceHandler(sys.argv[1])
            total = {"msg": "total", "turn": turn, "lost": handler.dropped}
            kept.handle(logging.makeLogRecord(total))
            kept.close()
    """)
    written: Counter[int] = Counter()
    lost: dict[int, int] = {}
    for record in scan(tmp_path / "x.log"):
        if record.message == "total":
            lost[record["turn"]] = record["lost"]
        elif record.message == "turn":
            written[record["turn"]] += 1
    assert {turn: written[turn] + lost[turn] for turn in lost} == dict.fromkeys(range(30), 1200)


def test_a_thread_local_that_logs_when_its_thread_ends(
    run_python: RunPython, tmp_path: Path
) -> None:
    """What a thread's own objects log while the thread is taken down is in the log."""
    path = tmp_path / "x.log"
    # What stderr has is not looked at: `logging` itself complains here at exit in Python 3.13.0.
    run_python(
        PRELUDE
        + textwrap.dedent("""
        init_tracing(path=sys.argv[1])
        local = threading.local()
        class Last:
            def __init__(self, number):
                self.number = number
            def __del__(self):
                logger.info("last %d", self.number)
        def work(number):
            local.last = Last(number)
            logger.info("work %d", number)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """),
        path,
    )
    found = Counter(record.message for record in scan(path))
    assert found == Counter([f"{what} {n}" for what in ("work", "last") for n in range(50)])


# ---------------------------------------------------------------- subinterpreters


def test_subinterpreters(run: Callable[..., Counter[str]]) -> None:
    """In a subinterpreter tracing works or is one clear ImportError; the main one goes on."""
    found = run("""
        try:
            import _interpreters as interpreters  # 3.13 on
        except ImportError:
            try:
                import _xxsubinterpreters as interpreters
            except ImportError:
                interpreters = None
        init_tracing(path=sys.argv[1])
        logger.info("before")
        if interpreters is not None:
            source = '''if True:
                import os
                try:
                    from inspect_trace import TraceHandler, scan
                    TraceHandler(PATH)
                except ImportError as error:
                    told = f"{type(error).__name__}: {error}"
                else:
                    told = "works"
                os.write(FD, told.encode())
            '''
            for turn in range(3):
                read, write = os.pipe()
                text = source.replace("FD", str(write)).replace("PATH", repr(sys.argv[1]))
                own = interpreters.create()
                interpreters.run_string(own, text)
                interpreters.destroy(own)
                os.close(write)
                told = os.read(read, 10_000).decode()
                os.close(read)
                assert told, "it did not get so far"
                assert told == "works" or "\\n" not in told and "interpreter" in told, told
                logger.info("meanwhile")
        with trace_action(logger, "After", "all"):
            pass
    """)
    assert found["before"] == 1
    assert found["After: all (exit)"] == 1
