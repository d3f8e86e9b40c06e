"""El Salvador: credit register files of the SSF (CTRI, NRP-41)."""
