"""The code lists of ours: lower_snake_case English, fine enough for every pack; packs map them to a regulator's codes."""

from __future__ import annotations

from typing import Literal

BorrowerKind = Literal["natural_person", "sole_trader", "legal_entity", "group"]
Sex = Literal["male", "female", "unknown", "not_stated"]
MaritalStatus = Literal[
    "single",
    "married",
    "first_marriage",
    "remarried",
    "remarried_same_spouse",
    "widowed",
    "divorced",
    "separated",
    "cohabiting",
    "unattached",
    "not_stated",
    "unknown",
]
Education = Literal[
    "none",
    "primary",
    "junior_secondary",
    "junior_secondary_or_below",
    "senior_secondary",
    "vocational",
    "junior_college",
    "bachelor",
    "postgraduate",
    "other",
    "unknown",
]
Degree = Literal["none", "bachelor", "master", "doctor", "honorary_doctor", "unknown"]
EmploymentStatus = Literal[
    "civil_servant",
    "professional",
    "clerk",
    "manager",
    "worker",
    "employed",
    "farmer",
    "student",
    "soldier",
    "freelance",
    "self_employed",
    "not_employed",
    "retired",
    "other",
    "unknown",
]
EmployerKind = Literal["public_institution", "state_enterprise", "foreign_enterprise", "private_enterprise", "other", "unknown"]
JobTitle = Literal["senior", "middle", "ordinary", "unknown"]
ProfessionalTitle = Literal["none", "senior", "middle", "junior", "unknown"]
HousingStatus = Literal[
    "owned",
    "mortgaged",
    "relatives_home",
    "dormitory",
    "rented",
    "co_owned",
    "living_with_others",
    "other",
    "unknown",
]
EnterpriseSize = Literal["micro", "small", "medium", "large", "not_applicable"]
Segment = Literal["consumer", "farmer", "microenterprise", "small_enterprise", "other"]
GroupKind = Literal["jlg", "shg", "centre", "village_bank"]
IdentifierStatus = Literal["current", "previous", "outdated"]
RelationKind = Literal[
    "spouse",
    "household",
    "parent",
    "child",
    "sibling",
    "other_family",
    "controls",
    "common_control",
    "partner",
    "director",
    "legal_representative",
    "actual_controller",
    "group_member",
    "related_to_lender",
]
PartyEventKind = Literal[
    "bankruptcy_filed",
    "bankruptcy_ended",
    "dispute_opened",
    "dispute_closed",
    "identity_theft",
    "name_changed",
    "identifier_changed",
    "moved",
    "deceased",
]
BankAccountKind = Literal["account", "card"]
ConsentKind = Literal["bureau_report", "bureau_query", "adverse_notice", "data_sharing"]
Product = Literal[
    "personal_consumption",
    "personal_business",
    "farmer_production",
    "farmer_consumption",
    "student",
    "vehicle",
    "housing",
    "working_capital",
    "startup_guaranteed",
    "enterprise",
    "other",
]
Channel = Literal["branch", "online", "partner"]
ApplicationDecision = Literal["pending", "approved", "declined", "withdrawn", "incomplete", "not_accepted"]
FacilityKind = Literal["revolving", "non_revolving", "guarantee"]
FinanceKind = Literal["interest", "flat_fee", "profit"]
RateType = Literal["fixed", "variable"]
DayCount = Literal["ACT/360", "ACT/365F", "30/360", "30E/360"]
RepaymentMethod = Literal[
    "equal_instalment",
    "equal_principal",
    "interest_only_bullet",
    "bullet",
    "flat",
    "sum_of_digits",
    "graduated",
    "graduated_geometric",
    "irregular",
    "on_demand",
]
Frequency = Literal[
    "daily",
    "weekly",
    "fortnightly",
    "semimonthly",
    "monthly",
    "bimonthly",
    "quarterly",
    "four_monthly",
    "semiannual",
    "annual",
    "at_maturity",
    "irregular",
]
GuaranteeMode = Literal[
    "unsecured",
    "guaranteed",
    "mortgaged",
    "pledged",
    "combined_with_guarantor",
    "combined_without_guarantor",
    "joint_liability_group",
]
LoanStatus = Literal["active", "settled", "written_off", "transferred", "cancelled"]
CourtStage = Literal["filed", "summons", "answer", "evidence", "judgment", "appeal", "enforcement", "closed"]
OtherSecurity = Literal["none", "deposit", "other"]
ScheduleReason = Literal[
    "origination",
    "rate_change",
    "restructured",
    "extended",
    "prepayment",
    "payment_holiday",
    "capitalisation",
    "correction",
]
LoanPartyRole = Literal["co_borrower", "guarantor", "group_member", "collateral_owner"]
Liability = Literal["joint_and_several", "own_share", "up_to_amount"]
CollateralKind = Literal[
    "residential_property",
    "commercial_property",
    "land",
    "vehicle",
    "machinery",
    "inventory",
    "livestock",
    "crops",
    "household_goods",
    "precious_metals",
    "cash_deposit",
    "certificate_of_deposit",
    "securities",
    "receivables",
    "documents",
    "warehouse_bond",
    "insurance_policy",
    "life_insurance_surrender",
    "guarantee_fund",
    "bank_guarantee",
    "standby_letter_of_credit",
    "aval",
    "other",
]
CollateralStatus = Literal["active", "released", "seized", "sold"]
FunderRole = Literal["own", "partner", "entrusting_party", "trust", "platform_investor"]
ChargeKind = Literal[
    "processing",
    "service",
    "guarantee_fee",
    "insurance",
    "tax",
    "late_penalty",
    "legal_cost",
    "prepayment",
    "other",
]
ChargePayee = Literal["lender", "third_party"]
PayeeKind = Literal["borrower", "merchant", "supplier", "refinanced_lender", "other"]
RepaymentKind = Literal[
    "scheduled",
    "prepayment",
    "payoff",
    "guarantor",
    "insurance",
    "collateral_sale",
    "asset_in_kind",
    "set_off",
    "third_party",
    "recovery_after_write_off",
    "refund",
    "reversal",
]
RestructuringKind = Literal[
    "term",
    "rate",
    "instalment",
    "forgiveness",
    "capitalised_arrears",
    "grace",
    "refinanced",
    "debtor_changed",
]
Defers = Literal["principal", "interest", "both"]
HolidayInterest = Literal["accrues", "capitalised", "waived"]
HolidayDays = Literal["frozen", "counted"]
ArrearsFlagKind = Literal["operational_delay", "dispute", "court_stay", "payment_in_transit"]
TransferDirection = Literal["out", "in", "buy_back"]
CounterpartyKind = Literal["bank", "asset_manager", "fund", "securitisation_vehicle", "lender", "collector", "other"]
ClassificationSource = Literal["computed", "lender", "auditor", "supervisor"]
LedgerMapping = Literal[
    "on_book_principal",
    "accrued_interest",
    "suspended_interest",
    "provision",
    "written_off",
    "unapplied",
    "off_balance",
    "other",
]
FinancialScope = Literal["solo", "consolidated"]
