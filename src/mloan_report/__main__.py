"""``python -m mloan_report``: the command line."""

from mloan_report.cli.main import run

run()
