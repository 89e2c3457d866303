"""Programs in C, C++ and Cython, built as their users build them, give Python's bytes.

They are built against the package that is installed here (a wheel carries the library, its headers and its CMake
package), and against what `cmake --install` makes of build/cpp, and of build/static where that is there.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lstm_rt
from lstm_rt.demo import HEARTBEAT_ONNX
from lstm_rt.demo.signal import FRAME, heart_trace

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / "docs" / "embedding.md"
EXAMPLES = ROOT / "examples"
CC = shutil.which("cc") or shutil.which("gcc") or ""
CXX = shutil.which("c++") or shutil.which("g++") or ""
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror")

Array = np.ndarray[Any, Any]
Build = Callable[[str], pathlib.Path]

pytestmark = [
    pytest.mark.skipif(not (CC and CXX), reason="examples need a C and a C++ compiler"),
    pytest.mark.skipif(bool(lstm_rt.build_info()["sanitize"]), reason="examples are built without the sanitizer"),
]


def tool(name: str) -> str:
    """A program beside this Python, as dev.py installs them, or on the path; else the test is skipped."""
    beside = pathlib.Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not here")
    return found


def run(*command: object, stdin: bytes = b"", **env: Any) -> bytes:
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, env={**os.environ, **env})
    assert done.returncode == 0, f"{command}\n{done.stdout.decode()}\n{done.stderr.decode()}"
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The demo's model as a file."""
    path = tmp_path_factory.mktemp("demo") / "heartbeat.gguf"
    lstm_rt.convert(HEARTBEAT_ONNX, path)
    return path


def scores_of(demo: pathlib.Path, samples: Array) -> Array:
    """What Python gives: float32 (steps, kinds)."""
    stream = lstm_rt.load(demo).stream()
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, 1, 1, FRAME)
    return np.concatenate([stream.step(frame)[0] for frame in frames])


def parsed(printed: bytes) -> Array:
    """Float32 from text of nine digits, which is exact."""
    return np.array([line.split() for line in printed.decode().splitlines()], np.float32)


def assert_same_bytes(got: Array, wanted: Array) -> None:
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    assert got.tobytes() == wanted.tobytes()


def check_c(program: pathlib.Path, demo: pathlib.Path) -> None:
    samples = heart_trace(3, 4.0).samples[:-2]  # its last frame is not whole, and is dropped
    assert len(samples) % FRAME
    assert_same_bytes(parsed(run(program, demo, stdin=samples.astype("<f4").tobytes())), scores_of(demo, samples))
    wrong = subprocess.run([program, __file__], input=b"", capture_output=True)
    assert wrong.returncode == 1
    assert b"not a GGUF file" in wrong.stderr


def check_cpp(program: pathlib.Path, demo: pathlib.Path) -> None:
    pcm = np.round(heart_trace(4, 4.0).samples * 8000).astype("<i2")
    samples = pcm.astype(np.float32) / 32768
    assert_same_bytes(parsed(run(program, demo, stdin=pcm.tobytes())), scores_of(demo, samples))
    wrong = subprocess.run([program, __file__], input=b"", capture_output=True)
    assert wrong.returncode == 1
    assert b"not a GGUF file" in wrong.stderr


CHECKS = {"c": ("stream", check_c), "cpp": ("pcm", check_cpp)}


def build_by_cmake(example: str, where: pathlib.Path, *options: str) -> pathlib.Path:
    cmake = tool("cmake")
    env = {"CC": CC, "CXX": CXX}
    flags = " ".join(WARNINGS)
    given = (f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}", *options)
    run(
        cmake,
        "-G",
        "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
        "-S",
        EXAMPLES / example,
        "-B",
        where,
        *given,
        **env,
    )
    run(cmake, "--build", where)
    return where / CHECKS[example][0]


def build_by_pkg_config(example: str, where: pathlib.Path, pkgconfig: pathlib.Path, *options: str) -> pathlib.Path:
    """What docs/embedding.md says: one line, and the folder of the library as run path."""
    where.mkdir(parents=True)
    name, _ = CHECKS[example]
    env = {"PKG_CONFIG_PATH": str(pkgconfig)}
    flags = run(tool("pkg-config"), *options, "--cflags", "--libs", "lstm_rt", **env).decode().split()
    library = run(tool("pkg-config"), "--variable=libdir", "lstm_rt", **env).decode().strip()
    compiler = (CC, "-std=c99") if example == "c" else (CXX, "-std=c++17")
    source = next(p for p in (EXAMPLES / example).iterdir() if p.stem == name)
    run(*compiler, *WARNINGS, source, "-o", where / name, *flags, f"-Wl,-rpath,{library}")
    return where / name


