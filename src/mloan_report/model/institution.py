"""Who files: institution.toml."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mloan_report.model.currency import countries, currencies

Component = Literal["fees", "interest", "principal", "penalty"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InstitutionIdentifier(_Part):
    """An identity number of the institution."""

    scheme: str = Field(title="Scheme", examples=["cn.uscc"])
    value: str = Field(title="Number", examples=["91110000600037341L"])


class Licence(_Part):
    """What the institution may do, where and until when."""

    kind: str | None = Field(None, title="Kind of licence", examples=["microloan_company"])
    areas: tuple[str, ...] = Field((), title="Areas approved (the country's own codes)", examples=[["110000"]])
    online: bool | None = Field(None, title="May lend online")
    valid_from: date | None = Field(None, title="Valid from")
    valid_to: date | None = Field(None, title="Valid to")


class Policy(_Part):
    """The lender's choices in force from a day: the row in force on as_of counts; absent = these defaults."""

    from_on: date = Field(title="In force from")
    to_on: date | None = Field(None, title="In force to")
    classification: str | None = Field(None, title="Regime", examples=["CN-NFRA-2023-1"])
    provisions: str | None = Field(None, title="Provision table", examples=["CN-2002-98"])
    allocation: tuple[Component, ...] = Field(("fees", "interest", "principal", "penalty"), title="Order of components")
    allocation_by: Literal["instalment", "component"] = Field("instalment", title="Order of instalments")
    days_past_due: Literal["oldest_unpaid", "inclusive"] = Field("oldest_unpaid", title="How days past due are counted")
    tolerance_amount: Decimal = Field(Decimal(0), title="An instalment short by no more counts as paid for days past due")
    grace_counts: bool = Field(True, title="Grace days count: days run from the due date")
    prepayment: Literal["shorten", "next", "re_amortise"] = Field("shorten", title="What a prepayment cancels")
    rounding: Literal["half_up", "half_even", "up", "down"] = Field("half_up", title="Rounding")
    position: Literal["computed", "given"] = Field("computed", title="Figures computed by us, or given in positions")

    @field_validator("allocation")
    @classmethod
    def _each_component_once(cls, value: tuple[Component, ...]) -> tuple[Component, ...]:
        if sorted(value) != ["fees", "interest", "penalty", "principal"]:
            raise ValueError("allocation names fees, interest, principal and penalty, each once")
        return value

    @field_validator("tolerance_amount", mode="before")
    @classmethod
    def _no_float(cls, value: Any) -> Any:
        return Decimal(str(value)) if isinstance(value, float) else value


class Institution(_Part):
    """The institution that files, its policies, and the codes that regulators gave it."""

    name: str = Field(title="Name")
    local_name: str | None = Field(None, title="Name in local script")
    country: str = Field(title="Country, ISO 3166-1 alpha-2", examples=["CN"])
    currency_code: str = Field(title="Reporting currency, ISO 4217", examples=["CNY"])
    time_zone: str = Field("UTC", title="Time zone, IANA", examples=["Asia/Shanghai"])
    identifiers: tuple[InstitutionIdentifier, ...] = Field((), title="Identity numbers")
    contact: dict[str, str] = Field(default_factory=dict, title="Contact")
    licence: Licence = Field(default_factory=lambda: Licence.model_validate({}), title="Licence")
    policies: tuple[Policy, ...] = Field((), title="Policies by date")
    packs: dict[str, dict[str, Any]] = Field(default_factory=dict, title="Settings by pack")
    made_up: str | None = Field(None, title="Says that data of this portfolio is made up, and which")

    @field_validator("country")
    @classmethod
    def _known_country(cls, value: str) -> str:
        if value not in countries():
            raise ValueError(f"{value!r} is not an ISO 3166-1 alpha-2 country code")
        return value

    @field_validator("currency_code")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        if value not in currencies():
            raise ValueError(f"{value!r} is not an ISO 4217 currency code")
        return value

    def policy_on(self, as_of: date) -> Policy:
        """The policy row in force on *as_of*; the defaults where none is."""
        fitting = [p for p in self.policies if p.from_on <= as_of and (p.to_on is None or as_of <= p.to_on)]
        if not fitting:
            return Policy(from_on=date.min)
        return max(fitting, key=lambda p: p.from_on)
