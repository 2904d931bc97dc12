"""Alembic in process: upgrade, downgrade, current, history.

One transaction holds a whole upgrade. It locks the database first and reads the revision after that, so of two
processes that start at once one migrates and the other finds nothing to do.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from planner.catalog import parked
from planner.catalog.engine import change_refused, plain_errors, shown, snapshot, writing_engine
from planner.catalog.foreign_keys import before, broken_references, refuse_broken_references
from planner.catalog.location import core_revisions, database_url, may_be_there, migrations_directory, sqlite_path
from planner.catalog.name_clashes import name_taken
from planner.errors import CatalogError, CatalogWarning, InputError, PlannerError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection

    from planner.catalog.overrides import Watch

CORE: Final = "core"
"""The branch label of the planner's own revisions."""
UPGRADE_LOCK: Final = 7034121
"""The key of PostgreSQL's advisory lock that one upgrade at a time holds: a number that nobody else is likely to use."""
_CORE_ID: Final = re.compile(r"\d{4}")
_RELATIVE: Final = re.compile(r"[+-]\d+")

Branches = Mapping[str, Path]
"""The revisions of plugins: directory by branch label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One step of the history. `current` marks the one that a database is at, `applied` those that it has behind it."""

    revision: str
    down_revision: str | None
    branch: str
    message: str
    applied: bool = False
    current: bool = False

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def known_revisions(branches: Branches | None = None) -> str:
    """All revisions that this program knows, in one line: the fingerprint that a database keeps.

    A plugin's stand in it by their file names: to read their ids would load Alembic at every start.
    """
    known = [f"{CORE}: {' '.join(core_revisions())}"]
    for label, directory in sorted((branches or {}).items()):
        known.append(f"{label}: {' '.join(sorted(path.stem for path in Path(directory).glob(f'{label}_*.py')))}")
    return "; ".join(known)


def new_branches(known: str, heads: Iterable[str], branches: Branches | None = None) -> tuple[str, ...]:
    """The labels of the branches that have revisions which a database's fingerprint `known` does not tell of.

    The core's label comes first. One whose newest revision is among `heads` has nothing new.
    """
    at, told = set(heads), _by_label(known)
    here = _by_label(known_revisions(branches))
    return tuple(
        label
        for label, revisions in here.items()
        if set(revisions) - set(told.get(label, ())) and revisions[-1] not in at
    )


def _by_label(known: str) -> dict[str, tuple[str, ...]]:
    parts = (part.partition(": ") for part in known.split("; ") if part)
    return {label: tuple(revisions.split()) for label, _, revisions in parts}


def upgrade(url: str | None = None, revision: str = "heads", *, branches: Branches | None = None) -> tuple[str, ...]:
    """Move the database up to `revision` (``heads``, an id, ``+1`` meaning ``core@+1``) and return where it is then.

    Rows of the user's own that an earlier downgrade had no place for come back (see `parked`).

    Makes the database where there is none. Raises CatalogError (newer, locked, read-only, not a catalog) or InputError;
    the database then is as it was.
    """
    target = f"{CORE}@{revision}" if _RELATIVE.fullmatch(revision) else revision
    return _migrate(database_url(url), "upgrade", (target,), branches or {})


def upgrade_branches(url: str, labels: Iterable[str], *, branches: Branches | None = None) -> tuple[str, ...]:
    """Move each branch of `labels` up to its newest revision, and the others only as far as these need. As `upgrade`."""
    return _migrate(url, "upgrade", tuple(f"{label}@head" for label in labels), branches or {})


def downgrade(url: str | None = None, revision: str = "-1", *, branches: Branches | None = None) -> tuple[str, ...]:
    """Move the database down to `revision`: an id, ``base``, or ``-1``, meaning ``core@-1``. As `upgrade` otherwise.

    Rows of the user's own whose table goes wait in the database for the next upgrade.

    Raises CatalogError where that would take away what a plugin that is not installed has in the database.
    """
    relative = _RELATIVE.fullmatch(revision) is not None
    target = f"{CORE}@{revision}" if relative or revision == "base" else revision
    wanted = database_url(url)
    # Asked first: a driver that is refused in the middle of many statements says so on its own.
    if refusal := change_refused(wanted):
        raise refusal
    return _migrate(wanted, "downgrade", (target,), branches or {})


