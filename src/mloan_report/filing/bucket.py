"""One bucket of a book filed: its position, checks and records, the records' text in a part, and what the other rooms need to know.

A bucket is worked on alone, in any process. What has its home in another bucket takes part in sums and links, and is judged,
quarantined and written there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from mloan_report.filing.adding import summed_kinds, write_shares
from mloan_report.filing.composed import totals_of, unit_texts, unwritable
from mloan_report.filing.making import Filing, Outside, make_filing
from mloan_report.filing.parts import Part
from mloan_report.filing.remembering import entries_of
from mloan_report.filing.request import FilingRequest, constants
from mloan_report.filing.validation import validate_bucket
from mloan_report.layout import RecordSet, unique_hashes
from mloan_report.layout.fingerprint import fingerprints, unit_fingerprints
from mloan_report.layout.forms import Form
from mloan_report.layout.text import divided
from mloan_report.layout.trees import kept_with_top
from mloan_report.layout.xml_writer import record_texts
from mloan_report.model.currency import minor_digits
from mloan_report.model.finding import Finding, has_errors
from mloan_report.packs import Pack
from mloan_report.packs.pack import Control
from mloan_report.packs.views import ENTITIES
from mloan_report.portfolio import Portfolio
from mloan_report.portfolio.buckets import Source
from mloan_report.portfolio.sql import compile_sql, evaluate_one
from mloan_report.position import work_out


@dataclass
class BucketFiled:
    """What a bucket gave. ``findings`` are of what has its home here; ``held`` the loans left out, with the codes."""

    number: int
    earlier: list[Finding]
    findings: list[Finding]
    given: int
    in_scope: int
    out_reasons: Counter[str]
    out_of_scope: Path
    held: dict[str, list[str]]
    parts: dict[str, Part]
    totals: dict[tuple[str, str], tuple[int, int]]
    file_totals: dict[str, int]
    not_judged: dict[str, int]
    not_judged_shared: list[tuple[str, str, int]]
    not_run: dict[str, str]
    run: set[str]
    regime: dict[str, Any] | None
    guest_rows: Mapping[str, frozenset[int]] = field(default_factory=dict)
    guest_loans: frozenset[str] = frozenset()
    entries: Path | None = None
    shares: Mapping[str, Path] = field(default_factory=dict)
    """What the bucket gives to records that are sums over the book, by kind."""

    @property
    def refused(self) -> bool:
        """Whether an error of this bucket forbids the filing (without quarantine)."""
        return has_errors(self.earlier) or has_errors(self.findings)

    def moved(self, folder: Path) -> BucketFiled:
        """The same with its files in *folder*: for results that come from another machine."""
        parts = {n: replace(p, text=folder / p.text.name, aside=folder / p.aside.name) for n, p in self.parts.items()}
        entries = folder / self.entries.name if self.entries else None
        shares = {n: folder / p.name for n, p in self.shares.items()}
        return replace(self, parts=parts, shares=shares, out_of_scope=folder / self.out_of_scope.name, entries=entries)


@dataclass(frozen=True)
class FileBucket:
    """The work of one bucket, ready to be sent to a worker: called with its number and what is known from outside."""

    source: Source
    pack: Pack
    as_of: date
    known_at: date | None
    settings: Mapping[str, str | None]
    made_at: datetime
    quarantine: bool
    folder: Path
    previous: Mapping[str, pl.DataFrame] | None = None
    remembers: bool = False

    def __call__(self, ask: tuple[int, Outside]) -> BucketFiled:
        number, outside = ask
        return self.file(self.source.bucket(number), number, outside)

    def file(self, book: Portfolio, number: int, outside: Outside) -> BucketFiled:
        """Files *book*, the bucket of that number."""
        pack = self.pack
        request = FilingRequest(pack, book, self.as_of, self.known_at, self.settings, self.made_at, self.previous)
        everyone = work_out(book, self.as_of, self.known_at)
        checked = validate_bucket(book, self.as_of, self.known_at, positions=everyone)
        filing = make_filing(request, checked.findings, quarantine=self.quarantine, everyone=everyone, outside=outside)
        kept = {name: home_records(records, number, book) for name, records in filing.records.items()}
        kept = kept_with_top(filing.records, kept)
        findings = [_numbered(f, kept) for f in filing.findings if _is_home(f, kept, book)]
        refused = not self.quarantine and (has_errors(checked.findings) or has_errors(findings))
        if pack.is_composed:
            form = pack.form(self.as_of, self.settings)
            cannot = [f for f in unwritable(form, filing.records) if _is_home(f, kept, book)]
            findings += [_numbered(f, kept) for f in cannot]
            refused = refused or bool(cannot)
        own = {} if refused else {n: r if kept[n].all() else r.filtered(kept[n]) for n, r in filing.records.items()}
        totals: dict[str, int] = {}
        shares: dict[str, Path] = {}
        if refused:
            parts = {}
        elif pack.is_composed:
            shares = write_shares(filing, own, self.folder, number)
            summed = summed_kinds(own)
            whole = {n: r for n, r in own.items() if n not in summed and not any(n in inner for inner in summed.values())}
            totals = totals_of(pack, whole) | _made_totals(filing)
            parts = self._write_units(filing, whole, form, number)
        else:
            parts = self._write(pack, filing, kept, number)
        entries = None
        if self.remembers and not refused:
            entries = self.folder / f"entries-{number:05d}.parquet"
            entries_of(pack, own).write_parquet(entries)
        home = filing.scope.filter(~pl.col("loan_id").is_in(list(book.guest_loans)))
        out = home.filter(~pl.col("in_scope"))
        path = self.folder / f"out-of-scope-{number:05d}.parquet"
        out.select("loan_id", "reason", "source").write_parquet(path)
        classified = filing.views.classified
        return BucketFiled(
            number,
            checked.findings,
            findings,
            home.height,
            home.height - out.height,
            Counter(dict(out.group_by("reason").len().rows())),
            path,
            filing.quarantined,
            parts,
            {} if refused else portfolio_totals(filing, kept),
            totals,
            *_unjudged(filing, kept),
            filing.rule_run.not_run,
            filing.rule_run.run,
            {"id": classified.regime.id, "certainty": classified.regime.certainty, "source": classified.regime.source} if classified else None,
            book.guest_rows,
            book.guest_loans,
            entries,
            shares,
        )

    def _write(self, pack: Pack, filing: Filing, kept: Mapping[str, pl.Series], number: int) -> dict[str, Part]:
        lines = pack.envelope["kind"] != "document"
        root = pack.envelope["root"]
        out = {}
        for name, records in filing.records.items():
            if not kept[name].all():
                records = records.filtered(kept[name])
            if records.height == 0:
                continue
            part = Part(number, self.folder / f"{name}-{number:05d}.part", self.folder / f"{name}-{number:05d}.parquet", records.height)
            sizes = []
            with part.text.open("wb") as stream:
                for texts in record_texts(records):
                    if lines:
                        texts = pl.select(pl.format(f"<{root}>{{}}</{root}>", texts)).to_series()
                    sizes.append(texts.str.len_bytes() + 1)
                    stream.write((texts.str.join("\n").item() + "\n").encode("utf-8"))
            aside(pack, records, pl.concat(sizes), filing).write_parquet(part.aside, compression="lz4")
            out[name] = part
        return out

    def _write_units(self, filing: Filing, own: Mapping[str, RecordSet], form: Form, number: int) -> dict[str, Part]:
        out = {}
        for top in form.tops:
            records = own.get(top.name)
            if records is None or records.height == 0:
                continue
            name = top.name
            part = Part(number, self.folder / f"{name}-{number:05d}.part", self.folder / f"{name}-{number:05d}.parquet", records.height)
            rows = []
            with part.text.open("wb") as stream:
                for unit in unit_texts(form, records, own):
                    data = unit.texts.str.join("").item().encode(form.encoding)
                    one_byte = form.encoding.lower().replace("-", "") != "utf8"
                    sizes = unit.texts.str.len_chars() if one_byte else unit.texts.str.len_bytes()
                    stream.write(data)
                    rows.append(aside(self.pack, unit.top, sizes, filing, unit_fingerprints(unit.top, unit.inner)))
            pl.concat(rows).write_parquet(part.aside, compression="lz4")
            out[name] = part
        return out


def home_records(records: RecordSet, number: int, book: Portfolio) -> pl.Series:
    """Which records have their home in this bucket."""
    typed = records.typed
    if number == 0 and not book.guest_loans:
        return pl.Series([True]).new_from_index(0, typed.height)
    guests = list(book.guest_loans)
    if "loan_id" in typed.columns:
        return (~typed["loan_id"].is_in(guests)).fill_null(number == 0)  # what belongs to no loan is filed once
    if "_links" in typed.columns:
        return typed.select((pl.col("_links").list.set_difference(pl.lit(guests, pl.List(pl.String))).list.len() > 0).alias("h"))["h"]
    return pl.Series([number == 0]).new_from_index(0, typed.height)


def aside(pack: Pack, records: RecordSet, sizes: pl.Series, filing: Filing, prints: pl.Series | None = None) -> pl.DataFrame:
    """A row a record: bytes of its line, fingerprint, the shared entity it is about, its loan and currency, and hashes of its unique keys."""
    typed = records.typed
    none = pl.lit(None, pl.String)
    entity = ENTITIES.get(records.layout.rows)
    shared = filing.request.portfolio.shared
    named = pl.when(pl.col(entity).is_in(list(shared))).then(pl.col(entity)) if entity in typed.columns and shared else none
    first = pl.col("_links").list.first() if "_links" in typed.columns else none
    loan = "loan_id" if "loan_id" in typed.columns else none
    frame = typed.with_columns(entity=named, loan_id=loan, _loan=loan if "loan_id" in typed.columns else first).select("entity", "loan_id", "_loan")
    controlled = pack.is_composed or any(c.record == records.layout.name for c in pack.controls)
    if controlled:
        codes = filing.request.portfolio.table("loans").select(_loan="loan_id", currency="currency_code").unique("_loan", keep="first")
        frame = frame.join(codes, on="_loan", how="left", maintain_order="left")
    else:
        frame = frame.with_columns(currency=none)
    marks = unique_hashes(pack.rules, records, pack.functions, constants(filing.request))
    return frame.drop("_loan").with_columns(size=sizes.cast(pl.UInt32), fingerprint=fingerprints(records) if prints is None else prints, **marks)


def portfolio_totals(filing: Filing, kept: Mapping[str, pl.Series]) -> dict[tuple[str, str], tuple[int, int]]:
    """By control and currency: the portfolio's exact sum in minor units, and the sum of the figures rounded as the field rounds."""
    out: dict[tuple[str, str], tuple[int, int]] = {}
    pack = filing.request.pack
    if not pack.controls:
        return out
    view = filing.views.view("loan")
    for control in pack.controls:
        made = filing.records.get(control.record)
        if made is None or not {"loan_id", "_links"} & set(made.typed.columns):
            continue
        own = made.typed.filter(kept[control.record])
        if control.where:
            own = own.filter(evaluate_one(own, compile_sql(control.where, own.columns, pack.functions)).fill_null(False))
        filed = (own.select("loan_id") if "loan_id" in own.columns else own.select(loan_id="_links").explode("loan_id")).unique()
        filed = filed.filter(~pl.col("loan_id").is_in(list(filing.request.portfolio.guest_loans)))
        figure = evaluate_one(view, compile_sql(control.figure, view.columns, pack.functions)).fill_null(0).cast(pl.Int64)
        mine = view.select("loan_id", "currency_code").with_columns(figure=figure).join(filed, on="loan_id", how="semi")
        for code, rows in mine.partition_by("currency_code", as_dict=True).items():
            digits = minor_digits(str(code[0])) if control.figure_scale is None else control.figure_scale
            exact, rounded = _sums(rows["figure"], digits, control)
            out[control.name, str(code[0])] = (exact, rounded)
    return out


