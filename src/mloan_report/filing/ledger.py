"""The ledger of filings: what each recipient last accepted of each record, and what changed from one accepted filing to the next.

A filing is drafted with an entry for each record: its key, a number for what it says (its fingerprint), the loan it is about, and
facts that later filings ask for (never personal). Sending, accepting and refusing are events with an actor; nothing is ever
overwritten. What counts is worked out: of each record the newest entry that its recipient accepted, so a refusal, of a whole
filing or of single records, takes the record back to what was accepted before.
"""

from __future__ import annotations

import getpass
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from mloan_report.portfolio import UnusableInput

State = Literal["draft", "sent", "accepted", "rejected"]
ENTRY = {"record": pl.String, "key": pl.String, "print": pl.UInt64, "loan_id": pl.String, "facts": pl.String}
"""Columns of entries: kind of record, its key, its fingerprint, the loan it is about, facts as JSON."""
_STANDING: dict[str, Any] = {**ENTRY, "as_of": pl.Date, "filing": pl.Int64}
_NEXT: dict[State, tuple[State, ...]] = {"draft": ("sent",), "sent": ("accepted", "rejected"), "accepted": ("rejected",), "rejected": ("accepted",)}


class LedgerError(UnusableInput):
    """What was asked does not fit the ledger: an unknown filing, a step out of order, a record that the filing has not."""


@dataclass(frozen=True)
class Filing:
    """A filing in the ledger. ``as_of`` is its value date, ``known_at`` the booking date up to which it knows the book (None: all)."""

    pack: str
    recipient: str
    digest: str
    as_of: date
    known_at: date | None
    made_at: datetime
    whole: bool = True
    """Whether it holds every record there is (so that one it lacks is gone), or only some."""
    state: State = "draft"
    refused: int = 0
    """How many of its records were refused one by one."""
    id: int | None = None

    @property
    def point(self) -> Point:
        """Where it stands in time."""
        return Point(self.as_of, self.known_at)


@dataclass(frozen=True)
class Point:
    """A value date with a booking date: what was accepted for days up to ``as_of``, knowing what was booked by ``known_at``."""

    as_of: date
    known_at: date | None = None


@dataclass(frozen=True)
class Changes:
    """Records that are new, changed or gone between two points: columns record, key, loan_id, and print and as_of of both sides."""

    new: pl.DataFrame
    changed: pl.DataFrame
    gone: pl.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {"new": self.new.height, "changed": self.changed.height, "gone": self.gone.height}


@dataclass(frozen=True)
class Event:
    """A step in the life of a filing: when, by whom, what, and which record (None: the whole)."""

    at: datetime
    actor: str
    action: State
    record: str | None = None
    key: str | None = None
    reason: str | None = None


class Ledger(ABC):
    """What a store of filings must do; :class:`SqliteLedger` does it in one file."""

    @abstractmethod
    def draft(self, filing: Filing, entries: pl.DataFrame, actor: str | None = None) -> int:
        """Enters a filing with its records (columns :data:`ENTRY`) and gives its number. The same digest again changes nothing."""

    @abstractmethod
    def mark(
        self, filing_id: int, action: State, *, records: Sequence[tuple[str, str, str]] | None = None, reason: str | None = None, actor: str | None = None
    ) -> None:
        """Sends, accepts or rejects a filing, whole or only *records* (record, key, reason) of it. A step taken before changes nothing."""

    @abstractmethod
    def filings(self, pack: str | None = None, recipient: str | None = None) -> list[Filing]:
        """The filings, oldest first."""

    @abstractmethod
    def events(self, filing_id: int) -> list[Event]:
        """What happened to a filing, in order."""

    @abstractmethod
    def entries(self, filing_id: int) -> pl.DataFrame:
        """The records of a filing (columns :data:`ENTRY`)."""

    @abstractmethod
    def accepted(self, pack: str, recipient: str, until: Point | None = None) -> pl.DataFrame:
        """Of each record the newest entry that was accepted (by *until*): columns of :data:`ENTRY`, ``as_of`` and ``filing``."""

    def changes(self, pack: str, recipient: str, since: Point | None, until: Point | None = None) -> Changes:
        """What is new, changed or gone at *until* (None: now) against *since* (None: nothing was filed before).

        A record is gone where a later accepted filing that holds every record no longer has it.
        """
        before = self.accepted(pack, recipient, since) if since is not None else self._nothing()
        after = self.accepted(pack, recipient, until)
        return compared(before, after)

    def _nothing(self) -> pl.DataFrame:
        return pl.DataFrame(schema=_STANDING)

    def pending(self, pack: str, recipient: str, entries: pl.DataFrame) -> Changes:
        """What *entries*, a filing not yet entered that holds every record, would bring against what is accepted now."""
        after = entries.with_columns(as_of=pl.lit(None, pl.Date), filing=pl.lit(None, pl.Int64))
        return compared(self.accepted(pack, recipient), after)


