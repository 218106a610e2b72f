"""`inspect-trace run`: a program ends as it does by plain Python, and says the same."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from cli.run_pair import Pair

SETUP = """
import atexit, os, signal, sys, threading
atexit.register(print, "at exit")
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("pass", 0),
        ("sys.exit()", 0),
        ("sys.exit(3)", 3),
        ("sys.exit(-1)", 255),
        ("sys.exit('some text')", 1),
        ("sys.exit([1, 2])", 1),
        ("raise SystemExit(True)", 1),
        ("raise ValueError('of the program')", 1),
        ("def f(n): return 1 / 0 if n == 0 else f(n - 1)\nf(3)", 1),
        ("try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('x') from e", 1),
        ("import subprocess; subprocess.run(['false'], check=True)", 1),
        ("def f(): f()\nf()", 1),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("raise BaseException('odd')", 1),
        ("raise GeneratorExit", 1),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", 1),
        ("sys.excepthook = lambda *a: print('hook', len(a))\n1 / 0", 1),
        ("sys.excepthook = None\n1 / 0", 1),
        ("def hook(*a): 1 / 0\nsys.excepthook = hook\nraise ValueError", 1),
        ("del sys.excepthook\n1 / 0", 1),
        ("class T:\n    def __del__(self): 1 / 0\nx = T()", 0),
        ('exec(\'compile("1 +", "x", "exec")\')', 1),
        ("import nothing_there", 1),
        ("os._exit(4)", 4),
        ("sys.stdout.flush(); os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("sys.stdout.flush(); os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("os.abort()", -signal.SIGABRT),
        ("sys.stdout.close()", 0),
        ("sys.stdout.reconfigure(write_through=False); print('x'); os.close(1)", 120),
        ("threading.Thread(target=lambda: print(threading.main_thread().is_alive())).start()", 0),
        ("threading.Thread(target=lambda: 1 / 0, name='T').start()", 0),
        ("atexit.register(lambda: sys.exit(5))", 0),
        ("atexit.register(lambda: 1 / 0)", 0),
        ("if os.fork() == 0: sys.exit(6)\nprint(os.wait()[1])", 0),
        ("os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(7)'])", 7),
    ],
)
def test_an_end(pair: Pair, end: str, status: int) -> None:
    """Whatever a program ends by: same output, same errors to the byte, same wait status."""
    script = pair.write("program.py", SETUP + end + "\n")
    assert pair.both(script, "x", env={"PYTHONUNBUFFERED": ""}).status == status


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 shows our frames below those calls")
@pytest.mark.parametrize(
    "end",
    [
        "subprocess.run(['no-such-command'])",
        "p = subprocess.Popen(['sleep', '60'])\ntry: p.wait(0.01)\nfinally: p.kill()",
    ],
)
def test_an_end_in_a_call_that_is_traced(pair: Pair, end: str) -> None:
    """An error that a traced call raises has the traceback that it has without us."""
    pair.write("program.py", f"import subprocess\n{end}\n")
    assert pair.both("program.py").status == 1


@pytest.mark.parametrize(
    ("end", "status"), [("1 / 0", 1), ("sys.exit('text')", 1), ("raise KeyboardInterrupt", -2)]
)
def test_an_end_of_a_module(pair: Pair, end: str, status: int) -> None:
    """A module that is run ends as by plain Python, too."""
    pair.write("program.py", SETUP + end + "\n")
    assert pair.both("-m", "program").status == status


@pytest.mark.parametrize("source", ["x = (", "é = '\\N{nothing}'", "return", "\tx\n  y\n"])
def test_a_program_that_is_not_python(pair: Pair, source: str) -> None:
    """An error in the program's own text is told as plain Python tells it."""
    pair.write("program.py", source)
    assert pair.both("program.py").status == 1
    assert pair.both("-m", "program").status == 1


def when_ready(number: int) -> Callable[[subprocess.Popen[str]], None]:
    """Sends a signal to a program that has said that it is going to wait, and does."""

    def send(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while "(sleeping)" not in Path(f"/proc/{process.pid}/status").read_text():
            assert process.poll() is None
        process.send_signal(number)

    return send


WAITS = """
import signal, sys
def wait():
    print("ready", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_from_outside(pair: Pair, number: signal.Signals) -> None:
    """A signal goes to the program itself, which dies by it: by Ctrl-C with its own traceback."""
    pair.write("program.py", f"{WAITS}wait()\n")
    assert pair.both("program.py", meanwhile=when_ready(number)).status == -number
    ended = pair.both("-m", "program", meanwhile=when_ready(number))
    assert ("KeyboardInterrupt" in ended.errors) == (number == signal.SIGINT)


def test_a_signal_that_the_program_handles(pair: Pair) -> None:
    """A handler of the program's own runs, and an exception that it catches is caught."""
    pair.write(
        "program.py",
        f"""{WAITS}
try:
    wait()
except KeyboardInterrupt:
    print("caught")
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(frame.f_code.co_name))
signal.raise_signal(signal.SIGTERM)
""",
    )
    assert pair.both("program.py", meanwhile=when_ready(signal.SIGINT)).output == "caught\n"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 shows our frames below those calls")
def test_ctrl_c_while_a_process_runs(pair: Pair) -> None:
    """Ctrl-C that comes while the program waits for a traced process leaves no frames of ours."""
    # It interrupts its parent once that sleeps in `wait` (as far as the kernel tells where).
    pair.write(
        "program.py",
        """
        import subprocess
        line = "until grep -q sleeping /proc/$PPID/status"
        line += " && grep -q -e wait -e '^0' /proc/$PPID/wchan; do :; done"
        line += "; kill -INT $PPID; exec sleep 60"
        subprocess.run(["sh", "-c", line])
        """,
    )
    assert pair.both("program.py").status == -signal.SIGINT


def test_ctrl_c_before_the_program_begins(pair: Pair) -> None:
    """Ctrl-C that comes while tracing begins ends the process by that signal, without a word."""
    pair.write(
        "site/sitecustomize.py",
        """
        import os, signal, sys
        class Finder:
            def find_spec(self, name, *rest):
                if name == "inspect_trace.handler":
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Finder())
        """,
    )
    pair.write("program.py", "print('runs')")
    ended = pair.end(
        ("-m", "inspect_trace", "run"),
        "program.py",
        env={"PYTHONPATH": str(pair.directory / "site")},
    )
    assert ended == (-signal.SIGINT, "", "")


def test_a_reader_that_goes_away(pair: Pair) -> None:
    """A pipe that nobody reads is the program's own affair."""

    def close(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None

    pair.write("program.py", "while True: print('x' * 1000)")
    ended = pair.both("program.py", meanwhile=close)
    assert ended.status == 1
    assert "BrokenPipeError" in ended.errors
