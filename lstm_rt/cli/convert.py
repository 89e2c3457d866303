"""``lstm-rt convert``."""

import errno
import warnings
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import lstm_rt
from lstm_rt.cli import options, ui
from lstm_rt.cli.options import BindOption, FreezeOption, JsonOption, ShapeOption

NAME = "convert"
EXAMPLES = (
    ("lstm-rt convert model.onnx", "Write model.gguf beside it"),
    ("lstm-rt convert silero_vad.onnx vad.gguf --freeze sr=16000", "Fix an input for good"),
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
    for warning in result["warnings"]:
        ui.note(f"note: {warning}")
