"""``lstm-rt paths``."""

from pathlib import Path
from typing import Annotated

import typer

import lstm_rt
from lstm_rt.cli import ui
from lstm_rt.cli.options import JsonOption
from lstm_rt.errors import ArgumentError

NAME = "paths"
EXAMPLES = (
    ("lstm-rt paths", "Where the headers, the library and the CMake package are"),
    ("lstm-rt paths --cmake", "For cmake -Dlstm_rt_DIR=$(lstm-rt paths --cmake)"),
    ("lstm-rt paths --pkg-config", "For PKG_CONFIG_PATH=$(lstm-rt paths --pkg-config) pkg-config --libs lstm_rt"),
)


def command(
    include: Annotated[bool, typer.Option("--include", help="Print only the folder of lstm_rt.h.")] = False,
    lib: Annotated[bool, typer.Option("--lib", help="Print only the folder of the shared library.")] = False,
    cmake: Annotated[bool, typer.Option("--cmake", help="Print only the folder of the CMake package.")] = False,
    pkg_config: Annotated[
        bool, typer.Option("--pkg-config", help="Print only the folder of the pkg-config files.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show where this installation keeps what C, C++ and Cython programs need."""
    folders = {
        "include": lstm_rt.get_include(),
        "lib": lstm_rt.get_library_dir(),
        "cmake": lstm_rt.get_cmake_dir(),
        "pkg-config": str(Path(lstm_rt.get_library_dir()) / "pkgconfig"),
    }
    chosen = {"include": include, "lib": lib, "cmake": cmake, "pkg-config": pkg_config}
    names = [name for name, wanted in chosen.items() if wanted]
    if len(names) > 1:
        raise ArgumentError(f"--{' and --'.join(names)} exclude each other. Give one of them, or none for a table.")
    if json:
        ui.print_json(folders)
    elif names:
        typer.echo(folders[names[0]])
    else:
        ui.console.print(ui.facts(folders.items()))
