"""Tables as they come: read, checked, converted, written."""
