"""NVIDIA's Tesla P100 for the planner's catalog."""

from collections.abc import Iterator
from pathlib import Path

from planner.plugin import CatalogBranch, hookimpl


@hookimpl
def planner_catalogs() -> Iterator[CatalogBranch]:
    """The branch of revisions that brings the cards, their link, machines, prices and efficiencies in."""
    yield CatalogBranch(label="pascal", directory=Path(__file__).parent / "versions")
