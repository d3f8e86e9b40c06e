"""What happened: money out, money in, changes, write-offs, sales, ratings."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from mloan_report.model import columns as c
from mloan_report.model import enumerations as e
from mloan_report.model.table import Table


class Disbursement(Table):
    """Money paid out. Absent = one, of ``principal``, on ``disbursed_on``."""

    TABLE: ClassVar[str] = "disbursements"
    KEY: ClassVar[tuple[str, ...]] = ("disbursement_id",)
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Disbursements"
    TITLE_ZH: ClassVar[str] = "放款"

    disbursement_id: Annotated[str, c.key("Disbursement id", "放款编号", "D000417")]
    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    paid_on: Annotated[date, c.day("Paid on", "放款日", "2026-01-15")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-01-15")] = None
    amount: Annotated[Decimal, c.amount("Amount", "金额", "600.00")]
    net_paid_amount: Annotated[Decimal | None, c.amount("Net amount paid out", "实际支付金额", "590.00")] = None
    payee_kind: Annotated[e.PayeeKind | None, c.choice("Kind of payee", "收款方类型", "borrower")] = None
    payee_name: Annotated[str | None, c.text("Payee", "收款方", "ROSA MENA", "name")] = None
    refinanced_loan_id: Annotated[str | None, c.key("Loan it refinances", "被再融资的贷款", "L000301")] = None
    use_code: Annotated[str | None, c.text("Use of the money", "资金用途代码", "001")] = None
    use_verified_on: Annotated[date | None, c.day("Use verified on", "用途核实日", "2026-02-01")] = None
    reverses_id: Annotated[str | None, c.key("Reverses", "冲销的放款编号", "D000416")] = None


class Charge(Table):
    """A fee, a tax, an insurance premium or a penalty."""

    TABLE: ClassVar[str] = "charges"
    KEY: ClassVar[tuple[str, ...]] = ("charge_id",)
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Charges"
    TITLE_ZH: ClassVar[str] = "费用"

    charge_id: Annotated[str, c.key("Charge id", "费用编号", "X000417")]
    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    kind: Annotated[e.ChargeKind, c.choice("Kind", "种类", "late_penalty")]
    payee: Annotated[e.ChargePayee, c.choice("Payee", "收取方", "lender")]
    assessed_on: Annotated[date, c.day("Assessed on", "计收日", "2026-05-20")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-05-20")] = None
    due_on: Annotated[date | None, c.day("Due on", "到期日", "2026-05-20")] = None
    amount: Annotated[Decimal, c.amount("Amount", "金额", "2.50")]
    withheld_at_disbursement: Annotated[bool | None, c.flag("Withheld at disbursement", "放款时扣收", "false")] = None
    capitalised_on: Annotated[date | None, c.day("Capitalised on", "转本日", "2026-06-15")] = None
    waived_on: Annotated[date | None, c.day("Waived on", "减免日", "2026-07-01")] = None
    waived_amount: Annotated[Decimal | None, c.amount("Amount waived", "减免金额", "2.50")] = None
    in_annual_rate: Annotated[bool | None, c.flag("Counts in the annual rate", "计入年化利率")] = None


class Repayment(Table):
    """Money received; ``paid_on`` is the value date."""

    TABLE: ClassVar[str] = "repayments"
    KEY: ClassVar[tuple[str, ...]] = ("repayment_id",)
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Repayments"
    TITLE_ZH: ClassVar[str] = "还款"

    repayment_id: Annotated[str, c.key("Repayment id", "还款编号", "R000417-03")]
    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    paid_on: Annotated[date, c.day("Paid on (value date)", "还款日", "2026-04-15")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-04-15")] = None
    amount: Annotated[Decimal, c.amount("Amount, positive except for a refund", "金额", "56.74")]
    principal_paid: Annotated[Decimal | None, c.amount("Principal part", "本金", "46.55")] = None
    interest_paid: Annotated[Decimal | None, c.amount("Interest part", "利息", "10.19")] = None
    fees_paid: Annotated[Decimal | None, c.amount("Fees part", "费用", "0.00")] = None
    penalty_paid: Annotated[Decimal | None, c.amount("Penalty part", "罚息", "0.00")] = None
    kind: Annotated[e.RepaymentKind, c.choice("Kind", "种类", "scheduled")]
    reverses_id: Annotated[str | None, c.key("Reverses", "冲销的还款编号", "R000417-02")] = None
    payer_name: Annotated[str | None, c.text("Payer", "付款人", "ROSA MENA", "name")] = None


class Restructuring(Table):
    """A change of the contract's terms."""

    TABLE: ClassVar[str] = "restructurings"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "number")
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Restructurings"
    TITLE_ZH: ClassVar[str] = "重组"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    number: Annotated[int, c.whole("Number", "次序", "1", "number")]
    agreed_on: Annotated[date, c.day("Agreed on", "协议日", "2026-06-15")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-06-15")] = None
    kind: Annotated[e.RestructuringKind, c.choice("Kind", "种类", "term")]
    financial_difficulty: Annotated[bool, c.flag("For financial difficulty", "因财务困难")]
    old_loan_ids: Annotated[str | None, c.text("Loans replaced, separated by ;", "被替换的贷款", "L000301")] = None
    days_past_due_before: Annotated[int | None, c.whole("Days past due before", "重组前逾期天数", "31", "days")] = None
    category_before: Annotated[str | None, c.text("Category before", "重组前分类", "2")] = None
    principal_forgiven: Annotated[Decimal | None, c.amount("Principal forgiven", "减免本金", "0.00")] = None
    interest_forgiven: Annotated[Decimal | None, c.amount("Interest forgiven", "减免利息", "0.00")] = None
    arrears_capitalised: Annotated[Decimal | None, c.amount("Arrears capitalised", "欠息转本", "0.00")] = None
    probation_until: Annotated[date | None, c.day("Probation until", "观察期至", "2027-06-15")] = None
    cured_on: Annotated[date | None, c.day("Cured on", "恢复日", "2026-12-15")] = None


class PaymentHoliday(Table):
    """A time in which payments are deferred."""

    TABLE: ClassVar[str] = "payment_holidays"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "from_on")
    TITLE_EN: ClassVar[str] = "Payment holidays"
    TITLE_ZH: ClassVar[str] = "延期还款"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    from_on: Annotated[date, c.day("From", "起始日", "2026-04-01")]
    to_on: Annotated[date, c.day("To", "终止日", "2026-06-30")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-04-01")] = None
    defers: Annotated[e.Defers, c.choice("Defers", "延期内容", "both")]
    interest: Annotated[e.HolidayInterest, c.choice("Interest meanwhile", "期间利息", "accrues")]
    days_past_due: Annotated[e.HolidayDays, c.choice("Days past due", "逾期天数", "frozen")]
    granted_by: Annotated[str | None, c.text("Granted by", "批准方", "lender")] = None
    programme_code: Annotated[str | None, c.text("Programme", "项目代码", "FLOOD-2026")] = None


class ArrearsFlag(Table):
    """A reason why an arrear is not the borrower's default."""

    TABLE: ClassVar[str] = "arrears_flags"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "from_on", "kind")
    TITLE_EN: ClassVar[str] = "Arrears flags"
    TITLE_ZH: ClassVar[str] = "逾期标记"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    from_on: Annotated[date, c.day("From", "起始日", "2026-05-15")]
    to_on: Annotated[date | None, c.day("To", "终止日", "2026-05-18")] = None
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-05-15")] = None
    kind: Annotated[e.ArrearsFlagKind, c.choice("Kind", "种类", "operational_delay")]


