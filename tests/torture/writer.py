"""The program that is killed: threads and processes that trace, and acknowledge each record.

`python -m torture.writer PLAN ACKNOWLEDGEMENTS`: a plan as JSON, a FIFO to acknowledge to. A byte
on standard input tells it to die as planned. Where it writes is told by the environment, as usual.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import select
import sys
import threading
import time
from random import Random
from typing import NoReturn

from inspect_trace import init_tracing, trace_action, trace_message
from torture.plan import OWN_DEATHS, Plan
from torture.record import random_size, text_of

logger = logging.getLogger("torture")

# What one thread writes at the full size of its records; then it goes on with small ones, so that
# a round ends with logs of a bounded size.
FULL_SIZE_BYTES = 20_000_000

# And it goes slowly after so many: where the readers of a round are slower than its writers, each
# reading would find a multiple of the one before.
FAST_RECORDS = 100_000
SLOW_S = 0.001

COMMANDS = 100
"""The descriptor that commands come through."""


def main() -> None:
    """Starts everything, and writes until the end."""
    plan = Plan.from_json(sys.argv[1])
    acknowledgements = os.open(sys.argv[2], os.O_WRONLY)
    os.dup2(0, COMMANDS)  # children of multiprocessing get another standard input
    sys.setswitchinterval(plan.switch_interval_s)
    init_tracing(keep_runs=1000, **plan.tracing)
    run_process(plan, "0", list(plan.children), acknowledgements)


def run_process(plan: Plan, label: str, children: list[str], acknowledgements: int) -> None:
    """What each process does: start its children and threads, and write; never returns.

    Args:
        plan: The plan.
        label: The name of the process in its records.
        children: How those children are started that this process starts.
        acknowledgements: The descriptor of the FIFO.
    """
    if not plan.threads_first:
        start_children(plan, label, children, acknowledgements)
    for thread in range(1, plan.threads):
        threading.Thread(
            target=write, args=(plan, f"{label}.{thread}", acknowledgements), daemon=True
        ).start()
    if plan.threads_first:
        start_children(plan, label, children, acknowledgements)
    is_child = "/" in label and "spawn" not in label
    told_to_die = is_child if plan.death == "child sys.exit" else label == "0"
    write(plan, f"{label}.0", acknowledgements, told_to_die=told_to_die)


def start_children(plan: Plan, label: str, children: list[str], acknowledgements: int) -> None:
    """Starts the children; with `nested`, the first one forked starts those after it."""
    while children:
        how = children.pop(0)
        child_label = f"{label}/{how.split()[-1]}{len(children)}"
        if how == "multiprocessing spawn":
            multiprocessing.get_context("spawn").Process(
                target=run_spawned, args=(plan, child_label, sys.argv[2]), daemon=True
            ).start()
            continue
        passed_on = list(children) if plan.nested else []
        if how == "fork":
            if os.fork() == 0:
                run_process(plan, child_label, passed_on, acknowledgements)
        else:
            multiprocessing.get_context("fork").Process(
                target=run_process, args=(plan, child_label, passed_on, acknowledgements)
            ).start()
        if plan.nested:
            return


def run_spawned(plan: Plan, label: str, fifo: str) -> None:
    """A child that begins anew: it sets its own tracing up."""
    init_tracing(keep_runs=1000, **plan.tracing)
    run_process(plan, label, [], os.open(fifo, os.O_WRONLY))


def write(plan: Plan, who: str, acknowledgements: int, *, told_to_die: bool = False) -> NoReturn:
    """Writes records for ever, and acknowledges each when the call that wrote it has returned."""
    random = Random(f"{plan.seed} {who}")
    polls_commands = told_to_die and plan.death in OWN_DEATHS
    number = written_bytes = 0
    while True:
        is_large = written_bytes < FULL_SIZE_BYTES
        text = text_of(who, number, random_size(random, plan.largest_bytes if is_large else 300))
        written_bytes += len(text)
        kind = random.randrange(5)
        if kind == 0:
            with trace_action(logger, "Work", "%s", text):
                os.write(acknowledgements, f"{who} {number}\n".encode())
            number += 1
        elif kind == 1:
            trace_message(logger, "Torture", "%s", text)
        elif kind == 2:
            logger.info("%s", text, extra={"number": number, "values": [None, 1.5, {"a": who}]})
        else:
            logger.info(text)
        os.write(acknowledgements, f"{who} {number}\n".encode())
        number += 1
        if number > FAST_RECORDS:
            time.sleep(SLOW_S)
        if polls_commands and select.select([COMMANDS], [], [], 0)[0] and os.read(COMMANDS, 1):
            die(plan.death)


def die(death: str) -> None:
    """Dies as the plan says."""
    if death == "segfault":
        ctypes.string_at(0)
    elif death == "os._exit":
        os._exit(3)
    elif death == "os.abort":
        os.abort()
    elif death == "exception":
        raise RuntimeError("nobody catches this")
    else:
        sys.exit(4)


if __name__ == "__main__":
    main()
