"""The user's own entries: kept, replaced and removed, each time in one transaction."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.database import older_is_said
from planner.catalog.engine import snapshot
from planner.catalog.entries import ALIASES, PEAK_SOURCES, Entry, differences, unknown_reference
from planner.catalog.fields import Field, fields_of, peak_source_fields
from planner.catalog.kinds import EFFICIENCIES, KINDS, USER, singular
from planner.catalog.location import database_url
from planner.catalog.names import lookup_keys, name_key
from planner.catalog.spelling import clipped
from planner.catalog.user_rows import (
    CHUNK,
    delete_entries,
    delete_slugs,
    find,
    insert_rows,
    parts,
    shared_slugs,
    slugs_like,
    stored,
    stored_by_key,
    table_named,
    visible,
    writing,
)
from planner.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_LISTED: Final = 1000
"""Entries that an outcome lists one by one; beyond them it only counts."""
ADDED, REPLACED, UNCHANGED = "added", "replaced", "unchanged"
CLUSTERS, PRICES = "clusters", "prices"
OWN: Final = "own"
"""The provider of a price that was named with a cluster of one's own."""
LONGEST_RULE: Final = 80
"""Characters of a rule of the database that a message quotes; a longer one is named."""
_RULE: Final = re.compile(r"ck_[a-z0-9_]+")


@dataclass(slots=True)
class Outcome:
    """What became of the entries of one import.

    `counts` by kind and outcome; `listed` the first of them with their outcomes; `shadows` the released entries that they hide.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    listed: list[tuple[str, str, str]] = field(default_factory=list)
    shadows: list[tuple[str, str]] = field(default_factory=list)

    def total(self, outcome: str) -> int:
        """How many entries of all kinds came out so."""
        return sum(count for (_, each), count in self.counts.items() if each == outcome)

    def _add(self, entry: Entry, outcome: str, hides: bool) -> None:
        self.counts[entry.kind, outcome] += 1
        if len(self.listed) < MOST_LISTED:
            self.listed.append((entry.kind, entry.slug, outcome))
        if hides and len(self.shadows) < MOST_LISTED:
            self.shadows.append((entry.kind, entry.slug))


def keep(url: str | None, entries: Iterable[Entry], *, replacing: bool = False) -> Outcome:
    """Store `entries` in the user's layer, all or none. One that is there already and says the same stays as it is.

    Raises InputError for one that says something else (unless `replacing`), for a name that is another entry's already, for a
    reference to what is not there and for what the database's rules forbid, naming where it was read; CatalogError.
    """
    with writing(url) as connection:
        return _Keeper(connection, replacing).keep(entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The slug of an entry that was removed, and those of the prices that went with it."""

    slug: str
    prices: tuple[str, ...] = ()


def remove(url: str | None, kind: str, name: str) -> Removed:
    """Remove the user's entry of a kind that `name` means, with its aliases and rates, a cluster with its own prices.

    Raises InputError where it is released or others of the user's need it, UnknownNameError, CatalogError.
    """
    from sqlalchemy import select

    with writing(url) as connection:
        slug = _own_slug(connection, kind, name)
        table = table_named(KINDS[kind])
        prices = _own_prices(connection, slug) if kind == CLUSTERS else ()
        delete_slugs(connection, PRICES, prices)
        shared = select(table.c.slug).where(table.c.slug == slug, table.c.layer != USER)
        if connection.execute(shared.limit(1)).first() is None:
            _refuse_needed(connection, kind, slug)
        delete_slugs(connection, kind, [slug])
    return Removed(slug=slug, prices=prices)


def entries_of(url: str | None, kinds: Sequence[str], layers: Sequence[str] | None = (USER,)) -> Iterator[Entry]:
    """The entries of `kinds` in the user's layer, or in `layers`, by kind and slug; None: what counts of every layer, the user's
    own and the facts that they do not stand in for. Raises CatalogError.
    """
    wanted = database_url(url)
    with older_is_said(wanted), snapshot(wanted) as connection:
        for kind in kinds:
            yield from visible(connection, kind) if layers is None else stored(connection, kind, layers=layers)


def entry_of(url: str | None, kind: str, slug: str) -> Entry:
    """The entry of a slug: the user's own if there is one. Raises CatalogError."""
    wanted = database_url(url)
    with older_is_said(wanted), snapshot(wanted) as connection:
        return next(iter([*stored(connection, kind, slug), *stored(connection, kind, slug, layers=None)]))


