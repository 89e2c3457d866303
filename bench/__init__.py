"""Benchmarks of lstm_rt, run from the source folder: ``python -m bench``, ``python -m bench.roofline`` and others."""

import os
import sys

# That folder holds lstm_rt/ without its compiled parts, which would hide the installed package. Where python -m is
# started in it, modules are searched there first; those of this package are found without it.
if sys.path and os.path.realpath(sys.path[0] or ".") == os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
    del sys.path[0]
