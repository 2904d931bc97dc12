"""Constants of a user's own machines from their measured runs: `planner calibrate`."""
