"""What the borrower owes, and what of it stands on the books, as sums of what happened.

claim(t) = disbursed + capitalised + bought in − principal paid − forgiven − sold − extinguished.
on book(t) = claim − written off (less what was recovered of it) − derecognised.

Of a part sold with its servicing kept, the buyer's share takes its share of every payment.
A sale with derecognition and without servicing ends the claim (sold); one whose servicing is kept leaves the claim and
takes the loan off the books (derecognised); one without derecognition changes neither. A write-off that keeps the claim
is written off; one that gives it up extinguishes it.
"""

from __future__ import annotations

import polars as pl

from mloan_report.portfolio.rounding import half_up
from mloan_report.position.in_force import Question, visible

FULL_SHARE = 100 * 10**7
"""100 % in the model's rate unit."""

SUMS = (
    "disbursed_principal",
    "capitalised_principal",
    "bought_principal",
    "repaid_principal",
    "forgiven_principal",
    "sold_principal",
    "extinguished_principal",
    "written_off_principal",
    "recovered_after_write_off",
    "recovered_principal",
    "derecognised_principal",
)


def claims(q: Question, paid_out: pl.DataFrame, payments: pl.DataFrame) -> pl.DataFrame:
    """By pair: each sum of the two identities, the claim and what is on the books, in full and as own share."""
    frame = q.pairs.select("pair")
    for block in (_disbursed(paid_out), _capitalised(q), _transferred(q), _paid(payments), _forgiven(q), _written_off(q)):
        frame = frame.join(block, on="pair", how="left", maintain_order="left")
    frame = (
        frame.join(_own_share(q), on="pair", how="left", maintain_order="left")
        .with_columns([pl.col(c).fill_null(0) for c in (*SUMS, "capitalised_charges", "kept_share_pct")] + [pl.col("own_share_pct").fill_null(FULL_SHARE)])
        .with_columns(capitalised_principal=pl.col("capitalised_principal") + pl.col("capitalised_charges"))
    )
    claim = (
        pl.col("disbursed_principal")
        + pl.col("capitalised_principal")
        + pl.col("bought_principal")
        - pl.col("repaid_principal")
        - pl.col("forgiven_principal")
        - pl.col("sold_principal")
        - pl.col("extinguished_principal")
    )
    still_off = (pl.col("written_off_principal") - pl.col("recovered_principal")).clip(lower_bound=0)
    frame = frame.with_columns(claim_principal=claim.clip(lower_bound=0))
    bought_share = half_up(pl.col("claim_principal").cast(pl.Int128) * pl.col("kept_share_pct").cast(pl.Int128), pl.lit(FULL_SHARE, pl.Int64))
    frame = frame.with_columns(derecognised_principal=pl.min_horizontal("derecognised_principal", bought_share))
    frame = frame.with_columns(on_book_principal=(pl.col("claim_principal") - still_off - pl.col("derecognised_principal")).clip(lower_bound=0))
    return frame.with_columns(
        outstanding_principal="on_book_principal", own_claim_principal=own("claim_principal"), own_on_book_principal=own("on_book_principal")
    ).drop("capitalised_charges", "recovered_principal", "kept_share_pct")


def own(column: str) -> pl.Expr:
    """The own share of a figure, half up; the residue of rounding is ours."""
    return half_up(pl.col(column).cast(pl.Int128) * pl.col("own_share_pct").cast(pl.Int128), pl.lit(FULL_SHARE, pl.Int64).cast(pl.Int128))


def _disbursed(paid_out: pl.DataFrame) -> pl.DataFrame:
    return paid_out.group_by("pair").agg(disbursed_principal=pl.col("amount").sum())


def _capitalised(q: Question) -> pl.DataFrame:
    arrears = visible(q, "restructurings", "agreed_on").group_by("pair").agg(capitalised_principal=pl.col("arrears_capitalised").sum())
    charges = visible(q, "charges", "capitalised_on", "booked_on").group_by("pair").agg(capitalised_charges=pl.col("amount").sum())
    return arrears.join(charges, on="pair", how="full", coalesce=True)


def _transferred(q: Question) -> pl.DataFrame:
    moves = visible(q, "transfers", "transferred_on").sort("pair", "transferred_on")
    out = pl.col("direction") == "out"
    gone = out & pl.col("derecognised").fill_null(False)
    kept = pl.col("servicing_kept").fill_null(False)
    moves = moves.with_columns(was_kept=pl.when(out).then(kept).forward_fill().over("pair").fill_null(False))
    back = pl.col("direction") == "buy_back"
    principal = pl.col("principal").fill_null(0)
    return moves.group_by("pair").agg(
        bought_principal=principal.filter((pl.col("direction") == "in") | (back & ~pl.col("was_kept"))).sum(),
        sold_principal=principal.filter(gone & ~kept).sum(),
        kept_share_pct=pl.col("share_pct").filter(gone & kept).sum().clip(0, FULL_SHARE),
        derecognised_principal=(principal.filter(gone & kept).sum() - principal.filter(back & pl.col("was_kept")).sum()).clip(lower_bound=0),
    )


def _paid(payments: pl.DataFrame) -> pl.DataFrame:
    recovery = pl.col("kind") == "recovery_after_write_off"
    return payments.group_by("pair").agg(
        repaid_principal=pl.col("to_principal").sum(),
        recovered_after_write_off=pl.col("amount").filter(recovery).sum(),
        recovered_principal=pl.col("to_principal").filter(recovery).sum(),
    )


def _forgiven(q: Question) -> pl.DataFrame:
    return visible(q, "restructurings", "agreed_on").group_by("pair").agg(forgiven_principal=pl.col("principal_forgiven").sum())


def _written_off(q: Question) -> pl.DataFrame:
    standing = visible(q, "write_offs", "written_off_on").filter(~(pl.col("reversed_on") <= pl.col("as_of")).fill_null(False))
    kept = pl.col("claim_kept").fill_null(True)
    return (
        standing.group_by("pair")
        .agg(
            written_off_principal=pl.col("principal").sum(),
            extinguished_principal=pl.col("principal").filter(~kept).sum(),
        )
        .with_columns(written_off_principal=pl.col("written_off_principal") - pl.col("extinguished_principal"))
    )


def _own_share(q: Question) -> pl.DataFrame:
    shares = visible(q, "funding_shares", "from_on").filter(pl.col("to_on").is_null() | (pl.col("to_on") >= pl.col("as_of")))
    return shares.group_by("pair").agg(own_share_pct=pl.col("share_pct").filter(pl.col("role") == "own").sum())
