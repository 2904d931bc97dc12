"""seed_data."""
