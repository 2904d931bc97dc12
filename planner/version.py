"""The planner's version, where nothing else is imported."""

from typing import Final

__version__: Final = "0.1.0"
