"""The command line: what to measure, with which engines, and where the numbers go."""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
from collections.abc import Sequence
from typing import Any

from . import machine, report
from .engines import DEFAULT, ENGINES, Engine
from .measure import pin
from .run import Result, run
from .workloads import all_workloads
from .workloads.workload import Workload

SECONDS, QUICK_SECONDS = 0.5, 0.15
STATISTICS = ("median", "p99", "fastest")

EPILOG = """\
Before an engine is timed its answers are checked against ONNX's own reference (to 1e-4), on the same
path that is timed. Everything runs in float32 on one core; engines take turns within each workload.

columns:
  an engine     microseconds per call, median; – it cannot run this (the reason is below the table)
  lstm_rt ahead the best peer's time divided by lstm_rt's
  limit         the least this core could take: weights read at its measured bandwidth, or multiply-adds at its
                measured peak, whichever is longer
  of limit      limit divided by lstm_rt's time: 100% is as fast as this machine can be

examples:
  python -m bench --quick                          the main workloads, in about a minute
  python -m bench --only 'lstm/step'               every workload whose name holds lstm/step
  python -m bench --only '*/seq100/128' --engines lstm_rt,ort-bind
  python -m bench --json all.json --plot all.png   everything, kept

exit codes: 0 all well; 1 an engine failed or gave a wrong answer; 2 the command line is wrong
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        return _list()
    workloads = _chosen_workloads(parser, options)
    engines = _chosen_engines(parser, options.engines)
    core = _pinned(parser, options.core)
    facts = machine.describe(engines, core)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    results = _measured(workloads, engines, seconds, options.statistic)
    _show(results, engines, options, facts, {"seconds": seconds, "quick": options.quick, "only": options.only})
    return 1 if any(result.wrong for result in results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure lstm_rt beside other runtimes, and beside the limits of this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help=f"fewer workloads, {QUICK_SECONDS} s per engine instead of {SECONDS}")
    add("--only", metavar="PATTERN", help="workloads whose name holds PATTERN, which may have * and ?")
    add("--engines", metavar="A,B", help=f"engines to run; all but lstm_rt-run by default: {', '.join(ENGINES)}")
    add("--seconds", type=float, metavar="S", help="time spent on each engine of each workload")
    add("--core", type=int, metavar="N", help="core to run on; by default the last one allowed")
    add("--statistic", choices=STATISTICS, default="median", help="what is compared; fastest on a busy machine")
    add("--json", metavar="FILE", help="write all numbers, machine and versions; - is standard output")
    add("--plot", metavar="FILE.png", help="draw them (needs matplotlib)")
    add("--list", action="store_true", help="list workloads and engines, and stop")
    return parser


def _list() -> int:
    print("workloads:")
    for workload in all_workloads():
        print(f"  {workload.name:<18} {workload.what}")
    print("engines:")
    for engine in ENGINES.values():
        print(f"  {engine.name:<12} {engine.version or 'not installed':<16} {engine.what}")
    return 0


def _chosen_workloads(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[Workload]:
    chosen = all_workloads()
    if options.only:
        chosen = [w for w in chosen if fnmatch.fnmatchcase(w.name, f"*{options.only}*")]
    if options.quick:
        chosen = [w for w in chosen if w.quick]
    if not chosen:
        parser.error(f"no workload's name holds {options.only!r}; --list shows them all")
    return chosen


def _chosen_engines(parser: argparse.ArgumentParser, names: str | None) -> list[Engine]:
    wanted = DEFAULT if names is None else tuple(name.strip() for name in names.split(","))
    unknown = [name for name in wanted if name not in ENGINES]
    if unknown:
        parser.error(f"no engine is called {unknown[0]!r}; there are: {', '.join(ENGINES)}")
    return [ENGINES[name] for name in dict.fromkeys(wanted)]


def _pinned(parser: argparse.ArgumentParser, core: int | None) -> int | None:
    try:
        return pin(core)
    except OSError as error:
        parser.error(f"cannot run on core {core}: {error}")


def _measured(workloads: list[Workload], engines: list[Engine], seconds: float, statistic: str) -> list[Result]:
    results = []
    for number, workload in enumerate(workloads, 1):
        result = run(workload, engines, seconds, statistic)
        results.append(result)
        ours = f"{result.lead:.1f}× ahead of {result.best_peer}" if result.lead else result.best_peer or "nothing ran"
        print(f"[{number}/{len(workloads)}] {result.workload.name}: {ours}", file=sys.stderr, flush=True)
    return results


def _show(
    results: list[Result],
    engines: list[Engine],
    options: argparse.Namespace,
    facts: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    # An engine that is not installed is not worth a column.
    names = [e.name for e in engines if any(e.name in r.timings or e.name in r.wrong for r in results)]
    if options.json != "-":
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(f"{machine.headline(facts)}\n")
        print(report.table(results, names, color=color))
        print(f"\nµs per call, {options.statistic}, float32, one core\n{report.notes(results)}")
    if options.json:
        report.write_json(options.json, results, facts, settings)
    if options.plot:
        report.plot(options.plot, results, names)
