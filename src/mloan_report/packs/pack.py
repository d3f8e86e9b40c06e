"""A pack: one folder with what is known of one regulator's format, loaded and checked.

pack.toml, records/*.csv, codes/*.csv, rules/*.toml, tables/*.csv, and optionally functions.py. A pack without any Python is
possible; its data never executes anything.
"""

from __future__ import annotations

import hashlib
import importlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from importlib.resources.abc import Traversable
from types import ModuleType
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from mloan_report.layout import CodeList, Group, LayoutCodes, Lookup, RecordLayout, RecordRule, RefusedLayout, parse_rules, read_codes, read_fields
from mloan_report.layout.definition import Rounding
from mloan_report.layout.forms import Form, form_of
from mloan_report.model.currency import countries, currencies
from mloan_report.portfolio.sql import Function

PACK_API = 1
# Lists of public standards, which a pack names (@external) and does not repeat.
PUBLIC_LISTS: dict[str, Callable[[], Iterable[str]]] = {"iso4217": currencies, "country_alpha3": lambda: countries().values()}
SECRET = "set"
"""What is shown of a secret setting that has a value."""
CERTAINTIES = ("official", "secondary", "public_code", "knowledge", "knowledge_low", "self_made")


class Asked(Protocol):
    """What is to be filed, as a pack's own code sees it: the dates, the settings, and what the recipient last accepted (by record kind)."""

    @property
    def as_of(self) -> date: ...
    @property
    def known_at(self) -> date | None: ...
    @property
    def settings(self) -> Mapping[str, str | None]: ...
    @property
    def previous(self) -> Mapping[str, pl.DataFrame] | None: ...


@dataclass(frozen=True)
class Setting:
    """What a user may set: ``--set name=value``, else ``[packs.<id>]`` of institution.toml, else the default."""

    name: str
    type: str
    default: str | None
    meaning: str
    source: str
    choices: tuple[str, ...] = ()
    required: bool = False
    secret: bool = False
    """Whether its value is shown nowhere but in the file: manifest and messages say only that it is set."""


@dataclass(frozen=True)
class ScopeRule:
    """Loans that a filing leaves out: SQL over the loan view, the reason, and the article it rests on."""

    out_if: str
    reason: str
    source: str


@dataclass(frozen=True)
class Control:
    """A control total: a figure of the portfolio (SQL over the loan view) and the field that must add up to it.

    The figure is in minor units of each loan's currency, or has ``figure_scale`` decimals whatever the currency.
    """

    name: str
    figure: str
    record: str
    field: str
    scale: int
    figure_scale: int | None = None
    where: str | None = None
    """Which records count (SQL over the record), where a loan has several."""
    rounding: Rounding = "half_up"


@dataclass(frozen=True)
class Total:
    """A figure over all records of a kind, for the head and foot of a file (``total_<name>``): COUNT() or the sum of an expression."""

    name: str
    record: str
    value: str
    where: str | None = None
    made_from: str | None = None
    """A view whose rows are counted when the file is made, for what its records do not tell (people summed up in several of them)."""


@dataclass(frozen=True)
class LedgerSpec:
    """What a ledger keeps of the pack's records: key fields and facts (never personal) by record; fields that say nothing of a change.

    ``incremental`` is (setting, value, record): under it only records of that kind that changed are filed. ``partial`` is
    (setting, values): a filing under one of them does not hold every record; empty values: none ever does.
    """

    recipient: str | None
    keys: Mapping[str, tuple[str, ...]]
    remember: Mapping[str, tuple[str, ...]]
    ignore: Mapping[str, tuple[str, ...]]
    incremental: tuple[str, str, str] | None = None
    partial: tuple[str, tuple[str, ...]] | None = None
    stays: Mapping[str, str] = field(default_factory=dict)
    """By record a condition over its facts (as ``prev_<fact>``): where it holds, the record must stand in the next whole filing."""

    def is_whole(self, settings: Mapping[str, str | None]) -> bool:
        """Whether a filing under *settings* holds every record there is."""
        if self.partial is None:
            return True
        setting, values = self.partial
        return bool(values) and settings.get(setting) not in values


def personal_key(key: str) -> str:
    """How a ledger keeps a key that is personal data: its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True)
class ValueMap:
    """A map from our values to the regulator's: adds ``into`` beside ``column`` in the views that have it."""

    column: str
    into: str
    values: Mapping[str, str]
    file: str
    whole: bool


@dataclass(frozen=True)
class OwnTable:
    """A table that only this regulator asks for: column name → (type, required, title)."""

    name: str
    columns: Mapping[str, tuple[str, bool, str]]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """A version of the format and when it counts."""

    id: str
    effective_from: str
    effective_to: str | None
    cadence: str
    deadline: str