class WriteOff(Table):
    """A write-off, whole or in part."""

    TABLE: ClassVar[str] = "write_offs"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "number")
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Write-offs"
    TITLE_ZH: ClassVar[str] = "核销"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    number: Annotated[int, c.whole("Number", "次序", "1", "number")]
    written_off_on: Annotated[date, c.day("Written off on", "核销日", "2026-09-30")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-09-30")] = None
    principal: Annotated[Decimal, c.amount("Principal", "本金", "463.08")]
    interest: Annotated[Decimal | None, c.amount("Interest", "利息", "23.15")] = None
    fees: Annotated[Decimal | None, c.amount("Fees", "费用", "0.00")] = None
    claim_kept: Annotated[bool, c.flag("Claim kept", "保留追索权")]
    reversed_on: Annotated[date | None, c.day("Reversed on", "冲回日", "2026-10-10")] = None


class Transfer(Table):
    """A sale, a purchase or a buy-back."""

    TABLE: ClassVar[str] = "transfers"
    KEY: ClassVar[tuple[str, ...]] = ("transfer_id",)
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Transfers"
    TITLE_ZH: ClassVar[str] = "贷款转让"

    transfer_id: Annotated[str, c.key("Transfer id", "转让编号", "T0003")]
    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    direction: Annotated[e.TransferDirection, c.choice("Direction", "方向", "out")]
    transferred_on: Annotated[date, c.day("Transferred on", "转让日", "2026-09-30")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-09-30")] = None
    counterparty_id: Annotated[str | None, c.key("Counterparty", "交易对手编号", "P000090")] = None
    counterparty_kind: Annotated[e.CounterpartyKind, c.choice("Kind of counterparty", "交易对手类型", "asset_manager")]
    share_pct: Annotated[Decimal, c.rate("Share", "比例", "100")]
    principal: Annotated[Decimal, c.amount("Principal", "本金", "463.08")]
    price: Annotated[Decimal | None, c.amount("Price", "价格", "120.00")] = None
    derecognised: Annotated[bool, c.flag("Derecognised", "终止确认")]
    servicing_kept: Annotated[bool, c.flag("Servicing kept", "保留服务", "false")]
    original_creditor: Annotated[str | None, c.text("Original creditor", "初始债权人", "Lender Y")] = None
    original_account_no: Annotated[str | None, c.text("Original account number", "原账号", "Y-551")] = None


class Classification(Table):
    """A category given to a loan: computed before, or by the lender, an auditor or the supervisor."""

    TABLE: ClassVar[str] = "classifications"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "regime", "as_of", "source")
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Classifications"
    TITLE_ZH: ClassVar[str] = "风险分类"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    regime: Annotated[str, c.text("Regime", "分类制度", "CN-NFRA-2023-1")]
    as_of: Annotated[date, c.day("As of", "截止日", "2026-09-30")]
    known_at: Annotated[date | None, c.day("Known at", "知悉日", "2026-10-05")] = None
    category: Annotated[str, c.text("Category", "分类", "2")]
    reasons: Annotated[str | None, c.text("Reasons, separated by ;", "理由", "band")] = None
    since_on: Annotated[date | None, c.day("In this category since", "本类起始日", "2026-08-31")] = None
    npa_since_on: Annotated[date | None, c.day("Non-performing since", "不良起始日", "2026-09-30")] = None
    provision: Annotated[Decimal | None, c.amount("Provision", "准备金", "24.31")] = None
    source: Annotated[e.ClassificationSource, c.choice("Source", "来源", "lender")]


class PositionGiven(Table):
    """A lender's own figures of a loan on a date."""

    TABLE: ClassVar[str] = "positions"
    KEY: ClassVar[tuple[str, ...]] = ("loan_id", "as_of")
    CURRENCY_BY: ClassVar[str] = "loan"
    TITLE_EN: ClassVar[str] = "Positions given"
    TITLE_ZH: ClassVar[str] = "给定的贷款状态"

    loan_id: Annotated[str, c.key("Loan", "贷款编号", "L000417")]
    as_of: Annotated[date, c.day("As of", "截止日", "2026-10-31")]
    claim_principal: Annotated[Decimal | None, c.amount("Principal owed", "应收本金", "463.08")] = None
    on_book_principal: Annotated[Decimal | None, c.amount("Principal on the books", "账面本金", "463.08")] = None
    overdue_principal: Annotated[Decimal | None, c.amount("Overdue principal", "逾期本金", "95.91")] = None
    overdue_interest: Annotated[Decimal | None, c.amount("Overdue interest", "逾期利息", "18.52")] = None
    overdue_amount: Annotated[Decimal | None, c.amount("Overdue in all", "逾期总额", "114.43")] = None
    accrued_interest: Annotated[Decimal | None, c.amount("Accrued interest", "应计利息", "4.63")] = None
    days_past_due: Annotated[int | None, c.whole("Days past due", "逾期天数", "46", "days")] = None


class Adjustment(Table):
    """A correction applied between source and checks, only where the old value still stands."""

    TABLE: ClassVar[str] = "adjustments"
    KEY: ClassVar[tuple[str, ...]] = ("adjustment_id",)
    TITLE_EN: ClassVar[str] = "Adjustments"
    TITLE_ZH: ClassVar[str] = "调整"

    adjustment_id: Annotated[str, c.key("Adjustment id", "调整编号", "ADJ-1")]
    table: Annotated[str, c.text("Table", "表", "borrowers")]
    key: Annotated[str, c.text("Key of the row, parts separated by |", "行键", "B000417")]
    field: Annotated[str, c.text("Column", "字段", "district_code")]
    old_value: Annotated[str | None, c.text("Old value (empty: the cell was empty)", "原值", "0600", "identifier")] = None
    new_value: Annotated[str, c.text("New value", "新值", "0614", "identifier")]
    reason: Annotated[str, c.text("Reason", "原因", "typing error")]
    entered_by: Annotated[str, c.text("Entered by", "录入人", "ana")]
    approved_by: Annotated[str | None, c.text("Approved by", "审批人", "luis")] = None
    entered_on: Annotated[date, c.day("Entered on", "录入日", "2026-10-01")]
    valid_to: Annotated[date | None, c.day("Valid to", "有效期至", "2026-12-31")] = None


class Financials(Table):
    """The lender's balance sheet and income figures of a date."""

    TABLE: ClassVar[str] = "financials"
    KEY: ClassVar[tuple[str, ...]] = ("as_of", "scope")
    CURRENCY_BY: ClassVar[str] = "currency_code"
    TITLE_EN: ClassVar[str] = "Financials"
    TITLE_ZH: ClassVar[str] = "财务数据"

    as_of: Annotated[date, c.day("As of", "截止日", "2025-12-31")]
    scope: Annotated[e.FinancialScope | None, c.choice("Scope", "口径", "solo")] = None
    audited: Annotated[bool | None, c.flag("Audited", "已审计")] = None
    currency_code: Annotated[str, c.currency("Currency", "币种", "CNY")]
    net_assets: Annotated[Decimal | None, c.amount("Net assets", "净资产", "50000000.00")] = None
    regulatory_capital: Annotated[Decimal | None, c.amount("Regulatory capital", "监管资本", "48000000.00")] = None
    risk_weighted_assets: Annotated[Decimal | None, c.amount("Risk-weighted assets", "风险加权资产", "60000000.00")] = None
    total_assets: Annotated[Decimal | None, c.amount("Total assets", "总资产", "90000000.00")] = None
    total_liabilities: Annotated[Decimal | None, c.amount("Total liabilities", "总负债", "40000000.00")] = None
    paid_in_capital: Annotated[Decimal | None, c.amount("Paid-in capital", "实收资本", "30000000.00")] = None
    provision_balance: Annotated[Decimal | None, c.amount("Loan-loss allowance held", "贷款损失准备余额", "1500000.00")] = None
    nonstandard_financing: Annotated[Decimal | None, c.amount("Non-standard financing", "非标准化融资", "20000000.00")] = None
    standardised_financing: Annotated[Decimal | None, c.amount("Standardised financing", "标准化融资", "0.00")] = None
    undrawn_commitments: Annotated[Decimal | None, c.amount("Undrawn commitments", "未使用承诺", "0.00")] = None
    off_balance_guarantees: Annotated[Decimal | None, c.amount("Guarantees off balance", "表外担保", "0.00")] = None
    interest_income: Annotated[Decimal | None, c.amount("Interest income", "利息收入", "9000000.00")] = None
    fee_income: Annotated[Decimal | None, c.amount("Fee income", "手续费收入", "500000.00")] = None
    operating_expense: Annotated[Decimal | None, c.amount("Operating expense", "营业费用", "4000000.00")] = None
    funding_expense: Annotated[Decimal | None, c.amount("Funding expense", "资金成本", "1000000.00")] = None
    impairment_expense: Annotated[Decimal | None, c.amount("Impairment expense", "减值损失", "800000.00")] = None
    credit_officers: Annotated[int | None, c.whole("Credit officers", "信贷员人数", "24")] = None


class LedgerBalance(Table):
    """A balance of the general ledger."""

    TABLE: ClassVar[str] = "ledger_balances"
    KEY: ClassVar[tuple[str, ...]] = ("as_of", "account", "branch_id", "currency_code")
    CURRENCY_BY: ClassVar[str] = "currency_code"
    TITLE_EN: ClassVar[str] = "Ledger balances"
    TITLE_ZH: ClassVar[str] = "总账余额"

    as_of: Annotated[date, c.day("As of", "截止日", "2026-10-31")]
    account: Annotated[str, c.text("Account", "科目", "1141")]
    title: Annotated[str | None, c.text("Title", "科目名称", "Prestamos")] = None
    branch_id: Annotated[str | None, c.key("Branch", "机构编号", "BR01")] = None
    currency_code: Annotated[str, c.currency("Currency", "币种", "USD")]
    balance: Annotated[Decimal, c.amount("Balance, debit positive", "余额", "486.23")]
    maps_to: Annotated[e.LedgerMapping | None, c.choice("Maps to", "对应口径", "on_book_principal")] = None


class ExchangeRate(Table):
    """How much one unit of a currency is worth in another on a day."""

    TABLE: ClassVar[str] = "exchange_rates"
    KEY: ClassVar[tuple[str, ...]] = ("currency_code", "to_currency_code", "as_of")
    TITLE_EN: ClassVar[str] = "Exchange rates"
    TITLE_ZH: ClassVar[str] = "汇率"

    currency_code: Annotated[str, c.currency("Currency", "币种", "USD")]
    to_currency_code: Annotated[str, c.currency("To currency", "目标币种", "CNY")]
    as_of: Annotated[date, c.day("As of", "日期", "2026-10-31")]
    rate: Annotated[Decimal, c.factor("Units of the second currency for one of the first", "汇率", "7.1034")]


class ReferenceRate(Table):
    """A published base rate."""

    TABLE: ClassVar[str] = "reference_rates"
    KEY: ClassVar[tuple[str, ...]] = ("code", "as_of")
    TITLE_EN: ClassVar[str] = "Reference rates"
    TITLE_ZH: ClassVar[str] = "基准利率"

    code: Annotated[str, c.text("Code", "代码", "LPR_1Y")]
    as_of: Annotated[date, c.day("As of", "日期", "2026-10-20")]
    rate_pct: Annotated[Decimal, c.rate("Rate, percent a year", "年利率", "3.1")]


class Benchmark(Table):
    """A peer figure of a ratio."""

    TABLE: ClassVar[str] = "benchmarks"
    KEY: ClassVar[tuple[str, ...]] = ("ratio_id", "as_of", "peer_group")
    TITLE_EN: ClassVar[str] = "Benchmarks"
    TITLE_ZH: ClassVar[str] = "同业基准"

    ratio_id: Annotated[str, c.text("Ratio", "指标", "par_30")]
    as_of: Annotated[date, c.day("As of", "日期", "2026-06-30")]
    peer_group: Annotated[str | None, c.text("Peer group", "同业组", "SV-MFI")] = None
    value: Annotated[Decimal, c.factor("Value", "数值", "0.056")]
    source: Annotated[str | None, c.text("Source", "来源", "network report")] = None
