"""What the commands do with `--engine`: ask, wait, and show how far it is."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, final

from inspect_trace import _core

from .engines import open_engine
from .tasks import plan, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .engines import Engine, EngineName
    from .question import Question
    from .tasks import Plan


class Asked(NamedTuple):
    """What is known of some logs."""

    state: _core.PartialState
    logs: int


def report_of(
    engine: EngineName,
    scheduler: str | None,
    question: Question,
    files: Sequence[str],
    *,
    tail: int | None,
    **shown: Any,
) -> _core.Report:
    """The report of a command, as it is `shown`, by an engine.

    Raises:
        OSError: There are no such logs, or no such cluster, or it went away.
        ImportError: The engine is not installed, here or on a worker.
    """
    with open_engine(engine, scheduler) as opened:
        asked = _ask(opened, question, files, tail)
    return told(question, asked.state, asked.logs, **shown)


def diff_report_of(
    engine: EngineName,
    scheduler: str | None,
    question: Question,
    before: str,
    after: str,
    *,
    tail: int | None,
    **shown: Any,
) -> _core.Report:
    """The report of `diff`, likewise."""
    with open_engine(engine, scheduler) as opened:
        a = _ask(opened, question, [before], tail)
        b = _ask(opened, question, [after], tail)
    return _core.diff_answer(
        a.state,
        a.logs,
        b.state,
        b.logs,
        by=question.by,
        as_of=question.as_of,
        redact=question.redact,
        no_detail=question.no_detail,
        **shown,
    )


def _ask(engine: Engine, question: Question, files: Sequence[str], tail: int | None) -> Asked:
    planned = plan(question, files, workers=engine.workers, tail=tail)
    known = _core.PartialState(question.core())
    with _Waiting(planned) as waiting:
        for task, state in engine.states(planned.tasks):
            known.add(state)
            waiting.done(task.size_bytes)
    return Asked(known, planned.logs)


@final
class _Waiting:
    """How far it is, for whoever waits at a terminal."""

    def __init__(self, planned: Plan) -> None:
        self._total_bytes = sum(task.size_bytes for task in planned.tasks)
        self._done_bytes = 0
        self._start_s = monotonic()
        self._progress: Any = None

    def __enter__(self) -> _Waiting:
        return self

    def done(self, size_bytes: int) -> None:
        """So much more has been read."""
        from inspect_trace.cli.output import PATIENCE_S

        self._done_bytes += size_bytes
        if self._progress is None:
            if sys.stderr is None or monotonic() - self._start_s < PATIENCE_S:
                return
            from inspect_trace.cli.progress import Progress

            self._progress = Progress(start_s=self._start_s, stdout_shows=False)
        self._progress.show(self._done_bytes, self._total_bytes)

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.clear()
