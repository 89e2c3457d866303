"""``lstm-rt convert``."""

import errno
import warnings
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import typer
from rich.text import Text

import lstm_rt
from lstm_rt.cli import options, ui
from lstm_rt.cli.options import (
    BindOption,
    ConverterOption,
    FreezeOption,
    HintOption,
    JsonOption,
    MaxReadBytesOption,
    QuantizeOption,
    RecipeOption,
    ShapeOption,
)
from lstm_rt.proposals import as_options, propose
from lstm_rt.report import streaming_of
from lstm_rt.text import one_line

if TYPE_CHECKING:
    from lstm_rt.quantize import Report
    from lstm_rt.report import Conversion

NAME = "convert"
EXAMPLES = (
    ("lstm-rt convert model.onnx", "Write model.gguf beside it"),
    ("lstm-rt convert silero_vad.onnx vad.gguf --freeze sr=16000", "Fix an input for good"),
    (
        "lstm-rt convert silero_vad.onnx vad.gguf --hint frame=512 --hint context=64 --hint rate=16000 "
        "--hint threshold=0.5",
        "Keep in the file how the model is streamed",
    ),
    ("lstm-rt convert model.onnx small.gguf --quantize int8 --quantize '/scores/*=bf16'", "One byte a weight, or two"),
    (
        "lstm-rt convert model.onnx --check --check-stream",
        "Prove that it gives what the source gives",
    ),
    ("lstm-rt convert tagger.pth --recipe tagger.toml", "A file of weights, and the layers they belong to"),
    ("lstm-rt convert gru.onnx --shape X=?x1x40 --bind h0=h0_out", "Fix a batch; name what carries state"),
)


def command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The trained model.", show_default=False)],
    target: Annotated[
        Optional[Path],
        typer.Argument(metavar="TARGET", help="The .gguf file to write; SOURCE with .gguf at its end if left out."),
    ] = None,
    bind: BindOption = None,
    freeze: FreezeOption = None,
    shape: ShapeOption = None,
    quantize: QuantizeOption = None,
    hint: HintOption = None,
    recipe: RecipeOption = None,
    option: ConverterOption = None,
    selftest: Annotated[
        bool, typer.Option(help="Keep a few inputs and outputs in the file, for `lstm-rt verify`.")
    ] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with what the source's own framework gives, where it is installed.")
    ] = False,
    check_stream: Annotated[
        bool, typer.Option("--check-stream", help="Prove that frame by frame gives the bytes of the whole.")
    ] = False,
    max_read_bytes: MaxReadBytesOption = None,
    json: JsonOption = False,
) -> None:
    """Convert a trained model into the one .gguf file that is deployed.

    Nothing in the source is executed, and no framework is needed. A model that cannot run is refused with a list of
    all that stands in the way.
    """
    path = target or Path(source).with_suffix(".gguf")
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(path.parent))
    status = ui.messages.status(f"Converting {ui.literal(Path(source).name)}")
    with warnings.catch_warnings(record=True) as caught, status:
        warnings.simplefilter("always", UserWarning)
        try:
            model = lstm_rt.convert(
                source,
                path,
                bind=options.pairs(bind, "--bind"),
                freeze=options.values(freeze, "--freeze"),
                shapes=options.shapes(shape),
                quantize=options.quantize(quantize),
                hints=options.numbers(hint, "--hint"),
                selftest=selftest,
                check=check or None,
                check_stream=check_stream,
                max_read_bytes=max_read_bytes,
                **options.of_converter(option, recipe),
            )
        except lstm_rt.CheckError as error:
            _show_failure(error, json)
        result = _describe(model, source, path)
    result["warnings"] = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    if json:
        ui.print_json(result)
    else:
        _show(result)
    failed = [key for key in ("check", "stream_check") if result[key] and not result[key]["passed"]]
    if failed:
        raise typer.Exit(1)


def _show_failure(error: lstm_rt.CheckError, json: bool) -> NoReturn:
    """Show the comparison that failed; no file was written."""
    assert error.report is not None
    checks = _describe_checks(error.report)
    if json:
        ui.print_json({"error": str(error), "target": None, **checks})
        raise typer.Exit(1)
    _show_checks(checks)
    ui.fail(str(error))


def _describe(model: lstm_rt.Model, source: str, path: Path) -> dict[str, Any]:
    return {
        "source": source,
        "target": str(path),
        "source_bytes": Path(source).stat().st_size,
        "target_bytes": path.stat().st_size,
        "parameters": model.parameters,
        "bindings": model.bindings,
        "hints": model.hints,
        "selftests": model.verify(),
        "quantization": None if model.quantization is None else _describe_report(model.quantization),
        **_describe_conversion(model),
    }


def _describe_conversion(model: lstm_rt.Model) -> dict[str, Any]:
    conversion = model.conversion
    assert conversion is not None  # it was just converted
    return {
        "framework": conversion.framework,
        "parts": [asdict(part) for part in conversion.parts],
        "notes": list(conversion.notes),
        "inputs": [_describe_port(port) for port in model.inputs],
        "outputs": [_describe_port(port) for port in model.outputs],
        "stream": asdict(streaming_of(model, {})),
        "proposal": propose(model),
        **_describe_checks(conversion),
    }