def _sums(figures: pl.Series, digits: int, control: Control) -> tuple[int, int]:
    exact = int(figures.cast(pl.Int128).sum())
    if control.scale >= digits:
        return exact, exact * 10 ** (control.scale - digits)
    unit = pl.lit(10 ** (digits - control.scale), pl.Int64)
    return exact, int(pl.select(divided(control.rounding)(pl.lit(figures), unit).cast(pl.Int128).sum()).item())


def _made_totals(filing: Filing) -> dict[str, int]:
    """Totals that only the portfolio tells: rows of a view whose ``_links`` name a loan with its home here."""
    guests = pl.lit(list(filing.request.portfolio.guest_loans), pl.List(pl.String))
    views = {t.name: filing.views.view(t.made_from) for t in filing.request.pack.totals if t.made_from}
    return {n: view.filter(pl.col("_links").list.set_difference(guests).list.len() > 0).height for n, view in views.items()}


def _unjudged(filing: Filing, kept: Mapping[str, pl.Series]) -> tuple[dict[str, int], list[tuple[str, str, int]]]:
    """How many records each rule could not judge; those about shared entities one by one (rule, kind, number in the part)."""
    counts: dict[str, int] = {}
    single: list[tuple[str, str, int]] = []
    shared = list(filing.request.portfolio.shared)
    for rule, name, numbers in filing.rule_run.unjudged:
        typed = filing.records[name].typed
        entity = ENTITIES.get(filing.records[name].layout.rows)
        home = kept[name].gather(numbers)
        common = typed[entity].is_in(shared).fill_null(False).gather(numbers) if entity in typed.columns and shared else None
        if common is not None and (home & common).any():
            place = kept[name].cast(pl.UInt32).cum_sum() - 1
            single += [(rule, name, int(place[n])) for n in numbers.filter(home & common).to_list()]
            home = home & ~common
        if n := int(home.sum()):
            counts[rule] = counts.get(rule, 0) + n
    return counts, single


def _numbered(f: Finding, kept: Mapping[str, pl.Series]) -> Finding:
    """The finding with the number its record has in the part."""
    number = f.args.get("record_no")
    if number is None or f.table is None or f.table not in kept or kept[f.table].all():
        return f
    return replace(f, args={**f.args, "record_no": int(kept[f.table].head(int(number)).sum())})


def _is_home(f: Finding, kept: Mapping[str, pl.Series], book: Portfolio) -> bool:
    """Whether a finding of records is about a record that this bucket files."""
    number = f.args.get("record_no")
    if number is not None and f.table is not None and f.table in kept:
        return bool(kept[f.table][int(number) - 1])
    if f.loan_id is not None:
        return f.loan_id not in book.guest_loans
    return True
