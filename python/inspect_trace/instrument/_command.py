"""What a command is called in the log: its words, quoted, and what it asks Docker Compose for."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ._redact import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND_WIDTH: Final = 1000
"""How many characters of a command are shown."""

# The options that stand between `docker` and `compose`, and between `compose` and its verb, and
# take a word of their own. All others are flags.
_OF_DOCKER: Final = frozenset(
    [
        "-c",
        "--context",
        "--config",
        "-H",
        "--host",
        "-l",
        "--log-level",
        "--tlscacert",
        "--tlscert",
        "--tlskey",
    ]
)
_OF_COMPOSE: Final = frozenset(
    [
        "-f",
        "--file",
        "-p",
        "--project-name",
        "--project-directory",
        "--workdir",
        "--env-file",
        "--profile",
        "--progress",
        "--parallel",
        "--ansi",
    ]
)
_PROJECT: Final = frozenset(("-p", "--project-name"))


class Command(NamedTuple):
    """The action that a command is traced as."""

    action: str
    detail: str
    fields: dict[str, str]


def command_of(
    args: object, *, is_shell: bool = False, environment: Mapping[Any, Any] | None = None
) -> Command:
    """The action of a command.

    Args:
        args: The program and its arguments, or a line for the shell.
        is_shell: Whether it is run by the shell.
        environment: Its environment, if it has one of its own.
    """
    words: list[str] | None
    if isinstance(args, (str, bytes, os.PathLike)):
        text = os.fsdecode(args)
        words = _split(text) if is_shell else [text]
        detail = text if is_shell else shlex.join([text])
    elif isinstance(args, (list, tuple)):
        words = [os.fsdecode(word) for word in args]
        detail = shlex.join(words)
        if is_shell and len(words) == 1:
            detail, words = words[0], _split(words[0])
    else:  # an iterator, which only the program may use up
        words, detail = None, f"<{type(args).__name__}>"
    detail = shown(detail, COMMAND_WIDTH)
    compose = _compose_of(words or [], os.environ if environment is None else environment)
    if compose is None:
        return Command("Subprocess", detail, {})
    return Command("Docker Compose", detail, compose)


def _split(line: str) -> list[str] | None:
    try:
        return shlex.split(line)
    except ValueError:  # no closing quotation: the shell's affair
        return None


def _compose_of(words: list[str], environment: Mapping[Any, Any]) -> dict[str, str] | None:
    """What Docker Compose is asked for; None if it is not."""
    program = os.path.basename(words[0]) if words else ""  # noqa: PTH119 - of any text
    if program == "docker":
        rest, _ = _skip_options(words[1:], _OF_DOCKER)
        if not rest or rest[0] != "compose":
            return None
        words = rest
    elif program != "docker-compose":
        return None
    rest, options = _skip_options(words[1:], _OF_COMPOSE)
    found = {}
    project = options or environment.get("COMPOSE_PROJECT_NAME")
    if project:
        found["project"] = os.fsdecode(project)
    if rest:
        found["verb"] = rest[0]
    return found


def _skip_options(words: list[str], with_value: frozenset[str]) -> tuple[list[str], str | None]:
    """The words from the first one that is no option, and the project that options name."""
    project = None
    place = 0
    while place < len(words) and words[place].startswith("-"):
        word = words[place]
        name, equals, value = word.partition("=")
        place += 1
        if not word.startswith("--") and word[:2] in with_value and len(word) > 2:
            name, value = word[:2], word[2:].removeprefix("=")  # -pNAME
        elif not equals and word in with_value:
            value = words[place] if place < len(words) else ""
            place += 1
        if name in _PROJECT:
            project = value
    return words[place:], project