def current(url: str | None = None) -> tuple[str, ...]:
    """The revisions that the database is at, one for each branch; empty where nothing was made yet."""
    wanted = database_url(url)
    if not may_be_there(wanted):
        return ()
    with snapshot(wanted) as connection:
        return stored_heads(connection)


def history(url: str | None = None, *, branches: Branches | None = None) -> tuple[Revision, ...]:
    """Every revision that the program knows, newest first, and which of them the database has."""
    at = current(url)
    applied = _applied(_script(_config(branches or {})), at)
    return tuple(
        replace(step, applied=step.revision in applied, current=step.revision in at) for step in revisions(branches)
    )


def revisions(branches: Branches | None = None) -> tuple[Revision, ...]:
    """Every revision that the program knows, newest first, by what the files say: a file's name need not be its id."""
    return tuple(
        Revision(
            revision=step.revision,
            down_revision=_one(step.down_revision),
            branch=", ".join(sorted(step.branch_labels)) or CORE,
            message=step.doc,
        )
        for step in _script(_config(branches or {})).walk_revisions()
    )


def orphans(heads: Iterable[str], branches: Branches | None = None) -> tuple[str, ...]:
    """The heads that belong to plugins which are not installed."""
    script = _script(_config(branches or {}))
    return tuple(head for head in heads if not _CORE_ID.fullmatch(head) and not _knows(script, head))


def lock(connection: Connection) -> None:
    """Let no one else change revisions until the transaction ends; an SQLite file is locked from its beginning."""
    if connection.dialect.name == "postgresql":
        # It waits no longer than the engine's lock_timeout.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")


def refuse_newer(url: str, heads: Iterable[str]) -> None:
    """Raise CatalogError where a head is a core revision that this program does not have."""
    known = core_revisions()
    for head in heads:
        if _CORE_ID.fullmatch(head) and head not in known:
            raise CatalogError(
                f"catalog {shown(url)} is at revision {head}, newer than this program ({known[-1]})",
                hint="update the planner, or name another with --database",
            )


def _migrate(url: str, command: str, targets: Sequence[str], branches: Branches) -> tuple[str, ...]:
    # Not at the top: opening a catalog that is up to date needs none of its tables' declarations.
    from planner.catalog import overrides, rights, taken_names

    if not all(target.strip() for target in targets):
        raise InputError("no revision is named", hint="planner db history lists them")
    path = sqlite_path(url)
    if path is not None and may_be_there(url) and not path.is_file():
        raise CatalogError(f"catalog {path} is not a file", hint="name an SQLite file with --database")
    if command == "downgrade" and not may_be_there(url):
        raise InputError(f"there is no catalog {path} to downgrade", hint="planner db upgrade makes one")
    config = _config(branches)
    script = _script(config)
    engine = writing_engine(url, foreign_keys=False)
    with plain_errors(url):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with engine.begin() as connection:
            lock(connection)
            refuse_strangers(connection, url)
            heads = stored_heads(connection)
            refuse_newer(url, heads)
            if command == "downgrade":
                for target in targets:
                    _refuse_below_base(script, url, heads, target)
            gone = orphans(heads, branches)
            known = before(connection)
            protected = rights.bookkeeping(connection)
            own = parked.copy_user_rows(connection) if command == "downgrade" else {}
            watch = overrides.Watch(connection, parked.other_places(connection, own))
            taken = taken_names.taken_names(connection)
            with _orphans_kept(connection, url, gone if command == "downgrade" else ()):
                _forget(connection, gone)
                for target in targets:
                    _unpin_core(script, connection, url)
                    _run(config, connection, command, target, watch)
                    _pin_core(script, connection)
                _put_back(connection, gone)
            watch.settle()
            parked.park_what_is_gone(connection, own)
            if command == "upgrade":
                parked.restore(connection)
            refuse_broken_references(connection, url, known)
            rights.protect(connection, protected)
            _remember(connection, branches)
            reached = stored_heads(connection)
            taken = taken_names.taken_names(connection) - taken
    if taken:
        warnings.warn(taken_names.warning(taken), CatalogWarning, stacklevel=3)
    if watch.found:
        warnings.warn(overrides.warning(watch.found), CatalogWarning, stacklevel=3)
    return reached


