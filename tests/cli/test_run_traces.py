"""`inspect-trace run`: what of a program is traced, and where it goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cli.run_pair import RUN
from conftest import records_of
from inspect_trace.launch import Choice, environment_for, site_directory

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run
    from cli.run_pair import Pair


def logs_of(trace_dir: Path) -> list[list[dict[str, Any]]]:
    """The records of each log."""
    return [records_of(path) for path in sorted(trace_dir.glob("trace-*.log"))]


def actions(records: list[dict[str, Any]]) -> list[str]:
    """The actions among them, as `action detail event`."""
    return [f"{r['action']} {r['detail']} {r['event']}" for r in records if "action" in r]


ECHO = ["Subprocess echo x enter", "Subprocess echo x exit"]
RUNS_ECHO = "import subprocess; subprocess.run(['echo', 'x'])"


def test_a_hung_process_of_a_killed_program(pair: Pair, inspect_trace: Run) -> None:
    """What a program waited for when it was killed is what `anomalies` shows."""
    script = pair.write(
        "program.py",
        """
        import subprocess
        subprocess.run(["sh", "-c", "echo $$; exec sleep 1000"])
        """,
    )
    children = []

    def kill(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        children.append(int(process.stdout.readline()))
        process.kill()
        process.wait(60)
        os.kill(children[0], signal.SIGKILL)  # it holds the pipes

    assert pair.end(RUN, script, meanwhile=kill).status == -signal.SIGKILL
    (listed,) = json.loads(inspect_trace("list", "--json").stdout)
    shown = json.loads(inspect_trace("anomalies", "--json").stdout)
    assert shown["trace_file"] == listed["file"]
    assert not shown["process"]["alive"]
    (hung,) = shown["running"]
    assert (hung["action"], hung["interrupted"]) == ("Subprocess", True)
    assert hung["detail"] == "sh -c 'echo $$; exec sleep 1000'"


def test_the_log_is_the_process_own(pair: Pair, trace_dir: Path) -> None:
    """The program keeps the pid of the command, and its log is named after it."""
    pids = []
    script = pair.write(
        "program.py", f"{RUNS_ECHO}; import os; print(os.getpid(), *sorted(os.environ))"
    )
    ended = pair.end(RUN, script, meanwhile=lambda process: pids.append(process.pid))
    names = sorted([*pair.environment, "INSPECT_TRACE_RUN"])
    assert ended.output == f"x\n{pids[0]} {' '.join(names)}\n"
    assert actions(records_of(trace_dir / f"trace-{pids[0]}.log")) == ECHO


def test_variables_that_name_the_log(pair: Pair, tmp_path: Path) -> None:
    """`INSPECT_TRACE_FILE` and `INSPECT_TRACE_DIR` name the log as for any handler."""
    script = pair.write("program.py", RUNS_ECHO)
    named = tmp_path / "named.log"
    pair.end(RUN, script, env={"INSPECT_TRACE_FILE": str(named)})
    assert actions(records_of(named)) == ECHO
    pair.end(RUN, script, env={"INSPECT_TRACE_DIR": str(tmp_path / "logs")})
    assert [actions(records) for records in logs_of(tmp_path / "logs")] == [ECHO]


def test_sources_by_name(pair: Pair, trace_dir: Path) -> None:
    """Only the sources that were asked for are on, also one that is for asking only."""
    script = pair.write(
        "program.py",
        """
        import asyncio, subprocess
        subprocess.run(["true"])
        async def main():
            await asyncio.create_task(asyncio.sleep(0), name="mine")
        asyncio.run(main())
        """,
    )
    pair.end((*RUN, "--source", "asyncio_tasks", "--source", "http"), script)
    (records,) = logs_of(trace_dir)
    assert {record["action"] for record in records} == {"Subtask"}


def test_no_module_that_the_program_does_not_need(pair: Pair) -> None:
    """Of what is traced nothing is imported, nor what the command line is made of."""
    script = pair.write("program.py", "import sys; print(*sys.modules)")
    loaded = set(pair.end(RUN, script).output.split())
    assert loaded.isdisjoint({"click", "platformdirs", "httpx", "aiohttp", "requests", "openai"})
    assert loaded.isdisjoint(
        {"inspect_trace.cli", "inspect_ai", "multiprocessing", "sitecustomize"}
    )


CONFIGURES = {
    "nothing": "",
    "basicConfig": "logging.basicConfig(level='INFO', format='%(levelname)s %(message)s')",
    "dictConfig": """
import logging.config
logging.config.dictConfig({"version": 1, "handlers": {"h": {"class": "logging.StreamHandler"}},
                           "root": {"level": "INFO", "handlers": ["h"]}})
""",
    "fileConfig": """
