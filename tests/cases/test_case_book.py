"""The case book: every story of tests/cases holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from mloan_report.measures import regimes
from mloan_report.testing.cases import load_case, run_case

CASES = sorted(Path(__file__).parent.rglob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_story_holds(path: Path) -> None:
    assert run_case(load_case(path)) == []


def test_the_book_has_at_least_a_hundred_and_fifty_stories_each_with_its_own_title() -> None:
    titles = [load_case(p).title for p in CASES]
    assert len(titles) >= 150
    assert len(set(titles)) == len(titles)


def test_every_regime_has_a_story() -> None:
    told = {regime for p in CASES for expected in load_case(p).data["expected"] for regime in expected.get("category", {})}
    assert set(regimes()) <= told
