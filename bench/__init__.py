"""Benchmarks of lstm_rt beside the runtimes people use today: ``python -m bench --help``."""
