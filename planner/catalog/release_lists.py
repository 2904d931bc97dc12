"""The lists of what releases move, frozen beside their revisions, of the planner and of plugins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from planner.catalog.location import migrations_directory

Row = Mapping[str, Any]
VENDOR: Final = "vendor"
"""The planner's own layer, as `planner.catalog.tables` names it; not imported from there, where reading needs no tables."""


def moved_by(release: Row, branches: Mapping[str, Path] | None = None) -> list[dict[str, Any]] | None:
    """What a release moved, by table, with the rows that are ``added``, ``changed`` and ``removed``.

    `release` is its row; `branches` are the folders of plugins' revisions. None where there is no list: of the planner's
    first release, and of a plugin that is gone or that wrote its revisions otherwise.
    """
    if release["layer"] == VENDOR:
        path = migrations_directory().parent / "seed_data" / "releases" / release["slug"] / "changes.json"
    else:
        folder = (branches or {}).get(release["layer"])
        if folder is None:
            return None
        path = folder / f"{release['revision']}.json"
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = listed["tables"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, list) else None
