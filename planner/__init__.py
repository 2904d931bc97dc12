"""How many GPUs, which ones, laid out how, for how long, at what cost, and will it fit?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.version import __version__

if TYPE_CHECKING:
    from planner.api import Operation, Recipe, Search, estimate, evaluate, model_parameters, plan
    from planner.catalog.reader import Catalog

__all__ = [
    "Catalog",
    "Operation",
    "Recipe",
    "Search",
    "__version__",
    "estimate",
    "evaluate",
    "model_parameters",
    "plan",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Imports what library users call on first use, so that the command line starts without it."""
    if name == "Catalog":
        from planner.catalog.reader import Catalog

        return Catalog
    if name in __all__:
        from planner import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
