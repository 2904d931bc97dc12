"""For authors: write the data revision that leads from one release of facts to the next.

``python -m planner.catalog.release OLD NEW`` reads two folders of release files, and writes what differs into
``changes.json`` in the new one and the next revision beside the others. Both are text: read them before you commit.

With ``--layer`` and ``--versions`` it does the same for a plugin's branch of facts; an empty folder is the release before
the first one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from planner.catalog.changes import TableChanges, changes
from planner.catalog.location import core_revisions, migrations_directory
from planner.catalog.release_files import FILES, primary_key, read
from planner.catalog.tables import VENDOR_LAYER, Base
from planner.catalog.upgrade import revisions
from planner.errors import InputError, PlannerError

CHANGES_FILE: Final = "changes.json"
TEMPLATE: Final = "release.py.mako"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A release to write: its name (the folder's), day and summary, and the revision that brings it.

    `frozen` is where its list of changes goes, `versions` where the revision goes; `layer` is the planner's own, or the
    label of a plugin's branch, whose first revision depends on the planner's `depends_on`.
    """

    name: str
    released_on: str
    note: str
    revision: str
    down_revision: str | None
    frozen: Path
    versions: Path
    layer: str = VENDOR_LAYER
    depends_on: str | None = None


def draft_of(
    new: Path, released_on: str, note: str, *, layer: str = VENDOR_LAYER, versions: Path | None = None
) -> Draft:
    """The next release of a layer, after the newest revision that its files name by their ids.

    Raises InputError where a plugin's branch has no folder of revisions or two newest ones, CatalogError where a file in
    it is none of its revisions.
    """
    try:
        date.fromisoformat(released_on)
    except ValueError as error:
        raise InputError(f"{released_on!r} is not a day", hint="for example 2026-11-24") from error
    folder = versions or migrations_directory() / "versions"
    own = layer == VENDOR_LAYER
    if not own and versions is None:
        raise InputError(f"no folder for the revisions of {layer}", hint="name it with --versions")
    known = core_revisions() if own else _revisions_of(layer, folder)
    endings = [each.rpartition("_")[2] for each in known]
    number = max((int(ending) for ending in endings if ending.isdecimal()), default=len(known)) + 1
    revision = f"{number:04d}" if own else f"{layer}_{number:04d}"
    return Draft(
        name=new.name,
        released_on=released_on,
        note=note,
        revision=revision,
        down_revision=known[-1] if known else None,
        frozen=new / CHANGES_FILE if own else folder / f"{revision}.json",
        versions=folder,
        layer=layer,
        depends_on=None if own or known else core_revisions()[-1],
    )


def _revisions_of(layer: str, folder: Path) -> tuple[str, ...]:
    """The ids of a plugin's revisions, oldest first. Raises InputError where two of them are the newest."""
    own = [step for step in revisions({layer: folder}) if step.branch == layer]
    followed = {step.down_revision for step in own}
    heads = [step.revision for step in own if step.revision not in followed]
    if len(heads) > 1:
        raise InputError(
            f"{' and '.join(sorted(heads))} in {folder} are both the newest revision", hint="let one follow the other"
        )
    return tuple(step.revision for step in reversed(own))


def release_changes(old: Path, new: Path, draft: Draft) -> tuple[TableChanges, ...]:
    """What differs between two folders of release files, and the release's own row. Raises InputError."""
    before, after = read(old, draft.layer), read(new, draft.layer)
    row = {
        "slug": draft.name, "layer": draft.layer, "revision": draft.revision, "released_on": draft.released_on,
        "note": draft.note,
    }  # fmt: skip
    after["release"] = [row]
    keys = {table: primary_key(table) for table in (*FILES, "alias", "release")}
    return changes(before, after, keys)


def changes_text(draft: Draft, base: str, found: Sequence[TableChanges]) -> str:
    """The frozen file: one line a row, so that a review sees each fact by itself."""
    head = {"release": draft.name, "base": base, "released_on": draft.released_on, "note": draft.note}
    lines = [f" {_json(name)}: {_json(value)}," for name, value in head.items()]
    tables = ",\n".join(_table_text(each) for each in found)
    return "{\n" + "\n".join(lines) + '\n "tables": [\n' + tables + "\n ]\n}\n"


