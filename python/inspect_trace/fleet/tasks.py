"""How a question is dealt out, worked on, and answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inspect_trace import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inspect_trace.remote import RemoteObject

    from .question import Question


@dataclass(frozen=True, kw_only=True)
class Task:
    """Some logs that follow each other, or a part of one; it can be pickled.

    Attributes:
        question: What is asked of them.
        first_log: The number of the first.
        logs: Their names: paths, which a worker must be able to open, or URLs.
        range: Where it is a part of the one log: its number, how many there are, and where it
            begins and ends, in bytes (`None`: at the end of the log).
        tail: Only the last so many records of each.
        objects: Of logs in object stores, what each is stored in, as it was when it was listed.
        size_bytes: How much is stored of it.
        threads: How many threads read it.
    """

    question: Question
    first_log: int
    logs: tuple[str, ...]
    range: tuple[int, int, int, int | None] | None = None
    tail: int | None = None
    objects: tuple[tuple[RemoteObject, ...], ...] = ()
    size_bytes: int = 0
    threads: int = 1


@dataclass(frozen=True)
class Plan:
    """A question dealt out.

    Attributes:
        question: What is asked.
        tasks: What there is to do, in whatever order.
        logs: How many logs there are.
    """

    question: Question
    tasks: list[Task]
    logs: int


@dataclass(frozen=True)
class Answer:
    """What all tasks together have found.

    Attributes:
        json: The JSON text that the command prints.
        notes: Lines on what was skipped, or could not be read.
        failed: Whether a log could not be read.
    """

    json: str
    notes: list[str]
    failed: bool


def plan(
    question: Question, files: Sequence[str], *, workers: int, tail: int | None = None
) -> Plan:
    """Deals logs out.

    Small logs are put together, large plain ones are read in parts. Logs in object stores are
    listed here; what is read of them on a worker is what was listed, or it is told that it changed.

    Args:
        question: What is asked.
        files: Paths, directories, URLs, patterns of URLs, as the commands take them.
        workers: How many there are who work, at a time: there will be some tasks for each.
        tail: Only the last so many records of each log.

    Returns:
        The plan.

    Raises:
        FileNotFoundError: There is no such log.
        OSError: A store or directory cannot be listed.
        ImportError: A URL is named, and obstore is not installed.
    """
    from inspect_trace.store import found_logs

    with found_logs(files) as (paths, objects, _):
        planned = _core.plan_tasks(question.core(), paths, workers=workers, in_parts=tail is None)
        tasks = [
            Task(
                question=question,
                first_log=first_log,
                logs=tuple(logs),
                range=part,
                tail=tail,
                objects=tuple(objects.get(name, ()) for name in logs),
                size_bytes=size_bytes,
            )
            for first_log, logs, part, size_bytes in planned
        ]
        return Plan(question, tasks, len(paths))


def run(task: Task) -> bytes:
    """Does a task: to be called by whoever has time for it, as often as it takes.

    Args:
        task: One of `Plan.tasks`.

    Returns:
        The state, for `merge` or `answer`. A log that cannot be read is told of in it.

    Raises:
        ImportError: A log is in an object store, and obstore is not installed here.
    """
    from inspect_trace.remote import known_objects

    with known_objects(list(zip(task.logs, task.objects, strict=True)) if task.objects else []):
        return _core.partial_state(
            task.question.core(),
            task.logs,
            task.first_log,
            range=task.range,
            tail=task.tail,
            threads=task.threads,
        )


def failed(task: Task, reason: str) -> bytes:
    """The state of a task that nobody could do, for this reason."""
    return _core.failed_state(
        task.question.core(), task.logs, task.first_log, reason, range=task.range
    )


def merge(question: Question, states: Iterable[bytes]) -> bytes:
    """One state of several, of tasks of one plan: on the way, where there are many.

    Args:
        question: What was asked.
        states: What `run` or `merge` gave, in whatever order.

    Returns:
        Their state.

    Raises:
        OSError: One is none, or of another question or version.
    """
    return merged(question, states).encode()


def merged(question: Question, states: Iterable[bytes]) -> _core.PartialState:
    """What is known after some states."""
    known = _core.PartialState(question.core())
    for state in states:
        known.add(state)
    return known


def answer(plan: Plan, states: Iterable[bytes]) -> Answer:
    """The answer, once all tasks are done.

    Args:
        plan: What was done.
        states: What `run` or `merge` gave, in whatever order; what comes twice counts once.

    Returns:
        The answer: the JSON is that of one process that reads all logs, to the byte.

    Raises:
        OSError: A state is none, or of another question or version; a task is missing; or the only
            log could not be read.
    """
    question = plan.question
    report = told(question, merged(question, states), plan.logs, json=True)
    text = b"".join(report).decode()
    notes = report.take_notes()
    if report.skipped is not None:
        notes.append(report.skipped)
    return Answer(text, notes, report.failed)


def told(question: Question, known: _core.PartialState, logs: int, **shown: Any) -> _core.Report:
    """The report on so many logs, as it is `shown`."""
    shown |= {
        "as_of": question.as_of,
        "redact": question.redact,
        "no_detail": question.no_detail,
    }
    if question.analysis == "anomalies":
        return _core.anomalies_answer(known, logs, **{"show_all": question.show_all} | shown)
    if question.analysis == "stats":
        return _core.stats_answer(known, logs, by=question.by, slowest=question.slowest, **shown)
    limit = {"limit": question.limit} | shown
    return _core.http_answer(known, logs, failed=question.failed, **limit)
