"""With an inspect_ai that has changed where we hook in, we step aside: one line, and no harm."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from engine.conftest import Home

CHANGES = {
    "handler_writes_elsewhere": "inspect_logger.LogHandler.emit = lambda self, record: None",
    "handler_takes_no_directory": """
def __init__(self, capture_levelno, display_levelno, transcript_levelno, env_prefix="INSPECT"):
    pass
inspect_logger.LogHandler.__init__ = __init__""",
    "no_rotation": "del inspect_logger.rotate_trace_files",
    "rotation_takes_a_number": "inspect_logger.rotate_trace_files = lambda trace_dir, keep: None",
    "no_file_name": "del inspect_logger.inspect_trace_file",
    "exit_hook_goes_by_another_name": """
def compress_trace_log(log_handler):
    path = log_handler.path
    return lambda: path.unlink()
inspect_logger.compress_trace_log = compress_trace_log""",
    "no_handler_variable": "del inspect_logger._logHandler",
    "another_class_of_files": """
class FileHandler(logging.FileHandler):
    pass
inspect_logger.FileHandler = FileHandler""",
    "no_formatter": "del inspect_logger.TraceFormatter",
    "no_handler_class": "inspect_logger.LogHandler = None",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_inspect_ai_is_left_alone(home: Home, change: str) -> None:
    """Nothing is hooked where anything is not as we know it; one line on stderr says what."""
    done = home.run(
        f"{change}\n"
        "def state():\n"
        "    module = dict(inspect_logger.__dict__)\n"
        "    return module, dict(getattr(inspect_logger.LogHandler, '__dict__', {}))\n"
        "before = state()\n"
        "assert not activate() and not activate()\n"
        "assert state() == before\n"
        "from inspect_trace.engine import status\n"
        "print(status().engine, status().reason)\n"
    )
    assert done.returncode == 0, done.errors
    (line,) = done.errors.splitlines()
    assert line.startswith("inspect-trace: inspect_ai ")
    assert "goes on with its own trace writer" in line
    engine, reason = done.output.strip().split(maxsplit=1)
    assert engine == "inspect_ai"
    assert reason in line


LATE_CHANGES = {
    "another_handler": "self.trace_logger = logging.StreamHandler(open(os.devnull, 'w'))",
    "no_handler": "self.trace_logger = None",
    "another_formatter": "self.trace_logger.setFormatter(logging.Formatter('%(message)s'))",
}


@pytest.mark.parametrize("change", LATE_CHANGES.values(), ids=LATE_CHANGES.keys())
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_changed_handler_is_left_alone(home: Home, change: str, when: str) -> None:
    """What can only be seen of a `LogHandler` that is made is looked at then, with the same end."""
    subclass = f"""
original = inspect_logger.LogHandler
class LogHandler(original):
    def emit(self, record):
        if self.trace_logger and record.levelno >= self.trace_logger_level:
            self.trace_logger.emit(record)
    def __init__(self, capture_levelno, *args, env_prefix="INSPECT", trace_dir=None, **kwargs):
        original.__init__(
            self, capture_levelno, *args, env_prefix=env_prefix, trace_dir=trace_dir, **kwargs
        )
        {change}
        _known = lambda: (rotate_trace_files, inspect_trace_file, FileHandler, TraceFormatter,
            compress_trace_log, self.trace_logger.setFormatter, atexit.register)
inspect_logger.LogHandler = LogHandler
"""
    steps = ["activate()", 'inspect_logger.init_logger("warning")']
    if when == "after":
        steps.reverse()
    done = home.run(
        subclass + "\n".join(steps) + "\ntrace_message(log, 'Note', 'x')\n"
        "print(type(handler().trace_logger).__name__, activate())\n"
    )
    assert done.returncode == 0, done.errors
    (line,) = done.errors.splitlines()
    assert "goes on with its own trace writer" in line
    assert done.output.split()[1] == "False"
    assert "EngineHandler" not in done.output


def test_an_evaluation_goes_on_with_a_changed_inspect_ai(home: Home) -> None:
    """An evaluation succeeds, and inspect_ai's own writer has its records."""
    done = home.run(
        """
        inspect_logger.compress_trace_log = lambda handler: handler.close
        from inspect_ai import Task, eval
        from inspect_ai.dataset import Sample
        from inspect_ai.model import ModelOutput, ModelUsage, get_model
        output = ModelOutput.from_content("mockllm", "An answer.")
        output.usage = ModelUsage(input_tokens=3, output_tokens=2, total_tokens=5)
        (result,) = eval(
            Task(dataset=[Sample(input="x", target="y")]), log_dir="logs", display="none",
            model=get_model("mockllm/model", custom_outputs=[output]),
        )
        print(result.status)
        """
    )
    assert (done.returncode, done.output) == (0, "success\n")
    assert done.errors.count("\n") == 1
    (log,) = home.traces.iterdir()
    actions = [json.loads(line).get("action") for line in log.read_text().splitlines()]
    assert "Model" in actions


def test_a_compressed_log_of_inspect_ais_own_is_untouched(home: Home) -> None:
    """Where we step aside, inspect_ai closes and compresses its log as ever."""
    done = home.run(
        """
        emit = inspect_logger.LogHandler.emit
        inspect_logger.LogHandler.emit = lambda self, record: emit(self, record)
        activate()
        inspect_logger.init_logger("warning")
        trace_message(log, "Note", "x")
        """
    )
    assert done.returncode == 0
    (log,) = home.traces.iterdir()
    assert log.name == f"trace-{done.pid}.log.gz"
    with gzip.open(log) as file:
        assert json.loads(file.read())["message"] == "[Note] x"
