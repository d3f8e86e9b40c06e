"""What was agreed: applications, facilities, loans, schedules, security and funding."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from mloan_report.model import columns as c
from mloan_report.model import enumerations as e
from mloan_report.model.table import Table


class Application(Table):
    """A request for credit and what was decided."""

    TABLE: ClassVar[str] = "applications"
    KEY: ClassVar[tuple[str, ...]] = ("application_id",)
    CURRENCY_BY: ClassVar[str] = "currency_code"
    TITLE_EN: ClassVar[str] = "Applications"
    TITLE_ZH: ClassVar[str] = "贷款申请"

    application_id: Annotated[str, c.key("Application id", "申请编号", "A000417")]
    borrower_id: Annotated[str, c.key("Borrower", "借款人编号", "B000417")]
    applied_on: Annotated[date, c.day("Applied on", "申请日期", "2026-01-08")]
    product: Annotated[e.Product | None, c.choice("Product", "产品", "personal_consumption")] = None
    channel: Annotated[e.Channel | None, c.choice("Channel", "渠道", "branch")] = None
    purpose_code: Annotated[str | None, c.text("Purpose code", "用途代码", "100099")] = None
    amount_applied: Annotated[Decimal | None, c.amount("Amount applied for", "申请金额", "700.00")] = None
    currency_code: Annotated[str, c.currency("Currency", "币种", "USD")]
    decision: Annotated[e.ApplicationDecision, c.choice("Decision", "审批结果", "approved")]
    decided_on: Annotated[date | None, c.day("Decided on", "审批日期", "2026-01-12")] = None
    amount_approved: Annotated[Decimal | None, c.amount("Amount approved", "批准金额", "600.00")] = None
    decline_reasons: Annotated[str | None, c.text("Reasons of refusal, separated by ;", "拒绝原因", "income")] = None
    loan_id: Annotated[str | None, c.key("Loan that came of it", "贷款编号", "L000417")] = None


class Facility(Table):
    """A credit limit under which loans are drawn."""

    TABLE: ClassVar[str] = "facilities"
    KEY: ClassVar[tuple[str, ...]] = ("facility_id",)
    CURRENCY_BY: ClassVar[str] = "currency_code"
    TITLE_EN: ClassVar[str] = "Facilities"
    TITLE_ZH: ClassVar[str] = "授信额度"

    facility_id: Annotated[str, c.key("Facility id", "授信编号", "F000012")]
    borrower_id: Annotated[str, c.key("Borrower", "借款人编号", "B000417")]
    kind: Annotated[e.FacilityKind, c.choice("Kind", "类型", "revolving")]
    limit_amount: Annotated[Decimal, c.amount("Limit", "额度", "5000.00")]
    currency_code: Annotated[str, c.currency("Currency", "币种", "USD")]
    from_on: Annotated[date, c.day("From", "起始日", "2026-01-01")]
    to_on: Annotated[date | None, c.day("To", "到期日", "2026-12-31")] = None
    cancelled_on: Annotated[date | None, c.day("Cancelled on", "终止日", "2026-11-30")] = None
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-01-01")] = None
    shares_limit_with: Annotated[str | None, c.key("Shares its limit with", "共享额度的授信编号", "F000013")] = None


class Statement(Table):
    """A revolving line's statement: it is past due by its oldest unpaid minimum."""

    TABLE: ClassVar[str] = "statements"
    KEY: ClassVar[tuple[str, ...]] = ("facility_id", "statement_on")
    CURRENCY_BY: ClassVar[str] = "facility"
    TITLE_EN: ClassVar[str] = "Statements"
    TITLE_ZH: ClassVar[str] = "账单"

    facility_id: Annotated[str, c.key("Facility", "授信编号", "F000012")]
    statement_on: Annotated[date, c.day("Statement date", "账单日", "2026-09-30")]
    due_on: Annotated[date, c.day("Due date", "到期还款日", "2026-10-20")]
    closing_balance: Annotated[Decimal, c.amount("Closing balance", "账单余额", "1000.00")]
    minimum_due: Annotated[Decimal, c.amount("Minimum due, arrears of earlier statements not included", "最低还款额", "50.00")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-09-30")] = None


class Loan(Table):
    """One loan contract."""

    TABLE: ClassVar[str] = "loans"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id",)
    CURRENCY_BY: ClassVar[str] = "currency_code"
    TITLE_EN: ClassVar[str] = "Loans"
    TITLE_ZH: ClassVar[str] = "贷款"

    loan_id: Annotated[str, c.key("Loan id", "贷款编号", "L000417")]
    borrower_id: Annotated[str, c.key("Borrower", "借款人编号", "B000417")]
    contract_no: Annotated[str | None, c.text("Contract number", "合同编号", "CR-2026-0417")] = None
    facility_id: Annotated[str | None, c.key("Facility", "授信编号", "F000012")] = None
    application_id: Annotated[str | None, c.key("Application", "申请编号", "A000417")] = None
    product: Annotated[e.Product, c.choice("Product", "产品", "personal_consumption")]
    product_code: Annotated[str | None, c.text("Lender's product code", "产品代码", "MC12")] = None
    product_scheme: Annotated[str | None, c.text("Scheme of the product code", "产品代码体系", "lender")] = None
    purpose_code: Annotated[str | None, c.text("Purpose code", "用途代码", "100099")] = None
    purpose_scheme: Annotated[str | None, c.text("Scheme of the purpose code", "用途代码体系", "sv.t24")] = None
    use_industry_code: Annotated[str | None, c.text("Industry where the money is used", "贷款投向行业", "F")] = None
    use_industry_scheme: Annotated[str | None, c.text("Scheme of that industry code", "投向行业代码体系", "cn.gbt4754")] = None
    use_region_code: Annotated[str | None, c.text("Region where the money is used", "贷款投向地区", "06")] = None
    use_country: Annotated[str | None, c.country("Country where the money is used", "资金使用国家", "SV")] = None
    currency_code: Annotated[str, c.currency("Currency", "币种", "USD")]
    principal: Annotated[Decimal, c.amount("Principal disbursed in all", "放款本金合计", "600.00")]
    contract_on: Annotated[date | None, c.day("Contract date", "合同签订日", "2026-01-15")] = None
    disbursed_on: Annotated[date, c.day("First disbursed on", "首次放款日", "2026-01-15")]
    first_due_on: Annotated[date | None, c.day("First due date", "首次还款日", "2026-02-15")] = None
    matures_on: Annotated[date | None, c.day("Contract maturity", "合同到期日", "2027-01-15")] = None
    finance_kind: Annotated[e.FinanceKind, c.choice("Kind of finance charge", "计息方式", "interest")]
    annual_rate_pct: Annotated[Decimal | None, c.rate("Contract rate, percent a year", "合同年利率", "24")] = None
    rate_type: Annotated[e.RateType | None, c.choice("Fixed or variable", "利率类型", "fixed")] = None
    base_rate_code: Annotated[str | None, c.text("Base rate", "基准利率代码", "LPR_1Y")] = None
    margin_pct: Annotated[Decimal | None, c.rate("Margin over the base rate", "加点", "3")] = None
    day_count: Annotated[e.DayCount | None, c.choice("Day count", "计息基准", "ACT/360")] = None
    penalty_rate_pct: Annotated[Decimal | None, c.rate("Penalty rate, percent a year", "罚息年利率", "36")] = None
    grace_days: Annotated[int | None, c.whole("Grace days", "宽限天数", "3", "days")] = None
    effective_rate_pct: Annotated[Decimal | None, c.rate("Effective annual rate with fees", "实际年化利率", "26.82")] = None
    repayment_method: Annotated[e.RepaymentMethod, c.choice("Repayment method", "还款方式", "equal_instalment")]
    repayment_frequency: Annotated[e.Frequency, c.choice("Repayment frequency", "还款频率", "monthly")]
    interest_frequency: Annotated[e.Frequency | None, c.choice("Interest frequency", "付息频率", "monthly")] = None
    guarantee_mode: Annotated[e.GuaranteeMode, c.choice("Guarantee mode", "担保方式", "unsecured")]
    other_security: Annotated[e.OtherSecurity | None, c.choice("Other security", "其他还款保证方式", "none")] = None
    channel: Annotated[e.Channel | None, c.choice("Channel", "渠道", "branch")] = None
    branch_id: Annotated[str | None, c.key("Branch", "机构编号", "BR01")] = None
    officer_id: Annotated[str | None, c.key("Loan officer", "信贷员编号", "O07")] = None
    previous_loan_id: Annotated[str | None, c.key("Previous loan", "上一笔贷款", "L000301")] = None
    loan_cycle: Annotated[int | None, c.whole("Loan cycle", "贷款轮次", "2")] = None
    payroll_deduction: Annotated[bool | None, c.flag("Payroll deduction order", "代扣工资", "false")] = None
    pledged_to: Annotated[str | None, c.text("Institution the loan is pledged to", "质押给的机构", "BANDESAL")] = None
    funding_source_code: Annotated[str | None, c.text("Funding source code", "资金来源代码", "01")] = None
    intended_for_transfer: Annotated[bool | None, c.flag("Meant to be transferred", "拟转让", "false")] = None
    first_home: Annotated[bool | None, c.flag("First home", "首套住房", "false")] = None
    status: Annotated[e.LoanStatus, c.choice("Status", "状态", "active")]
    status_on: Annotated[date | None, c.day("Status since", "状态日期", "2026-01-15")] = None
    status_booked_on: Annotated[date | None, c.day("Status booked on", "状态登记日", "2026-01-15")] = None
    status_reason: Annotated[str | None, c.text("Reason of the status", "状态原因", "paid off")] = None
    accrual_stopped_on: Annotated[date | None, c.day("Accrual stopped on", "停止计息日", "2026-08-15")] = None
    bad_debt_recognised_on: Annotated[date | None, c.day("Recognised as bad debt on", "认定呆账日", "2026-08-15")] = None
    court_stage: Annotated[e.CourtStage | None, c.choice("Court stage", "诉讼阶段", "filed")] = None
    court_filed_on: Annotated[date | None, c.day("Lawsuit filed on", "起诉日", "2026-08-20")] = None


class Schedule(Table):
    """A version of a loan's schedule; a new one never resets days past due by itself."""

    TABLE: ClassVar[str] = "schedules"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "schedule_version")
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Schedule versions"
    TITLE_ZH: ClassVar[str] = "还款计划版本"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    schedule_version: Annotated[int, c.whole("Version", "版本", "2", "number")]
    effective_on: Annotated[date, c.day("Effective on", "生效日", "2026-06-15")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-06-15")] = None
    reason: Annotated[e.ScheduleReason, c.choice("Reason", "原因", "restructured")]
    carried_oldest_due_on: Annotated[date | None, c.day("Oldest due date carried over", "结转的最早到期日", "2026-05-15")] = None
    carried_arrears_principal: Annotated[Decimal | None, c.amount("Principal in arrears carried over", "结转的逾期本金", "47.48")] = None
    carried_arrears_interest: Annotated[Decimal | None, c.amount("Interest in arrears carried over", "结转的逾期利息", "9.26")] = None


class Instalment(Table):
    """A scheduled payment."""

    TABLE: ClassVar[str] = "instalments"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "schedule_version", "number")
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Instalments"
    TITLE_ZH: ClassVar[str] = "还款计划"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    schedule_version: Annotated[int, c.whole("Schedule version", "版本", "1", "number")] = 1
    number: Annotated[int, c.whole("Number", "期次", "3", "number")]
    due_on: Annotated[date, c.day("Due on", "到期日", "2026-04-15")]
    principal_due: Annotated[Decimal, c.amount("Principal due", "应还本金", "46.55")]
    interest_due: Annotated[Decimal, c.amount("Interest due", "应还利息", "10.19")]
    fees_due: Annotated[Decimal | None, c.amount("Fees due", "应还费用", "0.00")] = None


