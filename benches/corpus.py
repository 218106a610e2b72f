"""Makes a trace log of any size, as an evaluation with many samples at a time would write it.

The bytes depend on the seed, the size and `CORPUS_VERSION` alone, on every machine and Python: a
measurement names these three and can be repeated. The lines are those of the reference's trace
formatter (`tests/test_corpus.py` has the reference read them).

    python benches/corpus.py --bytes 100MB --seed 1 -o trace.log

The mix, per gigabyte: 1.6 million records of 630 bytes on average, of actions of six kinds, nested
and interleaved; 1 in 100 cancelled, 1 in 100 failed with a stack trace, 1 in 200 timed out, about
300 never closed; HTTP requests and INFO records among them; 1 line in 100 long; text in several
scripts.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import re
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

CORPUS_VERSION = 1
"""Raised whenever the same seed and size would give other bytes."""

CONCURRENT_SAMPLES = 40
"""How many samples trace at the same time: their records interleave."""

MAX_DEPTH = 4
"""How deep actions nest."""

BYTES_PER_STALL = 7_300_000
"""A sample hangs for good in each stretch of this many bytes; its two or three open actions are
never closed: about 300 in a gigabyte."""

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_START = datetime(2026, 3, 2, 8, 30, tzinfo=timezone(timedelta(hours=1)))
_CHUNK_BYTES = 1 << 20

_KINDS = ("Model", "Tool Call", "Subprocess", "Subtask", "Sandbox", "Log Write")
_MODELS = (
    "generate (openai/gpt-5-mini)",
    "generate (anthropic/claude-sonnet-4-5)",
    "generate (google/gemini-2.5-pro)",
    "generate (vllm/Qwen/Qwen3-32B)",
)
_HOSTS = (
    "https://api.openai.com/v1/responses",
    "https://api.anthropic.com/v1/messages?beta=true",
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent",
)
_STATUSES = (
    *(["200 OK"] * 28),
    "201 Created",
    "204 No Content",
    "429 Too Many Requests",
    "500 Internal Server Error",
    "503 Service Unavailable",
    "529 Overloaded",
)
_PHRASES = (
    "ls -la /workspace/src && cat README.md | head -n 40",
    "python3 -m pytest -x -q tests/test_parser.py::test_round_trip --maxfail=1",
    'grep -rn "def main" --include=*.py . | sort | uniq -c',
    "git diff HEAD~3 -- src/engine.c\nmake -j4 check",
    "sed -i 's/foo\\tbar/baz/g' config/settings.yaml",
    "curl -sS http://localhost:8080/healthz | jq '.status'",
    "Où est passé le déjeuner ? Ça a coûté 12 € à la cafétéria.",
    "请总结这份报告的第三章并列出所有关键数据点",
    "Проверить журнал ошибок и перезапустить службу",
    "数値計算の結果をグラフに描いて保存する 🎉",
    "find / -name '*.so' -newer /etc/passwd 2>/dev/null",
    "objdump -d ./challenge | grep -A20 '<main>:'",
    "awk -F'\\t' '{ sum[$1] += $3 } END { for (k in sum) print k, sum[k] }' results.tsv",
    "docker compose --project-name inspect-task-ab12 exec default bash --login -c 'whoami'",
    'SELECT id, title FROM papers WHERE abstract LIKE "%transformer%" LIMIT 25;',
    "write the function so that it handles the empty list, then run the tests again",
)
_LOG_LINES = (
    ("_call_tools", "call_tools", 611, "Tool output truncated from {n} to 16384 characters"),
    ("_model", "generate", 1702, "Model output stopped early (max_tokens); {n} tokens used"),
    ("_retry", "log_retry", 88, "Rate limit reached, next attempt in {n} seconds"),
    ("compose", "compose_up", 57, "Sandbox environment is up after {n} ms"),
)
_ERRORS = (
    ("RuntimeError", "container exited with code 137 while a command was running"),
    ("ConnectionError", "[Errno 104] Connection reset by peer"),
    ("ValueError", "Expecting ',' delimiter: line 3 column 17 (char 92)"),
    ("PermissionError", "[Errno 13] Permission denied: '/root/.ssh/id_rsa'"),
    ("UnicodeDecodeError", "'utf-8' codec can't decode byte 0xff in position 0: дурной байт"),
)
_TRACE_FRAMES = (
    ("src/agent/loop.py", 214, "run_turn", "result = await execute(call, state, limits=limits)"),
    ("src/agent/tools/shell.py", 96, "execute", "output = await self._session.run(command)"),
    ("src/agent/session.py", 341, "run", "reply = await self._exchange(request, timeout_s)"),
    ("src/agent/wire.py", 58, "_exchange", "raise self._failure(frame.code, frame.text)"),
)

_escape = json.encoder.encode_basestring_ascii


def _bare(text: str) -> str:
    """The JSON text of a string, without its quotes: to be put together with others."""
    return _escape(text)[1:-1]


class _Open(NamedTuple):
    """An action that has begun."""

    kind: str
    detail: str  # as JSON, without quotes
    trace_id: str
    start_us: int


@dataclass
class _Sample:
    """One sample of the evaluation, with what it is at."""

    prefix: str  # of messages, as JSON without quotes
    extra: str  # the fields at the end of every record of it
    stack: list[_Open] = field(default_factory=list)


class Corpus:
    """An endless evaluation, record by record."""

    def __init__(self, seed: int) -> None:
        # Only methods whose results Python promises for a seed (or that are plain bits) are used.
        self._random = random.Random(f"inspect-trace corpus {CORPUS_VERSION} {seed}")
        self._now_us = round(_START.timestamp()) * 1_000_000
        self._second = -1
        self._second_text = ""
        self._sample_count = 0
        self._phrases = [_bare(p) for p in _PHRASES]
        self._stacktraces = [_bare(_stacktrace(*error)) for error in _ERRORS]
        self._errors = [(name, _bare(text)) for name, text in _ERRORS]
        self._outside = _Sample("", "")
        self._samples = [self._new_sample() for _ in range(CONCURRENT_SAMPLES)]
        self._written_bytes = 0
        self._stalls = 0

    def lines(self, size_bytes: int) -> Iterator[str]:
        """The lines (ASCII) of a log of at least so many bytes, each with its newline.

        The last ones close what is open, but for the actions meant to stay open.
        """
        while self._written_bytes < size_bytes:
            line = self._next_line()
            self._written_bytes += len(line)
            yield line
        for sample in (*self._samples, self._outside):
            while sample.stack:
                yield self._close(sample)
        if not self._stalls:  # a small log, too, shall have something to find
            yield self._enter(self._samples[0])

    def _next_line(self) -> str:
        draw = self._random.random
        self._now_us += 1 + int(draw() * 1900)
        index = int(draw() * (CONCURRENT_SAMPLES + 1))
        if index == CONCURRENT_SAMPLES:
            return self._eval_line()
        sample = self._samples[index]
        what = draw()
        if what < 0.07:
            return self._http_line(sample)
        if what < 0.10:
            return self._info_line(sample)
        depth = len(sample.stack)
        if depth == 0 or (depth < MAX_DEPTH and what < 0.53):
            return self._enter(sample)
        if self._stalls < self._written_bytes // BYTES_PER_STALL:
            # The sample hangs where it is; another one takes its place.
            self._stalls += 1
            sample = self._samples[index] = self._new_sample()
            return self._enter(sample)
        line = self._close(sample)
        if not sample.stack and draw() < 0.1:
            self._samples[index] = self._new_sample()
        return line

    def _new_sample(self) -> _Sample:
        self._sample_count += 1
        number = self._sample_count
        sample_id = f'"s-{number}"' if number % 3 else str(number)
        bare_id = f"s-{number}" if number % 3 else str(number)
        return _Sample(
            prefix=f"sample={bare_id}\\n",
            extra=f', "task": "swe_bench_like", "sample_id": {sample_id}, "epoch": 1',
        )

    def _eval_line(self) -> str:
        """A record of the evaluation itself, outside any sample."""
        if self._outside.stack:
            return self._close(self._outside)
        if self._random.random() < 0.2:
            rate = int(self._random.random() * 9000) / 10
            return self._plain_line(
                "HTTP",
                f"[Throughput] openai/gpt-5-mini: {rate:,.1f} out-tok/s, 61.2 req/min, "
                "3.0 retries/min, 2 in backoff (window 60s)",
                ("_throughput", "report_throughput_periodically", 567),
                self._outside,
            )
        return self._enter(self._outside)

    def _http_line(self, sample: _Sample) -> str:
        host = _HOSTS[int(self._random.random() * len(_HOSTS))]
        status = _STATUSES[int(self._random.random() * len(_STATUSES))]
        if self._random.random() < 0.15:
            message, place = f"POST {host} - {status[:3]}", ("hooks", "log_response", 342)
        else:
            message = f'POST {host} \\"HTTP/1.1 {status}\\" '
            place = ("hooks", "response_hook", 429)
        return self._plain_line("HTTP", message, place, sample)

    def _info_line(self, sample: _Sample) -> str:
        chosen = _LOG_LINES[int(self._random.random() * len(_LOG_LINES))]
        module, function, line, message = chosen
        number = str(int(self._random.random() * 100_000))
        return self._plain_line(
            "INFO", message.replace("{n}", number), (module, function, line), sample
        )

    def _plain_line(
        self, level: str, message: str, place: tuple[str, str, int], sample: _Sample
    ) -> str:
        module, function, line = place
        return (
            f'{{"timestamp": "{self._timestamp()}", "level": "{level}", "message": "'
            f'{sample.prefix}{message}", "module": "{module}", "function": "{function}", '
            f'"line": {line}{sample.extra}}}\n'
        )

    def _enter(self, sample: _Sample) -> str:
        draw = self._random.random
        if sample is self._outside:
            kind, detail = "Log Write", f"logs/2026-03-02T08-30_swe-bench_{self._trace_id()}.eval"
        else:
            kind = _KINDS[int(draw() * 5)]
            if kind == "Model":
                detail = _MODELS[int(draw() * len(_MODELS))]
            else:
                first = self._phrases[int(draw() * len(_PHRASES))]
                detail = first
                if draw() < 0.3:
                    detail = f"{first} ; {self._phrases[int(draw() * len(_PHRASES))]}"
                if draw() < 0.018:
                    detail = " && ".join([detail] * (20 + int(draw() * 70)))
        action = _Open(kind, detail, self._trace_id(), self._now_us)
        sample.stack.append(action)
        return (
            f'{{"timestamp": "{self._timestamp()}", "level": "TRACE", "message": "'
            f'{sample.prefix}{kind}: {detail} (enter)", "action": "{kind}", "detail": "{detail}", '
            f'"event": "enter", "trace_id": "{action.trace_id}", '
            f'"start_time": {self._now_us / 1_000_000!r}{sample.extra}}}\n'
        )

    def _close(self, sample: _Sample) -> str:
        draw = self._random.random
        kind, detail, trace_id, start_us = sample.stack.pop()
        event, rest = "exit", ""
        way_out = draw()
        if way_out < 0.01:
            event = "cancel"
        elif way_out < 0.015:
            event = "timeout"
        elif way_out < 0.025:
            event = "error"
            index = int(draw() * len(_ERRORS))
            error_type, error = self._errors[index]
            rest = (
                f', "error": "{error}", "error_type": "{error_type}", '
                f'"stacktrace": "{self._stacktraces[index]}"'
            )
        duration_s = (self._now_us - start_us) / 1_000_000 + draw() / 10_000
        return (
            f'{{"timestamp": "{self._timestamp()}", "level": "TRACE", "message": "'
            f'{sample.prefix}{kind}: {detail} ({event})", "action": "{kind}", '
            f'"detail": "{detail}", "event": "{event}", "trace_id": "{trace_id}", '
            f'"duration": {duration_s!r}{rest}{sample.extra}}}\n'
        )

    def _trace_id(self) -> str:
        bits = self._random.getrandbits(132)
        return "".join([_PAIRS[(bits >> shift & 0xFFF) % 3249] for shift in range(0, 132, 12)])

    def _timestamp(self) -> str:
        second, microsecond = divmod(self._now_us, 1_000_000)
        if second != self._second:
            self._second = second
            moment = datetime.fromtimestamp(second, _START.tzinfo)
            self._second_text = moment.strftime("%Y-%m-%dT%H:%M:%S")
        fraction = f".{microsecond:06d}" if microsecond else ""
        return f"{self._second_text}{fraction}+01:00"


def _stacktrace(error_type: str, error: str) -> str:
    frames = "".join(
        f'  File "{path}", line {line}, in {function}\n    {code}\n'
        for path, line, function, code in _TRACE_FRAMES
    )
    return f"Traceback (most recent call last):\n{frames}{error_type}: {error}\n"


def write_corpus(out: BinaryIO, size_bytes: int, seed: int) -> int:
    """Writes a corpus; memory stays small whatever the size.

    Returns:
        How many records it has.
    """
    buffer = io.StringIO()
    records = 0
    for line in Corpus(seed).lines(size_bytes):
        buffer.write(line)
        records += 1
        if buffer.tell() >= _CHUNK_BYTES:
            out.write(buffer.getvalue().encode("ascii"))
            buffer = io.StringIO()
    out.write(buffer.getvalue().encode("ascii"))
    return records


def make_corpus(path: Path, size_bytes: int, seed: int, *, compressed: bool = False) -> int:
    """Makes the corpus file at `path`, compressed as the reference does it (level 9) if asked.

    Returns:
        How many records it has.
    """
    with path.open("wb") as file:
        if not compressed:
            return write_corpus(file, size_bytes, seed)
        # A fixed name and time in the header: the same seed gives the same file.
        with gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            return write_corpus(packed, size_bytes, seed)  # type: ignore[arg-type]


def parse_size(text: str) -> int:
    """The bytes that a size such as `100MB`, `1.5GB`, `64KiB` or `5000` means."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([kKMG])(i?)B)?", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"not a size: {text!r} (give it like 100MB)")
    number, unit, binary = match.groups()
    base = 1024 if binary else 1000
    return int(float(number) * base ** (" KMG".index(unit.upper()) if unit else 0))


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="Makes a seeded trace log of any size.")
    parser.add_argument("--bytes", type=parse_size, default=100_000_000, help="such as 100MB")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gz", action="store_true", help="compress it")
    parser.add_argument("-o", "--output", type=Path, help="the file; standard output by default")
    options = parser.parse_args()
    if options.output is not None:
        records = make_corpus(options.output, options.bytes, options.seed, compressed=options.gz)
        print(f"{options.output}: {records:,} records", file=sys.stderr)
    elif options.gz:
        parser.error("--gz needs -o FILE")
    else:
        write_corpus(sys.stdout.buffer, options.bytes, options.seed)


if __name__ == "__main__":
    main()
