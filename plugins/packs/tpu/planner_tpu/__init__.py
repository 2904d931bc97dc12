"""Google Cloud's TPU slices for the planner's catalog."""

from collections.abc import Iterator
from pathlib import Path

from planner.plugin import CatalogBranch, hookimpl


@hookimpl
def planner_catalogs() -> Iterator[CatalogBranch]:
    """The branch of revisions that brings the slices in."""
    yield CatalogBranch(label="tpu", directory=Path(__file__).parent / "versions")
