"""The application: a command for each module of cli/commands; only the one that is called is imported."""

from __future__ import annotations

import importlib
import pkgutil

import typer

from mloan_report.cli import commands

HELP = """A microlender's loan book, in the files its regulators and credit bureaus accept.

A first walk: mloan-report sample --loans 300 --country CN --seed 1 --out book, then validate book, gaps cn_pbc_credit book,
scope cn_pbc_credit book --as-of 2026-10-31, build cn_pbc_credit book --as-of 2026-10-31 --out filing, check filing.
"""


def command_names() -> list[str]:
    """The commands there are."""
    return sorted(m.name.removesuffix("_command").replace("_", "-") for m in pkgutil.iter_modules(commands.__path__))


def build_app(arguments: list[str]) -> typer.Typer:
    """The application with the command called (all of them for the help page)."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(version: bool = typer.Option(False, "--version", "-V", help="Print the version and exit.")) -> None:
        if version:
            from mloan_report import __version__

            typer.echo(f"mloan-report {__version__}")
            raise typer.Exit

    names = command_names()
    wanted = [a for a in arguments[:1] if a in names] or names
    for name in wanted:
        module = importlib.import_module(f"mloan_report.cli.commands.{name.replace('-', '_')}_command")
        app.command(name, help=module.__doc__)(module.command)
    return app
