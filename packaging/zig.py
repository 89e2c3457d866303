"""PyPI's zig as the compiler of a CMake build for another system."""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Mapping

# zig names a processor with its instructions in one word, and the last such word counts.
ARM64 = {"-march=armv8.2-a+dotprod": "-mcpu=generic+dotprod"}
ARM32 = {
    "-march=armv7-a": "",
    "-mfpu=neon": "-mcpu=generic+v7a+neon",
    "-mfpu=neon-vfpv4": "-mcpu=generic+v7a+neon+vfp4",
}
TOOLCHAIN = """\
set(CMAKE_SYSTEM_NAME {system})
set(CMAKE_SYSTEM_PROCESSOR {processor})
set(CMAKE_C_COMPILER "{folder}/cc")
set(CMAKE_CXX_COMPILER "{folder}/c++")
foreach(tool CMAKE CMAKE_C_COMPILER CMAKE_CXX_COMPILER)
  set(${{tool}}_AR "{folder}/ar" CACHE FILEPATH "")
  set(${{tool}}_RANLIB "{folder}/ranlib" CACHE FILEPATH "")
endforeach()
"""
COMPILER = """\
#!/bin/sh
for word; do
  shift
  case $word in{cases}
  esac
  set -- "$@" "$word"
done
exec "{zig}" {tool} -target {target} "$@"
"""


def program() -> pathlib.Path:
    """The compiler inside the package ziglang."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise SystemExit("ziglang is not installed. Install it: pip install ziglang")
    return pathlib.Path(spec.origin).with_name("zig")


def write_toolchain(
    target: str, system: str, processor: str, folder: pathlib.Path, flags: Mapping[str, str]
) -> pathlib.Path:
    """Write into `folder` zig's tools, as programs of one word each, and the file that names them to CMake.

    `target` is zig's, with other words of the command behind it; `flags` says what compilers' flags are to zig.
    """
    folder.mkdir(parents=True)
    zig = program()
    cases = "".join(f"\n    {word}) {f'word={flag}' if flag else 'continue'} ;;" for word, flag in flags.items())
    for tool in ("cc", "c++"):
        (folder / tool).write_text(COMPILER.format(zig=zig, tool=tool, target=target, cases=cases))
    for tool in ("ar", "ranlib"):
        (folder / tool).write_text(f'#!/bin/sh\nexec "{zig}" {tool} "$@"\n')
    for tool in ("cc", "c++", "ar", "ranlib"):
        (folder / tool).chmod(0o755)
    path = folder / "toolchain.cmake"
    path.write_text(TOOLCHAIN.format(system=system, processor=processor, folder=folder))
    return path
