"""Philippine numbers: their shapes. No check digit is known from a source we could rely on, so none is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from mloan_report.identity.scheme import Scheme


def _shape(lengths: tuple[int, ...], letters: str = "0-9") -> Callable[[pl.Series], Mapping[str, pl.Series]]:
    """Numbers of these lengths (any where there are none) of *letters*, hyphens and blanks left out."""

    def parts(number: pl.Series) -> dict[str, pl.Series]:
        plain = number.str.replace_all("[- ]", "")
        size = plain.str.len_chars()
        return {"length": ~size.is_in(lengths) if lengths else size == 0, "characters": ~plain.str.contains(f"^[{letters}]+$")}

    return parts


_SOURCE = "identity formats of the CIC's CSDF, as public implementations have them"
_ANY = "0-9A-Za-z./"
PHILIPPINES = (
    Scheme("ph.tin", "Taxpayer identification number (TIN)", "菲律宾税号", "CIC error code 20-050: 9 to 12 digits", "public_code", _shape((9, 10, 11, 12))),
    Scheme("ph.sss", "Social Security System number", "菲律宾社保号", _SOURCE, "public_code", _shape((10,))),
    Scheme("ph.gsis", "Government Service Insurance System number", "菲律宾公务员保险号", _SOURCE, "public_code", _shape((11,))),
    Scheme("ph.philhealth", "PhilHealth number", "菲律宾医保号", _SOURCE, "public_code", _shape((12,))),
    Scheme("ph.umid", "UMID common reference number", "菲律宾统一证件号", _SOURCE, "public_code", _shape((12,))),
    Scheme("ph.hdmf", "HDMF (Pag-IBIG) number", "菲律宾住房基金号", _SOURCE, "public_code", _shape((12,))),
    Scheme("ph.philsys", "National id (PhilSys)", "菲律宾国民身份证号", _SOURCE, "public_code", _shape((16,))),
    Scheme("ph.prc", "PRC professional id", "菲律宾执业证号", _SOURCE, "public_code", _shape((7,))),
    Scheme("ph.postal_id", "Postal id", "菲律宾邮政证件号", _SOURCE, "public_code", _shape((12,))),
    Scheme("ph.driver_licence", "Driver's licence", "菲律宾驾照号", _SOURCE, "public_code", _shape((11,), "0-9A-Za-z")),
    Scheme("ph.voter", "Voter's id", "菲律宾选民证号", _SOURCE, "public_code", _shape((22,), "0-9A-Za-z")),
    Scheme("ph.senior_citizen", "Senior citizen card", "菲律宾长者证号", "no format known", "knowledge", _shape((), _ANY)),
    Scheme("ph.sec", "SEC registration number", "菲律宾公司注册号", "no format known", "knowledge", _shape((), _ANY)),
    Scheme("ph.dti", "DTI registration number", "菲律宾商号注册号", "no format known", "knowledge", _shape((), _ANY)),
    Scheme("ph.cda", "CDA registration number", "菲律宾合作社注册号", "no format known", "knowledge", _shape((), _ANY)),
)