class _Keeper:
    """One import: what it has written so far, and which names it still has to find."""

    def __init__(self, connection: Connection, replacing: bool) -> None:
        self._connection = connection
        self._replacing = replacing
        self._outcome = Outcome()
        self._written: dict[str, set[tuple[str, ...]]] = {}
        self._found: dict[tuple[str, str], str | None] = {}
        self._open: dict[tuple[str, str], str] = {}

    def keep(self, entries: Iterable[Entry]) -> Outcome:
        waiting = iter(entries)
        while chunk := list(islice(waiting, CHUNK)):
            for kind in dict.fromkeys(entry.kind for entry in chunk):
                self._keep_kind(kind, [entry for entry in chunk if entry.kind == kind])
        for (kind, name), where in self._open.items():
            if (name,) not in self._written.get(kind, set()):
                known = slugs_like(self._connection, kind, name)
                raise InputError(f"{where}: {unknown_reference(kind, name, known)}")
        return self._outcome

    def _keep_kind(self, kind: str, chunk: list[Entry]) -> None:
        written = self._written.setdefault(kind, set())
        resolved = [self._resolved(entry) for entry in chunk]
        for entry in resolved:
            if entry.key in written:
                raise InputError(f"{entry.where}: {singular(kind)} {clipped(entry.slug)} is there twice")
            written.add(entry.key)
        kept = stored_by_key(self._connection, kind, resolved)
        fresh, changed = [], []
        shared = shared_slugs(self._connection, kind, resolved)
        for entry in resolved:
            old = kept.get(entry.key)
            hides = entry.key[:1] in shared if kind != EFFICIENCIES else False
            if old is None:
                fresh.append(entry)
                self._outcome._add(entry, ADDED, hides)
            elif not (different := differences(entry, old)):
                self._outcome._add(entry, UNCHANGED, hides)
            elif not self._replacing:
                raise _differs(entry, old, different)
            else:
                changed.append(_with_what_stays(entry, old))
                self._outcome._add(entry, REPLACED, hides)
        if changed:
            delete_entries(self._connection, kind, changed)
        if kind != EFFICIENCIES:
            # An entry that is gone, deleted by hand or waiting, may have left names and rates that are in the way.
            delete_slugs(self._connection, kind, [entry.slug for entry in fresh])
        self._insert(kind, [*changed, *fresh], kept)

    def _resolved(self, entry: Entry) -> Entry:
        """The entry with slugs in the place of the names by which it refers to others."""
        values = self._with_slugs(entry, entry.values, fields_of(entry.kind))
        sources = {
            name: self._with_slugs(entry, said, peak_source_fields()) for name, said in entry.peak_sources.items()
        }
        return replace(entry, values=values, peak_sources=sources)

    def _with_slugs(self, entry: Entry, given: Mapping[str, Any], known: Mapping[str, Field]) -> dict[str, Any]:
        values = dict(given)
        for name, fact in known.items():
            if fact.refers_to is None or values[name] is None:
                continue
            wanted = (fact.refers_to, values[name])
            if wanted not in self._found:
                self._found[wanted] = find(self._connection, *wanted)
            slug = self._found[wanted]
            if slug is None:
                self._open.setdefault(wanted, f"{entry.where}: {singular(entry.kind)} {clipped(entry.slug)}: {name}")
            else:
                values[name] = slug
        return values

    def _insert(self, kind: str, entries: list[Entry], kept: Mapping[tuple[str, ...], Entry]) -> None:
        from sqlalchemy.exc import IntegrityError

        if not entries:
            return
        self._refuse_taken(kind, entries, kept)
        try:
            with self._connection.begin_nested():
                insert_rows(self._connection, kind, entries)
        except IntegrityError:
            for entry in entries:
                try:
                    with self._connection.begin_nested():
                        insert_rows(self._connection, kind, [entry])
                except IntegrityError as error:
                    raise _breaks_rule(entry, str(error.orig)) from error
            raise

    def _refuse_taken(self, kind: str, entries: list[Entry], kept: Mapping[tuple[str, ...], Entry]) -> None:
        """Refuse names that are another entry's, of the user's or of a fact; those that `kept` ones have already may stay."""
        if kind == EFFICIENCIES:
            return
        alias = table_named("alias")
        named: dict[str, tuple[Entry, str]] = {}
        for entry in entries:
            for name in (entry.slug, *entry.aliases):
                key = name_key(name)
                other = named.setdefault(key, (entry, name))[0]
                if not key or other.slug != entry.slug:
                    said = f"is read as {clipped(other.slug)} is" if key else "holds no letter and no digit"
                    raise InputError(
                        f"{entry.where}: {singular(kind)} {clipped(entry.slug)}: the name {clipped(name)} {said}"
                    )
        for keys in parts(list(named)):
            query = alias.select().where(alias.c.kind == kind, alias.c.key.in_(keys))
            for row in self._connection.execute(query.order_by(alias.c.key)).mappings():
                entry, name = named[row["key"]]
                if row["slug"] == entry.slug:
                    continue
                if row["layer"] == USER:
                    raise _taken(entry, name, f"your {clipped(row['slug'])}", "or remove that entry first")
                old = kept.get(entry.key)
                # A fact that came later does not keep the user from mending the entry that was there before.
                if old is None or row["key"] not in map(name_key, (old.slug, *old.aliases)):
                    raise _taken(
                        entry, name, _whose(row["layer"], row["slug"]),
                        f"or give the entry the slug {row['slug']}, which puts it in the place of that one",
                    )  # fmt: skip