@pytest.mark.parametrize("example", CHECKS)
def test_installed_package_by_cmake(example: str, demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    program = build_by_cmake(example, tmp_path, f"-Dlstm_rt_DIR={lstm_rt.get_cmake_dir()}")
    CHECKS[example][1](program, demo)


@pytest.mark.parametrize("example", CHECKS)
def test_installed_package_by_pkg_config(example: str, demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    pkgconfig = pathlib.Path(lstm_rt.get_library_dir()) / "pkgconfig"
    CHECKS[example][1](build_by_pkg_config(example, tmp_path / "out", pkgconfig), demo)


def prefix_of(build: str, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What `cmake --install` makes of a build folder, moved once: nothing in it may know its place."""
    folder = ROOT / "build" / build
    if not (folder / "CMakeCache.txt").exists():
        pytest.skip(f"{folder} is not there: python3 dev.py embed builds it")
    run(tool("cmake"), "--build", folder, "--target", "lstm_rt")
    at = tmp_path_factory.mktemp(build)
    run(tool("cmake"), "--install", folder, "--prefix", at / "first")
    return (at / "first").rename(at / "moved")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return prefix_of("cpp", tmp_path_factory)


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return prefix_of("static", tmp_path_factory)


def pkgconfig_of(prefix: pathlib.Path) -> pathlib.Path:
    return next(prefix.rglob("lstm_rt.pc")).parent


@pytest.mark.parametrize("example", CHECKS)
def test_prefix(example: str, shared: pathlib.Path, demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    check = CHECKS[example][1]
    check(build_by_cmake(example, tmp_path / "cmake", f"-DCMAKE_PREFIX_PATH={shared}"), demo)
    check(build_by_pkg_config(example, tmp_path / "pkg-config", pkgconfig_of(shared)), demo)


@pytest.mark.parametrize("example", CHECKS)
def test_static_prefix(example: str, static: pathlib.Path, demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    check = CHECKS[example][1]
    program = build_by_cmake(example, tmp_path / "cmake", f"-DCMAKE_PREFIX_PATH={static}")
    assert b"liblstm_rt" not in run(tool("ldd"), program)
    check(program, demo)
    check(build_by_pkg_config(example, tmp_path / "pkg-config", pkgconfig_of(static), "--static"), demo)


def test_components(tmp_path: pathlib.Path) -> None:
    """A component that is not installed, and a version that is another, are refused in words."""
    (tmp_path / "CMakeLists.txt").write_text(
        textwrap.dedent(
            """
            cmake_minimum_required(VERSION 3.22)
            project(components LANGUAGES C)
            find_package(lstm_rt ${version} ${how})
            message(STATUS "found ${lstm_rt_FOUND} ${lstm_rt_VERSION}")
            """
        )
    )
    find = (tool("cmake"), "-S", tmp_path, "-B", tmp_path / "build", f"-Dlstm_rt_DIR={lstm_rt.get_cmake_dir()}")
    assert b"found 1" in run(*find, "-Dhow=COMPONENTS;shared")
    assert b"found 0" in run(*find, "-Dhow=COMPONENTS;static")
    assert b"found 0" in run(*find, "-Dversion=9.0", "-Dhow=QUIET")
    missing = subprocess.run([*map(str, find), "-Dversion=", "-Dhow=REQUIRED;COMPONENTS;static"], capture_output=True)
    assert missing.returncode
    assert b"no component 'static'" in b" ".join(missing.stderr.split())  # CMake wraps at the length of the path


def blocks(language: str) -> list[str]:
    """The code of docs/embedding.md in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def build_block(code: str, where: pathlib.Path, *flags: str) -> pathlib.Path:
    """A program on the installed package."""
    library = lstm_rt.get_library_dir()
    link = (f"-I{lstm_rt.get_include()}", f"-L{library}", "-llstm_rt", f"-Wl,-rpath,{library}")
    where.write_text(code, "utf-8")
    run(*flags, *WARNINGS, where, "-o", where.with_suffix(""), *link)
    return where.with_suffix("")


def test_page_c(demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (whole,) = blocks("c")
    samples = heart_trace(6, 2.0).samples
    program = build_block(whole, tmp_path / "whole.c", CC, "-std=c99")
    printed = run(program, demo, stdin=samples[: 100 * FRAME].astype("<f4").tobytes())
    assert_same_bytes(parsed(printed).reshape(100, -1), scores_of(demo, samples))


def test_page_cpp(demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    pool, plain = blocks("cpp")
    callers = [heart_trace(person, 2.0).samples for person in (7, 8)]
    wanted = [scores_of(demo, samples) for samples in callers]
    rows = np.stack([samples.reshape(-1, FRAME) for samples in callers], axis=1)  # (step, caller, sample)
    program = build_block(pool, tmp_path / "pool.cpp", CXX, "-std=c++17")
    got = parsed(run(program, demo, stdin=rows.astype("<f4").tobytes())).reshape(len(rows), 2, -1)
    for row, scores in enumerate(wanted):
        assert_same_bytes(np.ascontiguousarray(got[:, row]), scores)

    program = build_block(plain, tmp_path / "plain.cpp", CXX, "-std=c++17", "-fno-exceptions")
    got = parsed(run(program, demo, stdin=callers[0].astype("<f4").tobytes())).reshape(len(rows), -1)
    assert_same_bytes(got, wanted[0])
    wrong = subprocess.run([program, __file__], input=b"", capture_output=True)
    assert wrong.returncode == 1
    assert b"not a GGUF file" in wrong.stderr


def test_wrapper(demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    source = (ROOT / "tests" / "wrapper.cpp").read_text("utf-8")
    run(build_block(source, tmp_path / "wrapper.cpp", CXX, "-std=c++17"), demo)


def test_page_cython(tmp_path: pathlib.Path) -> None:
    """What the page quotes is Cython; the whole of it is examples/cython."""
    pytest.importorskip("Cython")
    (quoted,) = blocks("cython")
    (tmp_path / "quoted.pyx").write_text(quoted, "utf-8")
    package = str(pathlib.Path(lstm_rt.__file__).parents[1])
    run(sys.executable, "-m", "cython", "-3", "-Werror", f"-I{package}", tmp_path / "quoted.pyx")


def test_cython(demo: pathlib.Path, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    shutil.copytree(EXAMPLES / "cython", tmp_path / "scores")
    package = str(pathlib.Path(lstm_rt.__file__).parents[1])
    path = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])
    build = "import os, runpy, sys; os.chdir(sys.argv[1]); sys.argv[1:] = ['build_ext', '--inplace', '--quiet']; "
    run(
        sys.executable, "-c", build + "runpy.run_path('setup.py')", tmp_path / "scores", PYTHONPATH=path, CC=CC, CXX=CXX
    )
    samples = heart_trace(5, 4.0).samples[:-2]
    wanted = scores_of(demo, samples)
    program = textwrap.dedent(
        """
        import sys
        import numpy as np
        import scores

        scorer = scores.Scorer(sys.argv[1])
        samples = np.frombuffer(sys.stdin.buffer.read(), np.float32)
        out = np.empty((len(samples) // scorer.frame_size, scorer.score_count), np.float32)
        half = len(out) // 2
        scorer.score(samples[: half * scorer.frame_size], out[:half])  # the state goes on in the next call
        scorer.score(samples[half * scorer.frame_size :], out[half:])
        sys.stdout.buffer.write(out.tobytes())
        for wrong in (lambda: scores.Scorer(scores.__file__), lambda: scorer.score(samples, out[1:])):
            try:
                wrong()
            except (scores.Error, ValueError) as error:
                print(error, file=sys.stderr)
            else:
                raise AssertionError("not refused")
        """
    )
    path = os.pathsep.join([str(tmp_path / "scores"), path])
    printed = run(sys.executable, "-c", program, demo, stdin=samples.tobytes(), PYTHONPATH=path)
    assert_same_bytes(np.frombuffer(printed, np.float32).reshape(wanted.shape), wanted)
