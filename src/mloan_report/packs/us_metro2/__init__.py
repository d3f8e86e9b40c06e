"""Consumer accounts for the credit bureaus of the United States: the Metro 2(R) layout in characters."""
