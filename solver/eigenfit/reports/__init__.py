"""What can be said of a finished fit: as text, tables, HTML and files."""
