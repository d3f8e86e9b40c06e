"""Made-up portfolios: deterministic by seed, with every status and valid identity numbers.

``make_sample`` writes one into a folder; ``add_identities`` adds made-up people to real loans.
"""

from __future__ import annotations

from mloan_report.testing.sample.identities import add_identities
from mloan_report.testing.sample.writing import make_sample

__all__ = ["add_identities", "make_sample"]
