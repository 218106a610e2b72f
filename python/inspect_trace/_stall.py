"""Where actions wait: the stack of a thread, or the chain of awaits of a task.

Run by a thread of the core, and only for actions that have been open for long, so nothing here has
to be fast. But everything has to leave the program alone: no code of the program's is called (no
`repr`, no property of its classes), nothing is asked for that a running function would notice, and
what a later version of Python or trio has in another place is taken to be nowhere.
"""

from __future__ import annotations

import contextlib
import contextvars
import gc
import sys
import types
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import _core
from .action import _current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_FRAMES: Final = 50
_MAX_HOPS: Final = 20  # from a task to the one that it waits for
_MAX_TASKS: Final = 50_000
_ID_LENGTH: Final = 22
_OWN: Final = __file__.rpartition("/")[0] + "/"  # wrappers are nobody's concern


class _Frame(NamedTuple):
    """What the core takes for a frame."""

    file: str
    line: int
    function: str
    awaits: str | None = None


def stacks(asked: list[tuple[str, int]]) -> list[list[_Frame]]:
    """Where each of some actions waits, the outermost frame first; empty where nobody knows.

    Args:
        asked: The trace id of each, and the thread that began it.
    """
    idents = {ident for _, ident in asked}
    running = sys._current_frames()  # noqa: SLF001 (the standard library has no other way to ask)
    # Not for longer than needed: what a function leaves behind that returns meanwhile dies with its
    # frame, here.
    threads = {ident: _Thread(ident, running.pop(ident, None)) for ident in idents}
    running.clear()
    return [_quietly(threads[ident].stack_of, trace_id) or [] for trace_id, ident in asked]


class _Thread:
    """A thread, and the tasks of the event loop that runs in it."""

    def __init__(self, ident: int, frame: types.FrameType | None) -> None:
        frames = list(_callers(frame))
        frames.reverse()
        self.frames = [_frame_of(frame) for frame in frames]
        self._identities = [id(frame) for frame in frames]
        tasks: list[_Task] = _quietly(_asyncio_tasks, ident, frames) or []
        tasks += _quietly(_trio_tasks, frames) or []
        self.tasks = tasks[:_MAX_TASKS]
        self._holders: dict[str, _Task] | None = None

    def stack_of(self, trace_id: str) -> list[_Frame]:
        """Where the action waits."""
        task = self._task_of(trace_id) if self.tasks else None
        frames = self.frames if task is None or task.is_running else self._chain_of(task)
        return [frame for frame in frames if not frame.file.startswith(_OWN)][-MAX_FRAMES:]

    def _task_of(self, trace_id: str) -> _Task | None:
        """The task that the action was begun in; None: code that runs has begun it."""
        if self._holders is None:
            self._holders = {}
            for each in self.tasks:
                for held in _quietly(each.held_ids) or ():
                    self._holders.setdefault(held, each)
        task = self._holders.get(trace_id)
        if task is not None:
            return task
        # Nothing on the stacks of those that wait stands for it: either one that runs has begun it,
        # or it is kept where nobody looks. Tasks inherit what is current where they are made.
        heirs = [task for task in self.tasks if trace_id in task.current_ids()]
        running = next((task for task in heirs if task.is_running), None)
        if running is not None or not heirs:
            return running
        awaited = {id(other) for task in heirs for other in task.awaited_tasks()}
        outer = [task for task in heirs if id(task.task) not in awaited] or heirs
        return min(outer, key=_Task.order)

    def _chain_of(self, task: _Task) -> list[_Frame]:
        """The frames of a task that waits, and of those that it waits for."""
        by_id = {id(other.task): other for other in self.tasks}
        frames: list[_Frame] = []
        seen: set[int] = set()
        for _ in range(_MAX_HOPS):
            seen.add(id(task.task))
            frames += task.frames()
            awaited = [other for other in task.awaited_tasks() if id(other) in by_id]
            awaited = [other for other in awaited if id(other) not in seen]
            if not awaited:
                break
            task = by_id[id(awaited[0])]
            if frames:
                name = task.name()
                text = f"task {name!r}"
                if len(awaited) > 1:
                    text = f"{len(awaited)} tasks, such as {name!r}"
                frames[-1] = frames[-1]._replace(awaits=text)
            if task.is_running:
                outermost = id(task.frame())
                known = outermost in self._identities
                return frames + self.frames[self._identities.index(outermost) if known else 0 :]
        busy = next((other for other in self.tasks if other.is_running), None)
        if busy is not None and frames and self.frames:
            at = self.frames[-1]
            text = f"its turn, while task {busy.name()!r} runs in {at.function}"
            frames[-1] = frames[-1]._replace(awaits=f"{text} ({at.file}:{at.line})")
        return frames


