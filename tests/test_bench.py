"""The logic of python -m bench, with made-up numbers: no test here depends on how fast a machine is."""

from __future__ import annotations

import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from versions import skip_before

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))  # bench/ is not installed

from bench import (
    check,
    cli,
    compare,
    cstep,
    emulated,
    instructions,
    latency,
    limits,
    measure,
    overhead,
    pi,
    report,
    roofline,
    rows,
)
from bench.check import Error
from bench.engines import ENGINES
from bench.measure import Timing
from bench.precision import PRECISIONS
from bench.run import Result, run
from bench.workloads import all_workloads
from bench.workloads.workload import Cost, Workload

NO_CELL_STATE = "has a reference evaluator that knows no Y_c"


def timing(median: float, spread: float = 0.0) -> Timing:
    return Timing(median, 2 * median, median / 2, samples=12, calls_per_sample=1, spread=spread)


def result(name: str, medians: dict[str, float], limits_us: dict[str, float] | None = None) -> Result:
    made = Result(Workload(name, f"what {name} is", make=lambda: pytest.fail("made for nothing")))
    made.timings = {engine: timing(median) for engine, median in medians.items()}
    made.errors = {engine: Error(1e-6, 0.01 * number) for number, engine in enumerate(medians)}
    made.limits_us = limits_us or {}
    return made


@pytest.fixture
def results() -> list[Result]:
    return [
        result(
            "lstm/step/32",
            {"lstm_rt": 1.0, "lstm_rt-int8": 0.5, "ort-bind": 4.0, "ort-int8": 2.0, "torch": 8.0},
            {"float32": 0.5, "int8": 0.1},
        ),
        result("lstm/step/64", {"lstm_rt": 2.0, "ort-bind": 2.0, "torch": 8.0}, {"float32": 2.0}),
        result("gru/seq100/64", {"ort-bind": 100.0}),
    ]


# ---- Timings ----


def test_a_timing_sums_up_its_rounds() -> None:
    found = measure.timing([[1.0, 2.0, 9.0], [3.0, 3.0, 3.0], [4.0, 4.0, 4.0], [6.0, 5.0, 5.0]], batch=7)
    assert found == Timing(median=4.0, p99=pytest.approx(8.67), fastest=1.0, samples=12, calls_per_sample=7, spread=1.5)


def test_equal_rounds_have_no_noise() -> None:
    assert measure.timing([[5.0, 1.0, 9.0]] * 4, batch=1).spread == 0


def test_engines_are_timed_in_turns() -> None:
    order: list[str] = []
    found = measure.interleaved({name: lambda name=name: order.append(name) for name in "ab"}, seconds=0.001)  # type: ignore[misc]
    turns = [name for name, before in zip(order, ["", *order]) if name != before]
    assert len(turns) >= 2 * measure.ROUNDS
    assert set(found) == {"a", "b"}


# ---- Answers ----


def test_errors_are_relative_to_the_answer() -> None:
    found = check.error(np.array([3.0, 5.0]), np.array([3.0, 4.0]))
    assert found.largest == 1
    assert found.rms == pytest.approx(1 / 5)


@pytest.mark.parametrize("found", [np.zeros(3), np.array([0.0, math.nan])])
def test_wrong_shapes_and_no_numbers_are_wrong(found: Any) -> None:
    assert check.error(found, np.ones(2)) == check.WRONG
    assert not any(check.WRONG.allowed(precision) for precision in PRECISIONS.values())


def test_quantised_models_may_be_further_off() -> None:
    off = Error(largest=0.2, rms=0.02)
    assert off.allowed(PRECISIONS["int8"])
    assert not off.allowed(PRECISIONS["float32"])
    assert not Error(0.2, 0.2).allowed(PRECISIONS["int8"])


@pytest.mark.parametrize(
    "name",
    [
        "lstm/step/16",
        "gru/batch8/16",
        "gru0/step/16",
        "gru0/seq100/16",
        "lstm/seq100/16",
        "gru/pool64/16",
    ],
)
def test_engines_give_the_reference(name: str) -> None:
    """Both on the path that is timed. GRU0 differs from GRU: that is in the workload, not in its name alone."""
    if name.startswith("lstm"):
        skip_before("onnx", (1, 20), NO_CELL_STATE)
    workload = next(w for w in all_workloads() if w.name == name)
    found = run(workload, [ENGINES["lstm_rt"], ENGINES["ort"], ENGINES["ort-bind"]], 0.001, "median")
    assert not found.wrong
    assert set(found.timings) == {"lstm_rt", "ort", "ort-bind"}


