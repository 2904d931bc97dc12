"""The space of layouts, the sum over what plugins contribute, refusals and objectives."""
