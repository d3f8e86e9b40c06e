"""The ledger: nothing is overwritten, what counts is what was accepted last, a refusal takes back, and running twice changes nothing."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mloan_report.filing import build
from mloan_report.filing.importing import import_filings
from mloan_report.filing.ledger import ENTRY, Filing, LedgerError, Point, SqliteLedger
from mloan_report.packs import packs
from mloan_report.portfolio import UnusableInput, read_portfolio
from mloan_report.testing.sample import make_sample

MADE = datetime(2026, 11, 1, 8, tzinfo=UTC)
JULY, AUGUST, SEPTEMBER = date(2026, 7, 31), date(2026, 8, 31), date(2026, 9, 30)


def rows(**records: int) -> pl.DataFrame:
    """Entries of kind CI: key = what it says."""
    return pl.DataFrame([("CI", k, v, f"L-{k}", None) for k, v in records.items()], schema=ENTRY, orient="row")


def filing(as_of: date, known_at: date | None = None, *, whole: bool = True, digest: str = "", recipient: str = "CIC") -> Filing:
    return Filing("ph", recipient, digest or f"{as_of}-{known_at}-{whole}", as_of, known_at, MADE, whole)


def accepted(ledger: SqliteLedger, f: Filing, entries: pl.DataFrame) -> int:
    number = ledger.draft(f, entries)
    ledger.mark(number, "sent")
    ledger.mark(number, "accepted")
    return number


def said(ledger: SqliteLedger, until: Point | None = None) -> dict[str, int]:
    return dict(ledger.accepted("ph", "CIC", until).select("key", "print").rows())


@pytest.fixture
def ledger() -> SqliteLedger:
    return SqliteLedger(":memory:")


def test_only_what_was_accepted_counts(ledger: SqliteLedger) -> None:
    number = ledger.draft(filing(JULY), rows(a=1))
    assert said(ledger) == {}
    ledger.mark(number, "sent")
    assert said(ledger) == {}
    ledger.mark(number, "accepted")
    assert said(ledger) == {"a": 1}
    ledger.mark(number, "rejected", reason="30-011")
    assert said(ledger) == {}
    assert [(e.action, e.reason) for e in ledger.events(number)] == [("draft", None), ("sent", None), ("accepted", None), ("rejected", "30-011")]


def test_every_step_has_an_actor_and_steps_out_of_order_are_refused(ledger: SqliteLedger) -> None:
    number = ledger.draft(filing(JULY), rows(a=1), actor="ana")
    with pytest.raises(LedgerError, match="draft: it can become sent"):
        ledger.mark(number, "accepted", actor="ana")
    ledger.mark(number, "sent", actor="rui")
    assert [e.actor for e in ledger.events(number)] == ["ana", "rui"]
    with pytest.raises(LedgerError, match="no filing 99"):
        ledger.mark(99, "sent")


def test_running_twice_changes_nothing(ledger: SqliteLedger) -> None:
    first = accepted(ledger, filing(JULY), rows(a=1, b=2))
    again = ledger.draft(filing(JULY), rows(a=1, b=2))
    ledger.mark(again, "accepted")
    assert again == first
    assert len(ledger.filings()) == 1
    assert len(ledger.events(first)) == 3


def test_a_record_twice_in_a_filing_is_refused_and_nothing_is_half_written(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match="CI a stands 2 times"):
        ledger.draft(filing(JULY), pl.concat([rows(a=1), rows(a=2)]))
    assert ledger.filings() == []


def test_a_refused_record_goes_back_to_what_was_accepted_before(ledger: SqliteLedger) -> None:
    accepted(ledger, filing(JULY), rows(a=1, b=2))
    august = accepted(ledger, filing(AUGUST), rows(a=10, b=20, c=30))
    ledger.mark(august, "rejected", records=[("CI", "a", "10-093"), ("CI", "c", "10-093")])
    assert said(ledger) == {"a": 1, "b": 20}
    assert ledger.filings()[1].refused == 2
    ledger.mark(august, "accepted", records=[("CI", "a", "")])
    assert said(ledger) == {"a": 10, "b": 20}
    with pytest.raises(LedgerError, match="holds no CI z"):
        ledger.mark(august, "rejected", records=[("CI", "a", ""), ("CI", "z", "")])
    assert said(ledger) == {"a": 10, "b": 20}, "all or nothing"


def test_new_changed_and_gone_between_two_filings(ledger: SqliteLedger) -> None:
    accepted(ledger, filing(JULY), rows(a=1, b=2, c=3))
    accepted(ledger, filing(AUGUST), rows(a=1, b=22, d=4))
    changes = ledger.changes("ph", "CIC", Point(JULY), Point(AUGUST))
    assert changes.new["key"].to_list() == ["d"]
    assert changes.changed.select("key", "print_before", "print").rows() == [("b", 2, 22)]
    assert changes.gone["key"].to_list() == ["c"]
    assert changes.gone["loan_id"].to_list() == ["L-c"]
    assert ledger.changes("ph", "CIC", None, Point(JULY)).counts == {"new": 3, "changed": 0, "gone": 0}
    assert ledger.changes("ph", "CIC", Point(AUGUST)).counts == {"new": 0, "changed": 0, "gone": 0}


def test_filings_that_hold_only_what_is_new_add_up(ledger: SqliteLedger) -> None:
    accepted(ledger, filing(JULY), rows(a=1, b=2))
    accepted(ledger, filing(date(2026, 8, 9), whole=False), rows(b=3))
    accepted(ledger, filing(date(2026, 8, 16), whole=False), rows(c=4))
    assert said(ledger) == {"a": 1, "b": 3, "c": 4}
    assert said(ledger, Point(date(2026, 8, 10))) == {"a": 1, "b": 3}


def test_value_date_and_booking_date_are_both_respected(ledger: SqliteLedger) -> None:
    accepted(ledger, filing(JULY, JULY), rows(a=1))
    accepted(ledger, filing(AUGUST, AUGUST), rows(a=2))
    accepted(ledger, filing(JULY, SEPTEMBER), rows(a=9))  # July told again, with what was booked until September
    assert said(ledger) == {"a": 2}, "a later day counts before a later correction of an earlier one"
    assert said(ledger, Point(JULY)) == {"a": 9}
    assert said(ledger, Point(JULY, AUGUST)) == {"a": 1}, "what was booked later was not known then"
    correction = ledger.changes("ph", "CIC", Point(JULY, JULY), Point(JULY, SEPTEMBER))
    assert correction.changed.select("print_before", "print").rows() == [(1, 9)]


def test_recipients_are_kept_apart(ledger: SqliteLedger) -> None:
    for to in ("CRIF", "CIBIL"):
        number = ledger.draft(filing(JULY, recipient=to), rows(a=1, b=2))
        ledger.mark(number, "sent")
        ledger.mark(number, "accepted")
    ledger.mark(2, "rejected", records=[("CI", "b", "x")])
    assert ledger.accepted("ph", "CRIF")["key"].to_list() == ["a", "b"]
    assert ledger.accepted("ph", "CIBIL")["key"].to_list() == ["a"]


def test_it_is_kept_in_a_file_and_another_file_is_refused(tmp_path: Path) -> None:
    accepted(SqliteLedger(tmp_path / "l.db"), filing(JULY), rows(a=2**64 - 1, b=0))
    assert said(SqliteLedger(tmp_path / "l.db")) == {"a": 2**64 - 1, "b": 0}
    (tmp_path / "other").write_text("not a database, surely, for it is too long for a header", encoding="utf-8")
    with pytest.raises(LedgerError, match="is not a ledger"):
        SqliteLedger(tmp_path / "other")
    assert sqlite3.connect(tmp_path / "l.db").execute("SELECT COUNT(*) FROM event").fetchone() == (3,)


KEYS = st.sampled_from("abc")
STEP = st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.dictionaries(KEYS, st.integers(0, 5)), st.sets(KEYS), st.booleans())


@given(st.lists(STEP, max_size=7))
@settings(max_examples=80, deadline=None)
def test_what_counts_is_what_a_plain_reading_of_the_story_says(steps: list[tuple[int, int, bool, dict[str, int], set[str], bool]]) -> None:
    """Filings in any order, some whole, some refused in part or whole: of each record the newest accepted word, unless a newer whole filing is without it."""
    ledger = SqliteLedger(":memory:")
    story = []
    for i, (day, known, whole, records, refused, rejected) in enumerate(steps):
        as_of, booked = JULY + timedelta(days=day), AUGUST + timedelta(days=known)
        number = accepted(ledger, filing(as_of, booked, whole=whole, digest=str(i)), rows(**records))
        taken = refused & set(records)
        ledger.mark(number, "rejected", records=[("CI", k, "") for k in sorted(taken)])
        if rejected:
            ledger.mark(number, "rejected")
        else:
            story.append(((as_of, booked, number), whole, records, taken))
    expected: dict[str, int] = {}
    for _, whole, records, taken in sorted(story, key=lambda s: s[0]):
        if whole:
            expected = {k: v for k, v in expected.items() if k in taken}
        expected |= {k: v for k, v in records.items() if k not in taken}
    assert said(ledger) == expected


def test_a_chinese_month_is_filed_on_from_what_the_ledger_has(tmp_path: Path) -> None:
    book = read_portfolio(make_sample(94, "CN", 4, tmp_path / "book"))
    path = tmp_path / "ledger.db"
    first = build("cn_pbc_credit", book, date(2026, 9, 20), tmp_path / "first", known_at=date(2026, 9, 20), made_at=MADE, ledger=path, actor="ana")
    assert first.ledger_id is not None
    ledger = SqliteLedger(path)
    told = ledger.filings()[0]
    assert (told.state, told.as_of, told.known_at, told.whole) == ("draft", date(2026, 9, 20), date(2026, 9, 20), False)
    assert first.manifest is not None
    assert told.digest == first.manifest["digest"]
    untold = build("cn_pbc_credit", book, date(2026, 10, 31), tmp_path / "untold", made_at=MADE, ledger=path)
    assert not untold.refused
    ledger.mark(first.ledger_id, "sent")
    ledger.mark(first.ledger_id, "accepted")
    second = build("cn_pbc_credit", book, date(2026, 10, 31), tmp_path / "second", made_at=MADE, ledger=path)
    by_folder = build("cn_pbc_credit", book, date(2026, 10, 31), tmp_path / "by_folder", settings={"history": str(tmp_path / "first")}, made_at=MADE)
    assert second.manifest is not None
    assert untold.manifest is not None
    assert by_folder.manifest is not None
    assert second.manifest["digest"] == by_folder.manifest["digest"] != untold.manifest["digest"]
    keys = ledger.entries(first.ledger_id)["key"].to_list()
    numbers = {t for t in book.table("identifiers")["value"].drop_nulls().to_list() if len(t) > 6}
    assert not any(n in k for k in keys for n in numbers if n), "a personal key is kept as a digest"


def test_earlier_filings_are_taken_in_once(tmp_path: Path) -> None:
    book = read_portfolio(make_sample(46, "CN", 1, tmp_path / "book"))
    build("cn_pbc_credit", book, date(2026, 9, 30), tmp_path / "h" / "one", made_at=MADE)
    ledger = SqliteLedger(":memory:")
    pack = packs()["cn_pbc_credit"]
    numbers = import_filings(pack, tmp_path / "h", ledger, "PBC")
    assert numbers
    assert import_filings(pack, tmp_path / "h", ledger, "PBC") == numbers
    assert {f.state for f in ledger.filings()} == {"accepted"}
    assert {f.as_of for f in ledger.filings()} == {date(2026, 9, 30)}
    assert ledger.changes(pack.id, "PBC", None).counts["new"] == sum(ledger.entries(n).height for n in numbers)
    with pytest.raises(UnusableInput, match="not a folder"):
        import_filings(pack, tmp_path / "nowhere", ledger, "PBC")