def compared(before: pl.DataFrame, after: pl.DataFrame) -> Changes:
    """The records of *after* that *before* lacks or has otherwise, and those only *before* has."""
    on = ["record", "key"]
    b = before.select(*on, "loan_id", "print", "as_of")
    a = after.select(*on, "loan_id", "print", "as_of")
    both = a.join(b.drop("loan_id"), on=on, how="inner", suffix="_before", maintain_order="left")
    none = {"print_before": pl.lit(None, pl.UInt64), "as_of_before": pl.lit(None, pl.Date)}
    new = a.join(b, on=on, how="anti", maintain_order="left").with_columns(**none)
    gone = b.join(a, on=on, how="anti", maintain_order="left")
    gone = gone.select(*on, "loan_id", pl.lit(None, pl.UInt64).alias("print"), pl.lit(None, pl.Date).alias("as_of"), print_before="print", as_of_before="as_of")
    return Changes(new.sort(on), both.filter(pl.col("print") != pl.col("print_before")).sort(on), gone.sort(on))


_SCHEMA = """
CREATE TABLE IF NOT EXISTS filing (
    id INTEGER PRIMARY KEY, pack TEXT NOT NULL, recipient TEXT NOT NULL, digest TEXT NOT NULL,
    as_of TEXT NOT NULL, known_at TEXT, made_at TEXT NOT NULL, whole INTEGER NOT NULL, state TEXT NOT NULL,
    UNIQUE (pack, recipient, digest));
CREATE TABLE IF NOT EXISTS entry (
    filing INTEGER NOT NULL REFERENCES filing (id), record TEXT NOT NULL, key TEXT NOT NULL, print INTEGER NOT NULL,
    loan_id TEXT, facts TEXT, refused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (filing, record, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, filing INTEGER NOT NULL REFERENCES filing (id), at TEXT NOT NULL, actor TEXT NOT NULL,
    action TEXT NOT NULL, record TEXT, key TEXT, reason TEXT);
"""
_SHIFT = 1 << 63
"""Fingerprints have 64 bits without a sign; a column of SQLite has one."""