import io, logging.config
logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root
[handlers]
keys=h
[formatters]
keys=
[logger_root]
level=INFO
handlers=h
[handler_h]
class=StreamHandler
args=()
'''))
""",
}


@pytest.mark.parametrize("configure", CONFIGURES.values(), ids=CONFIGURES)
@pytest.mark.parametrize("level", [None, "DEBUG"])
def test_a_program_that_logs(
    pair: Pair, trace_dir: Path, configure: str, level: str | None
) -> None:
    """However it sets logging up it shows what it showed; with `--level` all is traced, too."""
    script = pair.write(
        "program.py",
        f"""
import logging
{configure}
logging.config
logger = logging.getLogger("program")
for level in (10, 20, 30):
    logger.log(level, "of level %d", level)
import subprocess
subprocess.run(["echo", "x"])
print(logger.getEffectiveLevel() if {level is None} else 0)
""".replace("logging.config\nlogger", "logger"),
    )
    how = RUN if level is None else (*RUN, "--level", level)
    plain, traced = pair.end((), script), pair.end(how, script)
    assert traced.errors == plain.errors
    assert traced.status == 0
    assert traced.output == plain.output
    (records,) = logs_of(trace_dir)
    assert actions(records) == ECHO
    messages = [r["message"] for r in records if r["message"].startswith("of level")]
    assert messages == ([] if level is None else [f"of level {n}" for n in (10, 20, 30)])


def test_a_program_that_traces_itself(pair: Pair, trace_dir: Path) -> None:
    """A program that calls `init_tracing` itself shares the log, and each record is in it once."""
    script = pair.write(
        "program.py",
        """
        import logging, subprocess
        from inspect_trace import init_tracing, instrument, trace_action
        init_tracing(packages=["mine"])
        instrument.enable()
        with trace_action(logging.getLogger("mine"), "Do", "it"):
            subprocess.run(["echo", "x"])
        """,
    )
    assert pair.end(RUN, script) == (0, "x\n", "")
    (records,) = logs_of(trace_dir)
    assert actions(records) == ["Do it enter", *ECHO, "Do it exit"]


def test_redact(pair: Pair) -> None:
    """Secrets are in no record of a source, and in none at all where that is asked for."""
    script = pair.write(
        "program.py",
        """
        import logging, subprocess
        subprocess.run(["true", "--password", "geheim0"])
        logging.getLogger().warning("token=geheim1")
        """,
    )
    log = pair.directory / "one.log"
    for options, variable, is_shown in (
        ([], "", True),
        (["--redact"], "", False),
        ([], "1", False),
        (["--no-redact"], "1", True),
    ):
        variables = {"INSPECT_TRACE_FILE": log.name, "INSPECT_TRACE_REDACT": variable}
        pair.end((*RUN, "--level", "INFO", *options), script, env=variables)
        assert "geheim0" not in log.read_text()
        assert ("geheim1" in log.read_text()) == is_shown
        log.unlink()


MULTIPROCESSING = """
import multiprocessing, os, subprocess, sys
print(__name__, flush=True)
class Mine:
    value = 3
def work(mine):
    subprocess.run(["echo", str(mine.value)])
    sys.exit(mine.value)
if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(Mine(),))
    child.start()
    child.join()
    print(child.exitcode, "click" in sys.modules)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("is_module", [False, True])
def test_children_of_multiprocessing(
    pair: Pair, trace_dir: Path, method: str, is_module: bool
) -> None:
    """A child works as it does without us, and what it does is traced: all is one run."""
    script = pair.write("program.py", MULTIPROCESSING)
    target = ["-m", "program"] if is_module else [script]
    plain, traced = pair.end((), *target, method), pair.end(RUN, *target, method)
    assert traced == plain
    assert traced.output.endswith("3\n3 False\n")
    in_logs = [action for records in logs_of(trace_dir) for action in actions(records)]
    assert [a for a in in_logs if "echo" in a] == [
        "Subprocess echo 3 enter",
        "Subprocess echo 3 exit",
    ]
    listed = subprocess.run(
        [sys.executable, "-m", "inspect_trace", "list", "--json"],
        env=pair.environment,
        capture_output=True,
        check=True,
    ).stdout
    assert len({log["run_id"] for log in json.loads(listed)}) == 1


def test_a_child_without_this_package(pair: Pair, trace_dir: Path) -> None:
    """A child of an interpreter that has not got this package works, untraced."""
    script = pair.write(
        "program.py",
        f"""
        import multiprocessing, os, sys
        def work():
            {RUNS_ECHO}
        if __name__ == "__main__":
            os.environ["PYTHONPATH"] = "without"
            context = multiprocessing.get_context("spawn")
            context.set_executable(sys._base_executable)
            child = context.Process(target=work)
            child.start()
            child.join()
            print(child.exitcode)
        """,
    )
    pair.write("without/inspect_trace.py", "raise ImportError")
    assert pair.both(script) == (0, "x\n0\n", "")
    assert [actions(records) for records in logs_of(trace_dir)] == [[]]


def test_tracing_that_cannot_begin(pair: Pair) -> None:
    """Where tracing fails the program runs all the same, and a line says so."""
    script = pair.write("program.py", "print('runs')")
    pair.write("site/wrapt/__init__.py", "raise RuntimeError('broken')")
    ended = pair.end(RUN, script, env={"PYTHONPATH": str(pair.directory / "site")})
    assert (ended.status, ended.output) == (0, "runs\n")
    assert len(ended.errors.splitlines()) == 1
    assert ended.errors.startswith("inspect-trace: ")


def test_what_is_handed_over() -> None:
    """What was chosen, and the path of the program, are read as they were told."""
    for redact in (None, True, False):
        choice = Choice("INFO", redact=redact, sources=("http", "subprocess"))
        assert vars(Choice.read(str(choice))) == vars(choice)
    assert vars(Choice.read(str(Choice()))) == vars(Choice())
    assert environment_for(choice, {"PYTHONPATH": "a"})["PYTHONPATH"] == f"{site_directory()}:a"
    assert environment_for(choice, {"PYTHONPATH": ""})["PYTHONPATH"] == site_directory()
