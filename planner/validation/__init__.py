"""Predictions beside what others measured or computed: `planner validate`."""
