"""The files of one folder of measures/: adding a rule is adding a file."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def toml_files(folder: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Name and content of every TOML file of measures/*folder*, by name."""
    found = sorted(files("mloan_report.measures").joinpath(folder).iterdir(), key=lambda e: e.name)
    return tuple((e.name, tomllib.loads(e.read_text(encoding="utf-8"))) for e in found if e.name.endswith(".toml"))
