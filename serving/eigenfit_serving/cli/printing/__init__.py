"""What commands print: reports, tables, findings, progress."""
