"""Pure NumPy in bytes, seconds and FLOPs; nothing here knows plugins, the catalog or the command line."""
