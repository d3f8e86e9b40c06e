"""Regulators' formats, one folder each; found through the entry-point group ``mloan_report.packs``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files

from mloan_report.packs.pack import Pack, load_pack

GROUP = "mloan_report.packs"

__all__ = ["Pack", "installed_packs", "load_pack", "packs"]


@cache
def packs() -> dict[str, Pack]:
    """Every installed pack by id. The packs of this repository go through the same door as a vendor's."""
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        found[entry.name] = load_pack(files(entry.value), entry.value)
    return found


def installed_packs() -> dict[str, Pack]:
    """Every installed pack by id (the name under which the package offers it)."""
    return packs()
