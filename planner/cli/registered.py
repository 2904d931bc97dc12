"""The plugins of this process, as the environment and the options want them loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from planner.cli.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from planner.registry import Registry


def registry() -> Registry:
    """All plugins but those that PLANNER_PLUGINS_DISABLE names, with the problems of those that were left out."""
    from planner.registry import DISABLE_VARIABLE, load_registry

    return load_registry(disable=os.environ.get(DISABLE_VARIABLE), strict=Settings.current().strict_plugins)


def catalog_branches() -> dict[str, Path]:
    """The directories of revisions that plugins bring, by branch label; a warning names each plugin left out."""
    from planner.registry import installed_registry

    loaded = installed_registry(strict=Settings.current().strict_plugins)
    return loaded.branch_directories