class Rate(Table):
    """A change of a loan's rate."""

    TABLE: ClassVar[str] = "rates"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "from_on")
    TITLE_EN: ClassVar[str] = "Rate changes"
    TITLE_ZH: ClassVar[str] = "利率变更"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    from_on: Annotated[date, c.day("From", "起始日", "2026-06-15")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-06-15")] = None
    annual_rate_pct: Annotated[Decimal, c.rate("Rate, percent a year", "年利率", "22")]
    base_rate_code: Annotated[str | None, c.text("Base rate", "基准利率代码", "LPR_1Y")] = None
    margin_pct: Annotated[Decimal | None, c.rate("Margin", "加点", "3")] = None


class LoanParty(Table):
    """Who else is liable for, or stands behind, a loan."""

    TABLE: ClassVar[str] = "loan_parties"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "party_id", "role")
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Parties of loans"
    TITLE_ZH: ClassVar[str] = "贷款相关方"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    party_id: Annotated[str, c.key("Party", "相关方编号", "P000031")]
    role: Annotated[e.LoanPartyRole, c.choice("Role", "角色", "guarantor")]
    share_pct: Annotated[Decimal | None, c.rate("Share", "比例", "100")] = None
    liability: Annotated[e.Liability | None, c.choice("Liability", "责任方式", "joint_and_several")] = None
    amount: Annotated[Decimal | None, c.amount("Amount of liability", "责任金额", "600.00")] = None
    from_on: Annotated[date | None, c.day("From", "起始日", "2026-01-15")] = None
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-01-15")] = None
    released_on: Annotated[date | None, c.day("Released on", "解除日", "2026-12-31")] = None
    contract_no: Annotated[str | None, c.text("Guarantee contract", "保证合同编号", "G-0417")] = None


