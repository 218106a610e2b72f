"""The same program by plain Python and by `inspect-trace run`."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

RUN = ("-m", "inspect_trace", "run")


class Ended(NamedTuple):
    """How a program ended, and what it said."""

    status: int
    output: str
    errors: str


class Pair:
    """Runs programs in a directory of their own, plainly and traced."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment

    def write(self, name: str, source: str) -> str:
        """Writes a program, and returns its name."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return name

    def command(self, how: Sequence[str], *target: str, flags: Sequence[str] = ()) -> list[str]:
        """The command line, `how` being `RUN` with its options, or nothing."""
        return [sys.executable, *flags, *how, *target]

    def end(
        self,
        how: Sequence[str],
        *target: str,
        flags: Sequence[str] = (),
        meanwhile: Callable[[subprocess.Popen[str]], Any] = lambda _: None,
        text: str = "",
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> Ended:
        """Runs a program to its end, `meanwhile` being called once it has started."""
        with subprocess.Popen(
            self.command(how, *target, flags=flags),
            cwd=self.directory,
            env={**self.environment, **(env or {})},
            **{
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "encoding": "utf-8",
                **options,
            },
        ) as process:
            meanwhile(process)
            output, errors = process.communicate(text, timeout=60)
        return Ended(process.returncode, output, errors)

    def both(self, *target: str, **options: Any) -> Ended:
        """Runs it both ways, and returns how it ended, which has to be the same."""
        plain = self.end((), *target, **options)
        traced = self.end(RUN, *target, **options)
        assert _without_addresses(traced) == _without_addresses(plain)
        return plain


def _without_addresses(ended: Ended) -> Ended:
    return ended._replace(errors=re.sub(r"0x[0-9a-f]+", "0x", ended.errors))