class _Task:
    """A task of asyncio's or trio's."""

    def __init__(self, task: Any, coroutine: Any) -> None:
        self.task = task
        self._coroutine = coroutine

    @property
    def is_running(self) -> bool:
        """Whether it is what its thread is at."""
        return any(
            getattr(self._coroutine, name, False) is True
            for name in ("cr_running", "gi_running", "ag_running")
        )

    def name(self) -> str:
        """Its name, as far as that is a text."""
        name: object = None
        with contextlib.suppress(Exception):
            get_name = getattr(self.task, "get_name", None)
            name = self.task.name if get_name is None else get_name()
        return name if type(name) is str else "?"

    def order(self) -> int:
        """When it was made, compared with others, as far as its name tells."""
        number = self.name().rpartition("-")[2]
        return int(number) if number.isascii() and number.isdigit() else sys.maxsize

    def frame(self) -> types.FrameType | None:
        """Its outermost frame."""
        return _frame_in(self._coroutine)

    def frames(self) -> list[_Frame]:
        """Its frames, the outermost first, while it waits."""
        frames = (_frame_in(link) for link in _links(self._coroutine))
        return [_frame_of(frame) for frame in frames if frame is not None]

    def held_ids(self) -> set[str]:
        """The actions whose blocks it is in, while it waits."""
        ids: set[str] = set()
        if not self.is_running:
            for link in _links(self._coroutine):
                ids.update(_ids_held_by(link))
        return ids

    def current_ids(self) -> list[str]:
        """The actions that are current in its context: also those that it was made in."""
        context: contextvars.Context | None = _quietly(_context_of, self.task)
        span = None if context is None else context.get(_current)
        return [] if span is None else span.open_ids()

    def awaited_tasks(self) -> list[Any]:
        """The tasks that it waits for, if those are what it waits for, the first made first."""
        return _quietly(self._awaited_tasks) or []

    def _awaited_tasks(self) -> list[Any]:
        if self.is_running:
            return []
        waiter = getattr(self.task, "_fut_waiter", None)
        if waiter is None:
            found = []
        elif _is_asyncio_task(waiter):
            found = [waiter]
        else:  # `gather` keeps its children here
            found = [task for task in _children_in(waiter) if _is_asyncio_task(task)]
        links = [link for link in _links(self._coroutine) if _frame_in(link) is not None]
        if not found and links:
            found = list(_children_of_group(self.task, links[-1]))
        pending = [task for task in found if not _is_done(task)]
        return sorted(pending, key=lambda task: _Task(task, None).order())


def _children_in(gathering: Any) -> list[Any]:
    children = getattr(gathering, "_children", None)
    return children if type(children) is list else []


def _children_of_group(task: Any, link: Any) -> Iterator[Any]:
    """The tasks of the group, or nursery, that the innermost function waits for the end of."""
    frame = _frame_in(link)
    function = None if frame is None else frame.f_code.co_name
    if function == "__aexit__":
        for held in gc.get_referents(link):
            tasks = getattr(held, "_tasks", None) if type(held).__name__ == "TaskGroup" else None
            if isinstance(tasks, (set, list)):
                yield from list(tasks)
    nurseries = getattr(task, "child_nurseries", None)
    if nurseries and _function_of_nursery(task):
        yield from list(nurseries[-1].child_tasks)


def _function_of_nursery(task: Any) -> bool:
    """Whether it is the end of a nursery that a task of trio waits for."""
    names = {
        frame.f_code.co_name
        for frame in map(_frame_in, _links(task.coro))
        if frame is not None and "trio" in frame.f_code.co_filename
    }
    return "_nested_child_finished" in names


def _is_done(task: Any) -> bool:
    done = getattr(task, "done", None)  # a method of asyncio's
    return done() is True if callable(done) else False


def _is_asyncio_task(future: Any) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(future, asyncio.Task)


def _asyncio_tasks(ident: int, frames: list[types.FrameType]) -> list[_Task]:
    """The tasks of asyncio that are not done, of the loops that run in a thread."""
    tasks = sys.modules.get("asyncio.tasks")
    if tasks is None:
        return []
    found: list[Any] = []
    for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks"):  # up to 3.11, from 3.12 on
        known = getattr(tasks, name, None)
        if known is not None:
            found += _copied(known)
    if sys.version_info >= (3, 14):  # tasks are kept by their loops; asking a frame is harmless
        for frame in frames:
            held = frame.f_locals.get("self")
            loop = getattr(held, "_loop", held)
            if hasattr(loop, "call_soon_threadsafe"):
                found += tasks.all_tasks(loop)
    unique = {id(task): task for task in found}
    return [
        _Task(task, task.get_coro())
        for task in unique.values()
        if not task.done() and _may_run_in(task.get_loop(), ident)
    ]


def _copied(tasks: Any) -> list[Any]:
    for _ in range(1000):
        try:
            return list(tasks)
        except RuntimeError:  # noqa: PERF203 (it has changed meanwhile)
            continue
    return []


