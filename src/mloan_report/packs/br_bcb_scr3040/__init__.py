"""Brazil: the credit register's document 3040 of the Banco Central do Brasil."""
