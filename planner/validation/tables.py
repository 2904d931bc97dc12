"""The tables to validate against that ship with the planner."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from planner.errors import InputError

MEMORY_FILE: Final = "memory.csv"
RUNS_FILE: Final = "training.csv"
LAYOUTS_FILE: Final = "layouts.csv"
CONFIGS_FOLDER: Final = "configs"


def shipped(name: str) -> Path:
    """A file or folder that ships with the planner: of the installed one, else of the checkout around this module."""
    from importlib.resources import files

    try:
        folder = Path(str(files("planner.seed_data")))
    except ModuleNotFoundError:
        folder = Path(__file__).resolve().parents[2] / "seed_data"
    path = folder / "validation" / name
    if not path.exists():
        raise InputError(
            f"the planner's own {name} is missing", hint="install the planner again, or name a file with --data"
        )
    return path
