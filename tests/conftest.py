"""Shared places: real data and official schemas are read where they are, and tests that need them skip where they are not."""

from __future__ import annotations

import os
from pathlib import Path

# Two test processes on two cores, and books of a few rows: threads would only wait for each other.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """``MLOAN_SHARED``, else ../shared beside the checkout; None where neither is there."""
    given = os.environ.get("MLOAN_SHARED")
    for path in ([Path(given)] if given else []) + [ROOT.parent / "shared"]:
        if path.is_dir():
            return path
    return None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and official schemas."""
    path = shared_folder()
    if path is None:
        pytest.skip("no shared data: set MLOAN_SHARED to the folder that holds data/ and official/")
    return path


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


settings.register_profile("suite", deadline=None, max_examples=25)
settings.load_profile("suite")


LONG = (
    "test_spark.py",
    "test_buckets.py",
    "test_composed_packs.py",
    "test_position_invariants.py",
    "test_filing.py",
    "test_everywhere.py",
    "test_large_sample.py",
)
"""Files that take long begin first, so that both processes end together."""


@pytest.hookimpl(tryfirst=True)  # before the distribution reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file go to one process, for what they share; those of composed packs by pack."""
    for item in items:
        params = getattr(item, "callspec", None)
        given = params.params if params else {}
        run = given.get("run")
        pack = given.get("pack") or (run[0].pack if run else "")
        by_pack = item.path.name == "test_composed_packs.py"
        item.add_marker(pytest.mark.xdist_group(f"{item.path.name} {pack}" if by_pack else item.path.name))
    items.sort(key=lambda i: LONG.index(i.path.name) if i.path.name in LONG else len(LONG))
