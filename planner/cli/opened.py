"""The catalog, opened for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.cli.registered import catalog_branches
from planner.cli.settings import Settings

if TYPE_CHECKING:
    from planner.catalog.reader import Catalog


def opened_catalog() -> Catalog:
    """The catalog that ``--database`` or the environment names; made and migrated when there is none yet."""
    from planner.catalog.reader import Catalog

    return Catalog.open(Settings.current().database, branches=catalog_branches())
