"""The text of records of one kind, in a file of its own, before it is joined into the regulator's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ASIDE_COLUMNS = ("size", "fingerprint", "entity", "loan_id", "currency")
"""What is kept of each record beside its text: bytes, fingerprint, the shared person or thing that it is about, loan, currency."""


@dataclass(frozen=True)
class Part:
    """The records of one kind that a bucket wrote: their text, and beside it a row a record (see :data:`ASIDE_COLUMNS`)."""

    bucket: int
    text: Path
    aside: Path
    records: int
