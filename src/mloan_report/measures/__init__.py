"""Regimes, provisions and ratios: dated data and small expressions."""

from __future__ import annotations

from mloan_report.measures.classify import Classified, classify
from mloan_report.measures.provision import provision_tables
from mloan_report.measures.ratio import RatioValue, ratio_definitions, ratios
from mloan_report.measures.regime import RefusedRegime, Regime
from mloan_report.measures.regime_file import load_regime, regime_with, regimes

__all__ = [
    "Classified",
    "RatioValue",
    "RefusedRegime",
    "Regime",
    "classify",
    "load_regime",
    "provision_tables",
    "ratio_definitions",
    "ratios",
    "regime_with",
    "regimes",
]
