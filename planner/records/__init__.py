"""The frozen records that hooks yield; plugins import them from `planner.plugin`."""
