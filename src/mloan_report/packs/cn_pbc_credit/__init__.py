"""China: second-generation credit-reporting collection files."""