def _run(config: Config, connection: Connection, command: str, target: str, watch: Watch) -> None:
    from alembic import command as commands
    from alembic.script.revision import RevisionError
    from alembic.util import CommandError
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError

    from planner.catalog.tables import Base

    config.attributes["connection"] = connection
    config.attributes["target_metadata"] = Base.metadata
    config.attributes["on_version_apply"] = lambda *, step, **_: watch.applied(step.up_revision_id, up=step.is_upgrade)
    try:
        getattr(commands, command)(config, target)
    except (CommandError, RevisionError) as error:
        raise InputError(f"revision: {str(error).splitlines()[0]}", hint="planner db history lists them") from error
    except IntegrityError as error:
        raise (name_taken(connection, error) or error) from error
    except (SQLAlchemyError, PlannerError):
        raise
    except Exception as error:
        # Anything: a revision may be a stranger's.
        message = f"a revision of the catalog failed: {type(error).__name__}: {error}"
        raise CatalogError(message, hint="nothing was changed") from error


def _config(branches: Branches) -> Config:
    from alembic.config import Config

    folder = migrations_directory()
    for label, directory in branches.items():
        _check_ids(label, Path(directory))
    locations = [str(folder / "versions"), *(str(directory) for directory in branches.values())]
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(locations).replace("%", "%%"))
    return config


def _check_ids(label: str, directory: Path) -> None:
    # Two branches with one id do not fail cleanly in Alembic, so a plugin's ids are checked by their file names.
    for path in sorted(directory.glob("*.py")):
        if path.stem != "__init__" and not path.stem.startswith(f"{label}_"):
            raise CatalogError(f"revision {path.name} of catalog branch {label!r} must begin with {label}_")


def _script(config: Config) -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(config)


def _knows(script: ScriptDirectory, revision: str) -> bool:
    from alembic.script.revision import RevisionError
    from alembic.util import CommandError

    try:
        return script.get_revision(revision) is not None
    except (CommandError, RevisionError):
        return False


def _forget(connection: Connection, heads: Iterable[str]) -> None:
    # A plugin that is gone leaves its head behind, and Alembic stops at a head that it cannot find. So these are taken
    # out while it works and put back in the same transaction.
    from sqlalchemy import text

    for head in heads:
        connection.execute(text("DELETE FROM alembic_version WHERE version_num = :head"), {"head": head})


def _put_back(connection: Connection, heads: Iterable[str]) -> None:
    from sqlalchemy import text

    for head in heads:
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": head})


def _applied(script: ScriptDirectory, heads: Iterable[str]) -> set[str]:
    """The known heads and everything that they follow or depend on."""
    found: set[str] = set()
    waiting = [head for head in heads if _knows(script, head)]
    while waiting:
        revision = waiting.pop()
        if revision not in found:
            found.add(revision)
            waiting += script.get_revision(revision)._all_down_revisions
    return found


def _unpin_core(script: ScriptDirectory, connection: Connection, url: str) -> None:
    heads = stored_heads(connection)
    core = next((head for head in heads if _CORE_ID.fullmatch(head)), None)
    for head in heads:
        needed = max((found for found in _applied(script, [head]) if _CORE_ID.fullmatch(found)), default="")
        if head != core and core is not None and needed > core:
            raise CatalogError(
                f"catalog {shown(url)} is at revision {core}, and {head} of a plugin needs {needed}",
                hint="uninstall the plugin, run planner db upgrade, then install it again",
            )
        if head != core and core is not None and needed == core:
            _forget(connection, [core])
            core = None


def _pin_core(script: ScriptDirectory, connection: Connection) -> None:
    # Alembic stores no head that another one depends on. Were that one a plugin's and the plugin gone, nobody could
    # tell where the core is, so its revision is always written down.
    heads = stored_heads(connection)
    core = [revision for revision in _applied(script, heads) if _CORE_ID.fullmatch(revision)]
    if core and not any(_CORE_ID.fullmatch(head) for head in heads):
        _put_back(connection, [max(core)])


def _refuse_below_base(script: ScriptDirectory, url: str, heads: Iterable[str], target: str) -> None:
    # Alembic fails an assertion of its own where a branch has nothing to take back.
    label, _, steps = target.rpartition("@")
    if not steps.startswith("-"):
        return
    own = _CORE_ID if label == CORE else re.compile(f"{re.escape(label)}_.*")
    known = label == CORE or any(own.fullmatch(step.revision) for step in script.walk_revisions())
    if known and not any(own.fullmatch(revision) for revision in _applied(script, heads)):
        branch = "" if label == CORE else f", branch {label},"
        raise InputError(f"catalog {shown(url)}{branch} is already at base", hint="there is nothing to take back")


