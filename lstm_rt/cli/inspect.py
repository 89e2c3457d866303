"""``lstm-rt inspect``."""

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Optional

import numpy as np
import typer
from rich.text import Text

import lstm_rt
from lstm_rt.cli import defaults, options, ui
from lstm_rt.cli.defaults import Defaults
from lstm_rt.cli.memory import Watch
from lstm_rt.cli.options import FreezeOption, IsaOption, JsonOption, ShapeOption
from lstm_rt.report import streaming_of
from lstm_rt.text import one_line

NAME = "inspect"
EXAMPLES = (
    ("lstm-rt inspect model.gguf", "Layers, cost of a step, and whether it streams"),
    ("lstm-rt inspect silero_vad.onnx --shape input=1x576 --freeze sr=16000", "For one shape and sample rate"),
    ("lstm-rt inspect --ops", "Supported operations and their restrictions"),
)


def command(
    model: Annotated[
        Optional[str],
        typer.Argument(metavar="MODEL", help="A .gguf file, or any file that `convert` takes.", show_default=False),
    ] = None,
    ops: Annotated[bool, typer.Option("--ops", help="List the supported operations instead.")] = False,
    shape: ShapeOption = None,
    freeze: FreezeOption = None,
    isa: IsaOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a model is: inputs, outputs, layers, what one step costs, and whether and how it streams.

    The layers are those left to run for one shape: that of --shape, else that of the file's self-test, else 1 for free
    dims. What does not depend on the data was computed beforehand and is not among them.
    """
    if ops:
        _show_ops(json)
        return
    if model is None:
        raise typer.BadParameter("a model is needed, or --ops", param_hint="MODEL")
    report = _inspect(model, options.shapes(shape) or {}, options.values(freeze, "--freeze") or {}, isa)
    if json:
        ui.print_json(report)
    else:
        _show(report)


def _inspect(
    path: str, shapes: dict[str, tuple[Any, ...]], frozen: dict[str, Any], isa: Optional[str]
) -> dict[str, Any]:
    importlib.import_module("lstm_rt.conversion")  # now, and not while memory is watched
    watch = Watch()
    model = defaults.load(path, isa=isa)
    known = Defaults(model, frozen, shapes)
    streaming = asdict(streaming_of(model, known.frozen))
    step = _step(model, known.shapes, known.frozen)
    resident = watch.resident()  # first: reading it may itself be the peak
    memory = {"peak": watch.peak(), "resident": resident, "packed_weights": model.packed_bytes}
    return {
        "model": path,
        "file_bytes": Path(path).stat().st_size,
        "isa": model.isa,
        "metadata": model.metadata,
        "parameters": model.parameters,
        "weight_bytes": model.weight_bytes,
        "inputs": [_port(port, model) for port in model.inputs],
        "outputs": [_port(port, model) for port in model.outputs],
        "bindings": model.bindings,
        "hints": model.hints,
        "using": known.say(),
        "stream": streaming,
        "step": step,
        "memory": memory,
    }


def _port(port: Any, model: lstm_rt.Model) -> dict[str, Any]:
    return {
        "name": port.name,
        "shape": port.shape,
        "dim_names": port.dim_names,
        "dtype": port.dtype and str(port.dtype),
        "role": _role(port.name, model),
    }


def _role(name: str, model: lstm_rt.Model) -> str:
    if name in model.control_inputs:
        return "control: known before a step"
    for before, after in model.bindings.items():
        if name in (before, after):
            return f"state, from {after}" if name == before else f"state, to {before}"
    return ""


def _step(model: lstm_rt.Model, shapes: dict[str, tuple[Any, ...]], frozen: dict[str, Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for port in model.inputs:
        dims = shapes.get(port.name, port.shape) or ()
        inputs[port.name] = frozen.get(port.name, tuple(1 if dim is None else dim for dim in dims))
    shown = {name: value if isinstance(value, tuple) else np.shape(value) for name, value in inputs.items()}
    try:
        calls = model.calls({**frozen, **inputs})
    except lstm_rt.Error as error:
        return {"shapes": shown, "error": str(error)}
    return {
        "shapes": shown,
        "macs": sum(call.macs for call in calls),
        "weight_bytes": sum(call.weight_bytes for call in calls),
        "calls": [call._asdict() for call in calls],
    }


def _show(report: dict[str, Any]) -> None:
    origin = report["metadata"]
    came = [origin[key] for key in ("lstm_rt.source.file", "lstm_rt.source.framework") if origin.get(key)]
    rows = [("from", ", ".join(came))] if came else []
    rows += [
        ("size", f"{ui.size(report['file_bytes'])}; weights {ui.size(report['weight_bytes'])}"),
        ("parameters", ui.count(report["parameters"])),
        ("runs on", report["isa"]),
        ("hints", ", ".join(f"{name} {value:g}" for name, value in report["hints"].items())),
    ]
    ui.console.print(f"[bold]{ui.literal(Path(report['model']).name)}[/]")
    ui.console.print(ui.facts(rows))
    ui.console.print()
    _show_ports(report)
    defaults.note(report["using"], json=False)
    _show_streaming(report["stream"])
    _show_step(report["step"])
    _show_memory(report["memory"])


def _show_ports(report: dict[str, Any]) -> None:
    ports = ui.table("", "name", "shape", "dtype", "")
    for kind in ("inputs", "outputs"):
        for port in report[kind]:
            shape = ui.dims(port["shape"], port["dim_names"])
            name, role = Text(one_line(port["name"]), "bold"), Text(one_line(port["role"]))
            ports.add_row(kind[:-1], name, Text(shape), port["dtype"] or "unknown", role)
    ui.console.print(ports)
    ui.console.print()


def _show_streaming(streaming: dict[str, Any]) -> None:
    mark = {True: "[bold green]✓ streams[/]: ", False: "[bold red]✗ does not stream[/]: ", None: "streams? "}
    ui.console.print(mark[streaming["streams"]], Text(streaming["how"]), sep="", soft_wrap=True)
    ui.console.print()


def _show_step(step: dict[str, Any]) -> None:
    shapes = ", ".join(ui.literal(f"{name} {ui.dims(shape)}") for name, shape in step["shapes"].items())
    if "error" in step:
        ui.console.print(f"[bold]One run[/] with {shapes} [red]does not work[/]:")
        ui.console.print(Text(step["error"], "red"), soft_wrap=True)
        ui.console.print("Give shapes with --shape NAME=DIMS and values with --freeze NAME=VALUE.")
        return
    ui.console.print(f"[bold]One run[/] with {shapes}")
    layers = ui.table("layer", "operation", "gives", "precision", ">MACs", ">weights", ">parameters")
    for call in step["calls"]:
        heavy = call["macs"] or call["weight_bytes"]
        numbers = [
            call["precision"],
            ui.count(call["macs"]),
            ui.size(call["weight_bytes"]),
            ui.count(call["parameters"]),
        ]
        shape = ui.dims(call["shape"]) if call["shape"] else ""
        layers.add_row(
            Text(ui.tail(call["name"]), no_wrap=True), call["type"], Text(shape), *(numbers if heavy else [])
        )
    layers.add_section()
    layers.add_row(
        "[bold]in all", "", "", "", f"[bold]{ui.count(step['macs'])}", f"[bold]{ui.size(step['weight_bytes'])}"
    )
    ui.console.print(layers)


def _show_memory(memory: dict[str, Any]) -> None:
    rows = [("packed weights", f"{ui.size(memory['packed_weights'])}, once for all streams of the model")]
    if memory["resident"] is not None:
        rows.append(("resident", f"{ui.size(memory['resident'])} after loading it and planning what is above"))
    rows.append(("peak", f"{ui.size(memory['peak'])} meanwhile"))
    ui.console.print()
    ui.console.print("[bold]Memory[/]")
    ui.console.print(ui.facts(rows))


def _show_ops(json: bool) -> None:
    supported = lstm_rt.supported_ops()
    if json:
        ui.print_json(supported)
        return
    listed = ui.table("operation", "what it does, and what not")
    for name, summary in supported.items():
        listed.add_row(Text(name, "bold"), Text(summary))
    ui.console.print(listed)
