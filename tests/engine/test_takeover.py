"""When and how inspect_ai's trace log becomes ours: no record lost, none twice."""

from __future__ import annotations

import stat
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from conftest import records_of

if TYPE_CHECKING:
    from engine.conftest import Finished, Home


def is_well(done: Finished) -> None:
    """The program ended well, and said nothing on stderr."""
    assert (done.returncode, done.errors) == (0, "")


def test_before_inspect_ai_logs(home: Home) -> None:
    """Taken over before a `LogHandler` exists, the log is ours from its first record on."""
    done = home.run(
        """
        assert activate() and activate()
        inspect_logger.init_logger("warning")
        inspect_logger.init_logger("warning")
        with trace_action(log, "Do", "it"):
            trace_message(log, "Note", "%s", "x")
        print(handler().trace_logger.baseFilename)
        """
    )
    is_well(done)
    assert done.output == f"{home.log_of(done.pid)}\n"
    assert home.messages_of(done.pid) == ["Do: it (enter)", "[Note] x", "Do: it (exit)"]
    assert {path.name for path in home.traces.iterdir()} == {f"trace-{done.pid}.log", ".tmp"}


def test_in_the_middle(home: Home) -> None:
    """Taken over while inspect_ai writes, the same file goes on, and no exit hook touches it."""
    done = home.run(
        """
        inspect_logger.init_logger("warning")
        for number in range(5):
            trace_message(log, "Note", str(number))
        assert activate()
        for number in range(5, 10):
            trace_message(log, "Note", str(number))
        print(os.stat(handler().trace_logger.baseFilename).st_ino)
        """
    )
    is_well(done)
    log = home.log_of(done.pid)
    assert home.messages_of(done.pid) == [f"[Note] {number}" for number in range(10)]
    assert log.stat().st_ino == int(done.output)
    assert not log.with_name(f"{log.name}.gz").exists()


def test_in_the_middle_of_many_threads(home: Home) -> None:
    """Each record of threads that log while the log is taken over is there, once."""
    done = home.run(
        """
        import threading
        inspect_logger.init_logger("warning")
        started = threading.Barrier(5)
        def work(name):
            started.wait()
            for number in range(500):
                trace_message(log, "Note", f"{name}-{number}")
        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        started.wait()
        assert activate()
        for thread in threads:
            thread.join()
        """
    )
    is_well(done)
    expected = {f"[Note] {name}-{number}": 1 for name in range(4) for number in range(500)}
    assert Counter(home.messages_of(done.pid)) == expected


def test_a_forked_child_that_leaves_by_exit(home: Home) -> None:
    """A child writes to its parent's log, and takes nothing from it by its end."""
    done = home.run(
        """
        activate()
        inspect_logger.init_logger("warning")
        from inspect_trace import trace_action as our_action
        with our_action(log, "Parent", "forks"):
            pid = os.fork()
            if pid == 0:
                with trace_action(log, "Child", "works"):
                    pass
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            trace_message(log, "Note", "after")
        print(pid)
        """
    )
    is_well(done)
    records = records_of(home.log_of(done.pid))
    child = [record for record in records if record.get("action") == "Child"]
    parent = [record for record in records if record.get("action") == "Parent"]
    assert [record["pid"] for record in child] == [int(done.output)] * 2
    assert {record["parent_id"] for record in child} == {parent[0]["trace_id"]}
    assert [record["event"] for record in parent] == ["enter", "exit"]
    assert len(records) == 5


def test_a_spawned_child_has_a_log_of_its_own(home: Home) -> None:
    """A process that is started and evaluates, too, belongs to the run of its parent."""
    done = home.run(
        """
        import subprocess
        activate()
        inspect_logger.init_logger("warning")
        trace_message(log, "Note", sys.argv[1])
        if sys.argv[1] == "parent":
            child = subprocess.Popen([sys.executable, __file__, "child"])
            assert child.wait() == 0
            print(child.pid)
        """,
        "parent",
    )
    is_well(done)
    assert home.messages_of(done.pid) == ["[Note] parent"]
    assert home.messages_of(int(done.output)) == ["[Note] child"]
    listed = {row["file"]: row for row in home.command("list")}
    rows = [listed[str(home.log_of(pid))] for pid in (done.pid, int(done.output))]
    assert len({row.get("run_id") for row in rows}) == 1


SEVERAL = """
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
output = ModelOutput.from_content("mockllm", "An answer.")
output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)
for number in range(2):
    (result,) = eval(
        Task(name=f"task{number}", dataset=[Sample(input="x", target="y")]),
        model=get_model("mockllm/model", custom_outputs=[output]), display="none", log_dir="logs",
    )
    assert result.status == "success"
print(type(handler().trace_logger).__name__)
"""


