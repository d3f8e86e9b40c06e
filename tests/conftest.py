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
    "test_composed_packs.py",
    "test_spark.py",
    "test_buckets.py",
    "test_filing.py",
    "test_slices.py",
    "test_br_bcb_scr3040.py",
    "test_us_metro2.py",
    "test_partition.py",
    "test_position_invariants.py",
    "test_cli.py",
    "test_ledger.py",
    "test_everywhere.py",
    "test_large_sample.py",
)
"""Files that take long begin first, so that both processes end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first."""
    items.sort(key=lambda i: LONG.index(i.path.name) if i.path.name in LONG else len(LONG))