def _with_what_stays(entry: Entry, old: Entry) -> Entry:
    """`entry` with what it says nothing of: the old names, which scripts may use, and the sources of rates that are the same."""
    if ALIASES in entry.assumed:
        entry = replace(entry, aliases=old.aliases)
    if PEAK_SOURCES in entry.assumed:
        same = {name: said for name, said in old.peak_sources.items() if entry.rates.get(name) == old.rates.get(name)}
        entry = replace(entry, peak_sources=same)
    return entry


def _differs(entry: Entry, old: Entry, different: Sequence[str]) -> InputError:
    first = different[0]
    said = f"differs in {', '.join(different[:3])}{' …' if len(different) > 3 else ''}"
    if first in entry.values:
        said += f" ({first} {clipped(old.values[first])}, now {clipped(entry.values[first])})"
    return InputError(
        f"{entry.where}: your {singular(entry.kind)} {clipped(entry.slug)} is there already and {said}",
        hint="--replace puts the new one in its place",
    )


def _taken(entry: Entry, name: str, owner: str, otherwise: str) -> InputError:
    return InputError(
        f"{entry.where}: {singular(entry.kind)} {clipped(entry.slug)}: the name {clipped(name)} is that of {owner} already",
        hint=f"choose another, {otherwise}",
    )


def _whose(layer: str, slug: str) -> str:
    """A fact by whose it is."""
    return f"the released {clipped(slug)}" if layer == "vendor" else f"{clipped(slug)} of the plugin branch {layer}"


def _breaks_rule(entry: Entry, message: str) -> InputError:
    from sqlalchemy import CheckConstraint

    found = _RULE.search(message)
    name = "" if found is None else found.group()
    rule = name
    # The rule may be of the rates or the names of the entry.
    for table in (table_named(each) for each in (KINDS[entry.kind], "peak_rate", "peak_source", "alias")):
        for each in table.constraints:
            if isinstance(each, CheckConstraint) and each.name == name:
                text = " ".join(str(each.sqltext).replace('"', "").split())
                said = name.removeprefix(f"ck_{table.name}_").replace("_", " ")
                rule = text if len(text) <= LONGEST_RULE else said
    rule = rule or message.splitlines()[0]
    return InputError(f"{entry.where}: {singular(entry.kind)} {clipped(entry.slug)}: the rule '{rule}' does not hold")


def _own_slug(connection: Connection, kind: str, name: str) -> str:
    """The slug of the user's entry that `name` means. Raises InputError where it is not the user's."""
    alias = table_named("alias")
    for key in lookup_keys(name):
        query = alias.select().where(alias.c.kind == kind, alias.c.key == key)
        found = {row["layer"]: str(row["slug"]) for row in connection.execute(query).mappings()}
        if USER in found:
            return found[USER]
        for layer, slug in found.items():
            if list(stored(connection, kind, slug)):
                return slug
            whose = "released" if layer == "vendor" else f"of the plugin branch {layer}"
            raise InputError(
                f"{singular(kind)} {clipped(slug)} is {whose}, not yours",
                hint="only entries of your own can be removed",
            )
    raise UnknownNameError(
        singular(kind), name[:80], slugs_like(connection, kind, name, own=True),
        listing=f"planner catalog list {kind} --layer user shows yours",
    )  # fmt: skip


def _own_prices(connection: Connection, cluster: str) -> tuple[str, ...]:
    """The prices that came with a cluster of the user's: those that its import makes, known by provider and slug."""
    from sqlalchemy import select

    table = table_named("price")
    own = select(table.c.slug).where(table.c.layer == USER, table.c.cluster == cluster, table.c.provider == OWN)
    return tuple(
        connection.execute(
            own.where(table.c.slug.startswith(f"{cluster}-{OWN}-", autoescape=True)).order_by(table.c.slug)
        ).scalars()
    )


def _refuse_needed(connection: Connection, kind: str, slug: str) -> None:
    from sqlalchemy import select

    for other in KINDS:
        table = table_named(KINDS[other])
        for name, fact in fields_of(other).items():
            if fact.refers_to != kind:
                continue
            shown = table.c.slug if "slug" in table.c else table.c.metric
            query = select(shown).where(table.c.layer == USER, table.c[name] == slug).limit(1)
            needs = connection.execute(query).scalar()
            if needs is not None:
                raise InputError(
                    f"{singular(kind)} {clipped(slug)} is needed by your {singular(other)} {clipped(needs)}",
                    hint="remove that first",
                )