def test_several_evaluations_in_a_process(home: Home) -> None:
    """All evaluations of a process are in its one log; the entry point alone has switched us on."""
    done = home.run(SEVERAL)
    is_well(done)
    assert done.output == "EngineHandler\n"
    calls = [r for r in records_of(home.log_of(done.pid)) if r.get("action") == "Model"]
    assert [(r["task"], r["event"]) for r in calls] == [
        (f"task{number}", event) for number in range(2) for event in ("enter", "exit")
    ]


def test_switched_off(home: Home) -> None:
    """`INSPECT_TRACE_ENGINE=inspect_ai` leaves everything to inspect_ai."""
    done = home.run(SEVERAL, INSPECT_TRACE_ENGINE="inspect_ai")
    is_well(done)
    assert done.output == "FileHandler\n"
    assert [path.name for path in home.traces.iterdir()] == [f"trace-{done.pid}.log.gz"]


def test_an_unknown_engine_is_told(home: Home) -> None:
    """A value that is no engine is one line on stderr, and the default counts."""
    done = home.run("assert activate()", INSPECT_TRACE_ENGINE="turbo")
    assert done.returncode == 0
    assert done.errors.startswith(
        "inspect-trace: INSPECT_TRACE_ENGINE=turbo: there is no such engine"
    )
    assert done.errors.count("\n") == 1


def test_without_an_evaluation_nothing_happens(home: Home) -> None:
    """A program that only imports inspect_ai has neither hooks of ours nor a log."""
    done = home.run(
        """
        import inspect_ai, inspect_ai.model
        init = inspect_logger.LogHandler.__init__
        print(init.__module__, hasattr(init, "__wrapped__"))
        """
    )
    is_well(done)
    assert done.output == "inspect_ai._util.logger False\n"
    assert not home.traces.exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_of_ones_own(home: Home, when: str) -> None:
    """`INSPECT_TRACE_FILE` names the log; its directory is made for it, and it stays there."""
    if when == "after":  # inspect_ai itself would fail
        (home.path / "deep" / "er").mkdir(parents=True)
    steps = [
        "activate()",
        'inspect_logger.init_logger("warning")',
        'trace_message(log, "Note", "x")',
    ]
    if when == "after":
        steps = [*steps[1:], steps[0], steps[2]]
    done = home.run("\n".join(steps), INSPECT_TRACE_FILE="deep/er/x.jsonl")
    is_well(done)
    log = home.path / "deep" / "er" / "x.jsonl"
    notes = ["[Note] x"] * steps.count(steps[-1])
    assert [record["message"] for record in records_of(log)] == notes
    assert [path.name for path in log.parent.iterdir()] == ["x.jsonl"]
    assert not home.traces.exists() or not list(home.traces.glob("*.log*"))
    if when == "before":
        assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_directory_of_ones_own(home: Home) -> None:
    """`INSPECT_TRACE_DIR` is where the log is; inspect_ai's directory gets none."""
    done = home.run(
        """
        activate()
        inspect_logger.init_logger("warning")
        trace_message(log, "Note", "x")
        """,
        INSPECT_TRACE_DIR=str(home.path / "mine"),
    )
    is_well(done)
    log = home.path / "mine" / f"trace-{done.pid}.log"
    assert [record["message"] for record in records_of(log)] == ["[Note] x"]
    assert not list(home.path.glob("data/**/*.log"))


def test_a_file_that_cannot_be_opened_is_inspect_ais_business(home: Home) -> None:
    """Where our writer cannot open the file, inspect_ai does as it would without us."""
    (home.path / "directory").mkdir()
    source = 'activate(); inspect_logger.init_logger("warning")'
    outcomes = [
        home.run(source, INSPECT_TRACE_FILE="directory", INSPECT_TRACE_ENGINE=engine)
        for engine in ("", "inspect_ai")
    ]
    for done in outcomes:
        assert done.returncode == 1
        assert "IsADirectoryError" in done.errors.splitlines()[-1]


INIT_TRACING = """
from inspect_trace import init_tracing, trace_action as our_action
mine = logging.getLogger("mine")
steps = sys.argv[1].split()
for step in steps:
    if step == "init":
        init_tracing(packages=["mine"])
    elif step == "inspect":
        inspect_logger.init_logger("warning")
    else:
        assert activate()
trace_message(log, "Theirs", "1")
with our_action(mine, "Mine", "outer"):
    trace_message(mine, "Mine", "2")
    with trace_action(log, "Theirs", "inner"):
        mine.warning("3")
trace_message(log, "Theirs", "4")
"""


@pytest.mark.parametrize(
    "steps",
    [
        "init activate inspect",
        "activate init inspect",
        "activate inspect init",
        "init inspect activate",
        "inspect activate init",
    ],
)
def test_a_program_that_traces_itself(home: Home, steps: str) -> None:
    """With `init_tracing`, in whatever order, each record is written once, nested as it ran."""
    done = home.run(INIT_TRACING, steps)
    assert done.returncode == 0, done.errors
    records = records_of(home.log_of(done.pid))
    assert list(home.traces.glob("*.log")) == [home.log_of(done.pid)]
    assert Counter(record["message"] for record in records) == dict.fromkeys(
        ["[Theirs] 1", "Mine: outer (enter)", "[Mine] 2", "Theirs: inner (enter)", "3",
         "Theirs: inner (exit)", "Mine: outer (exit)", "[Theirs] 4"], 1
    )  # fmt: skip
    by_message = {record["message"]: record for record in records}
    outer, inner = by_message["Mine: outer (enter)"], by_message["Theirs: inner (enter)"]
    assert inner["parent_id"] == outer["trace_id"]


