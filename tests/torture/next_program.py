"""The program that is started next on the same logs: it joins and compresses what others left.

`python -m torture.next_program NAME ACKNOWLEDGEMENTS`: writes a record, acknowledges it, and stays
until its standard input ends.
"""

from __future__ import annotations

import logging
import os
import sys

from inspect_trace import init_tracing
from torture.record import text_of


def main() -> None:
    """Writes one record as the process of the given name."""
    acknowledgements = os.open(sys.argv[2], os.O_WRONLY)
    init_tracing(keep_runs=1000)
    who = f"{sys.argv[1]}.0"
    logging.getLogger("torture").info(text_of(who, 0, 100))
    os.write(acknowledgements, f"{who} 0\n".encode())
    os.read(0, 1)


if __name__ == "__main__":
    main()
