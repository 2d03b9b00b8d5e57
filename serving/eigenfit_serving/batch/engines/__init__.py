"""Workers: processes of this machine, or Ray's."""