class Collateral(Table):
    """A thing or a right that secures loans."""

    TABLE: ClassVar[str] = "collateral"
    KEY: ClassVar[tuple[str, ...]] = ("collateral_id",)
    CURRENCY_BY: ClassVar[str] = "currency_code"
    TITLE_EN: ClassVar[str] = "Collateral"
    TITLE_ZH: ClassVar[str] = "抵质押物"

    collateral_id: Annotated[str, c.key("Collateral id", "抵质押物编号", "C000012")]
    owner_id: Annotated[str | None, c.key("Owner", "所有权人编号", "B000417")] = None
    kind: Annotated[e.CollateralKind, c.choice("Kind", "种类", "vehicle")]
    value: Annotated[Decimal | None, c.amount("Appraised value", "评估价值", "2500.00")] = None
    market_value: Annotated[Decimal | None, c.amount("Market value", "市场价值", "2600.00")] = None
    contract_value: Annotated[Decimal | None, c.amount("Contract value", "合同价值", "2500.00")] = None
    currency_code: Annotated[str | None, c.currency("Currency", "币种", "USD")] = None
    lien_rank: Annotated[int | None, c.whole("Rank of the lien", "抵押顺位", "1", "rank")] = None
    status: Annotated[e.CollateralStatus | None, c.choice("Status", "状态", "active")] = None
    valued_on: Annotated[date | None, c.day("Valued on", "评估日", "2026-01-05")] = None
    valued_by: Annotated[str | None, c.text("Valued by", "评估机构", "VALUOS SA")] = None
    registered_on: Annotated[date | None, c.day("Registered on", "登记日", "2026-01-20")] = None
    registration_no: Annotated[str | None, c.text("Registration number", "登记编号", "R-88-2026")] = None
    location_code: Annotated[str | None, c.text("Location", "所在地代码", "0614")] = None
    description: Annotated[str | None, c.text("Description", "描述", "Toyota Hilux 2018")] = None
    from_on: Annotated[date | None, c.day("Term from", "期限起", "2026-01-05")] = None
    to_on: Annotated[date | None, c.day("Term to", "期限止", "2027-01-05")] = None