@contextmanager
def _orphans_kept(connection: Connection, url: str, gone: Sequence[str]) -> Iterator[None]:
    """Refuse a downgrade that takes away what the heads `gone` of missing plugins have in the core's tables, or need.

    Nobody could bring it back: the heads stay, so that the plugin, installed again, would take its rows for present.
    """
    from sqlalchemy.exc import IntegrityError

    before = _plugin_rows(connection, gone) if gone else {}
    try:
        yield
    except IntegrityError as error:
        # Where a database checks at once, the rows of a plugin that is gone are the ones that nobody deleted first.
        raise (_orphaned(url, gone[0]) if gone else error) from error
    if not gone:
        return
    if not any(_CORE_ID.fullmatch(head) for head in stored_heads(connection)):
        raise _orphaned(url, gone[0])
    after = _plugin_rows(connection, gone)
    for place, count in before.items():
        if after.get(place, 0) < count:
            raise _orphaned(url, place[0])
    for _, _, layer in broken_references(connection):
        for head in gone:
            if head.startswith(f"{layer}_"):
                raise _orphaned(url, head)


def _orphaned(url: str, head: str) -> CatalogError:
    return CatalogError(
        f"catalog {shown(url)}: this would take away what the branch of {head} has or needs, and its plugin is not "
        "installed",
        hint="install the plugin again, or downgrade to a revision that keeps its tables; nothing was changed",
    )


def _plugin_rows(connection: Connection, heads: Iterable[str]) -> dict[tuple[str, str], int]:
    """How many rows each head's branch has in each table, known by their layer: the label that the head begins with."""
    from sqlalchemy import inspect

    found: dict[tuple[str, str], int] = {}
    inspector = inspect(connection)
    for name in inspector.get_table_names():
        if not any(each["name"] == "layer" for each in inspector.get_columns(name)):
            continue
        for label, count in connection.exec_driver_sql(f'SELECT layer, count(*) FROM "{name}" GROUP BY layer'):
            found.update({(head, name): count for head in heads if head.startswith(f"{label}_")})
    return found


def stored_heads(connection: Connection) -> tuple[str, ...]:
    """The revisions that are written down in the database."""
    from sqlalchemy import inspect

    if not inspect(connection).has_table("alembic_version"):
        return ()
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version ORDER BY version_num")
    return tuple(row[0] for row in rows)


def refuse_strangers(connection: Connection, url: str) -> None:
    """Raise CatalogError for a database that holds other tables and no catalog."""
    from sqlalchemy import inspect

    tables = inspect(connection).get_table_names()
    others = [table for table in tables if table != "alembic_version"]
    if not others or ("alembic_version" in tables and ("alias" in tables or not stored_heads(connection))):
        return  # Nothing at all, a catalog, or what one leaves at base. Programs of others have that first table too.
    raise CatalogError(
        f"{shown(url)} holds other tables ({others[0]} …) and no catalog", hint="name another with --database"
    )


def _remember(connection: Connection, branches: Branches) -> None:
    """Write down which revisions the program knows; of plugins that are left out, which it knew when they were there."""
    from sqlalchemy import inspect, select

    from planner.catalog.tables import CatalogState

    if not inspect(connection).has_table(CatalogState.__tablename__):
        return
    told = connection.execute(select(CatalogState.known_revisions)).scalar() or ""
    _write_known(connection, _by_label(told) | _by_label(known_revisions(branches)))


def forget_branches(connection: Connection, labels: Iterable[str]) -> None:
    """Let the database know nothing more of these branches: when their plugins come back, all their revisions are new."""
    from sqlalchemy import inspect, select

    from planner.catalog.tables import CatalogState

    if not inspect(connection).has_table(CatalogState.__tablename__):
        return
    told = connection.execute(select(CatalogState.known_revisions)).scalar()
    if told is not None:
        gone = set(labels)
        left = {label: revisions for label, revisions in _by_label(told).items() if label not in gone}
        _write_known(connection, left)


def _write_known(connection: Connection, known: Mapping[str, Sequence[str]]) -> None:
    from sqlalchemy import delete, insert

    from planner.catalog.tables import CatalogState

    labels = sorted(known, key=lambda label: (label != CORE, label))
    line = "; ".join(f"{label}: {' '.join(known[label])}" for label in labels)
    connection.execute(delete(CatalogState))
    connection.execute(insert(CatalogState).values(id=1, known_revisions=line))


def _one(revision: str | Sequence[str] | None) -> str | None:
    return revision if revision is None or isinstance(revision, str) else ", ".join(revision)
