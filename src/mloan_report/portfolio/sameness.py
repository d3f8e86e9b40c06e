"""When two numbers or names are the same: the one place that says it, for checks, people, and who must be seen together."""

from __future__ import annotations

import polars as pl


def plain_number(column: str) -> pl.Expr:
    """A number without the marks that people put between its digits, letters as capitals."""
    return pl.col(column).str.replace_all("[- ]", "").str.to_uppercase()


def folded_name(column: str) -> pl.Expr:
    """A name as capitals, with blanks and punctuation as one blank."""
    return pl.col(column).str.to_uppercase().str.replace_all(r"[ .,'\-]+", " ").str.strip_chars()
