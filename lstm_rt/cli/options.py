"""Options that several commands share, and how ``NAME=VALUE`` is read."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional, Union

import numpy as np
import numpy.typing as npt
import typer

from lstm_rt import targets as targets_
from lstm_rt.cli import ui
from lstm_rt.errors import ModelFileError
from lstm_rt.files import open_regular

PICTURES = (".png", ".jpg", ".svg", ".pdf")

Array = npt.NDArray[Any]

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A .gguf file, or any file that `convert` takes.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
IsaOption = Annotated[
    Optional[str],
    typer.Option("--isa", metavar="NAME", help="Instruction set to use; the best of this machine if left out."),
]
MaxMemoryOption = Annotated[
    Optional[int],
    typer.Option("--max-memory", metavar="BYTES", min=1, help="Refuse models and inputs that need more to run."),
]
MaxReadBytesOption = Annotated[
    Optional[int],
    typer.Option(
        "--max-read-bytes",
        metavar="BYTES",
        min=1,
        help="Refuse sources that take more memory to read; 16 times their size plus 256 MiB if left out.",
    ),
]
BindOption = Annotated[
    Optional[list[str]],
    typer.Option(
        "--bind",
        metavar="IN=OUT",
        help="Input and output that carry state from step to step. OUT may be a value inside a source model. "
        "Repeatable; none for no state.",
    ),
]
FreezeOption = Annotated[
    Optional[list[str]],
    typer.Option("--freeze", metavar="NAME=VALUE", help="Fix an input: a number, 1,2,3 or a .npy file. Repeatable."),
]
SetOption = Annotated[
    Optional[list[str]],
    typer.Option("--set", metavar="NAME=VALUE", help="Value of an input: a number, 1,2,3 or a .npy file. Repeatable."),
]
ShapeOption = Annotated[
    Optional[list[str]],
    typer.Option("--shape", metavar="NAME=DIMS", help="Shape of an input, as x=1x100x40; ? where free. Repeatable."),
]
QuantizeOption = Annotated[
    Optional[list[str]],
    typer.Option(
        "--quantize",
        "--quantise",
        metavar="[PATTERN=]PRECISION",
        help="Weights as int8, int8x16 (16-bit activations), int4 or bf16; of layers whose name matches PATTERN, or of "
        "all. PATTERN=float32 leaves some as they are. Repeatable; the last that matches counts.",
    ),
]
RecipeOption = Annotated[
    Optional[Path],
    typer.Option("--recipe", metavar="FILE", help="The layers of a file of PyTorch weights, as TOML."),
]
ConverterOption = Annotated[
    Optional[list[str]],
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="An option of the source's own converter, as key=model or batch_first=true. Repeatable.",
    ),
]


HintOption = Annotated[
    Optional[list[str]],
    typer.Option(
        "--hint",
        metavar="NAME=NUMBER",
        help="How the model streams, kept in the file as a default: frame, context, rate, threshold. Repeatable.",
    ),
]


def _picture_path(path: Optional[Path]) -> Optional[Path]:
    """Refuse now what would fail when the work is done."""
    if path and path.suffix.lower() not in (*PICTURES, ".jpeg"):
        raise typer.BadParameter(f"{path.name!r}: the picture is a {', '.join(PICTURES)}")
    if path:
        ui.import_pyplot()
    return path


PlotOption = Annotated[
    Optional[Path],
    typer.Option("--plot", metavar="FILE", callback=_picture_path, help=f"Picture to write: {', '.join(PICTURES)}."),
]


def pairs(given: Optional[list[str]], option: str) -> Optional[dict[str, str]]:
    """Read ``NAME=VALUE`` options; None where there are none."""
    if not given:
        return None
    if option == "--bind" and given == ["none"]:
        return {}
    read = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
        read[name] = value
    return read


def numbers(given: Optional[list[str]], option: str) -> Optional[dict[str, float]]:
    """Read ``NAME=NUMBER`` options."""
    texts = pairs(given, option)
    try:
        return None if texts is None else {name: float(text) for name, text in texts.items()}
    except ValueError:
        raise typer.BadParameter(f"{', '.join(given or ())}: expected NAME=NUMBER", param_hint=option) from None


def values(given: Optional[list[str]], option: str) -> Optional[dict[str, Array]]:
    """Read ``NAME=VALUE`` options whose values are numbers or ``.npy`` files."""
    texts = pairs(given, option)
    return None if texts is None else {name: _value(text, option) for name, text in texts.items()}


def _value(text: str, option: str) -> Array:
    if text.endswith(".npy"):
        return load_npy(text)
    for kind in (int, float):
        try:
            read = np.array([kind(part) for part in text.split(",")])
        except (ValueError, OverflowError):
            continue
        return read if "," in text else read[0, ...]
    raise typer.BadParameter(f"{text!r} is neither a number nor a .npy file", param_hint=option)


def of_converter(given: Optional[list[str]], recipe: Optional[Path]) -> dict[str, Any]:
    """Read ``--option`` and ``--recipe``: true, false, whole numbers and texts."""
    words: dict[str, Any] = {"true": True, "false": False}
    read: dict[str, Any] = {}
    for name, text in (pairs(given, "--option") or {}).items():
        read[name] = words[text] if text in words else int(text) if text.isdecimal() else text
    return read if recipe is None else {**read, "recipe": recipe}


def shapes(given: Optional[list[str]]) -> Optional[dict[str, tuple[Optional[int], ...]]]:
    """Read ``NAME=1x100x40`` options."""
    texts = pairs(given, "--shape")
    return None if texts is None else {name: _shape(text) for name, text in texts.items()}


def _shape(text: str) -> tuple[Optional[int], ...]:
    try:
        return tuple(None if dim == "?" else int(dim) for dim in text.split("x"))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no shape: write 1x100x40, ? where free", param_hint="--shape") from None


def quantize(given: Optional[list[str]]) -> Optional[Union[str, dict[str, str]]]:
    """Read ``PRECISION`` and ``PATTERN=PRECISION`` options; the patterns are exceptions to the other."""
    if not given:
        return None
    plain = [text for text in given if "=" not in text]
    if len(plain) > 1:
        raise typer.BadParameter(f"{' and '.join(plain)}: one precision for all layers", param_hint="--quantize")
    if len(given) == len(plain):
        return plain[0]
    choice = {"*": plain[0]} if plain else {}
    for text in given:
        pattern, equals, precision = text.rpartition("=")  # names of layers may hold a "="
        if equals:
            choice[pattern] = precision
    return choice


def refuse_loss(
    targets: Sequence[Union[str, Path, None]], sources: Sequence[str], *values: Optional[list[str]]
) -> None:
    """Refuse files to write that are read, or that hold something else."""
    files = [text.partition("=")[2] for given in values for text in given or ()]
    for target in targets:
        if target and str(target) != "-":
            targets_.refuse_loss(target, [*sources, *files])


def load_npy(path: Union[str, Path]) -> Array:
    """Read one array; nothing in the file is executed."""
    with open_regular(path) as file:
        if not os.fstat(file.fileno()).st_size:
            raise ModelFileError(f"{path}: the file is empty.")
        try:
            array = np.load(file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ModelFileError(f"{path}: no .npy file of plain numbers: {error}") from None
    if not isinstance(array, np.ndarray):
        raise ModelFileError(f"{path}: holds several arrays; a .npy file holds one")
    return array
