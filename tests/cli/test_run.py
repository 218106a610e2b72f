"""`inspect-trace run`: a program finds the world as plain Python makes it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.run_pair import RUN
from inspect_trace.cli.run import interpreter_flags

if TYPE_CHECKING:
    from cli.conftest import Run
    from cli.run_pair import Pair

WORLD = """
names = sorted(globals())
import json, os, signal, sys
def shown(spec):
    return None if spec is None else [spec.name, spec.origin, spec.parent]
def target_of(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
    except OSError:
        return None
print(json.dumps({
    "globals": names,
    "name": __name__, "file": globals().get("__file__"), "package": __package__,
    "spec": shown(__spec__), "loader": type(__loader__).__name__, "doc": __doc__,
    "cached": globals().get("__cached__"), "annotations": globals().get("__annotations__"),
    "main": sys.modules["__main__"].__dict__ is globals(),
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path,
    "executable": sys.executable, "flags": str(sys.flags), "prefix": sys.prefix,
    "xoptions": sys._xoptions, "warnoptions": sys.warnoptions, "path0": sys.path[:1],
    "write_through": sys.stdout.write_through, "streams": [
        [s.encoding, s.errors, s.line_buffering, s.isatty()]
        for s in (sys.stdin, sys.stdout, sys.stderr)
    ],
    "excepthook": sys.excepthook is sys.__excepthook__,
    "hooks": [hook.__qualname__ for hook in sys.path_hooks],
    "outermost": sys._getframe().f_back is None or __package__ is not None,
    "customized": [name for name in ("sitecustomize", "usercustomize") if name in sys.modules],
    "environment": dict(os.environ), "cwd": os.getcwd(), "parent": os.getppid(),
    "low_descriptors": {fd: target_of(fd) for fd in range(64) if target_of(fd)},
    "signals": {n: repr(signal.getsignal(n)) for n in signal.valid_signals()},
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "group": [os.getpgrp() == os.getpid(), os.getsid(0)],
    "here": sorted(os.listdir(".")),
}))
"""


def worlds(pair: Pair, *target: str, flags: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    """What a program finds, which is the same both ways.

    The log is a file: one in the trace directory has the variable of its run, and housekeeping,
    which may have a directory open just then.
    """
    log = str(pair.directory.parent / "world.log")
    options["env"] = {"INSPECT_TRACE_FILE": log, **options.get("env", {})}
    found = []
    for how in ((), RUN):
        ended = pair.end(how, *target, flags=flags, **options)
        assert (ended.status, ended.errors) == (0, "")
        found.append(json.loads(ended.output))
    plain, traced = found
    assert traced == plain
    result: dict[str, Any] = plain
    return result


def test_a_script(pair: Pair) -> None:
    """A script finds its name as given, its arguments, its directory and a fresh `__main__`."""
    script = pair.write("sub/world.py", WORLD)
    world = worlds(pair, script, "--help", "-m", "--", "--source", "ü")
    assert world["argv"] == [script, "--help", "-m", "--", "--source", "ü"]
    assert world["outermost"]
    assert worlds(pair, str(pair.directory / script))["name"] == "__main__"


def test_a_script_by_a_symlink(pair: Pair) -> None:
    """The path begins with the directory of the script itself, not of its link."""
    script = pair.directory / pair.write("sub/world.py", WORLD)
    (pair.directory / "link.py").symlink_to(script)
    assert worlds(pair, "link.py")["path0"] == [str(script.parent)]


def test_a_module(pair: Pair) -> None:
    """A module, in either spelling, finds its full path, and the current directory on the path."""
    pair.write("world.py", WORLD)
    world = worlds(pair, "-m", "world", "--help", "-m", "x")
    assert world["argv"] == [str(pair.directory / "world.py"), "--help", "-m", "x"]
    joined = pair.end(RUN, "-mworld", "--level")
    assert json.loads(joined.output)["argv"][1:] == ["--level"]


def test_a_package(pair: Pair) -> None:
    """A package runs its `__main__`, and may import relatively."""
    pair.write("package/__init__.py", "")
    pair.write("package/sub/__init__.py", "value = 1")
    pair.write("package/sub/__main__.py", f"from . import value{WORLD}")
    assert worlds(pair, "-m", "package.sub")["package"] == "package.sub"


def test_a_directory_and_a_zip_file(pair: Pair) -> None:
    """A directory and a zip file with a `__main__.py` run, and are on the path."""
    pair.write("app/__main__.py", WORLD)
    assert worlds(pair, "app", "x")["path0"][0].endswith("app")
    with zipfile.ZipFile(pair.directory / "app.zip", "w") as archive:
        archive.writestr("__main__.py", WORLD)
    assert worlds(pair, "app.zip", "x")["argv"] == ["app.zip", "x"]


def test_a_script_from_stdin(pair: Pair) -> None:
    """`-` reads the program from standard input."""
    assert worlds(pair, "-", "x", text=WORLD)["argv"] == ["-", "x"]


def test_a_script_with_an_odd_name(pair: Pair) -> None:
    """A script whose name looks like an option is run behind `--`."""
    pair.write("-u.py", WORLD)
    assert worlds(pair, "--", "-u.py", "--")["argv"] == ["-u.py", "--"]


@pytest.mark.parametrize(
    "flags",
    [
        ("-u",),
        ("-OO", "-B", "-bb", "-s", "-q"),
        ("-X", "dev", "-Xfaulthandler", "-X", "mine=1", "-Werror", "-W", "ignore::UserWarning"),
        ("-X", "utf8=0", "-W", "error"),
        ("--check-hash-based-pycs", "always", "-X", "int_max_str_digits=0"),
    ],
    ids=" ".join,
)
def test_options_of_the_interpreter(pair: Pair, flags: tuple[str, ...]) -> None:
    """The options that Python itself was started with are the program's, too."""
    worlds(pair, pair.write("world.py", WORLD), flags=flags)


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("python -m inspect_trace run -u", []),
        ("python -Im inspect_trace run", ["-I"]),
        ("python -uBminspect_trace run", ["-uB"]),
        ("python -X m -W c -OO /bin/inspect-trace run -u", ["-X", "m", "-W", "c", "-OO"]),
        ("python -uXdev -bWerror -c code -O", ["-uXdev", "-bWerror"]),
        ("python -uW error x -O", ["-uW", "error"]),
        ("python --check-hash-based-pycs always -B x", ["--check-hash-based-pycs", "always", "-B"]),
        ("python", []),
        ("python -W", ["-W", ""]),
    ],
)
def test_which_options_of_the_interpreter(line: str, flags: list[str]) -> None:
    """Python's own options end where the module, the command or the script begins."""
    assert interpreter_flags(line.split()) == flags


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONPATH": ""},
        {"PYTHONPATH": "a::b"},
        {"PYTHONPATH": ":"},
        {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"},
        {"LC_ALL": "C"},
        {"LANG": "", "LC_ALL": "", "LC_CTYPE": ""},
        {"LC_ALL": "", "LC_CTYPE": "POSIX"},
        {"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "PYTHONSAFEPATH": "1"},
    ],
    ids=str,
)
def test_the_environment(pair: Pair, variables: dict[str, str]) -> None:
    """The environment is the one given, whatever we need of it, and so are path and locale."""
    worlds(pair, pair.write("world.py", WORLD), env=variables)