def _may_run_in(loop: Any, ident: int) -> bool:
    running_in = getattr(loop, "_thread_id", ident)  # other loops than asyncio's do not tell
    return bool(running_in == ident)


def _trio_tasks(frames: list[types.FrameType]) -> list[_Task]:
    """The tasks of trio in a thread."""
    module = sys.modules.get("trio._core._run")
    file = None if module is None else module.__file__
    for frame in frames:
        code = frame.f_code
        if code.co_filename == file and code.co_name in _TRIO_RUNS:
            # Up to 3.12 asking for the variables of a function that runs leaves a copy of them
            # behind, until it ends. Those of this one are trio's own.
            runner = frame.f_locals.get("runner")
            tasks = getattr(runner, "tasks", None)
            if tasks is not None:
                return [_Task(task, task.coro) for task in _copied(tasks)]
    return []


def _context_of(task: Any) -> contextvars.Context | None:
    get_context = getattr(task, "get_context", None)  # from 3.12 on
    if get_context is not None:
        context = get_context()
    else:
        context = getattr(task, "context", None) or getattr(task, "_context", None)
    if type(context) is contextvars.Context:
        return context
    # asyncio's compiled tasks have one, and do not show it.
    held = gc.get_referents(task)
    return next((context for context in held if type(context) is contextvars.Context), None)


def _ids_held_by(link: Any) -> set[str]:
    """The actions whose blocks a function is in that waits."""
    ids: set[str] = set()
    for held in gc.get_referents(link):
        ids.update(_core.open_action_ids(held))
        # What `with` calls at its end.
        owner = getattr(held, "__self__", held) if type(held) in _METHODS else held
        if owner is not held:
            ids.update(_core.open_action_ids(owner))
        ids.update(_ids_of_manager(owner))
    return ids


def _ids_of_manager(manager: Any) -> Iterator[str]:
    """The actions that a context manager of `contextlib` stands for."""
    if not _EXIT_STACKS.isdisjoint(type(manager).__mro__):
        for _, callback in list(getattr(manager, "_exit_callbacks", ())):
            owner = getattr(callback, "__self__", None)
            if owner is not None and owner is not manager:
                yield from _core.open_action_ids(owner)
                yield from _ids_of_manager(owner)
    elif type(manager) in _GENERATOR_MANAGERS:
        generator = manager.gen
        for held in gc.get_referents(generator):
            # inspect_ai's, which keeps the id in a variable.
            if type(held) is str and len(held) == _ID_LENGTH:
                yield held
        yield from _ids_held_by(generator)


_METHODS: Final = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)
_EXIT_STACKS: Final = frozenset((contextlib.ExitStack, contextlib.AsyncExitStack))
_GENERATOR_MANAGERS: Final = tuple(
    kind
    for name in ("_GeneratorContextManager", "_AsyncGeneratorContextManager")
    if (kind := getattr(contextlib, name, None)) is not None
)
_LINK_TYPES: Final = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)
_AWAITED: Final = ("cr_await", "gi_yieldfrom", "ag_await")
_TRIO_RUNS: Final = ("run", "unrolled_run")  # one waits for events, the other runs tasks
_WRAPPERS: Final = ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow")
_FRAMES: Final = ("cr_frame", "gi_frame", "ag_frame")


def _links(coroutine: Any) -> Iterator[Any]:
    """A coroutine, what it awaits, what that awaits, and so on."""
    link = coroutine
    for _ in range(1000):
        if link is None:
            return
        yield link
        link = _awaited_by(link)


def _awaited_by(link: Any) -> Any:
    for name in _AWAITED:
        if hasattr(type(link), name):
            return getattr(link, name)
    # Wrappers that show nothing: the `__await__` of a coroutine, a step of an async generator.
    if type(link).__name__ in (
        "coroutine_wrapper",
        "async_generator_asend",
        "async_generator_athrow",
    ):
        held = gc.get_referents(link)
        return next((inner for inner in held if type(inner) in _LINK_TYPES), None)
    return None


def _frame_in(link: Any) -> types.FrameType | None:
    for name in _FRAMES:
        if hasattr(type(link), name):
            frame = getattr(link, name)
            return frame if type(frame) is types.FrameType else None
    return None


def _callers(frame: types.FrameType | None) -> Iterator[types.FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _frame_of(frame: types.FrameType) -> _Frame:
    code = frame.f_code
    function = getattr(code, "co_qualname", code.co_name)  # from 3.11 on
    return _Frame(code.co_filename, frame.f_lineno or 0, function)


def _quietly(ask: Callable[..., Any], *arguments: Any) -> Any:
    """What it says, or None where something is not as it is known to be."""
    try:
        return ask(*arguments)
    except Exception:
        return None