def _describe_checks(conversion: "Conversion") -> dict[str, Any]:
    check, stream = conversion.check, conversion.stream_check
    return {
        "check": check and {**asdict(check), "passed": check.passed},
        "stream_check": stream and {**asdict(stream), "passed": stream.passed},
        "quantized_outputs": [asdict(change) for change in conversion.quantized],
    }


def _describe_port(port: lstm_rt.TensorInfo) -> dict[str, Any]:
    return {
        "name": port.name,
        "shape": port.shape,
        "dim_names": port.dim_names,
        "dtype": port.dtype and str(port.dtype),
    }


def _describe_report(report: "Report") -> dict[str, Any]:
    return {
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "layers": [asdict(layer) for layer in report.layers],
    }


def _show(result: dict[str, Any]) -> None:
    rows = [
        ("from", result["framework"]),
        ("parts", _parts(result["parts"])),
        ("takes", _ports(result["inputs"])),
        ("gives", _ports(result["outputs"])),
        ("size", f"{ui.size(result['source_bytes'])} → {ui.size(result['target_bytes'])}"),
        ("parameters", ui.count(result["parameters"])),
    ]
    if result["bindings"]:
        rows.append(("state", ", ".join(f"{before} ← {after}" for before, after in result["bindings"].items())))
    rows.append(
        ("self-tests", f"{result['selftests']}, kept in the file and replayed" if result["selftests"] else "none")
    )
    rows.append(("hints", ", ".join(f"{name} {value:g}" for name, value in result["hints"].items())))
    stream = result["stream"]
    rows.append(("streams", stream["how"] if stream["streams"] is not False else "no; lstm-rt inspect says why"))
    if stream["streams"] is False:
        rows.append(("proposal", as_options(result["proposal"])))
    rows += [("note", note) for note in result["notes"]]
    ui.console.print(f"[bold green]✓[/] {ui.literal(result['target'])}", soft_wrap=True)
    ui.console.print(ui.facts(rows))
    _show_checks(result)
    if result["quantization"]:
        _show_report(result["quantization"])
    for warning in result["warnings"]:
        ui.note(f"note: {warning}")


def _parts(parts: list[dict[str, Any]]) -> str:
    """Sum up what was mapped: how many parts of each kind, the most frequent first."""
    kinds = Counter(part["kind"] for part in parts)
    return ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())


def _ports(ports: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one_line(port['name'])} {ui.dims(port['shape'], port['dim_names'])}" for port in ports)


def _show_checks(result: dict[str, Any]) -> None:
    if result["check"]:
        _show_check(result["check"], "float32, before quantising, " if result["quantized_outputs"] else "")
    if result["quantized_outputs"]:
        _show_quantized(result["quantized_outputs"])
    if result["stream_check"]:
        _show_stream_check(result["stream_check"])


def _show_quantized(changes: list[dict[str, Any]]) -> None:
    """Show how far the outputs of the quantised model are from those of the float model."""
    ui.console.print("quantised, compared with float32 over the inputs of the self-tests")
    shown = ui.table("output", ">largest difference", ">of largest value", ">SNR")
    for change in changes:
        snr = f"{change['snr_db']:.1f} dB"
        shown.add_row(Text(one_line(change["output"])), f"{change['largest']:.2g}", f"{change['relative']:.2%}", snr)
    ui.console.print(shown)


def _show_check(check: dict[str, Any], what: str) -> None:
    if not check["runs"]:
        ui.console.print(Text(f"✗ not compared with the source: {check['why_not']}", "red"), soft_wrap=True)
        return
    mark = "[bold green]✓[/]" if check["passed"] else "[bold red]✗[/]"
    runtime, allowed = check["runtime"], f"{check['tolerance']:g}"
    ui.console.print(f"{mark} {what}compared with {runtime}; allowed is {allowed} of the largest value")
    shown = ui.table("output", ">largest difference", ">largest value")
    for difference in check["differences"]:
        shown.add_row(
            Text(one_line(difference["output"])), f"{difference['largest']:.2g}", ui.number(difference["scale"])
        )
    ui.console.print(shown)


def _show_stream_check(check: dict[str, Any]) -> None:
    mark = "[bold green]✓[/]" if check["passed"] else "[bold red]✗[/]"
    steps = f", over {check['steps']} steps" if check["steps"] else ""
    ui.console.print(mark, Text(check["how"] + steps), soft_wrap=True)


def _show_report(report: dict[str, Any]) -> None:
    if not report["layers"]:
        ui.note("note: the model has no layers with weights, so there was nothing to quantise")
        return
    shown = ui.table("layer", "operation", "precision", ">before", ">after", ">error")
    for layer in report["layers"]:
        sizes = [ui.size(layer[key]) for key in ("bytes_before", "bytes_after")] if layer["bytes_before"] else ["", ""]
        error = f"{layer['error']:.2%}" if layer["error"] else ""
        shown.add_row(Text(ui.tail(layer["name"]), no_wrap=True), layer["op"], layer["precision"], *sizes, error)
    shown.add_section()
    sizes = [f"[bold]{ui.size(report[key])}" for key in ("bytes_before", "bytes_after")]
    shown.add_row("[bold]in all", "", "", *sizes, "")
    ui.console.print()
    ui.console.print(shown)
    for layer in report["layers"]:
        if layer["note"]:
            said = f"{layer['name']} stays {layer['precision']}: {layer['note']}"
            ui.console.print(Text(said, "dim"), soft_wrap=True)