@dataclass
class SqliteLedger(Ledger):
    """A ledger in one SQLite file (``:memory:`` for one that is not kept)."""

    path: str | Path
    clock: Any = field(default=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        try:
            self._base = sqlite3.connect(str(self.path), isolation_level=None)
            self._base.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path} is not a ledger: {error}") from None
        self._base.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Closes the file."""
        self._base.close()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._base.execute("ROLLBACK")
            raise
        self._base.execute("COMMIT")

    def draft(self, filing: Filing, entries: pl.DataFrame, actor: str | None = None) -> int:
        twice = entries.filter(pl.struct("record", "key").is_duplicated())
        if twice.height:
            raise LedgerError(f"{filing.pack}: {twice['record'][0]} {twice['key'][0]} stands {twice.height} times in one filing")
        with self._whole():
            known = self._base.execute(
                "SELECT id FROM filing WHERE pack = ? AND recipient = ? AND digest = ?", (filing.pack, filing.recipient, filing.digest)
            ).fetchone()
            if known:
                return int(known[0])
            values = (filing.pack, filing.recipient, filing.digest, filing.as_of.isoformat(), _day(filing.known_at), _stamp(filing.made_at), int(filing.whole))
            made = self._base.execute(
                "INSERT INTO filing (pack, recipient, digest, as_of, known_at, made_at, whole, state) VALUES (?,?,?,?,?,?,?,'draft')", values
            )
            number = int(made.lastrowid or 0)
            rows = ((number, r, k, p - _SHIFT, loan, facts) for r, k, p, loan, facts in entries.select(*ENTRY).iter_rows())
            self._base.executemany("INSERT INTO entry (filing, record, key, print, loan_id, facts) VALUES (?,?,?,?,?,?)", rows)
            self._event(number, "draft", actor)
        return number

    def mark(
        self, filing_id: int, action: State, *, records: Sequence[tuple[str, str, str]] | None = None, reason: str | None = None, actor: str | None = None
    ) -> None:
        filing = self._filing(filing_id)
        if records is not None:
            self._mark_records(filing, action, records, actor)
            return
        if filing.state == action or (action == "sent" and filing.state != "draft"):
            return
        if action not in _NEXT[filing.state]:
            raise LedgerError(f"filing {filing_id} is {filing.state}: it can become {' or '.join(_NEXT[filing.state])}, not {action}")
        with self._whole():
            self._base.execute("UPDATE filing SET state = ? WHERE id = ?", (action, filing_id))
            self._event(filing_id, action, actor, reason=reason)

    def _mark_records(self, filing: Filing, action: State, records: Sequence[tuple[str, str, str]], actor: str | None) -> None:
        if action not in ("accepted", "rejected") or filing.state not in ("sent", "accepted"):
            raise LedgerError(f"filing {filing.id} is {filing.state}: records of a filing that was sent are accepted or rejected, not {action}")
        refused = int(action == "rejected")
        with self._whole():
            for record, key, reason in records:
                at = (filing.id, record, key)
                known = self._base.execute("SELECT refused FROM entry WHERE filing = ? AND record = ? AND key = ?", at).fetchone()
                if known is None:
                    raise LedgerError(f"filing {filing.id} holds no {record} {key}")
                if int(known[0]) == refused:
                    continue
                self._base.execute("UPDATE entry SET refused = ? WHERE filing = ? AND record = ? AND key = ?", (refused, *at))
                self._event(int(filing.id or 0), action, actor, record, key, reason or None)

    def _event(self, filing: int, action: str, actor: str | None, record: str | None = None, key: str | None = None, reason: str | None = None) -> None:
        values = (filing, _stamp(self.clock()), actor or getpass.getuser(), action, record, key, reason)
        self._base.execute("INSERT INTO event (filing, at, actor, action, record, key, reason) VALUES (?,?,?,?,?,?,?)", values)

    def _filing(self, filing_id: int) -> Filing:
        found = [f for f in self.filings() if f.id == filing_id]
        if not found:
            raise LedgerError(f"the ledger has no filing {filing_id}")
        return found[0]

    def filings(self, pack: str | None = None, recipient: str | None = None) -> list[Filing]:
        rows = self._base.execute(
            """SELECT id, pack, recipient, digest, as_of, known_at, made_at, whole, state,
                      (SELECT COUNT(*) FROM entry WHERE filing = filing.id AND refused = 1) FROM filing
               WHERE (? IS NULL OR pack = ?) AND (? IS NULL OR recipient = ?) ORDER BY as_of, known_at IS NULL, known_at, id""",
            (pack, pack, recipient, recipient),
        )
        return [
            Filing(p, to, digest, date.fromisoformat(on), _date(known), datetime.fromisoformat(made), bool(whole), state, refused, number)
            for number, p, to, digest, on, known, made, whole, state, refused in rows
        ]

    def events(self, filing_id: int) -> list[Event]:
        rows = self._base.execute("SELECT at, actor, action, record, key, reason FROM event WHERE filing = ? ORDER BY id", (filing_id,))
        return [Event(datetime.fromisoformat(at), *rest) for at, *rest in rows]

    def entries(self, filing_id: int) -> pl.DataFrame:
        self._filing(filing_id)
        rows = self._base.execute("SELECT record, key, print, loan_id, facts FROM entry WHERE filing = ? ORDER BY record, key", (filing_id,)).fetchall()
        return _frame([(r, k, p + _SHIFT, loan, facts) for r, k, p, loan, facts in rows], ENTRY)

    def accepted(self, pack: str, recipient: str, until: Point | None = None) -> pl.DataFrame:
        counting = [f for f in self.filings(pack, recipient) if f.state == "accepted" and (until is None or _by(f, until))]
        return self._standing(counting, None).sort("record", "key")

    def _standing(self, counting: Sequence[Filing], keys: Sequence[tuple[str, str]] | None) -> pl.DataFrame:
        """What stands after the filings *counting* (of the records *keys*): what the newest whole filing lacks is gone, but a record that it
        had and was refused stands as it did before it.
        """
        parts = [pl.DataFrame(schema=_STANDING)]
        start = max((i for i, f in enumerate(counting) if f.whole), default=None)
        if start is not None and counting[start].refused:
            refused = self._refused(counting[start], keys)
            if refused:
                parts.append(self._standing(counting[:start], refused))
        parts += [self._taken(f, keys) for f in counting[start or 0 :]]
        return pl.concat(parts).unique(["record", "key"], keep="last", maintain_order=True)

    def _refused(self, filing: Filing, keys: Sequence[tuple[str, str]] | None) -> list[tuple[str, str]]:
        rows = self._base.execute("SELECT record, key FROM entry WHERE filing = ? AND refused = 1", (filing.id,)).fetchall()
        return [(r, k) for r, k in rows if keys is None or (r, k) in set(keys)]

    def _taken(self, filing: Filing, keys: Sequence[tuple[str, str]] | None) -> pl.DataFrame:
        """The records of *filing* that were taken (of those *keys*)."""
        ask = "SELECT record, key, print, loan_id, facts FROM entry WHERE filing = ? AND refused = 0"
        if keys is None:
            rows = self._base.execute(ask, (filing.id,)).fetchall()
        else:
            rows = [r for k in keys for r in self._base.execute(f"{ask} AND record = ? AND key = ?", (filing.id, *k))]
        return _frame([(r, k, p + _SHIFT, loan, facts, filing.as_of, filing.id) for r, k, p, loan, facts in rows], _STANDING)


def _by(filing: Filing, until: Point) -> bool:
    known = until.known_at is None or (filing.known_at or filing.made_at.date()) <= until.known_at
    return filing.as_of <= until.as_of and known


def _frame(rows: Sequence[tuple[Any, ...]], schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(schema), orient="row")


def facts_of(entries: pl.DataFrame, record: str, names: Sequence[str]) -> pl.DataFrame:
    """The entries of *record* with their facts *names* as columns of text: key, loan_id, print and what else they have."""
    own = entries.filter(pl.col("record") == record)
    told = [json.loads(t) if t else {} for t in own["facts"].to_list()]
    return own.drop("record", "facts").with_columns([pl.Series(n, [t.get(n) for t in told], dtype=pl.String) for n in names])


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