def test_a_program_that_traces_itself_beside_inspect_ais_writer(home: Home) -> None:
    """Where inspect_ai has the process's log first, `init_tracing` has another, and keeps it."""
    done = home.run(INIT_TRACING, "inspect init activate")
    assert done.returncode == 0, done.errors
    theirs, mine = home.log_of(done.pid), home.traces / f"trace-{done.pid}-1.log"
    assert set(home.traces.glob("*.log")) == {theirs, mine}
    messages = [record["message"] for record in records_of(theirs)]
    assert messages == [
        *("[Theirs] 1", "Theirs: inner (enter)", "3", "Theirs: inner (exit)", "[Theirs] 4")
    ]
    messages = [record["message"] for record in records_of(mine)]
    assert messages == ["Mine: outer (enter)", "[Mine] 2", "3", "Mine: outer (exit)"]


def test_a_programs_own_records_have_their_sample(home: Home) -> None:
    """Records of a program that traces itself keep what inspect_ai's filter adds to them."""
    done = home.run(
        """
        from inspect_trace import init_tracing
        init_tracing(packages=["mine"])
        activate()
        inspect_logger.init_logger("warning")
        class Filter(logging.Filter):
            def filter(self, record):
                record.sample_id = 7
                return True
        handler().addFilter(Filter())
        trace_message(log, "Theirs", "1")
        logging.getLogger("mine").warning("2")
        """
    )
    assert done.returncode == 0, done.errors
    records = records_of(home.log_of(done.pid))
    assert [(record["message"], record["sample_id"]) for record in records] == [
        ("[Theirs] 1", 7),
        ("2", 7),
    ]


def test_a_record_leaves_as_it_came(home: Home) -> None:
    """What is added to a record for the log, nobody else gets to see."""
    done = home.run(
        """
        activate()
        inspect_logger.init_logger("warning")
        class Spy(logging.Handler):
            def emit(self, record):
                print(sorted(set(record.__dict__) & {"parent_id", "pid", "task", "sample_id"}))
        logging.getLogger("inspect_ai").addHandler(Spy(logging.NOTSET))
        with trace_action(log, "A", "a"), trace_action(log, "B", "b"):
            pass
        """
    )
    is_well(done)
    assert done.output == "[]\n" * 4
    (_, inner, *_) = records_of(home.log_of(done.pid))
    assert "parent_id" in inner


def test_keeping_logs_is_ours(home: Home) -> None:
    """Of eleven older logs the one of a process that lives stays, however old it is."""
    home.traces.mkdir(parents=True)
    done = home.run(
        """
        import subprocess, time
        from inspect_trace import _core
        traces = os.path.join(os.environ["XDG_DATA_HOME"], "inspect_ai", "traces")
        child = (
            "import sys; from inspect_trace import TraceHandler;"
            "handler = TraceHandler(directory=sys.argv[1]); print(handler.path, flush=True);"
            "sys.stdin.read()"
        )
        quiet = subprocess.Popen(
            [sys.executable, "-c", child, traces], stdin=-1, stdout=-1, text=True,
            env={**os.environ, "INSPECT_TRACE_RUN": "another"},
        )
        live = quiet.stdout.readline().strip()
        os.utime(live, (1, 1))
        for number in range(11):
            path = os.path.join(traces, f"trace-{4_000_000 + number}.log")
            with open(path, "w") as file:
                file.write('{"timestamp": "t", "level": "INFO", "message": "m"}\\n')
            os.utime(path, (1000 + number, 1000 + number))
        activate()
        inspect_logger.init_logger("warning")
        while _core.housekeep(traces, 10).skipped_because_busy:
            pass
        print(os.path.exists(live), len(os.listdir(traces)))
        quiet.communicate("")
        """
    )
    is_well(done)
    # Ten runs, the live one, and the directory for temporary files.
    assert done.output == "True 12\n"


def test_a_log_of_a_killed_program_is_whole(home: Home) -> None:
    """SIGKILL right after a record: it is there, and so are those before the log was taken over."""
    done = home.run(
        """
        import signal
        inspect_logger.init_logger("warning")
        trace_message(log, "Note", "before")
        activate()
        trace_message(log, "Note", "after")
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert done.returncode == -9
    assert home.messages_of(done.pid) == ["[Note] before", "[Note] after"]
    assert home.command("anomalies")["process"]["alive"] is False
    assert home.command("list")[0]["file"] == str(home.log_of(done.pid))
