"""The portfolio's own rules, one family a file; a rule is added by adding a function or a file here."""