def test_the_two_forms_of_gru_differ() -> None:
    answers = {
        workload.name: check.reference(workload.make())
        for workload in all_workloads()
        if workload.name in ("gru/step/16", "gru0/step/16")
    }
    assert np.abs(answers["gru/step/16"] - answers["gru0/step/16"]).max() > 0.01


def test_onnxruntime_in_int8_is_near_and_not_equal() -> None:
    pytest.importorskip("onnxruntime")
    skip_before("onnx", (1, 20), NO_CELL_STATE)
    import saturation

    if not saturation.onnxruntime_is_exact():
        pytest.skip("onnxruntime's products of bytes saturate on this CPU, so its error in int8 has no bound")
    workload = next(w for w in all_workloads() if w.name == "lstm/step/32")
    found = run(workload, [ENGINES["ort-int8"]], 0.001, "median")
    assert 1e-4 < found.errors["ort-int8"].rms < 0.1


def test_onnxruntime_has_no_int8_gru() -> None:
    pytest.importorskip("onnxruntime")
    gru = next(w for w in all_workloads() if w.name == "gru/step/32")
    assert "nothing for it" in run(gru, [ENGINES["ort-int8"]], 0.001, "median").cannot["ort-int8"]


# ---- What is compared with what ----


def test_float32_is_beside_float32_and_int8_beside_the_quickest(results: Sequence[Result]) -> None:
    float32, int8 = rows.rows_of(results[:1], ["lstm_rt", "lstm_rt-int8", "ort-bind", "torch"])
    assert (float32.best_peer, float32.lead, float32.share) == ("ort-bind", 4.0, 0.5)
    assert (int8.best_peer, int8.lead, int8.share) == ("ort-int8", 4.0, 0.2)
    assert float32.peer_error is None
    assert (int8.error, int8.peer_error) == (0.01, 0.03)


def test_a_row_without_our_time_has_nothing_to_say(results: Sequence[Result]) -> None:
    [row] = rows.rows_of(results[2:], ["lstm_rt"])
    assert (row.us, row.lead, row.share, row.error) == (None, None, None, None)


def test_means_are_geometric_and_by_family(results: Sequence[Result]) -> None:
    found = {(m.precision, m.family): m for m in rows.means(rows.rows_of(results, ["lstm_rt", "lstm_rt-int8"]))}
    assert set(found) == {(engine, family) for engine in ("lstm_rt", "lstm_rt-int8") for family in ("lstm/step", "all")}
    mean = found["lstm_rt", "lstm/step"]
    assert (mean.count, mean.lead, mean.share) == (2, pytest.approx(2.0), pytest.approx(math.sqrt(0.5)))
    assert rows.geometric([None]) is None


# ---- Limits ----


