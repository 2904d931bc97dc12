"""Where the catalog's database is, and where its revisions are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from planner.errors import CatalogError

DATABASE_VARIABLE: Final = "PLANNER_DATABASE_URL"


def database_url(given: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """The URL of the catalog: `given`, else ``PLANNER_DATABASE_URL``, else a file in the user's data directory.

    A bare path is taken for an SQLite file. Raises CatalogError for one that begins with the home of an unknown user.
    """
    environment = os.environ if environment is None else environment
    wanted = (given or environment.get(DATABASE_VARIABLE, "")).strip()
    if not wanted:
        from platformdirs import user_data_path

        return file_url(user_data_path("planner", appauthor=False) / "catalog.db")
    if "://" in wanted:
        return wanted
    try:
        return file_url(Path(wanted).expanduser())
    except RuntimeError:
        raise CatalogError(f"{wanted!r} is in the home of nobody who is known", hint="write the whole path") from None


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite URL; None for a server, a database in memory and a URL with SQLite's own ``file:``."""
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] != "sqlite":
        return None
    path = rest.removeprefix("/").partition("?")[0]
    return None if path in ("", ":memory:") or path.startswith("file:") else Path(os.fsdecode(unquote_to_bytes(path)))


def may_be_there(url: str) -> bool:
    """Whether there can be a catalog: not where a file is meant that does not exist. Raises CatalogError where nobody can tell."""
    path = sqlite_path(url)
    try:
        return path is None or path.exists()
    except OSError as problem:
        message = f"catalog {path} cannot be opened: {problem.strerror}"
        raise CatalogError(message, hint="check that the path exists and that you may use it") from problem


def file_url(path: Path) -> str:
    """The URL of an SQLite file."""
    # The name's own bytes, which need not be text.
    return f"sqlite:///{quote(os.fsencode(path), safe='/:')}"


def migrations_directory() -> Path:
    """The folder that holds the revisions: of the installed planner, else of the checkout that this module lies in."""
    from importlib.resources import files

    try:
        folder = Path(str(files("planner.migrations")))
    except ModuleNotFoundError:
        folder = Path(__file__).resolve().parents[2] / "migrations"
    if not (folder / "versions").is_dir():
        raise CatalogError("the catalog's migrations are missing", hint="install the planner again")
    return folder


def core_revisions() -> tuple[str, ...]:
    """The ids of the planner's own revisions, oldest first, read off the file names."""
    versions = migrations_directory() / "versions"
    return tuple(sorted(name[:4] for name in os.listdir(versions) if name.endswith(".py") and name[:4].isdigit()))
