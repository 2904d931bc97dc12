"""What a user brings into the catalog and takes out of it: models, clusters, whole files of entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from planner.errors import InputError, UnknownNameError

IN_ORDER: Final = ("sources", "vendors", "links", "models", "accelerators", "nodes", "clusters", "prices")
"""Kinds such that each comes after those that it refers to."""

if TYPE_CHECKING:
    from planner.catalog.entries import Entry
    from planner.catalog.reader import Catalog
    from planner.catalog.user_layer import Outcome
    from planner.domain.architecture import Architecture
    from planner.importers.machine_entries import Known
    from planner.registry import Registry


def looks_like_path(model: str) -> bool:
    """Whether a model is meant by its file or folder: ``-``, ``*.json``, or a path that is there."""
    return model == "-" or model.endswith(".json") or (("/" in model or "\\" in model) and _is_there(model))


def holds_config(folder: str) -> bool:
    """Whether a name without a slash is a folder with a ``config.json``, as a checkout of Hugging Face is."""
    try:
        return (Path(folder) / "config.json").is_file()
    except (OSError, ValueError):
        return False


def read_model(registry: Registry, path: str) -> Architecture:
    """The architecture in a ``config.json``, or in the folder that holds one. Raises InputError, UnknownNameError."""
    from planner.importers.huggingface import read_config

    if path != "-" and Path(path).is_dir() and not holds_config(path):
        raise InputError(f"{path} is a folder without a config.json", hint="name the folder or the file of a model")
    try:
        return read_config(path, registry.config_readers.values())
    except UnknownNameError:
        raise
    except InputError as error:
        if path in error.message:
            raise
        raise InputError(f"{path}: {error.message}", hint=error.hint) from None


def import_model(
    path: str,
    *,
    slug: str | None = None,
    name: str | None = None,
    aliases: Sequence[str] = (),
    replacing: bool = False,
    database: str | None = None,
) -> dict[str, Any]:
    """Keep the model of a ``config.json`` as the user's own: schema ``planner.catalog.import/1`` with its parameter counts.

    `slug` and `name` are those of the file's place where they are not given. Raises InputError, UnknownNameError, CatalogError.
    """
    from planner.catalog.entries import entry
    from planner.catalog.records import architecture_row
    from planner.catalog.user_layer import keep
    from planner.program.assemble import assemble
    from planner.registry import installed_registry

    registry = installed_registry()
    architecture = read_model(registry, path)
    program = assemble(architecture, registry.sublayers)
    row = architecture_row(architecture) | {"slug": architecture.slug if slug is None else slug, "confidence": "high"}
    fields = {**row, "name": architecture.name if name is None else name, "aliases": list(aliases)}
    kept = entry("models", fields, where=path, on=_today())
    _make_catalog(database, registry)
    outcome = keep(database, [kept], replacing=replacing)
    return _answer(outcome, path) | {
        "total_params": program.total_params,
        "active_params": program.active_params,
        "embedding_params": program.embedding_params,
    }


def import_entries(path: str, *, replacing: bool = False, database: str | None = None) -> dict[str, Any]:
    """Keep every entry of a file (YAML, JSON or CSV), all or none: schema ``planner.catalog.import/1``.

    Raises InputError, which names the line, and CatalogError.
    """
    from planner.catalog.user_layer import keep
    from planner.importers.rows import read_entries
    from planner.registry import installed_registry

    _make_catalog(database, installed_registry())
    return _answer(keep(database, read_entries(path), replacing=replacing), path)


def import_cluster(
    path: str,
    *,
    written_by: str | None = None,
    known: Known | None = None,
    replacing: bool = False,
    database: str | None = None,
) -> dict[str, Any]:
    """Keep the cluster that a YAML file describes, or that a tool shows: schema ``planner.catalog.import/1`` with ``notes``.

    `written_by` names the tool (``nvidia-smi``, ``rocm-smi``, ``sinfo``, ``kubernetes``) or ``yaml``; None: it is told by the text.
    Raises InputError, UnknownNameError, CatalogError.
    """
    from planner.catalog.reader import Catalog
    from planner.catalog.user_layer import keep
    from planner.importers.machine_entries import Known, brought
    from planner.importers.machines import formats, parsed, read_machines, recognised
    from planner.registry import installed_registry

    known = known or Known()
    text = read_machines(path)
    if written_by is not None and written_by not in ("yaml", *formats()):
        raise UnknownNameError("format", written_by, ("yaml", *formats()))
    format_ = recognised(text) if written_by is None else formats().get(written_by)
    with Catalog.open(database, branches=installed_registry().branch_directories) as catalog, catalog.snapshot():
        if format_ is None:
            _refuse_additions(known, path)
            entries, notes = _described(catalog, text, path), tuple[str, ...]()
        else:
            _refuse_unnamed(known, path)
            found = brought(
                catalog, parsed(text, path, format_), known, stem=Path(path).stem, source=f"{format_.name}, {Path(path).name}",
                on=_today(), where=path,
            )  # fmt: skip
            entries, notes = found.entries, found.notes
    return _answer(keep(database, entries, replacing=replacing), path) | {"notes": list(notes)}


def _described(catalog: Catalog, text: str, path: str) -> tuple[Entry, ...]:
    """The entries of a YAML text; a cluster's own price becomes an entry of its own."""
    from planner.importers.documents import parse_document
    from planner.importers.files import shown_path
    from planner.importers.priced_clusters import with_prices
    from planner.importers.rows import document_entries

    named = shown_path(path)
    return tuple(document_entries(with_prices(catalog, parse_document(text, named), _today()), named))


