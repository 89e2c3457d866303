"""``lstm-rt convert``."""

import errno
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.text import Text

import lstm_rt
from lstm_rt.cli import options, ui
from lstm_rt.cli.options import BindOption, FreezeOption, JsonOption, QuantizeOption, ShapeOption

if TYPE_CHECKING:
    from lstm_rt.quantize import Report

NAME = "convert"
EXAMPLES = (
    ("lstm-rt convert model.onnx", "Write model.gguf beside it"),
    ("lstm-rt convert silero_vad.onnx vad.gguf --freeze sr=16000", "Fix an input for good"),
    ("lstm-rt convert model.onnx small.gguf --quantize int8 --quantize '/scores/*=bf16'", "One byte a weight, or two"),
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
    selftest: Annotated[
        bool, typer.Option(help="Keep a few inputs and outputs in the file, for `lstm-rt verify`.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """Convert a trained model into the one .gguf file that is deployed.

    Nothing in the source is executed, and no framework is needed. A model that cannot run is refused with a list of
    all that stands in the way.
    """
    path = target or Path(source).with_suffix(".gguf")
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(path.parent))
    with warnings.catch_warnings(record=True) as caught, ui.messages.status(f"Converting {Path(source).name}"):
        warnings.simplefilter("always", UserWarning)
        model = lstm_rt.convert(
            source,
            path,
            bind=options.pairs(bind, "--bind"),
            freeze=options.values(freeze, "--freeze"),
            shapes=options.shapes(shape),
            quantize=options.quantize(quantize),
            selftest=selftest,
        )
        result = _describe(model, source, path)
    result["warnings"] = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    if json:
        ui.print_json(result)
    else:
        _show(result)


def _describe(model: lstm_rt.Model, source: str, path: Path) -> dict[str, Any]:
    return {
        "source": source,
        "target": str(path),
        "source_bytes": Path(source).stat().st_size,
        "target_bytes": path.stat().st_size,
        "parameters": model.parameters,
        "bindings": model.bindings,
        "selftests": model.verify(),
        "quantization": None if model.quantization is None else _describe_report(model.quantization),
    }


def _describe_report(report: "Report") -> dict[str, Any]:
    return {
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "layers": [asdict(layer) for layer in report.layers],
    }


def _show(result: dict[str, Any]) -> None:
    rows = [
        ("size", f"{ui.size(result['source_bytes'])} → {ui.size(result['target_bytes'])}"),
        ("parameters", ui.count(result["parameters"])),
    ]
    if result["bindings"]:
        rows.append(("state", ", ".join(f"{before} ← {after}" for before, after in result["bindings"].items())))
    rows.append(
        ("self-tests", f"{result['selftests']}, kept in the file and replayed" if result["selftests"] else "none")
    )
    ui.console.print(f"[bold green]✓[/] {result['target']}", soft_wrap=True)
    ui.console.print(ui.facts(rows))
    if result["quantization"]:
        _show_report(result["quantization"])
    for warning in result["warnings"]:
        ui.note(f"note: {warning}")


def _show_report(report: dict[str, Any]) -> None:
    if not report["layers"]:
        ui.note("note: the model has no layers with weights, so there was nothing to quantise")
        return
    shown = ui.table("layer", "operation", "precision", ">before", ">after", ">error of weights")
    for layer in report["layers"]:
        sizes = [ui.size(layer[key]) for key in ("bytes_before", "bytes_after")] if layer["bytes_before"] else ["", ""]
        error = f"{layer['error']:.2%}" if layer["error"] else ""
        shown.add_row(Text(ui.tail(layer["name"], 32), no_wrap=True), layer["op"], layer["precision"], *sizes, error)
    shown.add_section()
    sizes = [f"[bold]{ui.size(report[key])}" for key in ("bytes_before", "bytes_after")]
    shown.add_row("[bold]in all", "", "", *sizes, "")
    ui.console.print()
    ui.console.print(shown)
    for layer in report["layers"]:
        if layer["note"]:
            said = f"{layer['name']} stays {layer['precision']}: {layer['note']}"
            ui.console.print(Text(said, "dim"), soft_wrap=True)
