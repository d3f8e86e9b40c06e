"""A file that somebody else wrote, read in slices by several processes: cut between records, lines and numbers those of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mloan_report.filing.envelope import ReadFile, joined, line_facts, read_file, read_slice
from mloan_report.packs import Pack
from mloan_report.portfolio.workers import cores, shared_out

SLICE = 16_000_000
"""Bytes read by one worker at a time; a smaller file is read whole."""
WHOLE = ("unreadable", "forbidden", "encoding", "root", "declaration")
"""Defects that concern the file beyond one record: then it is read whole, so that what is said does not depend on the slices."""


@dataclass(frozen=True)
class _Stretch:
    offset: int
    size: int
    line: int
    number: int


@dataclass(frozen=True)
class _ReadStretch:
    pack: Pack
    path: Path
    record: str
    head: bytes
    foot: bytes

    def __call__(self, stretch: _Stretch) -> ReadFile:
        layout = next(r for r in self.pack.records() if r.name == self.record)
        with self.path.open("rb") as stream:
            stream.seek(stretch.offset)
            data = stream.read(stretch.size)
        return read_slice(self.pack, self.path, layout, self.head, data, self.foot, stretch.line, stretch.number)


def read_foreign(pack: Pack, path: Path, record: str | None, jobs: int | None = 1) -> ReadFile:
    """The file as :func:`read_file` reads it, by up to *jobs* processes where it is large and can be cut."""
    size = path.stat().st_size
    if record is None or record not in {r.name for r in pack.records()} or size <= SLICE or (jobs or cores()) == 1:
        return read_file(pack, path, record)
    cut = _cut(pack, path, record, size)
    if cut is None:
        return read_file(pack, path, record)
    head, foot, stretches = cut
    work = _ReadStretch(pack, path, record, head, foot)
    out = ReadFile(path, record, None)
    parts = []
    for read in shared_out(work, stretches, jobs, lambda s: f"{path.name} from line {s.line}"):
        if any(d.kind in WHOLE for d in read.defects):
            return read_file(pack, path, record)
        out.defects += read.defects
        out.schema_errors += read.schema_errors
        if read.records is not None and read.records.height:
            parts.append(read.records)
    out.records = joined(parts) if parts else None
    if pack.envelope["kind"] != "document":
        out.facts |= line_facts(pack, path, head, sum(p.height for p in parts))
    return out


def _cut(pack: Pack, path: Path, record: str, size: int) -> tuple[bytes, bytes, list[_Stretch]] | None:
    """Head, foot and stretches of whole records; None where the file has markup that a cut could fall into."""
    layout = next(r for r in pack.records() if r.name == record)
    document = pack.envelope["kind"] == "document"
    begins = re.compile(rb"<%b[\s>/]" % (layout.root if document else pack.envelope["root"]).encode())
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
        first = begins.search(head)
        if first is None:
            return None
        head = head[: first.start()]
        foot = b""
        if document:
            stream.seek(max(0, size - (1 << 12)))
            tail = stream.read()
            closing = f"</{layout.root}>".encode()
            at = tail.rfind(closing)
            if at < 0:
                return None
            foot = tail[at + len(closing) :]
        stretches = list(_stretches(stream, begins, len(head), size - len(foot)))
    if any(s is None for s in stretches):
        return None
    line, number, out = 1 + head.count(b"\n"), 1, []
    for s in stretches:
        assert s is not None
        offset, length, lines, records = s
        out.append(_Stretch(offset, length, line, number))
        line, number = line + lines, number + records
    return head, foot, out


def _stretches(source: BinaryIO, begins: re.Pattern[bytes], start: int, end: int) -> Iterator[tuple[int, int, int, int] | None]:
    """(offset, bytes, line ends, records) of each stretch; None where there is a comment, CDATA, a declaration or an instruction."""
    while start < end:
        source.seek(start)
        data = source.read(min(SLICE, end - start))
        if start + len(data) < end:
            more = source.read(min(SLICE, end - start - len(data)))
            nxt = begins.search(more)
            data += more[: nxt.start()] if nxt else more
        if b"<!" in data or b"<?" in data:
            yield None
            return
        yield start, len(data), data.count(b"\n"), len(begins.findall(data))
        start += len(data)
