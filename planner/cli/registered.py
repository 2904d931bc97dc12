"""The plugins of this process, as the environment and the options want them loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from planner.cli.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from planner.registry import Registry

DISABLE_VARIABLE: Final = "PLANNER_PLUGINS_DISABLE"


def registry() -> Registry:
    """Load all plugins but those that PLANNER_PLUGINS_DISABLE names."""
    from planner.registry import load_registry

    return load_registry(disable=os.environ.get(DISABLE_VARIABLE), strict=Settings.current().strict_plugins)


def catalog_branches() -> dict[str, Path]:
    """The directories of revisions that plugins bring, by branch label."""
    from pathlib import Path

    return {label: Path(str(branch.directory)) for label, branch in registry().catalog_branches.items()}