def _refuse_additions(known: Known, path: str) -> None:
    from planner.importers.files import shown_path

    given = [name for name in known.__slots__ if getattr(known, name) is not None]
    if given:
        option = "--" + {"usd_per_gpu_hour": "price"}.get(given[0], given[0])
        raise InputError(
            f"{option} goes with the output of a tool, and {shown_path(path)} is none that is known",
            hint="write it into the file, or say which tool wrote it with --from",
        )


def _refuse_unnamed(known: Known, path: str) -> None:
    if path == "-" and known.slug is None:
        raise InputError("a cluster from standard input needs a name", hint="say --slug")


def remove_entry(kind: str, name: str, *, database: str | None = None) -> dict[str, Any]:
    """Remove one of the user's entries, a cluster with its own prices: schema ``planner.catalog.remove/1``.

    Raises InputError for one that is released or that others need, UnknownNameError, CatalogError.
    """
    from planner.catalog.user_layer import remove
    from planner.registry import installed_registry

    _make_catalog(database, installed_registry())
    removed = remove(database, kind, name)
    return {
        "schema": "planner.catalog.remove/1", "kind": kind, "slug": removed.slug, "prices": list(removed.prices),
    }  # fmt: skip


def exported(
    kind: str | None, name: str | None = None, *, layer: str = "user", database: str | None = None
) -> Iterator[Entry]:
    """The entries of a kind (None: of all) in a layer (``all``: what counts of every one), or the one that `name` means.

    What refers to others comes after them. Raises UnknownNameError, CatalogError.
    """
    from planner.catalog.kinds import KINDS
    from planner.catalog.reader import Catalog
    from planner.catalog.user_layer import entries_of, entry_of
    from planner.registry import installed_registry

    with Catalog.open(database, branches=installed_registry().branch_directories) as catalog:
        slug = None if name is None or kind is None else catalog.resolve(kind, name)
    if kind is not None and slug is not None:
        return iter([entry_of(database, kind, slug)])
    kinds = [each for each in IN_ORDER if each in KINDS] + [each for each in KINDS if each not in IN_ORDER]
    return entries_of(database, kinds if kind is None else [kind], None if layer == "all" else (layer,))


def names_in_the_way(kind: str | None, database: str | None = None) -> list[str]:
    """What is said of each name of the user's entries of a kind (None: of all) that a fact has too: an import refuses it.

    Raises CatalogError.
    """
    from planner.catalog.engine import snapshot
    from planner.catalog.location import database_url
    from planner.catalog.taken_names import taken_names

    with snapshot(database_url(database)) as connection:
        return [str(each) for each in sorted(taken_names(connection)) if kind in (None, each.kind)]


def _answer(outcome: Outcome, path: str) -> dict[str, Any]:
    from planner.catalog.user_layer import ADDED, REPLACED, UNCHANGED
    from planner.importers.files import shown_path

    return {
        "schema": "planner.catalog.import/1",
        "file": shown_path(path),
        **{each: outcome.total(each) for each in (ADDED, REPLACED, UNCHANGED)},
        "items": [{"kind": kind, "slug": slug, "outcome": each} for kind, slug, each in outcome.listed],
        "shadows": [{"kind": kind, "slug": slug} for kind, slug in outcome.shadows],
    }


def _make_catalog(database: str | None, registry: Registry) -> None:
    """Make or upgrade the catalog, so that there is one to write into."""
    from planner.catalog.reader import Catalog

    Catalog.open(database, branches=registry.branch_directories).close()


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False