def revision_text(draft: Draft) -> str:
    """The revision that moves the changes up and down."""
    from mako.template import Template  # type: ignore[import-untyped]

    own = draft.layer == VENDOR_LAYER
    where = f'.parents[2] / "seed_data" / "releases" / "{draft.name}" / "{CHANGES_FILE}"'
    text: str = Template(filename=str(migrations_directory() / TEMPLATE)).render(
        release=draft.name,
        title=draft.note,
        revision=draft.revision,
        down_revision=draft.down_revision,
        branch_labels=None if own or draft.down_revision else [draft.layer],
        depends_on=draft.depends_on,
        quoted=_python,
        layer=draft.layer,
        file=f"seed_data/releases/{draft.name}/{CHANGES_FILE}" if own else draft.frozen.name,
        path=where if own else f'.with_name("{draft.frozen.name}")',
    )
    return text


def write(old: Path, new: Path, draft: Draft) -> tuple[Path, Sequence[TableChanges]]:
    """Write both files and return where the revision is and what it moves. Raises InputError where nothing differs."""
    found = release_changes(old, new, draft)
    if [each.table for each in found] == ["release"]:
        raise InputError(f"{new} has the same facts as {old}", hint="change the files of the new release first")
    draft.frozen.write_text(changes_text(draft, old.name, found), encoding="utf-8")
    name = draft.name.replace("-", "_").replace(".", "_")
    title = f"{draft.revision}_release_{name}.py" if draft.layer == VENDOR_LAYER else f"{draft.revision}.py"
    path = draft.versions / title
    path.write_text(revision_text(draft), encoding="utf-8")
    return path, found


def _python(value: object) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(map(_python, value)) + ",)"
    return "None" if value is None else json.dumps(value)


def _table_text(found: TableChanges) -> str:
    columns = Base.metadata.tables[found.table].columns.keys()
    references = [name for name in columns if f"{name}_layer" in columns]
    given = {column for row in (*found.added, *found.removed) for column in _short(row, references)}
    head = {
        "table": found.table,
        "key": [name for name in found.key if name != "layer"],
        "references": references,
        "columns": [name for name in columns if name in given],
    }
    parts: Mapping[str, Iterator[object]] = {
        "added": (_short(row, references) for row in found.added),
        "changed": (
            {"key": {name: each.key[name] for name in head["key"]}, "old": each.old, "new": each.new}
            for each in found.changed
        ),
        "removed": (_short(row, references) for row in found.removed),
    }
    lists = ",\n".join(f'   "{name}": {_lines(rows)}' for name, rows in parts.items())
    return "  {" + ", ".join(f"{_json(name)}: {_json(value)}" for name, value in head.items()) + ",\n" + lists + "}"


def _lines(rows: Iterator[object]) -> str:
    texts = [f"    {_json(row)}" for row in rows]
    return "[\n" + ",\n".join(texts) + "]" if texts else "[]"


def _short(row: Mapping[str, Any], references: Sequence[str]) -> dict[str, Any]:
    """The row without what the revision knows: its layer, references into that layer, and what is NULL."""
    known = {f"{name}_layer" for name in references if row.get(f"{name}_layer") in (row["layer"], None)}
    names = dict.fromkeys((*(name for name in ("slug", "name") if name in row), *row))
    return {name: row[name] for name in names if row[name] is not None and name != "layer" and name not in known}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a revision from two folders, say what it moves, and return an exit status."""
    parser = argparse.ArgumentParser(prog="python -m planner.catalog.release", description=__doc__)
    parser.add_argument("old", type=Path, help="the folder of the release before")
    parser.add_argument("new", type=Path, help="the folder of the new release, whose name is the release's")
    parser.add_argument("--date", required=True, help="the day of the release, as 2026-11-24")
    parser.add_argument("--note", required=True, help="what is new, in one line")
    parser.add_argument("--layer", default=VENDOR_LAYER, help="the label of a plugin's branch; default: the planner's")
    parser.add_argument("--versions", type=Path, help="the folder of the branch's revisions")
    given = parser.parse_args(arguments)
    try:
        draft = draft_of(given.new, given.date, given.note, layer=given.layer, versions=given.versions)
        path, found = write(given.old, given.new, draft)
    except PlannerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    for each in found:
        print(f"{each.table}: {len(each.added)} added, {len(each.changed)} changed, {len(each.removed)} removed")
    print(f"wrote {draft.frozen} and {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
