"""The parts of all buckets joined into the regulator's files, hashed while they are copied.

A person or thing that several buckets name stands once: in the first bucket that files it. What is left of each part goes
into its file in order of buckets, so the bytes are the same however many buckets there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from mloan_report.filing.envelope import document_foot, document_head, header_values
from mloan_report.filing.parts import Part
from mloan_report.packs import Pack

SLICE = 48_000_000
"""Bytes of a file that are verified by one worker at a time."""
BLOCK = 1 << 22


@dataclass(frozen=True)
class Slice:
    """Whole records of a file: where they stand, how many, the line and number of the first, and where their aside rows are
    (file, first row, rows). ``head`` and ``foot`` are the bytes before the first and after the last record of the file.
    """

    path: Path
    record: str
    offset: int
    size: int
    first_line: int
    first_record: int
    records: int
    aside: tuple[tuple[Path, int, int], ...]
    head: int
    foot: int


@dataclass(frozen=True)
class JoinedFile:
    """A file at its place: name, record kind, records, bytes, SHA-256, and its slices."""

    name: str
    record: str
    records: int
    size: int
    sha256: str
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class _Run:
    """Records of a part that stand one after another in it."""

    part: Part
    first: int
    sizes: pl.Series
    offset: int


@dataclass(frozen=True)
class JoinKind:
    """Joins the parts of one record kind, ready to be sent to a worker."""

    pack: Pack
    folder: Path
    settings: Mapping[str, str | None]
    made_at: datetime

    def __call__(self, parts: tuple[Part, ...]) -> tuple[list[JoinedFile], dict[int, list[int]]]:
        """The files, and of each bucket the records (by number in its part) that an earlier bucket had written already."""
        pack = self.pack
        record = parts[0].text.name.rpartition("-")[0]
        runs, dropped = _runs(parts)
        if pack.envelope["kind"] == "document":
            head = document_head(pack, record)
            name = pack.envelope["file"].format(record=record)
            files = [_write(self.folder / name, record, head, document_foot(pack), [(record, runs)])] if runs else []
        else:
            files = self._lines(pack, record, runs)
        for part in parts:
            part.text.unlink()
        return files, dropped

    def _lines(self, pack: Pack, record: str, runs: Sequence[_Run]) -> list[JoinedFile]:
        envelope = pack.envelope
        most = int(self.settings.get(envelope["max_records_setting"]) or envelope["max_records"])
        files = []
        for serial, chunk in enumerate(_chunks(runs, most), start=1):
            if serial > 999:
                raise ValueError(f"{pack.id}: more than 999 files of {record} in one filing")
            count = sum(r.sizes.len() for r in chunk)
            values = header_values(pack, record, self.settings, self.made_at, serial, count)
            head = (envelope["header"].format(**values) + "\n").encode("utf-8")
            files.append(_write(self.folder / envelope["file"].format(**values), record, head, b"", [(record, chunk)]))
        return files


@dataclass(frozen=True)
class UnitRuns:
    """The units of one kind that stand in the joined file, from their parts; of each bucket the units an earlier bucket had written."""

    record: str
    runs: tuple[_Run, ...]
    dropped: Mapping[int, list[int]]

    @property
    def units(self) -> int:
        """How many there are."""
        return sum(r.sizes.len() for r in self.runs)


def unit_runs(record: str, parts: Sequence[Part]) -> UnitRuns:
    """What of *parts* goes into the file."""
    runs, dropped = _runs(parts)
    return UnitRuns(record, tuple(runs), dropped)


def write_composed(path: Path, head: bytes, foot: bytes, kinds: Sequence[UnitRuns]) -> JoinedFile:
    """The file at *path*: head, the units of each kind in order, foot."""
    return _write(path, "*", head, foot, [(k.record, k.runs) for k in kinds])


def _runs(parts: Sequence[Part]) -> tuple[list[_Run], dict[int, list[int]]]:
    runs: list[_Run] = []
    dropped: dict[int, list[int]] = {}
    seen: set[str] = set()
    for part in parts:
        rows = pl.read_parquet(part.aside, columns=["size", "entity"])
        sizes, named = rows["size"].cast(pl.Int64), rows["entity"]
        again = named.is_in(list(seen)).fill_null(False) if seen and named.null_count() < named.len() else None
        seen.update(named.drop_nulls().to_list())
        if again is None or not again.any():
            runs.append(_Run(part, 0, sizes, 0))
            continue
        dropped[part.bucket] = again.arg_true().to_list()
        starts = sizes.cum_sum() - sizes
        first = 0
        for stop in [*dropped[part.bucket], sizes.len()]:
            if stop > first:
                runs.append(_Run(part, first, sizes.slice(first, stop - first), int(starts[first])))
            first = stop + 1
    return runs, dropped


def _chunks(runs: Sequence[_Run], most: int) -> Iterator[list[_Run]]:
    chunk: list[_Run] = []
    room = most
    for run in runs:
        while run.sizes.len():
            take = min(room, run.sizes.len())
            head = run.sizes.head(take)
            chunk.append(_Run(run.part, run.first, head, run.offset))
            run = _Run(run.part, run.first + take, run.sizes.slice(take), run.offset + int(head.sum()))
            room -= take
            if room == 0:
                yield chunk
                chunk, room = [], most
    if chunk:
        yield chunk


def _write(path: Path, record: str, head: bytes, foot: bytes, kinds: Sequence[tuple[str, Sequence[_Run]]]) -> JoinedFile:
    whole = hashlib.sha256(head)
    slices: list[Slice] = []
    line, offset, total = 1 + head.count(b"\n"), len(head), 0
    with path.open("wb") as out:
        out.write(head)
        for kind, runs in kinds:
            number = 1
            for piece in _pieces(runs):
                size = sum(int(r.sizes.sum()) for r in piece)
                count = sum(r.sizes.len() for r in piece)
                lines = 0
                for block in _blocks(piece):
                    whole.update(block)
                    out.write(block)
                    lines += block.count(b"\n")
                beside = tuple((r.part.aside, r.first, r.sizes.len()) for r in piece)
                slices.append(Slice(path, kind, offset, size, line, number, count, beside, len(head), len(foot)))
                line, number, offset, total = line + lines, number + count, offset + size, total + count
        out.write(foot)
        whole.update(foot)
    return JoinedFile(path.name, record, total, offset + len(foot), whole.hexdigest(), tuple(slices))


def _blocks(piece: Sequence[_Run]) -> Iterator[bytes]:
    for run in piece:
        with run.part.text.open("rb") as stream:
            stream.seek(run.offset)
            left = int(run.sizes.sum())
            while left:
                block = stream.read(min(BLOCK, left))
                if not block:
                    raise OSError(f"{run.part.text} is shorter than it was written")
                yield block
                left -= len(block)


def _pieces(runs: Sequence[_Run]) -> Iterator[list[_Run]]:
    """Runs gathered, and cut between records, into about a slice's bytes each."""
    piece: list[_Run] = []
    size = 0
    for run in runs:
        while run.sizes.len():
            ends = run.sizes.cum_sum()
            fits = max(1 if size == 0 else 0, int((ends <= SLICE - size).sum()))
            if fits == 0:
                yield piece
                piece, size = [], 0
                continue
            head = run.sizes.head(fits)
            piece.append(_Run(run.part, run.first, head, run.offset))
            size += int(head.sum())
            run = _Run(run.part, run.first + fits, run.sizes.slice(fits), run.offset + int(head.sum()))
    if piece:
        yield piece
