"""The entry point: exit status 0 without error findings, 1 with, 2 when the call or an input could not be used."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Runs the command line and exits."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs *arguments* and gives the exit status; what cannot be used is said in one line on standard error."""
    if arguments in (["--version"], ["-V"]):
        from mloan_report import __version__

        print(f"mloan-report {__version__}")
        return 0
    import typer

    from mloan_report.cli.app import build_app
    from mloan_report.cli.shared import CannotUse

    try:
        result = typer.main.get_command(build_app(arguments))(args=arguments, prog_name="mloan-report", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except CannotUse as error:
        return _one_line(str(error))
    except typer.Abort:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _known_or_raise(error)


def _known_or_raise(error: Exception) -> int:
    format_message = getattr(error, "format_message", None)
    if callable(format_message):
        return _one_line(str(format_message()))
    names = {c.__name__ for c in type(error).__mro__}
    if names & {"UnusableInput", "RefusedRegime", "RefusedLayout", "RefusedExpression"} or isinstance(error, OSError):
        return _one_line(str(error))
    raise error


def _one_line(text: str) -> int:
    print("mloan-report: " + " ".join(text.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    run()
