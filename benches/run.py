"""Runs all benches and writes their results to `benches/README.md`; `make bench` calls it.

python benches/run.py                 # all, with the sizes of the published results
python benches/run.py --huge          # on larger files too: the peak memory, many logs
python benches/run.py --smoke         # tiny, nothing written: do they run at all?
"""

from __future__ import annotations

import argparse
import json
import os

import bench_compress
import bench_engine
import bench_fleet
import bench_memory
import bench_read
import bench_targets
import bench_top
import bench_write
from corpus import parse_size
from logfiles import log_files
from measure import HERE, facts, table

README = HERE / "README.md"
CRITERION = HERE.parent / "target" / "criterion"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


def criterion_results() -> str:
    """What the core's own benches measured last (`cargo bench`), in Markdown."""
    rows = []
    for path in sorted(CRITERION.glob("**/new/benchmark.json")):
        bench = json.loads(path.read_text())
        estimates = json.loads(path.with_name("estimates.json").read_text())
        median = estimates["median"]
        low, high = (
            median["confidence_interval"][bound] for bound in ("lower_bound", "upper_bound")
        )
        size_bytes = (bench.get("throughput") or {}).get("Bytes")
        rows.append(
            [
                f"`{bench['full_id']}`",
                f"{duration(median['point_estimate'])} ({duration(low)}–{duration(high)})",
                f"{size_bytes / median['point_estimate']:.2f}" if size_bytes else "",
            ]
        )
    if not rows:
        return ""
    head = ["bench", "median (95 % interval)", "GB/s"]
    return f"### The core by itself\n\nBy criterion, without Python.\n\n{table(head, rows)}\n"


def duration(value_ns: float) -> str:
    """A duration in the unit that suits it."""
    for unit, size_ns in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value_ns >= size_ns:
            return f"{value_ns / size_ns:.3g} {unit}"
    return f"{value_ns:.3g} ns"


def write_results(results: str) -> None:
    """Puts the results between their marks in the README."""
    text = README.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README} has no place for results ({BEGIN} ... {END})")
    README.write_text(f"{before}{BEGIN}\n\n{results}\n{END}{after}", encoding="utf-8")


def measure(options: argparse.Namespace) -> str:
    """Runs the benches.

    Returns:
        All results in Markdown.
    """
    bench_memory.check_space(options.target_bytes, huge=options.huge)
    with log_files(options.target_bytes, options.seed) as files:
        targets = bench_targets.measure(files, options.rounds)
        compressing = bench_compress.measure(files, min(options.rounds, 3))
        memory = bench_memory.measure(files, min(options.rounds, 3), huge=options.huge)
    reading = bench_read.measure(options.bytes, options.seed, options.rounds)
    writing = bench_write.measure(
        options.operations, options.rounds, options.calls, at_once=options.at_once
    )
    engine = bench_engine.measure(options.samples, min(options.rounds, 3))
    fleet = bench_fleet.measure(fleet_options(options))
    top_sizes = [options.bytes, options.target_bytes]
    top_sizes += [10 * options.target_bytes] if options.huge and not options.smoke else []
    top_sizes = list(dict.fromkeys(top_sizes))
    top = bench_top.measure(top_sizes, min(options.rounds, 3), options.looks, options.seed)
    return (
        f"### Targets\n\n{targets}\n"
        f"### Reading, beside the reference\n\n{reading}\n"
        f"### Memory\n\n{memory}\n"
        f"### Compressing\n\n{compressing}\n"
        f"### Writing\n\n{writing}\n"
        f"### Inside inspect_ai\n\n{engine}\n"
        f"### Many logs\n\n{fleet}\n"
        f"### The live view\n\n{top}\n"
    )


def fleet_options(options: argparse.Namespace) -> argparse.Namespace:
    """What the bench of many logs is to do."""
    if options.smoke:
        return bench_fleet.parsed(["--smoke"])
    sizes = "100MB,1GB,4GB" if options.huge else "100MB,1GB"
    rounds, seed = str(min(options.rounds, 3)), str(options.seed)
    return bench_fleet.parsed(["--bytes", sizes, "--rounds", rounds, "--seed", seed])


def main() -> None:
    """The command line: see the top of the file."""
    parser = argparse.ArgumentParser(description="Runs all benches.")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, write nothing")
    parser.add_argument(
        "--target-bytes",
        type=parse_size,
        default=1_000_000_000,
        help="the log for the targets and the memory, such as 1GB",
    )
    parser.add_argument(
        "--huge",
        action="store_true",
        help="memory on ten times that size, and 4 GB in few logs too",
    )
    parser.add_argument(
        "--bytes",
        type=parse_size,
        default=100_000_000,
        help="the log that the reference reads too, such as 100MB",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--calls", type=int, default=1_000_000, help="single calls to be timed")
    parser.add_argument("--samples", type=int, default=1000, help="of an evaluation")
    parser.add_argument("--looks", type=int, default=10, help="of top, on each log, in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.set_defaults(at_once=1)
    options = parser.parse_args()
    if options.smoke:
        tiny = {
            "target_bytes": 200_000,
            "bytes": 200_000,
            "operations": 200,
            "calls": 1_000,
            "samples": 10,
            "looks": 1,
            "rounds": 1,
            "at_once": os.cpu_count() or 1,  # nobody looks at the times
        }
        print(measure(argparse.Namespace(**{**vars(options), **tiny, "huge": True})))
        return
    asked = "".join(
        f" --{name.replace('_', '-')} {getattr(options, name)}"
        for name in (
            "target_bytes",
            "bytes",
            "seed",
            "operations",
            "calls",
            "samples",
            "looks",
            "rounds",
        )
        if getattr(options, name) != parser.get_default(name)
    )
    asked += " --huge" if options.huge else ""
    results = (
        f"{facts()}\n\nBy `python benches/run.py{asked}`.\n\n"
        f"{measure(options)}{criterion_results()}"
    ).rstrip("\n") + "\n"
    write_results(results)
    print(f"{README}:\n\n{results}")


if __name__ == "__main__":
    main()
