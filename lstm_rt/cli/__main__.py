"""``python -m lstm_rt.cli``: the command line where its script is not on the path."""

from lstm_rt.cli import main

main()
