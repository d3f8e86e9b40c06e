"""Who borrows, and who else is named."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from mloan_report.model import columns as c
from mloan_report.model import enumerations as e
from mloan_report.model.table import Table


class _Person(Table):
    name: Annotated[str, c.text("Full name", "姓名或名称", "ROSA MENA LUNA", "name")]
    local_name: Annotated[str | None, c.text("Name in local script", "本地文字姓名", "王芳", "name")] = None
    given_name: Annotated[str | None, c.text("First given name", "名", "ROSA", "name")] = None
    middle_name: Annotated[str | None, c.text("Other given names", "中间名", "ELENA", "name")] = None
    family_name: Annotated[str | None, c.text("First family name", "姓", "MENA", "name")] = None
    second_family_name: Annotated[str | None, c.text("Second family name", "第二姓", "LUNA", "name")] = None
    married_name: Annotated[str | None, c.text("Married name", "婚后姓", "DE PAZ", "name")] = None
    sex: Annotated[e.Sex | None, c.choice("Sex", "性别", "female")] = None
    born_on: Annotated[date | None, c.day("Date of birth", "出生日期", "1990-03-08", "birth")] = None
    founded_on: Annotated[date | None, c.day("Date of incorporation", "成立日期", "2015-06-01")] = None
    nationality: Annotated[str | None, c.country("Nationality", "国籍", "SV")] = None
    residence_country: Annotated[str | None, c.country("Country of residence", "居住国家", "SV")] = None
    region_code: Annotated[str | None, c.text("Region, the country's own code", "省级行政区划代码", "06")] = None
    district_code: Annotated[str | None, c.text("District, the country's own code", "行政区划代码", "0614")] = None
    address: Annotated[str | None, c.text("Address", "居住地址", "Calle Arce 12", "address")] = None
    postal_code: Annotated[str | None, c.text("Postal code", "邮政编码", "1101")] = None
    phone: Annotated[str | None, c.text("Phone", "电话", "77771234", "contact")] = None
    email: Annotated[str | None, c.text("E-mail", "电子邮箱", "rosa@example.org", "contact")] = None
    occupation_code: Annotated[str | None, c.text("Occupation code", "职业代码", "3")] = None
    occupation_scheme: Annotated[str | None, c.text("Scheme of the occupation code", "职业代码体系", "sv.t25")] = None
    industry_code: Annotated[str | None, c.text("Industry code", "行业代码", "120202")] = None
    industry_scheme: Annotated[str | None, c.text("Scheme of the industry code", "行业代码体系", "sv.t19")] = None
    enterprise_size: Annotated[e.EnterpriseSize | None, c.choice("Enterprise size", "企业规模", "micro")] = None
    is_new_enterprise: Annotated[bool | None, c.flag("New enterprise", "是否新设企业", "false")] = None
    deceased_on: Annotated[date | None, c.day("Date of death", "死亡日期", "2026-01-31")] = None


class Borrower(_Person):
    """Who owes: a person, a sole trader, a legal entity or a group."""

    TABLE: ClassVar[str] = "borrowers"
    KEY: ClassVar[tuple[str, ...]] = ("borrower_id",)
    CURRENCY_BY: ClassVar[str] = "income_currency_code"
    TITLE_EN: ClassVar[str] = "Borrowers"
    TITLE_ZH: ClassVar[str] = "借款人"

    borrower_id: Annotated[str, c.key("Borrower id", "借款人编号", "B000417")]
    kind: Annotated[e.BorrowerKind, c.choice("Kind of borrower", "借款人类型", "natural_person")]
    marital_status: Annotated[e.MaritalStatus | None, c.choice("Marital status", "婚姻状况", "married")] = None
    spouse_name: Annotated[str | None, c.text("Spouse's name", "配偶姓名", "JOSE PAZ", "name")] = None
    spouse_id: Annotated[str | None, c.key("Party id of the spouse", "配偶编号", "P000031")] = None
    education: Annotated[e.Education | None, c.choice("Education", "学历", "bachelor")] = None
    degree: Annotated[e.Degree | None, c.choice("Academic degree", "学位", "bachelor")] = None
    employment_status: Annotated[e.EmploymentStatus | None, c.choice("Employment status", "就业状况", "clerk")] = None
    employer_name: Annotated[str | None, c.text("Employer", "工作单位", "Panaderia Luz", "name")] = None
    employer_kind: Annotated[e.EmployerKind | None, c.choice("Kind of employer", "单位性质", "private_enterprise")] = None
    employer_industry_code: Annotated[str | None, c.text("Employer's industry", "单位所属行业", "C")] = None
    employer_address: Annotated[str | None, c.text("Employer's address", "单位地址", "Av. Roosevelt 4", "address")] = None
    employer_postal_code: Annotated[str | None, c.text("Employer's postal code", "单位邮编", "100000")] = None
    employer_district_code: Annotated[str | None, c.text("Employer's district", "单位所在地行政区划", "110101")] = None
    employer_phone: Annotated[str | None, c.text("Employer's phone", "单位电话", "22221234", "contact")] = None
    employed_since_year: Annotated[int | None, c.whole("Employed since", "本单位工作起始年份", "2018", "year")] = None
    job_title: Annotated[e.JobTitle | None, c.choice("Position held", "职务", "ordinary")] = None
    professional_title: Annotated[e.ProfessionalTitle | None, c.choice("Professional title", "职称", "none")] = None
    housing_status: Annotated[e.HousingStatus | None, c.choice("Housing", "居住状况", "rented")] = None
    home_phone: Annotated[str | None, c.text("Home phone", "住宅电话", "22225678", "contact")] = None
    registered_address: Annotated[str | None, c.text("Registered address", "户籍地址", "Calle Arce 12", "address")] = None
    registered_district_code: Annotated[str | None, c.text("Registered district", "户籍所在地行政区划", "110101")] = None
    mailing_address: Annotated[str | None, c.text("Mailing address", "通讯地址", "Calle Arce 12", "address")] = None
    mailing_postal_code: Annotated[str | None, c.text("Mailing postal code", "通讯地邮编", "100010")] = None
    mailing_district_code: Annotated[str | None, c.text("Mailing district", "通讯地行政区划", "110101")] = None
    annual_income: Annotated[Decimal | None, c.amount("Annual income", "年收入", "7200.00")] = None
    taxed_income: Annotated[Decimal | None, c.amount("Taxed annual income", "纳税年收入", "6000.00")] = None
    annual_revenue: Annotated[Decimal | None, c.amount("Annual revenue", "年营业收入", "54000.00")] = None
    household_annual_income: Annotated[Decimal | None, c.amount("Household annual income", "家庭年收入", "9600.00")] = None
    household_monthly_expense: Annotated[Decimal | None, c.amount("Household monthly expense", "家庭月支出", "450.00")] = None
    income_currency_code: Annotated[str | None, c.currency("Currency of income", "收入币种", "USD")] = None
    income_assessed_on: Annotated[date | None, c.day("Income assessed on", "收入评估日期", "2026-01-10")] = None
    household_id: Annotated[str | None, c.key("Household id", "家庭编号", "H0012")] = None
    employees: Annotated[int | None, c.whole("Employees", "从业人数", "4")] = None
    segment: Annotated[e.Segment | None, c.choice("Segment", "客群", "consumer")] = None
    group_kind: Annotated[e.GroupKind | None, c.choice("Kind of group", "小组类型", "jlg")] = None
    branch_id: Annotated[str | None, c.key("Branch that keeps the file", "客户资料维护机构", "BR01")] = None
    customer_since_on: Annotated[date | None, c.day("Customer since", "建档日期", "2024-05-02")] = None
    identity_updated_on: Annotated[date | None, c.day("Identity updated on", "基本概况更新日期", "2026-01-10")] = None
    spouse_updated_on: Annotated[date | None, c.day("Marital data updated on", "婚姻信息更新日期", "2026-01-10")] = None
    education_updated_on: Annotated[date | None, c.day("Education updated on", "教育信息更新日期", "2026-01-10")] = None
    employment_updated_on: Annotated[date | None, c.day("Employment updated on", "职业信息更新日期", "2026-01-10")] = None
    housing_updated_on: Annotated[date | None, c.day("Housing updated on", "居住信息更新日期", "2026-01-10")] = None
    mailing_updated_on: Annotated[date | None, c.day("Mailing updated on", "通讯信息更新日期", "2026-01-10")] = None
    income_updated_on: Annotated[date | None, c.day("Income updated on", "收入信息更新日期", "2026-01-10")] = None


class Party(_Person):
    """People and bodies who do not borrow: guarantors, owners, directors, spouses."""

    TABLE: ClassVar[str] = "parties"
    KEY: ClassVar[tuple[str, ...]] = ("party_id",)
    TITLE_EN: ClassVar[str] = "Other parties"
    TITLE_ZH: ClassVar[str] = "其他相关方"

    party_id: Annotated[str, c.key("Party id", "相关方编号", "P000031")]
    kind: Annotated[e.BorrowerKind, c.choice("Kind of party", "相关方类型", "natural_person")]


class Branch(Table):
    """The lender's offices; the regulator's code of each is in ``[packs.<id>.branches]``."""

    TABLE: ClassVar[str] = "branches"
    KEY: ClassVar[tuple[str, ...]] = ("branch_id",)
    TITLE_EN: ClassVar[str] = "Branches"
    TITLE_ZH: ClassVar[str] = "分支机构"

    branch_id: Annotated[str, c.key("Branch id", "机构编号", "BR01")]
    name: Annotated[str, c.text("Name", "名称", "Agencia Centro")]
    district_code: Annotated[str | None, c.text("District", "行政区划代码", "0614")] = None
    region_code: Annotated[str | None, c.text("Region", "省级行政区划代码", "06")] = None
    address: Annotated[str | None, c.text("Address", "地址", "1a Calle Poniente 8")] = None


class Identifier(Table):
    """Identity numbers by scheme: the python-stdnum module name where there is one, else ours."""

    TABLE: ClassVar[str] = "identifiers"
    KEY: ClassVar[tuple[str, ...]] = ("party_id", "scheme", "value")
    TITLE_EN: ClassVar[str] = "Identifiers"
    TITLE_ZH: ClassVar[str] = "身份标识"

    party_id: Annotated[str, c.key("Borrower or party id", "主体编号", "B000417")]
    scheme: Annotated[str, c.text("Scheme", "证件体系", "cn.ric")]
    value: Annotated[str, c.text("Number", "证件号码", "110101199003070011", "identifier")]
    is_primary: Annotated[bool | None, c.flag("Primary", "是否主证件")] = None
    status: Annotated[e.IdentifierStatus | None, c.choice("Status", "状态", "current")] = None
    issuing_country: Annotated[str | None, c.country("Issuing country", "签发国家", "CN")] = None
    issued_on: Annotated[date | None, c.day("Issued on", "签发日期", "2016-03-07")] = None
    expires_on: Annotated[date | None, c.day("Expires on", "到期日期", "2036-03-07")] = None


class Relation(Table):
    """How people and bodies are related."""

    TABLE: ClassVar[str] = "relations"
    KEY: ClassVar[tuple[str, ...]] = ("party_id", "related_id", "kind")
    TITLE_EN: ClassVar[str] = "Relations"
    TITLE_ZH: ClassVar[str] = "关联关系"

    party_id: Annotated[str, c.key("Party", "主体编号", "B000420")]
    related_id: Annotated[str, c.key("Related party", "关联方编号", "P000033")]
    kind: Annotated[e.RelationKind, c.choice("Relation", "关系", "partner")]
    share_pct: Annotated[Decimal | None, c.rate("Share held", "持股比例", "40")] = None
    position_code: Annotated[str | None, c.text("Position, the regulator's code", "职务代码", "01")] = None
    from_on: Annotated[date | None, c.day("From", "起始日", "2020-01-01")] = None
    to_on: Annotated[date | None, c.day("To", "终止日", "2028-12-31")] = None


class PartyEvent(Table):
    """What happened to a person or body."""

    TABLE: ClassVar[str] = "party_events"
    KEY: ClassVar[tuple[str, ...]] = ("party_id", "kind", "occurred_on")
    TITLE_EN: ClassVar[str] = "Events of parties"
    TITLE_ZH: ClassVar[str] = "主体事件"

    party_id: Annotated[str, c.key("Borrower or party id", "主体编号", "B000417")]
    kind: Annotated[e.PartyEventKind, c.choice("Event", "事件", "moved")]
    occurred_on: Annotated[date, c.day("Occurred on", "发生日期", "2026-02-11")]
    booked_on: Annotated[date | None, c.day("Booked on", "登记日期", "2026-02-12")] = None
    loan_id: Annotated[str | None, c.key("Loan", "贷款编号", "L000417")] = None
    old_value: Annotated[str | None, c.text("Old value", "原值", "Calle Arce 12", "address")] = None
    new_value: Annotated[str | None, c.text("New value", "新值", "Calle Arce 14", "address")] = None
    reference: Annotated[str | None, c.text("Reference", "参考号", "EXP-2026-11")] = None


class BankAccount(Table):
    """Accounts and cards that a person gave."""

    TABLE: ClassVar[str] = "bank_accounts"
    KEY: ClassVar[tuple[str, ...]] = ("party_id", "number")
    TITLE_EN: ClassVar[str] = "Bank accounts"
    TITLE_ZH: ClassVar[str] = "银行账户"

    party_id: Annotated[str, c.key("Borrower or party id", "主体编号", "B000417")]
    number: Annotated[str, c.text("Number", "账号", "6222021234567890128", "account")]
    kind: Annotated[e.BankAccountKind, c.choice("Kind", "类型", "card")]
    bank: Annotated[str | None, c.text("Bank", "开户行", "ICBC")] = None
    purpose: Annotated[str | None, c.text("Purpose", "用途", "repayment")] = None


class Consent(Table):
    """Consents given and withdrawn."""

    TABLE: ClassVar[str] = "consents"
    KEY: ClassVar[tuple[str, ...]] = ("party_id", "kind", "given_on")
    TITLE_EN: ClassVar[str] = "Consents"
    TITLE_ZH: ClassVar[str] = "授权"

    party_id: Annotated[str, c.key("Borrower or party id", "主体编号", "B000417")]
    kind: Annotated[e.ConsentKind, c.choice("Consent", "授权类型", "bureau_report")]
    given_on: Annotated[date, c.day("Given on", "授权日期", "2026-01-10")]
    withdrawn_on: Annotated[date | None, c.day("Withdrawn on", "撤回日期", "2027-01-10")] = None
    reference: Annotated[str | None, c.text("Reference", "授权编号", "C-8812")] = None


class ExternalDebt(Table):
    """A borrower's debts elsewhere, as a bureau or the borrower told them."""

    TABLE: ClassVar[str] = "external_debts"
    KEY: ClassVar[tuple[str, ...]] = ("borrower_id", "source", "as_of", "lender")
    CURRENCY_BY: ClassVar[str] = "currency_code"
    TITLE_EN: ClassVar[str] = "Debts elsewhere"
    TITLE_ZH: ClassVar[str] = "他行债务"

    borrower_id: Annotated[str, c.key("Borrower", "借款人编号", "B000417")]
    source: Annotated[str, c.text("Source", "来源", "bureau")]
    as_of: Annotated[date, c.day("As of", "截止日", "2026-01-10")]
    lender: Annotated[str | None, c.text("Lender", "债权人", "Banco X")] = None
    balance: Annotated[Decimal | None, c.amount("Balance", "余额", "350.00")] = None
    overdue: Annotated[Decimal | None, c.amount("Overdue", "逾期金额", "0.00")] = None
    days_past_due: Annotated[int | None, c.whole("Days past due", "逾期天数", "0", "days")] = None
    category: Annotated[str | None, c.text("Category", "分类", "A1")] = None
    instalment: Annotated[Decimal | None, c.amount("Monthly instalment", "月还款额", "40.00")] = None
    currency_code: Annotated[str | None, c.currency("Currency", "币种", "USD")] = None
