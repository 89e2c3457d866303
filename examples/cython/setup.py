"""Builds the extension against the lstm_rt that is installed: pip install --no-build-isolation ."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import lstm_rt

library = lstm_rt.get_library_dir()
setup(
    ext_modules=cythonize(
        [
            Extension(
                "scores",
                ["scores.pyx"],
                include_dirs=[lstm_rt.get_include()],
                library_dirs=[library],
                runtime_library_dirs=[library],
                libraries=["lstm_rt"],
            )
        ]
    )
)
