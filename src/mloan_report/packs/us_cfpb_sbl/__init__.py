"""United States: the small business lending application register (12 CFR 1002 subpart B)."""
