"""What a run is to do, and what of it is done."""
