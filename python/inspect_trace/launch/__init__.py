"""How `inspect-trace run` begins to trace in a program that knows nothing of it.

The command becomes the interpreter (`exec`), which runs the program as it always does. `site/` is
at the front of its path, so that the interpreter imports our `sitecustomize` before the program.
That puts back what there would be without it, and begins to trace. So none of our frames is below
the program's, and its command line, its exit code and its signals are nobody's but its own.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`: the program has not begun, and may have no use for that
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HANDED_OVER", "Choice", "environment_for", "site_directory"]

HANDED_OVER = "INSPECT_TRACE_START"
"""The variable in which `sitecustomize` is told what was chosen. It takes it away at once."""


_SAID = {None: "", True: "redact", False: "no-redact"}
_MEANT = {said: meant for meant, said in _SAID.items()}


class Choice:
    """What `inspect-trace run` was asked for.

    Args:
        level: From which level on all records of the program are traced; None: none are.
        redact: Whether secrets are taken out of everything that is written; None leaves it to the
            environment.
        sources: What is to be traced; none means all that apply.
    """

    def __init__(
        self,
        level: str | None = None,
        *,
        redact: bool | None = None,
        sources: tuple[str, ...] = (),
    ) -> None:
        self.level = level
        self.redact = redact
        self.sources = sources

    def __str__(self) -> str:
        """In a form that `read` reads."""
        return ";".join((self.level or "", _SAID[self.redact], *self.sources))

    @classmethod
    def read(cls, text: str) -> Choice:
        """What `str` has made of it."""
        level, redact, *sources = text.split(";")
        return cls(level or None, redact=_MEANT.get(redact), sources=tuple(sources))


def site_directory() -> str:
    """Where our `sitecustomize` is, and nothing else."""
    import os

    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")  # noqa: PTH100, PTH118, PTH120


def environment_for(choice: Choice, given: Mapping[str, str]) -> dict[str, str]:
    """The environment for the interpreter, of the one that the program is to see."""
    import os

    path = given.get("PYTHONPATH")
    was = "" if path is None else "="
    return {
        **given,
        HANDED_OVER: f"{was};{choice}",
        "PYTHONPATH": f"{site_directory()}{os.pathsep}{path}" if path else site_directory(),
    }
