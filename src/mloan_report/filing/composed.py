"""Files in which records of several kinds stand together: written from a bucket's records, joined, read back and proved.

An outermost record with all that stands in it is a unit: units are written by their buckets, joined in order of kinds, and what
the head and the foot of the file say of them is added up from the buckets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

import polars as pl

from mloan_report.filing.around import file_name, file_records, head_constants
from mloan_report.filing.making import check_records
from mloan_report.filing.request import FilingRequest, constants
from mloan_report.layout import RecordSet, RuleRun, run_file_rules
from mloan_report.layout.forms import Batch, Form
from mloan_report.layout.forms.delimited import DelimitedForm
from mloan_report.layout.records import ROWNUM
from mloan_report.layout.trees import inside, joined_batches
from mloan_report.model.finding import Finding, Rule
from mloan_report.model.institution import Institution
from mloan_report.packs import Pack
from mloan_report.packs.pack import Total
from mloan_report.portfolio import UnusableInput
from mloan_report.portfolio.sql import compile_sql, evaluate

UNITS = 20_000
"""Outermost records whose text is made at a time."""

UNSEPARABLE = Rule(
    "FIL-006",
    "error",
    "A value that holds the file's separator",
    "{record}: {field} holds {letters}, which ends a value in a file without quotes.",
    "The recipient would read the rest of the value as the next field, and every later field of the record as another.",
    "Give the value without that character.",
    "filing/composed",
)

UNWRITABLE = Rule(
    "FIL-005",
    "error",
    "A value that the file's encoding cannot hold",
    "{record}: {field} holds {letters}, which {encoding} cannot write.",
    "The recipient reads the file in one encoding; a letter outside it would be lost or stop the reading.",
    "Give the value in letters of the encoding, or a transliteration.",
    "filing/composed",
)


@dataclass(frozen=True)
class UnitText:
    """The text of some units, in order, with the units."""

    texts: pl.Series
    top: RecordSet
    inner: dict[str, RecordSet]


def unit_texts(form: Form, top: RecordSet, records: Mapping[str, RecordSet]) -> Iterator[UnitText]:
    """The text of each unit, in slices."""
    for start in range(0, top.height, UNITS):
        numbers = top.typed[ROWNUM].slice(start, UNITS)
        part = RecordSet(top.layout, top.typed.slice(start, UNITS), top.text.slice(start, UNITS), top.state.slice(start, UNITS))
        inner = inside(top.layout.name, part, records, numbers)
        texts = form.texts(part, inner)
        if texts.null_count():
            raise RuntimeError(f"{top.layout.name}: {texts.null_count()} units have no text")
        yield UnitText(texts, part, inner)


def totals_of(pack: Pack, records: Mapping[str, RecordSet]) -> dict[str, int]:
    """Each total of the pack over *records*; totals of parts add up."""
    out = {t.name: 0 for t in pack.totals}
    for name, own in records.items():
        mine = [t for t in pack.totals if t.record == name]
        if mine and own.height:
            out |= _totals(pack, mine, own.typed)
    return out


def _totals(pack: Pack, totals: Sequence[Total], frame: pl.DataFrame) -> dict[str, int]:
    wanted = {f"v {t.name}": compile_sql(t.value, frame.columns, pack.functions) for t in totals if t.value != "COUNT()"}
    wanted |= {f"w {t.name}": compile_sql(t.where, frame.columns, pack.functions) for t in totals if t.where}
    found = evaluate(frame, wanted) if wanted else frame
    return {n: int(v) for n, v in found.select([_sum(t).alias(t.name) for t in totals]).row(0, named=True).items()}


def _sum(total: Total) -> pl.Expr:
    """The total, from the columns of its value and of what counts."""
    counts = pl.col(f"w {total.name}").fill_null(False) if total.where else None
    if total.value == "COUNT()":
        return pl.len() if counts is None else counts.sum()
    value = pl.col(f"v {total.name}").fill_null(0).cast(pl.Int128)
    return (value if counts is None else value.filter(counts)).sum()


def unwritable(form: Form, records: Mapping[str, RecordSet]) -> list[Finding]:
    """Values with letters that the file's encoding has not, each a finding that shows only those letters."""
    out = _unseparable(form, records)
    if form.encoding.lower().replace("-", "") == "utf8":
        return out
    for name, own in records.items():
        for f in own.layout.value_fields:
            text = own.text[f.column]
            if text.null_count() == text.len() or not bool((text.str.len_bytes() != text.str.len_chars()).any()):
                continue
            for i in (text.str.len_bytes() != text.str.len_chars()).fill_null(False).arg_true().to_list():
                letters = sorted({c for c in text[i] if not _has(c, form.encoding)})
                if letters:
                    row = own.typed.row(i, named=True)
                    out.append(
                        UNWRITABLE.finding(
                            table=name,
                            field=f.name,
                            loan_id=row.get("loan_id"),
                            loans=tuple(row.get("_links") or ()),
                            record=name,
                            record_no=i + 1,
                            letters=" ".join(letters),
                            encoding=form.encoding,
                        )
                    )
    return out


def _unseparable(form: Form, records: Mapping[str, RecordSet]) -> list[Finding]:
    """Values with the separator of a form that has no quotes."""
    if not isinstance(form, DelimitedForm) or form.quoted:
        return []
    out = []
    for name, own in records.items():
        for f in own.layout.value_fields:
            held = own.text[f.column].str.contains(form.separator, literal=True).fill_null(False)
            for i in held.arg_true().to_list() if held.any() else ():
                row = own.typed.row(i, named=True)
                named = {"loan_id": row.get("loan_id"), "loans": tuple(row.get("_links") or ())}
                out.append(UNSEPARABLE.finding(table=name, field=f.name, record=name, record_no=i + 1, letters=repr(form.separator), **named))
    return out


def _has(letter: str, encoding: str) -> bool:
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def read_units(pack: Pack, as_of: date, settings: Mapping[str, str | None], data: bytes, file: str, line: int) -> tuple[Batch, Form]:
    """The units in *data*, whole ones, whose first line is *line*."""
    form = pack.form(as_of, settings)
    return joined_batches(list(form.read(BytesIO(data), file, line, whole=False))), form


@dataclass(frozen=True)
class HeadAndFoot:
    """What stands around the units of a file, its name, and what the pack's rules find in it."""

    name: str
    head: bytes
    foot: bytes
    findings: list[Finding]
    rule_run: RuleRun


def head_and_foot(request: FilingRequest, institution: Institution, totals: Mapping[str, int], gone: Mapping[str, int] | None = None) -> HeadAndFoot:
    """Head and foot of the file that *request* asks for, with *totals* of all its records; *gone* says what was filed before and is not now."""
    pack = request.pack
    form = pack.form(request.as_of, request.settings)
    records = file_records(request, institution, totals)
    known = {**constants(request), **{f"total_{n}": v for n, v in totals.items()}}
    name = file_name(request, records)
    known |= {**head_constants(records), **(gone or {}), "file_name": name}
    findings, run = check_records(pack, records, known, {}, as_of=request.as_of)
    findings += unwritable(form, records) + run_file_rules(pack.rules, known, pack.functions, name).findings
    return HeadAndFoot(name, form.head(records).encode(form.encoding, "replace"), form.foot(records).encode(form.encoding, "replace"), findings, run)


def path_of(folder: Path, name: str) -> Path:
    """A file of a filing, which stays in its folder whatever the name says."""
    if not name or Path(name).name != name:
        raise UnusableInput(f"the file name {name!r} is not a name in the filing's folder: see the setting file_name")
    return folder / name
