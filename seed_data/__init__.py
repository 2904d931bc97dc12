"""Frozen, dated files that releases of the catalog read."""