class CollateralLink(Table):
    """Which collateral secures which loan, and with what part of its value."""

    TABLE: ClassVar[str] = "collateral_links"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "collateral_id")
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Collateral of loans"
    TITLE_ZH: ClassVar[str] = "贷款抵质押关系"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    collateral_id: Annotated[str, c.key("Collateral", "抵质押物编号", "C000012")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-01-15")] = None
    allocated_value: Annotated[Decimal | None, c.amount("Part of the value", "分配价值", "600.00")] = None
    contract_no: Annotated[str | None, c.text("Contract", "抵质押合同编号", "M-0417")] = None


class FundingShare(Table):
    """Who funds which part of a loan; the shares of a day sum to 100; absent = wholly own."""

    TABLE: ClassVar[str] = "funding_shares"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "funder_id", "role", "from_on")
    TITLE_EN: ClassVar[str] = "Funding shares"
    TITLE_ZH: ClassVar[str] = "出资份额"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    funder_id: Annotated[str, c.key("Funder", "出资方编号", "SELF")]
    role: Annotated[e.FunderRole, c.choice("Role", "角色", "own")]
    share_pct: Annotated[Decimal, c.rate("Share", "出资比例", "30")]
    from_on: Annotated[date, c.day("From", "起始日", "2026-01-15")]
    to_on: Annotated[date | None, c.day("To", "终止日", "2026-12-31")] = None
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-01-15")] = None
    on_balance: Annotated[bool, c.flag("On the balance sheet", "表内")]
    files_to_bureau: Annotated[bool, c.flag("Files to the bureau", "由其报送征信")]
    loss_cover_pct: Annotated[Decimal | None, c.rate("Loss cover", "损失分担比例", "20")] = None
