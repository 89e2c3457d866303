"""What setuptools cannot read from pyproject.toml: that CMake builds the compiled part, and where the packages are."""

from setuptools import find_packages, setup

runtime = find_packages(include=["lstm_rt", "lstm_rt.*"])
converters = find_packages(include=["converters", "converters.*"])

setup(
    cmake_source_dir=".",
    packages=runtime + ["lstm_rt." + name for name in converters],
    package_dir={"lstm_rt.converters": "converters"},
)
