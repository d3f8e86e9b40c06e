"""Which bucket each row of a book belongs to, worked out from keys alone.

Buckets are contiguous ranges of borrower_id with equal counts of borrowers. A borrower's rows have their home in one
bucket. A bucket also gets, as guests, the rows of other buckets that its own rows need to be judged and filed: a borrower
who guarantees, is related to, shares collateral, an identity number or a key with one of its own. People who borrow
nothing and collateral live with the bucket that names them, or are shared where several do. So every bucket can be
worked on alone, and what is found does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import polars as pl

from mloan_report.model import fields_of, table_models
from mloan_report.portfolio.sameness import folded_name, plain_number

BUCKET = "_bucket"
OWN_KEYS = {
    "loans": "loan_id",
    "applications": "application_id",
    "facilities": "facility_id",
    "disbursements": "disbursement_id",
    "charges": "charge_id",
    "repayments": "repayment_id",
    "transfers": "transfer_id",
}
"""Tables whose key says nothing of the borrower: two borrowers may have the same one."""

Keys = Callable[[str, tuple[str, ...]], pl.DataFrame]
"""Gives the named columns of a table as text, with null columns where the table has none."""


def owner_kind(columns: Iterable[str], key: tuple[str, ...] = ()) -> str | None:
    """By which column a table's rows are routed; None for tables of the institution, which are kept whole.

    A pack's own table (without *key*) goes with its loan where it names one: the person that it names beside may be no borrower, or nobody.
    """
    names = set(columns)
    if not key and "loan_id" in names:
        return "loan_id"
    if "borrower_id" in names:
        return "borrower_id"
    if key[:1] == ("party_id",):
        return "party_id"
    return next((c for c in ("loan_id", "facility_id", "collateral_id", "party_id") if c in names), None)


@dataclass(frozen=True)
class Routes:
    """Where rows go. ``borrowers``: borrower_id, _bucket, home (whether it is its own). ``loans``, ``facilities``: their key
    and borrower_id. ``parties``, ``collateral``: their key, _bucket and home, one row for each bucket that needs them; home is the
    first that names them itself.
    ``ranges``: the first and last borrower_id of each bucket.
    """

    count: int
    borrowers: pl.DataFrame
    loans: pl.DataFrame
    facilities: pl.DataFrame
    parties: pl.DataFrame
    collateral: pl.DataFrame
    ranges: pl.DataFrame

    def of(self, kind: str) -> pl.DataFrame:
        """key (named *kind*), _bucket, home: the buckets of each key; a key that is not there belongs to bucket 0."""
        if kind == "borrower_id":
            return self.borrowers
        if kind in ("loan_id", "facility_id"):
            table = self.loans if kind == "loan_id" else self.facilities
            return table.join(self.borrowers, on="borrower_id", how="inner").select(kind, BUCKET, "home")
        if kind == "party_id":
            people = self.borrowers.rename({"borrower_id": "party_id"})
            return pl.concat([people, self.parties.select(people.columns)])
        return self.collateral.select("collateral_id", BUCKET, "home")

    def shared(self, kind: str) -> pl.Series:
        """The parties or collateral that several buckets name."""
        table = self.parties if kind == "party_id" else self.collateral
        return table.group_by(kind).len().filter(pl.col("len") > 1)[kind].sort()

    def named_elsewhere(self) -> pl.Series:
        """Borrowers that are guests of another bucket."""
        return self.borrowers.filter(~pl.col("home"))["borrower_id"].unique().sort()


def work_out_routes(keys: Keys, count: int) -> Routes:
    """The routes of a book into *count* buckets (fewer where there are fewer borrowers), from its key columns."""
    return _Routing(keys, count).routes()


def routes_of_adjustments(rows: pl.DataFrame, keys: Keys, tables: frozenset[str], routes: Routes) -> pl.DataFrame:
    """_target (the row of an adjustment, as text), _bucket, home: adjustments go with the row that they correct; one of a table of
    the institution goes everywhere. *rows* are the adjustments' _row, table and key as text.
    """
    out: list[tuple[str, int, bool]] = []
    for row, table, key in rows.select("_row", "table", "key").rows():
        model = table_models().get(str(table))
        parts = str(key).split("|")
        places: list[tuple[int, bool]] = [(0, True)]
        if model is not None and model.TABLE in tables and len(parts) == len(model.KEY):
            kind = owner_kind(fields_of(model), model.KEY)
            if kind is None:
                places += [(k, False) for k in range(1, routes.count)]
            else:
                hits = keys(model.TABLE, tuple(dict.fromkeys((*model.KEY, kind))))
                hits = hits.filter(pl.all_horizontal([pl.col(k) == part for k, part in zip(model.KEY, parts, strict=True)]))
                found = hits.select(kind).join(routes.of(kind), on=kind, how="inner").sort("home", BUCKET, descending=[True, False])
                if found.height:
                    first = found[BUCKET][0]
                    places = [(b, b == first) for b in found[BUCKET].unique().to_list()]
        out += [(str(row), b, home) for b, home in places]
    return pl.DataFrame(out, schema={"_target": pl.String, BUCKET: pl.UInt32, "home": pl.Boolean}, orient="row")


class _Routing:
    def __init__(self, keys: Keys, count: int) -> None:
        self.keys = keys
        named = [keys(t, ("borrower_id",)) for t in ("borrowers", "loans", "applications", "facilities", "external_debts")]
        ids = pl.concat(named).drop_nulls().unique().sort("borrower_id")
        self.count = max(1, min(count, ids.height))
        place = (pl.int_range(pl.len(), dtype=pl.Int64) * self.count // max(1, ids.height)).cast(pl.UInt32)
        self.home = ids.with_columns(place.alias(BUCKET))
        self.ranges = self.home.group_by(BUCKET).agg(first=pl.col("borrower_id").min(), last=pl.col("borrower_id").max()).sort(BUCKET)
        self.loans = keys("loans", ("loan_id", "borrower_id")).drop_nulls("loan_id").unique("loan_id", keep="first", maintain_order=True)
        self.facilities = keys("facilities", ("facility_id", "borrower_id")).drop_nulls("facility_id").unique("facility_id", keep="first", maintain_order=True)
        self.loan_home = self._with_home(self.loans)

    def routes(self) -> Routes:
        named = self._named()
        links = self._links()
        parties = self._outsiders(named)
        parties = first = pl.concat([parties, self._named_by_parties(parties)]).unique()
        guests = [self._guests_by_name(named), self._guests_by_collateral(links), *self._guests_by_reference()]
        number_guests, number_parties = self._by_collision(parties)
        everyone = pl.concat([*guests, number_guests]).unique().join(self.home, on=["borrower_id", BUCKET], how="anti")
        parties = pl.concat([parties, number_parties, self._outsiders(_moved(named, everyone))]).unique()
        things = pl.concat([links.select("collateral_id", BUCKET), _moved(links, everyone).select("collateral_id", BUCKET)])
        things = pl.concat([things, self._unlinked(things, parties)]).unique()
        borrowers = pl.concat([self.home.with_columns(home=pl.lit(True)), everyone.with_columns(home=pl.lit(False))])
        return Routes(self.count, borrowers, self.loans, self.facilities, _with_homes(parties, first), _with_homes(things, links), self.ranges)

    def _with_home(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(self.home, on="borrower_id", how="left").with_columns(pl.col(BUCKET).fill_null(0))

    def _by_loan(self, table: str, column: str) -> pl.DataFrame:
        """(column, borrower_id, _bucket) of the rows of *table* that name something in *column*."""
        rows = self.keys(table, ("loan_id", column)).drop_nulls(column)
        return rows.join(self.loan_home, on="loan_id", how="left").with_columns(pl.col(BUCKET).fill_null(0)).select(column, "borrower_id", BUCKET)

    def _named(self) -> pl.DataFrame:
        """party_id, borrower_id, _bucket: who is named by which borrower's rows."""
        spouses = self._with_home(self.keys("borrowers", ("spouse_id", "borrower_id")).drop_nulls("spouse_id")).rename({"spouse_id": "party_id"})
        relations = self.keys("relations", ("party_id", "related_id")).drop_nulls()
        forth = self._with_home(relations.rename({"party_id": "borrower_id", "related_id": "party_id"}).join(self.home, on="borrower_id", how="semi"))
        back = self._with_home(relations.rename({"related_id": "borrower_id"}).join(self.home, on="borrower_id", how="semi"))
        parts = [
            self._by_loan("loan_parties", "party_id"),
            self._by_loan("transfers", "counterparty_id").rename({"counterparty_id": "party_id"}),
            spouses,
            forth,
            back,
            self._owners(),
        ]
        return pl.concat([p.select("party_id", "borrower_id", BUCKET) for p in parts]).unique()

    def _links(self) -> pl.DataFrame:
        return self._by_loan("collateral_links", "collateral_id").unique()

    def _owners(self) -> pl.DataFrame:
        owners = self.keys("collateral", ("collateral_id", "owner_id")).drop_nulls()
        return owners.join(self._links(), on="collateral_id", how="inner").rename({"owner_id": "party_id"})

    def _outsiders(self, named: pl.DataFrame) -> pl.DataFrame:
        """party_id, _bucket of those who are no borrowers."""
        return named.join(self.home, left_on="party_id", right_on="borrower_id", how="anti").select("party_id", BUCKET).unique()

    def _named_by_parties(self, parties: pl.DataFrame) -> pl.DataFrame:
        """Parties that a party is related to stand with it."""
        relations = self.keys("relations", ("party_id", "related_id")).drop_nulls()
        both = pl.concat([relations, relations.select(party_id="related_id", related_id="party_id")])
        hop = both.join(parties, on="party_id", how="inner").select(party_id="related_id", **{BUCKET: BUCKET})
        return hop.join(self.home, left_on="party_id", right_on="borrower_id", how="anti").unique()

    def _guests_by_name(self, named: pl.DataFrame) -> pl.DataFrame:
        return named.join(self.home.select("borrower_id"), left_on="party_id", right_on="borrower_id", how="semi").select(
            borrower_id="party_id", **{BUCKET: BUCKET}
        )

    def _guests_by_collateral(self, links: pl.DataFrame) -> pl.DataFrame:
        """Borrowers who secure their loans by one thing need each other's links to it."""
        several = links.group_by("collateral_id").agg(pl.col(BUCKET).n_unique().alias("n")).filter(pl.col("n") > 1)
        mine = links.join(several, on="collateral_id", how="semi")
        return (
            mine.select("collateral_id", "borrower_id")
            .join(mine.select("collateral_id", BUCKET), on="collateral_id")
            .select("borrower_id", BUCKET)
            .drop_nulls()
        )

    def _guests_by_reference(self) -> list[pl.DataFrame]:
        """The borrower of a row that a row of another bucket points to."""
        out = []
        for table, column, target in (
            ("applications", "loan_id", "loans"),
            ("party_events", "loan_id", "loans"),
            ("loans", "previous_loan_id", "loans"),
            ("loans", "facility_id", "facilities"),
            ("loans", "application_id", "applications"),
            ("disbursements", "refinanced_loan_id", "loans"),
            ("repayments", "reverses_id", "repayments"),
            ("disbursements", "reverses_id", "disbursements"),
        ):
            owner = "party_id" if table == "party_events" else "borrower_id" if table in ("applications", "loans") else "loan_id"
            rows = self.keys(table, (owner, column)).drop_nulls(column)
            if rows.height == 0:
                continue
            rows = rows.rename({"party_id": "borrower_id"}) if owner == "party_id" else rows
            rows = self._with_home(rows) if owner != "loan_id" else rows.join(self.loan_home, on="loan_id", how="left")
            targets = self._owned(target, OWN_KEYS[target]).rename({OWN_KEYS[target]: column, "borrower_id": "whose"})
            pointed = rows.select(column, BUCKET).join(targets, on=column, how="inner")
            out.append(pointed.select(borrower_id="whose", **{BUCKET: pl.col(BUCKET).fill_null(0)}).drop_nulls())
        return out or [pl.DataFrame(schema={"borrower_id": pl.String, BUCKET: pl.UInt32})]

    def _owned(self, table: str, key: str) -> pl.DataFrame:
        """(key, borrower_id) of a table."""
        if table in ("loans", "facilities", "applications"):
            return self.keys(table, (key, "borrower_id")).drop_nulls(key)
        rows = self.keys(table, (key, "loan_id")).drop_nulls(key)
        return rows.join(self.loans, on="loan_id", how="left").select(key, "borrower_id")

    def _by_collision(self, parties: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Those who share a number, a name and birth date, or a key: each must be seen by the buckets of the others."""
        groups = [self._same_number(), self._same_person()]
        for table, key in OWN_KEYS.items():
            twice = self._twice(table, key)
            if twice.height:
                groups.append(twice.select(group=pl.concat_str(pl.lit(table + "|"), key), party_id="borrower_id"))
        members = pl.concat(groups).drop_nulls().unique()
        places = pl.concat([self.home.rename({"borrower_id": "party_id"}), parties.select("party_id", BUCKET)])
        placed = members.join(places, on="party_id", how="left").with_columns(pl.col(BUCKET).fill_null(0))
        crossed = placed.select("group", BUCKET).unique().join(members, on="group")
        wide = crossed.join(crossed.group_by("group").agg(pl.col(BUCKET).n_unique().alias("n")).filter(pl.col("n") > 1), on="group", how="semi")
        pairs = wide.select("party_id", BUCKET).unique()
        guests = pairs.join(self.home.select(party_id="borrower_id"), on="party_id", how="semi").rename({"party_id": "borrower_id"})
        return guests.select("borrower_id", BUCKET), pairs.join(self.home.select(party_id="borrower_id"), on="party_id", how="anti").select("party_id", BUCKET)

    def _same_number(self) -> pl.DataFrame:
        rows = (
            self.keys("identifiers", ("party_id", "scheme", "value"))
            .drop_nulls("value")
            .select("party_id", group=pl.concat_str("scheme", pl.lit("|"), plain_number("value")))
        )
        return _colliding(rows)

    def _same_person(self) -> pl.DataFrame:
        group = pl.concat_str(folded_name("name"), pl.lit("|"), "born_on").alias("group")
        borrowers = self.keys("borrowers", ("borrower_id", "name", "born_on")).drop_nulls().select(pl.col("borrower_id").alias("party_id"), group)
        others = self.keys("parties", ("party_id", "name", "born_on")).drop_nulls().select("party_id", group)
        return _colliding(pl.concat([borrowers, others]))

    def _twice(self, table: str, key: str) -> pl.DataFrame:
        """(key, borrower_id) of the keys that stand more than once. Only their hashes are held while looking."""
        hashes = self.keys(table, (key,)).drop_nulls().select(pl.col(key).hash(0).alias("h"))
        again = hashes.filter(pl.col("h").is_duplicated())["h"].unique()
        if again.len() == 0:
            return pl.DataFrame(schema={key: pl.String, "borrower_id": pl.String})
        return self._owned(table, key).filter(pl.col(key).hash(0).is_in(again.implode()))

    def _unlinked(self, things: pl.DataFrame, parties: pl.DataFrame) -> pl.DataFrame:
        """Collateral that secures nothing stands with its owner."""
        owners = self.keys("collateral", ("collateral_id", "owner_id")).drop_nulls("collateral_id").join(things, on="collateral_id", how="anti")
        places = pl.concat([self.home.rename({"borrower_id": "party_id"}), parties.select("party_id", BUCKET)]).unique("party_id")
        return owners.join(places, left_on="owner_id", right_on="party_id", how="left").select("collateral_id", pl.col(BUCKET).fill_null(0))


def _colliding(rows: pl.DataFrame) -> pl.DataFrame:
    """group, party_id of the groups that several people are in."""
    rows = rows.drop_nulls().unique()
    return rows.filter(pl.col("group").is_duplicated()).select("group", "party_id")


def _with_homes(places: pl.DataFrame, naming: pl.DataFrame) -> pl.DataFrame:
    """*places* (key, _bucket) with home: true for the first bucket in *naming*, or the first of all where none names the key."""
    key = places.columns[0]
    first = naming.group_by(key).agg(named=pl.col(BUCKET).min())
    least = places.group_by(key).agg(least=pl.col(BUCKET).min()).join(first, on=key, how="left").select(key, at=pl.coalesce("named", "least"))
    return places.join(least, on=key, how="left").with_columns(home=pl.col(BUCKET) == pl.col("at")).drop("at").sort(key, BUCKET)


def _moved(named: pl.DataFrame, guests: pl.DataFrame) -> pl.DataFrame:
    """What guests name, in the buckets where they are guests."""
    return named.drop(BUCKET).join(guests, on="borrower_id", how="inner").select(named.columns)
