"""One module a country; each offers its ``COUNTRY``."""