def test_no_locale_at_all(pair: Pair) -> None:
    """In an environment without a locale the program runs in the one that Python then takes."""
    for name in ("LANG", "LC_ALL", "LC_CTYPE"):
        pair.environment.pop(name, None)
    worlds(pair, pair.write("world.py", WORLD))


@pytest.mark.parametrize("site", ["print('customized')", "import nothing_there", "1 / 0"])
def test_the_sitecustomize_of_the_environment(pair: Pair, site: str) -> None:
    """A `sitecustomize` of the environment's own runs, once, or fails, as ever."""
    ours = "import sys\nif 'inspect_trace' not in sys.orig_argv:\n    "
    pair.write("site/sitecustomize.py", ours + site)
    pair.write("program.py", "import sys; print('sitecustomize' in sys.modules)")
    pair.both("program.py", env={"PYTHONPATH": str(pair.directory / "site")})


def test_signals_that_are_ignored_or_blocked(pair: Pair) -> None:
    """What the parent has ignored or blocked stays so; the rest is as Python sets it."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

    world = worlds(pair, pair.write("world.py", WORLD), preexec_fn=ignore)
    assert "IGN" in world["signals"][str(int(signal.SIGINT))]
    assert world["blocked"] == [signal.SIGUSR1]
    world = worlds(pair, "world.py", restore_signals=False)
    assert world["blocked"] == []


def test_descriptors_that_are_inherited(pair: Pair) -> None:
    """What the parent hands over is there under its number, and low numbers are free."""
    script = pair.write(
        "hand.py",
        """
        import os, sys
        os.write(int(sys.argv[1]), b"written")
        print(os.dup(1))
        """,
    )
    for how in ((), RUN):
        reading, writing = os.pipe()
        log = {"INSPECT_TRACE_FILE": "one.log"}  # there is no housekeeping for such a log
        ended = pair.end(how, script, str(writing), pass_fds=[writing], env=log)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.read() == b"written"
        assert ended == (0, "3\n" if writing != 3 else "4\n", "")


def test_few_descriptors(pair: Pair, inspect_trace: Run) -> None:
    """Where a process may have only a few descriptors it is traced with those."""
    pair.write("program.py", "import subprocess; subprocess.run(['true'])")
    line = f'ulimit -n 40; exec "{sys.executable}" -m inspect_trace run program.py'
    done = subprocess.run(
        ["sh", "-c", line], cwd=pair.directory, env=pair.environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert '"Subprocess"' in inspect_trace("dump").stdout


def test_standard_input(pair: Pair) -> None:
    """The program reads its standard input, all of it."""
    script = pair.write("read.py", "import sys; print(len(sys.stdin.read()), input, sep='\\n')")
    assert pair.both(script, text="x" * 300_000).output.startswith("300000")
    assert pair.both(script, stdin=subprocess.DEVNULL).output.startswith("0")


def test_a_terminal(pair: Pair) -> None:
    """On a terminal the program is on that terminal, and may read from it."""
    script = pair.write(
        "terminal.py",
        """
        import os, sys
        print(*[stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)])
        print(os.ttyname(0) == os.ttyname(1), sys.stdout.line_buffering, input("> "))
        """,
    )
    shown = []
    for how in ((), RUN):
        leader, follower = pty.openpty()
        os.write(leader, b"typed\n")
        process = subprocess.Popen(
            pair.command(how, script),
            cwd=pair.directory,
            env=pair.environment,
            stdin=follower,
            stdout=follower,
            stderr=follower,
        )
        os.close(follower)
        output = b""
        try:
            while chunk := os.read(leader, 65536):
                output += chunk
        except OSError:
            pass  # the other side is closed
        os.close(leader)
        assert process.wait(60) == 0
        shown.append(output)
    assert shown[0] == shown[1]
    assert b"True True True" in shown[0]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-m"],
        ["--level", "LOUD", "x.py"],
        ["--source", "nothing", "x.py"],
        ["--nothing", "x.py"],
        ["missing.py"],
        ["missing\0.py"[:7]],
        ["--", "-missing.py"],
    ],
)
def test_wrong_usage(inspect_trace: Run, arguments: list[str]) -> None:
    """Wrong usage, a missing script too, is one line and exit code 2; no log is made."""
    result = inspect_trace("run", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert inspect_trace("list", "--json").stdout == "[]\n"


def test_a_program_that_is_none(pair: Pair) -> None:
    """What plain Python says of a module or a directory that cannot be run is all that is said."""
    (pair.directory / "empty").mkdir()
    pair.write("package/__init__.py", "")
    for target in (["-m", "missing"], ["empty"], ["-m", "package"], ["-m", "a.b"]):
        assert pair.both(*target).status == 1


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_an_interpreter_that_lets_nobody_in(
    environment: dict[str, str], pair: Pair, flag: str
) -> None:
    """Under options that keep tracing out nothing is run untraced: one line says so."""
    script = pair.write("program.py", "print('runs')")
    code = "import sys; sys.path += sys.argv.pop().split(':')\n"
    code += "import inspect_trace.cli.start as start; start.main(sys.argv[1:])"
    packages = ":".join(dict.fromkeys(_places_of_packages()))
    ended = pair.end((), "-c", code, "run", script, packages, flags=[flag])
    assert (ended.status, ended.output) == (2, "")
    assert f"python {flag}" in ended.errors
    assert len(ended.errors.splitlines()) == 1


def _places_of_packages() -> list[str]:
    import click

    import inspect_trace

    files = (inspect_trace.__file__, click.__file__)
    return [str(Path(file).parents[1]) for file in files if file is not None]