def test_the_limit_is_reading_or_multiplying(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(limits, "bandwidth", lambda size: asked.append(size) or 1e9)
    monkeypatch.setattr(limits, "multiply_adds", lambda unit="float32": {"float32": 1e9, "int8": 4e9}[unit])
    reading = Cost(macs=100, bytes=4000, footprint=8000)
    assert limits.floor_us(reading) == pytest.approx(4.0)
    assert limits.floor_us(reading, PRECISIONS["int8"]) == pytest.approx(1.0)
    assert asked == [8000, 2000]
    multiplying = Cost(macs=8000, bytes=40, footprint=40)
    assert limits.floor_us(multiplying) == pytest.approx(8.0)
    assert limits.floor_us(multiplying, PRECISIONS["int8"]) == pytest.approx(2.0)
    assert limits.floor_us(multiplying, PRECISIONS["int8x16"]) == pytest.approx(4.0)


def test_the_roofline_is_said_and_drawn(tmp_path: pathlib.Path) -> None:
    found = {
        "cpu": "some CPU",
        "read_bytes_per_second": {str(size): 1e11 for size in roofline.FOOTPRINTS},
        "multiply_adds_per_second": dict.fromkeys(PRECISIONS, 1e11),
        "int8_instruction": "sdot",
    }
    said = roofline.text(found)
    assert "64 MiB       100.0" in said
    assert "int8 by sdot" in said
    pytest.importorskip("matplotlib")
    roofline.plot(str(tmp_path / "roof.png"), found)
    assert (tmp_path / "roof.png").stat().st_size > 1000


# ---- Reports ----


def test_the_table_has_a_row_for_each_precision_that_ran(results: list[Result]) -> None:
    results[0].cannot["tract"] = "no way"
    results[1].wrong["lstm_rt-int8"] = "answer off by 3"
    engines = ["lstm_rt", "lstm_rt-int8", "ort-bind", "tract"]
    lines = report.table(rows.rows_of(results, engines), ["ort-bind", "tract"]).splitlines()
    cells = [line.split() for line in lines[2:]]
    assert [line[:4] for line in cells] == [
        ["lstm/step/32", "lstm_rt", "1.00", "4.00"],
        ["lstm/step/64", "lstm_rt", "2.00", "2.00"],
        ["lstm/step/32", "lstm_rt-int8", "0.50", "4.00"],
        ["lstm/step/64", "lstm_rt-int8", "failed", "2.00"],
    ]
    assert cells[2][5:] == ["ort-int8", "4.0×", "0.10", "20%", "1.00%", "3.00%"]
    said = report.notes(results)
    assert "tract cannot: no way (lstm/step/32)" in said
    assert "lstm_rt-int8 failed: answer off by 3 (lstm/step/64)" in said


def test_markdown_is_two_tables(results: Sequence[Result]) -> None:
    made = rows.rows_of(results, ["lstm_rt", "lstm_rt-int8", "ort-bind"])
    means, _, sizes = report.markdown(made, rows.means(made)).partition("\n\n")
    assert "| lstm/step | 2.0×, 71% | 4.0×, 20% |" in means
    assert "| lstm/step/32 | 1.00 | 0.50 | 4.00 (ort-bind) |" in sizes
    assert len({line.count("|") for line in means.splitlines()}) == 1
    assert len({line.count("|") for line in sizes.splitlines()}) == 1


@pytest.mark.parametrize(("us", "said"), [(None, ""), (0.123, "0.12"), (12.34, "12.3"), (1234.5, "1234")])
def test_microseconds_have_three_digits(us: float | None, said: str) -> None:
    assert report.microseconds(us) == said


@pytest.mark.skipif(not sys.platform.startswith("linux") or shutil.which("g++") is None, reason="needs Linux and g++")
def test_latency_of_a_few_steps(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    allowed = os.sched_getaffinity(0)
    files = tmp_path / "found.json", tmp_path / "found.png"
    try:
        arguments = ["--models", "lstm/16", "--steps", "5000", "--json", str(files[0]), "--plot", str(files[1])]
        assert latency.main(arguments) == 0
    finally:
        os.sched_setaffinity(0, allowed)
    assert "p99.99" in capsys.readouterr().out
    found = json.loads(files[0].read_text())["latency"]["lstm/16"]
    assert set(found) == (set(latency.LOADS) if len(allowed) > 1 else {"alone"})
    for summary in found.values():
        ordered = [summary[name] for name in latency.PERCENTILES]
        assert ordered == sorted(ordered)
        assert ordered[0] > 0
    assert files[1].stat().st_size > 1000


def test_overhead_names_the_worst_call() -> None:
    said = overhead.text({"nothing": {"c": 15.0, "python": 50.0}, "gru/16": {"c": 100.0, "python": 190.0}})
    assert "nothing to do: 15.0 ns" in said
    assert "above that from C: 90.0 ns" in said


def test_instructions_are_counted_for_each_multiply_add() -> None:
    said = instructions.text({"nothing": 200.0, "lstm/16": 2048.0})
    assert said.splitlines()[-1].split() == ["lstm/16", "2,048", "16.00"]


# ---- What changed ----


def document(medians: dict[str, float], spread: float = 0.0, workload: str = "lstm/step/32") -> dict[str, Any]:
    made = result(workload, {})
    made.timings = {engine: timing(median, spread) for engine, median in medians.items()}
    return report.document([made], list(medians), {"cpu": "some CPU"}, {})


@pytest.fixture(autouse=True)
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_limits", dict)


@pytest.mark.parametrize(
    ("old", "new", "old_spread", "new_spread", "verdict"),
    [
        (10.0, 11.0, 0.2, 0.2, "slower"),
        (10.0, 11.0, 0.5, 0.6, ""),  # within the noises of both together
        (10.0, 10.2, 0.0, 0.0, ""),  # 2%: hours differ by that
        (10.0, 10.4, 0.0, 0.0, "slower"),
        (10.0, 9.0, 0.2, 0.2, "faster"),
    ],
)
def test_what_is_beyond_the_noise(old: float, new: float, old_spread: float, new_spread: float, verdict: str) -> None:
    before, after = document({"lstm_rt": old}, old_spread), document({"lstm_rt": new}, new_spread)
    [change] = compare.changes(before, after)
    assert change.verdict == verdict
    assert compare.regressed([change]) == (verdict == "slower")


def test_a_neighbour_moves_medians_and_not_the_fastest() -> None:
    before, after = document({"lstm_rt": 10.0}), document({"lstm_rt": 12.0})
    after["results"][0]["timings_us"]["lstm_rt"]["fastest"] = before["results"][0]["timings_us"]["lstm_rt"]["fastest"]
    assert [change.verdict for change in compare.changes(before, after)] == [""]


def test_the_pace_of_the_machine_is_taken_off() -> None:
    before = document({"lstm_rt": 1.0, "torch": 1.0, "ort": 2.0})
    [same] = compare.changes(before, document({"lstm_rt": 1.3, "torch": 1.3, "ort": 2.6}))
    assert (same.pace, same.ratio, same.verdict) == (pytest.approx(1.3), pytest.approx(1.0), "")
    [slower] = compare.changes(before, document({"lstm_rt": 1.0, "torch": 0.5, "ort": 1.0}))
    assert (slower.ratio, slower.verdict) == (pytest.approx(2.0), "slower")


def test_peers_alone_do_not_regress() -> None:
    before, after = document({"lstm_rt": 1.0, "torch": 1.0}), document({"lstm_rt": 1.0, "torch": 0.99})
    found = compare.changes(before, after)
    assert not compare.regressed(found)
    said = compare.text(found, before, after)
    assert "torch" not in said
    assert "-1.0%" in said  # the pace
    assert "0 slower, 0 faster, 1 within the noise" in said


def test_workloads_of_one_file_alone_are_left_out() -> None:
    before, after = document({"lstm_rt": 1.0}), document({"lstm_rt": 9.0}, workload="lstm/step/64")
    assert compare.changes(before, after) == []


def test_compare_ends_with_what_it_found(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    report.write_json(str(old), document({"lstm_rt": 1.0}))
    report.write_json(str(new), document({"lstm_rt": 2.0}))
    assert compare.main([str(old), str(new)]) == compare.REGRESSED
    assert "+100.0%" in capsys.readouterr().out
    assert compare.main([str(new), str(old)]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "bad.json"),
        ("[]", "was not written by"),
        ('{"results": [{"workload": "w", "timings_us": {"e": {}}}]}', "kept no noise"),
    ],
)
def test_compare_refuses_other_files(
    text: str, said: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    with pytest.raises(SystemExit) as ended:
        compare.main([str(bad), str(bad)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


# ---- The command line ----


def chosen(*arguments: str) -> list[str]:
    parser = cli._parser()
    return [w.name for w in cli._chosen_workloads(parser, parser.parse_args(arguments))]


def test_workloads_are_chosen_by_parts_of_their_names() -> None:
    assert chosen("--only", "lstm/step") == [f"lstm/step/{n}" for n in (16, 32, 64, 128, 256, 512, 1024)]
    shapes = ("step", "seq100", "batch8", "batch64", "pool64")
    assert chosen("--only", "lstm/*/128") == [f"lstm/{shape}/128" for shape in shapes]
    assert set(chosen("--only", "silero,nsnet2/frame")) == {"silero/chunk", "nsnet2/frame"}
    assert set(chosen("--quick")) < set(chosen())


def test_gru0_is_measured_where_named() -> None:
    assert not any(name.startswith("gru0") for name in (*chosen(), *chosen("--only", "gru"), *chosen("--only", "step")))
    assert chosen("--only", "gru0/step/16") == ["gru0/step/16"]


def test_nothing_chosen_is_wrong_usage() -> None:
    with pytest.raises(SystemExit):
        chosen("--only", "no such workload")


def test_engines_are_chosen_by_patterns() -> None:
    parser = cli._parser()
    assert [e.name for e in cli._chosen_engines(parser, "ort*,lstm_rt")] == ["lstm_rt", "ort", "ort-bind", "ort-int8"]
    assert "lstm_rt-run" not in [e.name for e in cli._chosen_engines(parser, None)]
    with pytest.raises(SystemExit):
        cli._chosen_engines(parser, "no such engine")


def test_a_run_writes_and_compares(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "found.json"
    arguments = ["--only", "gru/step/16", "--engines", "lstm_rt,ort-bind", "--seconds", "0.01"]
    assert cli.main([*arguments, "--json", str(file)]) == 0
    assert "gru/step/16" in capsys.readouterr().out
    found = json.loads(file.read_text())
    assert set(found["results"][0]["timings_us"]) == {"lstm_rt", "ort-bind"}
    assert found["results"][0]["lstm_rt"]["lstm_rt"]["best_peer"] == "ort-bind"
    assert cli.main([*arguments, "--compare", str(file), "--markdown"]) in (0, compare.REGRESSED)
    said = capsys.readouterr()
    assert said.out.startswith("| ahead of the best other")
    assert "slower" in said.err


# ---- From C ----


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_program_in_c_steps_models(tmp_path: pathlib.Path) -> None:
    files = cstep.write_models(tmp_path, [cstep.NOTHING, "gru/16"])
    found = cstep.times(files)
    assert list(found) == [cstep.NOTHING, "gru/16"]
    assert all(0 < time.fastest <= time.median for time in found.values())


@pytest.mark.skipif(shutil.which("g++") is None or shutil.which("valgrind") is None, reason="needs g++ and valgrind")
@pytest.mark.skipif(sys.platform != "linux", reason="valgrind is for Linux")
def test_instructions_do_not_vary() -> None:
    counts = [instructions.count(["gru/16"], instructions.here(), "portable")["gru/16"] for _ in range(2)]
    assert counts[0] == pytest.approx(counts[1], rel=0.01)
    assert counts[0] > 1000


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-user")
def test_instructions_are_counted_under_qemu() -> None:
    def count(*command: str) -> int:
        words = ["qemu-x86_64", "-plugin", str(emulated.plugin("qemu-x86_64")), *command]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        found = instructions.TOTAL.search(done.stderr)
        assert found
        return int(found[1])

    shell = shutil.which("dash") or "/bin/sh"
    counts = [count(shell, "-c", f"for i in {'x ' * loops}; do :; done") for loops in (100, 200, 300)]
    assert 0 < counts[1] - counts[0] == pytest.approx(counts[2] - counts[1], rel=0.1)


def test_a_pi_is_as_slow_as_its_slowest_part() -> None:
    [pi3, *_, pi5] = pi.BOARDS
    issue = pi.expected(pi3, "lstm/16", "float32", "arm64_neon", 1000.0)
    assert issue.bound == "instructions"
    assert issue.seconds == pytest.approx(1500 / 1.2e9)
    # W and R of 2048 x 512 floats are 8 MiB
    assert pi.expected(pi3, "lstm/512", "float32", "arm64_neon", 1.0) == (pytest.approx(8 * 2**20 / 2e9), "memory")
    assert pi.expected(pi5, "lstm/256", "int4", "arm64_dotprod", 1.0).bound == "L2"
    assert pi.expected(pi3, "gru/16", "int8", "arm64_neon", 1.0).bound == "multiply-adds"


def test_every_count_on_arm_has_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert pi.main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith("A MODEL, NOT A MEASUREMENT")
    counted = json.loads(pi.COUNTS.read_text())["arm"]
    assert {count["cpu"] for count in counted} >= {at.cpu for at in pi.BOARDS}
    for count in counted:
        for name in count["instructions"].keys() - {cstep.NOTHING}:
            assert len(re.findall(rf"^{name} +{count['precision']} ", said, re.MULTILINE)) == 1
