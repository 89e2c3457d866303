"""Which instruction set the tests run on, for those that depend on it. LSTM_RT_ISA chooses another one."""

from __future__ import annotations

import pytest

import lstm_rt

# Self-tests hold bytes, so they are recorded only where all instruction sets agree: with fused multiply-add.
RECORDS_SELFTESTS = lstm_rt.isa() in lstm_rt.exact_isas()
WHY = f"{lstm_rt.isa()} has no fused multiply-add, so that no self-tests are recorded"

records_selftests = pytest.mark.skipif(not RECORDS_SELFTESTS, reason=WHY)
