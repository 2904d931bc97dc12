"""Frozen records of what the planner talks about: models, hardware, jobs, layouts, plans."""
