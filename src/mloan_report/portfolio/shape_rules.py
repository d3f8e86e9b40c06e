"""The rules of table shape: what reading a portfolio can find wrong before any row is judged."""

from __future__ import annotations

from mloan_report.model.finding import Rule

_RULES = (
    Rule(
        "TAB-001", "error", "A core table is missing", "The portfolio has no table {table}.",
        "Borrowers, loans, instalments and repayments together make a portfolio; without one of them figures would be guesses.",
        "Add {table}.csv or {table}.parquet to the folder; an empty file with its header row says that there are none.",
    ),
    Rule(
        "TAB-002", "error", "A required column is missing", "Table {table} has no column {field}.",
        "The column is required by the data contract.", "Add the column {field} to {file}.",
    ),
    Rule(
        "TAB-003", "error", "Not a plain decimal number", "{field} is {value!r}: not a plain decimal number.",
        "Amounts and rates are read by syntax only: digits, one dot, no thousands mark, no exponent, no currency sign.",
        "Write the number as 1234.56.",
    ),
    Rule(
        "TAB-004", "error", "Not a date", "{field} is {value!r}: not a date as YYYY-MM-DD.",
        "Day and month are never guessed from their order, and the day must exist in the calendar.",
        "Write the date as 2026-01-31.",
    ),
    Rule(
        "TAB-005", "error", "Not a value of the list", "{field} is {value!r}: not one of {allowed}.",
        "The column takes only the values of its list; a lender's own codes go in *_code columns.",
        "Map the value to one of the list.",
    ),
    Rule(
        "TAB-006", "error", "More decimals than the currency has",
        "{field} is {value}: {currency} has {digits} decimals.",
        "An amount with more decimals than the currency's minor unit (ISO 4217) cannot have been paid or owed.",
        "Correct the amount, or the currency code.", "ISO 4217",
    ),
    Rule(
        "TAB-007", "error", "An amount beyond the bound", "{field} is {value}: at or beyond 10^15 minor units.",
        "No microloan is that large, and sums beyond it could not be guaranteed exact.", "Correct the amount.",
    ),
    Rule(
        "TAB-008", "error", "Not a whole number", "{field} is {value!r}: not a whole number.",
        "Counts, days and years are whole numbers in digits.", "Write the number without decimals.",
    ),
    Rule(
        "TAB-009", "error", "Not true or false", "{field} is {value!r}: not true or false.",
        "Yes, 1 and Y are not guessed.", "Write true or false.",
    ),
    Rule(
        "TAB-010", "error", "Not an ISO code", "{field} is {value!r}: not a code of {standard}.",
        "Currencies are ISO 4217 alphabetic codes, countries ISO 3166-1 alpha-2 codes.", "Write the ISO code.", "ISO 4217; ISO 3166-1",
    ),
    Rule(
        "TAB-011", "error", "A required value is missing", "{field} is empty.",
        "The data contract requires it on every row.", "Fill {field}.",
    ),
    Rule(
        "TAB-012", "information", "A column the model does not have", "Table {table} has the column {field}, which the model does not have.",
        "It is kept aside and used nowhere: a misspelt column name would show here.", "Rename it if it was meant for a column of the model.",
    ),
    Rule(
        "TAB-013", "error", "A table cannot be read", "{file} cannot be read: {reason}.",
        "A file that is cut off, not UTF-8 or not Parquet gives no rows to rely on.", "Export the file again as UTF-8 CSV or Parquet.",
    ),
    Rule(
        "TAB-014", "error", "A float where exactness is needed", "{field} of {table} comes as binary floating point.",
        "0.1 has no exact binary form; amounts, rates and counts are decimal, whole or text.",
        "Give the column as Decimal, integer or text.",
    ),
    Rule(
        "TAB-015", "error", "An amount whose currency is unknown", "{field} is {value}: the row's currency cannot be found.",
        "The amount is in the currency of its loan (or of its own row), and that is not there.",
        "Add the loan {key}, or correct the row's loan_id.",
    ),
    Rule(
        "TAB-016", "information", "A file the model does not know", "{file} is not a table of the model.",
        "A misspelt table name would show here.", "Rename it if it was meant for a table of the model.",
    ),
    Rule(
        "TAB-017", "error", "A table given twice", "Table {table} is given as {file} and as {other}.",
        "Which of the two counts cannot be known.", "Keep one of them.",
    ),
    Rule(
        "TAB-018", "error", "A moment where a day is needed", "{field} of {table} comes as a time stamp that is not midnight.",
        "Which day a time belongs to depends on the time zone and the day-end cut-off: it is not guessed.",
        "Give the day itself.",
    ),
    Rule(
        "TAB-019", "warning", "Blanks around a key", "{field} is {value!r}: it begins or ends with a blank.",
        "Keys are compared exactly; a blank makes an orphan of the row.", "Remove the blank.",
    ),
    Rule(
        "TAB-020", "error", "An adjustment that does not fit",
        "Adjustment {key} finds {found!r} in {target}.{field}, not {value!r}.",
        "An adjustment is applied only where the old value still stands.", "Withdraw the adjustment or renew it.",
    ),
    Rule(
        "TAB-021", "information", "An adjustment was applied", "Adjustment {key} changed {target}.{field} of {row_key}.",
        "Each adjustment is listed with the filing.", "Correct the source, so that the adjustment is no longer needed.",
    ),
    Rule(
        "TAB-022", "error", "More than seven decimals in a rate", "{field} is {value}: more than seven decimals.",
        "Rates are kept in ten-millionths of a percent, exactly.", "Round the rate at its source.",
    ),
)
SHAPE_RULES: dict[str, Rule] = {rule.id: rule for rule in _RULES}
"""By id."""
