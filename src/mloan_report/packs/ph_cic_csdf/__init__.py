"""Philippines: the Submission Data File (CSDF 1.0) of the Credit Information Corporation."""