@dataclass(frozen=True)
class Pack:
    """A loaded pack. ``folder`` is where its files are; everything else comes from them."""

    id: str
    folder: Traversable
    data: Mapping[str, Any]
    codes: Mapping[str, CodeList] = field(default_factory=dict)
    maps: tuple[ValueMap, ...] = ()
    settings: Mapping[str, Setting] = field(default_factory=dict)
    module: ModuleType | None = None

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """To another process a pack travels by its id, and is loaded there: only installed packs can."""
        return _installed, (self.id,)

    @property
    def title(self) -> str:
        """The title in English."""
        return str(self.data["title"]["en"])

    @property
    def country(self) -> str:
        """ISO 3166-1 alpha-2."""
        return str(self.data["country"])

    @property
    def time_zone(self) -> str:
        """The recipient's time zone (IANA name): what day it is there when a file is checked."""
        return str(self.data.get("time_zone", "UTC"))

    @property
    def envelope(self) -> Mapping[str, Any]:
        """How files are laid out around the records."""
        return dict(self.data["envelope"])

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """The versions, oldest first."""
        rows = [
            Version(v["id"], str(v["effective_from"]), str(v["effective_to"]) if "effective_to" in v else None, v["cadence"], v["deadline"])
            for v in self.data["version"]
        ]
        return tuple(sorted(rows, key=lambda v: v.effective_from))

    def version_on(self, as_of: date) -> Version | None:
        """The version in force on *as_of*."""
        fitting = [v for v in self.versions if v.effective_from <= as_of.isoformat() and (v.effective_to is None or as_of.isoformat() <= v.effective_to)]
        return fitting[-1] if fitting else None

    def records(self, as_of: date | None = None) -> list[RecordLayout]:
        """The record layouts in the order in which their files are written."""
        key = as_of.isoformat() if as_of else ""
        if key not in self._layouts:
            self._layouts[key] = [self._record(r, as_of) for r in self.data["record"]]
        return self._layouts[key]

    @cached_property
    def _layouts(self) -> dict[str, list[RecordLayout]]:
        return {}

    @cached_property
    def rules(self) -> tuple[RecordRule, ...]:
        """Every rule of the pack; ids are unique per record and field set."""
        out: list[RecordRule] = []
        for entry in _files(self.folder, "rules", ".toml"):
            out.extend(parse_rules(tomllib.loads(entry.read_text(encoding="utf-8")).get("rule", []), entry.name))
        return tuple(out)

    @cached_property
    def layout_codes(self) -> LayoutCodes:
        """The codes under which what the layout implies is reported."""
        rules = {r.id: r.rule for r in self.rules}
        codes = dict(self.data["codes"])
        for kind, code in codes.items():
            if code not in rules:
                raise RefusedLayout(f"{self.id}: [codes] {kind} = {code!r} is not a rule")
        return LayoutCodes(codes, rules)

    @cached_property
    def scope_rules(self) -> tuple[ScopeRule, ...]:
        """What is left out of a filing, the first that fits."""
        return tuple(ScopeRule(s["out_if"], s["reason"], s["source"]) for s in self.data.get("scope", []))

    @cached_property
    def controls(self) -> tuple[Control, ...]:
        """The control totals."""
        return tuple(
            Control(
                c["name"], c["figure"], c["record"], c["field"], int(c.get("scale", 2)), c.get("figure_scale"), c.get("where"), c.get("rounding", "half_up")
            )
            for c in self.data.get("control", [])
        )

    @cached_property
    def ledger(self) -> LedgerSpec | None:
        """What a ledger keeps of the pack's records."""
        data = self.data.get("ledger")
        if data is None:
            return None
        keys, remember, ignore = ({r: tuple(f) for r, f in data.get(n, {}).items()} for n in ("keys", "remember", "ignore"))
        layouts = {x.name: x for x in self.records()}
        for record, fields in [*keys.items(), *remember.items(), *ignore.items()]:
            unknown = [f for f in fields if record not in layouts or f not in layouts[record].by_column]
            if unknown or record not in layouts:
                raise RefusedLayout(f"{self.id}: [ledger] names {record} {', '.join(unknown)}, which is not in the layout")
        personal = [f"{r}.{f}" for r, fields in remember.items() for f in fields if layouts[r].by_column[f].pii]
        if personal:
            raise RefusedLayout(f"{self.id}: [ledger] remembers personal data: {', '.join(personal)}")
        step, part = data.get("incremental"), data.get("partial")
        return LedgerSpec(
            data.get("recipient"),
            keys,
            remember,
            ignore,
            (step["setting"], step["value"], step["record"]) if step else None,
            (part.get("setting", ""), tuple(part.get("values", ()))) if part is not None else None,
            dict(data.get("stays", {})),
        )

    @cached_property
    def totals(self) -> tuple[Total, ...]:
        """Figures that head and foot of a file state of its records."""
        out = tuple(Total(t["name"], t["record"], t.get("value", "COUNT()"), t.get("where"), t.get("made_from")) for t in self.data.get("total", []))
        shared = {r["name"] for r in self.data["record"] if r["rows"] in ("person", "collateral")}
        for t in out:
            if t.record in shared and (t.value != "COUNT()" or t.where):
                raise RefusedLayout(f"{self.id}: total {t.name}: of {t.record}, which several buckets may name, only COUNT() can be told")
        return out

    @property
    def is_composed(self) -> bool:
        """Whether records of several kinds make one file (else each kind has a file of its own)."""
        return bool(self.envelope["kind"] == "composed")

    def form(self, as_of: date | None, settings: Mapping[str, str | None]) -> Form:
        """How the file is written and read on *as_of* under *settings*; ``[envelope.by_setting.<name>.<value>]`` says what a setting changes."""
        spec = dict(self.envelope)
        for name, variants in spec.pop("by_setting", {}).items():
            spec |= variants.get(settings.get(name) or "", {})
        return form_of(self.records(as_of), spec)

    @cached_property
    def own_tables(self) -> dict[str, OwnTable]:
        """Tables that the pack declares, by name (``<pack>_<table>``)."""
        import csv

        out = {}
        for entry in _files(self.folder, "tables", ".csv"):
            rows = list(csv.DictReader(entry.read_text(encoding="utf-8").splitlines()))
            name = f"{self.id}_{entry.name.removesuffix('.csv')}"
            out[name] = OwnTable(
                name, {r["name"]: (r["type"], r["required"] == "R", r["title_en"]) for r in rows}, tuple(r["name"] for r in rows if r["key"] == "yes")
            )
        return out

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Vectorised functions that the pack's SQL may call."""
        from mloan_report.packs.sql_functions import common_functions

        own = getattr(self.module, "FUNCTIONS", {}) if self.module else {}
        return {**common_functions(), **{f"IN_{name.upper()}": _listed(codes) for name, codes in self.codes.items()}, **own}

    def hook(self, name: str) -> Callable[..., Any] | None:
        """A function of the pack's own Python, or None."""
        return getattr(self.module, name, None) if self.module else None

    def settings_for(self, given: Mapping[str, str], institution: Mapping[str, Any], *, need: bool = True) -> dict[str, str | None]:
        """Each setting's value: *given* first, then the institution's, then the default.

        ValueError names an unknown one, and (where *need*) a required one that is missing.
        """
        unknown = sorted(set(given) - set(self.settings))
        if unknown:
            raise ValueError(f"{self.id} has no setting {', '.join(unknown)}; it has {', '.join(sorted(self.settings))}")
        out: dict[str, str | None] = {}
        for name, setting in self.settings.items():
            raw = given.get(name, institution.get(name, setting.default))
            value = None if raw is None else str(raw).lower() if isinstance(raw, bool) else str(raw)
            if value is not None and setting.choices and value not in setting.choices:
                raise ValueError(f"{self.id}: setting {name} is {SECRET if setting.secret else repr(value)}, not one of {', '.join(setting.choices)}")
            if value is None and setting.required and need:
                raise ValueError(f"{self.id} needs the setting {name} ({setting.meaning}): give it with --set or under [packs.{self.id}]")
            out[name] = value
        return out

    def shown_settings(self, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """*values* as they may stand in a manifest: of a secret only that it is set."""
        return {n: SECRET if v is not None and n in self.settings and self.settings[n].secret else v for n, v in sorted(values.items())}

    def _record(self, data: Mapping[str, Any], as_of: date | None) -> RecordLayout:
        text = self.folder.joinpath("records", data.get("fields", f"{data['name']}.csv")).read_text(encoding="utf-8")
        fields = read_fields(text, data["name"], as_of, self.envelope.get("formats"))
        if not fields:
            raise RefusedLayout(f"{self.id}: record {data['name']} has no fields")
        for f in fields:
            for name in f.codes:
                if name not in self.codes:
                    raise RefusedLayout(f"{self.id}: {f.record}.{f.name}: there is no code list {name}")
        numbers = {f.column for f in fields if f.is_number}
        if "adds" in data and (not data.get("order") or data.get("null_as") != "absent" or "parent" in data or not numbers.issuperset(data["adds"])):
            raise RefusedLayout(f"{self.id}: record {data['name']}: adds wants an outermost record with an order, null_as = absent, and names of number fields")
        if any("adds" in r for r in self.data["record"] if r["name"] == data.get("parent")) and (data.get("many", True) or len(numbers) < len(fields)):
            raise RefusedLayout(f"{self.id}: record {data['name']}: one that stands in a sum stands there once (many = false) and has number fields only")
        groups = tuple(
            Group(
                g["path"],
                g["path"].rpartition("/")[2],
                g["rows"],
                g.get("where"),
                tuple(g.get("order", ())),
                tuple(f for f in fields if f.segment == f"{g['path']}[]"),
            )
            for g in data.get("group", [])
        )
        lookups = tuple(
            Lookup(x["name"], x["record"], tuple(x["on"]), tuple(x.get("their", x["on"])), x["value"], x.get("where")) for x in data.get("lookup", [])
        )
        return RecordLayout(
            name=data["name"],
            root=data.get("root", data["name"]),
            rows=data["rows"],
            where=data.get("where"),
            order=tuple(data.get("order", ())),
            key=tuple(data["key"]),
            null_as=data.get("null_as", "nil"),
            fields=fields,
            groups=groups,
            lookups=lookups,
            loans=data.get("loans"),
            parent=data.get("parent"),
            on=tuple(data.get("on", ())),
            many=data.get("many", True),
            least=data.get("least", 0),
            place=data.get("place", "body"),
            adds=tuple(data.get("adds", ())),
            carried=tuple(
                dict.fromkeys([c for r in self.data["record"] if r.get("parent") == data["name"] for c in r["on"]] + (data["order"] if "adds" in data else []))
            ),
            also=tuple(data.get("also", ())),
        )


def _installed(pack_id: str) -> Pack:
    from mloan_report.packs import packs

    return packs()[pack_id]


def load_pack(folder: Traversable, package: str | None = None) -> Pack:
    """The pack in *folder*; *package* is its importable name, for its own Python if it has some."""
    data = tomllib.loads(folder.joinpath("pack.toml").read_text(encoding="utf-8"))
    for name in ("id", "pack_api", "title", "country", "regulator", "law", "certainty", "status", "version", "envelope", "record", "codes"):
        if name not in data:
            raise RefusedLayout(f"pack.toml of {data.get('id', folder.name)}: {name} is missing")
    if data["pack_api"] != PACK_API:
        raise RefusedLayout(f"{data['id']} is written for pack_api {data['pack_api']}; this library has {PACK_API}")
    if data["certainty"] not in CERTAINTIES:
        raise RefusedLayout(f"{data['id']}: certainty {data['certainty']!r} is not one of {', '.join(CERTAINTIES)}")
    try:
        ZoneInfo(str(data.get("time_zone", "UTC")))
    except (ZoneInfoNotFoundError, ValueError):
        raise RefusedLayout(f"{data['id']}: time_zone {data['time_zone']!r} is not the name of a time zone, as Asia/Manila") from None
    codes = read_codes((e.read_text(encoding="utf-8") for e in _files(folder, "codes", ".csv") if not e.name.startswith("map_")), PUBLIC_LISTS)
    maps = tuple(_map(folder, m) for m in data.get("map", []))
    settings = {
        name: Setting(
            name,
            s.get("type", "text"),
            None if s.get("default") is None else str(s["default"]).lower() if isinstance(s["default"], bool) else str(s["default"]),
            s["meaning"],
            s.get("source", ""),
            tuple(s.get("choices", ())),
            bool(s.get("required", False)),
            bool(s.get("secret", False)),
        )
        for name, s in data.get("settings", {}).items()
    }
    module = None
    if package is not None and folder.joinpath("functions.py").is_file():
        module = importlib.import_module(f"{package}.functions")
    return Pack(data["id"], folder, data, codes, maps, settings, module)


def _listed(codes: CodeList) -> Function:
    """Whether a value is an active code of a list, for rules and values: IN_<LIST>(value)."""
    return lambda value: value.is_in(list(codes.active))


def _map(folder: Traversable, data: Mapping[str, Any]) -> ValueMap:
    import csv

    rows = csv.DictReader(folder.joinpath("codes", data["file"]).read_text(encoding="utf-8").splitlines())
    return ValueMap(data["column"], data["into"], {r["value"]: r["code"] for r in rows}, data["file"], bool(data.get("whole", False)))


def _files(folder: Traversable, name: str, suffix: str) -> list[Traversable]:
    inside = folder.joinpath(name)
    if not inside.is_dir():
        return []
    return sorted((e for e in inside.iterdir() if e.name.endswith(suffix)), key=lambda e: e.name)
