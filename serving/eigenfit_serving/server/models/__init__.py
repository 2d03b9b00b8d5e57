"""Models and their versions: found, loaded, switched, unloaded."""
