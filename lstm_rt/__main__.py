"""``python -m lstm_rt``: the command line ``lstm-rt``."""

from lstm_rt.cli import main

if __name__ == "__main__":
    main()
