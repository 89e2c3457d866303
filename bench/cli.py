"""The command line: what to measure, with which engines, and where the numbers go."""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
from collections.abc import Sequence
from typing import Any

from . import compare, machine, plot, report
from .engines import DEFAULT, ENGINES, Engine
from .measure import pin
from .rows import means, rows_of
from .run import Result, run
from .workloads import all_workloads
from .workloads.workload import Workload

SECONDS, QUICK_SECONDS = 0.5, 0.15
STATISTICS = ("median", "p99", "fastest")

EPILOG = """\
Before an engine is timed its answers are checked against ONNX's own reference, on the same path that is timed.
Everything runs on one core; engines take turns within each workload.

columns:
  lstm_rt    microseconds per call of the engine of that row: float32, or a precision that the model was converted to
  a peer     the same; – it cannot run this (the reason is below the table)
  ahead      the best peer's time divided by lstm_rt's. A row of float32 counts peers in float32, others all peers
  limit      the least this core could take: weights of that precision read at the bandwidth measured for as many bytes,
             or multiply-adds at the peak measured for that precision, whichever is longer
  of limit   limit divided by lstm_rt's time: 100% is as fast as this machine can be
  error      root mean square of lstm_rt's error, over that of the answer; ort-int8's: onnxruntime's, quantised to int8

examples:
  python -m bench --quick                          the main workloads, in two minutes
  python -m bench --only 'lstm/step'               every workload whose name holds lstm/step
  python -m bench --only 'step,pool' --engines 'lstm_rt*,ort*'
  python -m bench --only gru0                      GRU with linear_before_reset = 0, run only where named
  python -m bench --json all.json --plot all.png   everything, kept
  python -m bench --compare all.json               everything again: what changed? bench.compare compares two files

exit codes: 0 all well; 1 an engine failed or gave a wrong answer; 2 the command line is wrong; 3 --compare found
lstm_rt slower beyond the noise
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        return _list()
    workloads = _chosen_workloads(parser, options)
    engines = _chosen_engines(parser, options.engines)
    before = _before(parser, options.compare)
    core = _pinned(parser, options.core)
    facts = machine.describe(engines, core)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    results = _measured(workloads, engines, seconds, options.statistic)
    settings = {"seconds": seconds, "quick": options.quick, "only": options.only, "statistic": options.statistic}
    found = report.document(results, [engine.name for engine in engines], facts, settings)
    _show(results, engines, options, facts)
    if options.json:
        report.write_json(options.json, found)
    if before is not None and _regressed(before, found):
        return compare.REGRESSED
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
    add("--only", metavar="PATTERN", help="workloads whose name holds it; * and ? work, a comma parts several")
    add("--engines", metavar="A,B", help="engines to run; * and ? work; all but lstm_rt-run by default (--list)")
    add("--seconds", type=float, metavar="S", help="time spent on each engine of each workload")
    add("--core", type=int, metavar="N", help="core to run on; by default the last one allowed")
    add("--statistic", choices=STATISTICS, default="median", help="what is compared; fastest on a busy machine")
    add("--json", metavar="FILE", help="write all numbers, machine and versions; - is standard output")
    add("--plot", metavar="FILE.png", help="draw them (needs matplotlib)")
    add("--markdown", action="store_true", help="print two small tables in Markdown instead")
    add("--compare", metavar="OLD.json", help="say what changed since, and end with 3 where lstm_rt got slower")
    add("--list", action="store_true", help="list workloads and engines, and stop")
    return parser


def _list() -> int:
    print("workloads:")
    for workload in all_workloads():
        print(f"  {workload.name:<18} {workload.what}")
    print("engines:")
    for engine in ENGINES.values():
        print(f"  {engine.name:<16} {engine.version or 'not installed':<16} {engine.what}")
    return 0


def _chosen_workloads(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[Workload]:
    patterns = _parts(options.only or "")
    chosen = [w for w in all_workloads() if _wanted(w, patterns)]
    if options.quick:
        chosen = [w for w in chosen if w.quick]
    if not chosen:
        parser.error(f"no workload's name holds {options.only!r}; --list shows them all")
    return chosen


def _wanted(workload: Workload, patterns: list[str]) -> bool:
    cell = workload.name.split("/")[0]
    named = [p for p in patterns if not workload.asked_for or cell in p]
    if not patterns:
        return not workload.asked_for
    return any(fnmatch.fnmatchcase(workload.name, f"*{pattern}*") for pattern in named)


def _chosen_engines(parser: argparse.ArgumentParser, names: str | None) -> list[Engine]:
    wanted = list(DEFAULT) if names is None else _parts(names)
    chosen: list[str] = []
    for pattern in wanted:
        found = fnmatch.filter(ENGINES, pattern)
        if not found:
            parser.error(f"no engine is called {pattern!r}; there are: {', '.join(ENGINES)}")
        chosen += found
    return [engine for name, engine in ENGINES.items() if name in chosen]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _before(parser: argparse.ArgumentParser, path: str | None) -> dict[str, Any] | None:
    """What to compare with, read now: what cannot be compared is better known before than after all was measured."""
    try:
        return compare.read(path) if path else None
    except compare.CompareError as error:
        parser.error(str(error))


def _regressed(before: dict[str, Any], after: dict[str, Any]) -> bool:
    changes = compare.changes(before, after)
    print("\n" + compare.text(changes, before, after), file=sys.stderr)
    return compare.regressed(changes)


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
        rows = rows_of([result], [engine.name for engine in engines])
        leads = [f"{row.ours.name} {report.times(row.lead)}" for row in rows if row.lead is not None]
        said = ", ".join(leads) or "nothing to compare"
        print(f"[{number}/{len(workloads)}] {result.workload.name}: {said}", file=sys.stderr, flush=True)
    return results


def _show(results: list[Result], engines: list[Engine], options: argparse.Namespace, facts: dict[str, Any]) -> None:
    rows = rows_of(results, [engine.name for engine in engines])
    if options.markdown:
        print(report.markdown(rows, means(rows)))
    elif options.json != "-":
        # A peer that is not installed is not worth a column.
        ran = [e for e in engines if any(e.name in r.timings or e.name in r.wrong for r in results)]
        peers = [engine.name for engine in ran if not engine.ours]
        color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(f"{machine.headline(facts)}\n")
        print(report.table(rows, peers, color=color))
        print(f"\nµs per call, {options.statistic}, one core; geometric means:\n\n{report.mean_table(means(rows))}")
        print(f"\n{report.notes(results)}")
    if options.plot:
        plot.plot(options.plot, results, [engine.name for engine in engines])
