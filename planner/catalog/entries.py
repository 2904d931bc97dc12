"""Entries as a user writes them, checked and made into rows, and rows made into entries again."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import date
from typing import Any, Final

from planner.catalog.fields import Field, fields_of, peak_source_fields
from planner.catalog.kinds import EFFICIENCIES, singular
from planner.catalog.spelling import checked_name, checked_slug, checked_text, clipped
from planner.domain.architecture import Architecture, LatentAttention, MixtureOfExperts
from planner.errors import InputError, UnknownNameError, nearest_names
from planner.units import parse_bytes, parse_bytes_per_s, parse_flop_per_s, parse_quantity, parse_watts

RATES: Final = "peak_flop_per_s"
PEAK_SOURCES: Final = "peak_sources"
"""Where each peak was read, by its format; a peak that is not named has the source of its accelerator."""
ALIASES: Final = "aliases"
KIND: Final = "entry"
"""What an exported entry says its kind in; `kind` is a field of some kinds."""
_APART: Final = frozenset({ALIASES, RATES, PEAK_SOURCES, KIND})
MOST_ALIASES: Final = 64
MOST_RATES: Final = 32
LARGEST_NUMBER: Final = 1e30
LONGEST_NUMBER: Final = 40
_DATES: Final = frozenset({"date", "source_date"})
_DATE: Final = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")
_FORMAT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,19}")
_SPACED: Final = frozenset({"note", "source"})
"""Texts that may run over several lines."""
_NAMES: Final = frozenset({"slug", "name", "family", "provider", "region"})
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_UNITS: Final[tuple[tuple[str, Callable[[str], float]], ...]] = (
    ("bytes_per_s", parse_bytes_per_s),
    ("flop_per_s", parse_flop_per_s),
    ("_bytes", parse_bytes),
    ("_w", parse_watts),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a user's own, ready to be stored.

    `values` has every column of its kind's table but those that name layers. `assumed` names what was filled in, or left out.
    `where` says where it was read, for messages.
    """

    kind: str
    values: Mapping[str, Any]
    aliases: tuple[str, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    peak_sources: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    where: str = ""
    assumed: frozenset[str] = frozenset()

    @property
    def slug(self) -> str:
        """Its slug, or what stands for one where the kind has none."""
        if self.kind != EFFICIENCIES:
            return str(self.values["slug"])
        return " ".join(str(self.values[name]) for name in ("accelerator", "metric", "format"))

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it one entry of its kind."""
        return tuple(str(self.values[name]) for name, known in fields_of(self.kind).items() if known.key)


def entry(kind: str, given: Mapping[str, Any], *, where: str = "", source: str = "", on: str | None = None) -> Entry:
    """The entry that the fields `given` describe; a field that is left out has its default, or is missing.

    `source` and `on` stand in for the source and its date where the entry names none. Numbers may be text with a unit. Raises
    InputError, which begins with `where`.
    """
    try:
        return _entry(kind, given, where=where, source=source, on=on)
    except InputError as error:
        named = given.get("slug")
        whose = f"{singular(kind)} {clipped(named)}" if isinstance(named, str) and named else kind
        message = ": ".join(part for part in (where, whose, error.message) if part)
        raise InputError(message, hint=error.hint) from None


def _entry(kind: str, given: Mapping[str, Any], *, where: str, source: str, on: str | None) -> Entry:
    known = fields_of(kind)
    own = {name: value for name, value in given.items() if name not in _APART}
    for name in own:
        if name not in known:
            raise UnknownNameError("field", clipped(name)[1:-1], known)
    for name in (RATES, PEAK_SOURCES):
        if name in given and kind != "accelerators":
            raise InputError(f"{name} belongs to accelerators")
    if ALIASES in given and kind == EFFICIENCIES:
        raise InputError("efficiencies have no aliases")
    values = {name: typed(known[name], value) for name, value in own.items() if not _absent(value)}
    if "slug" in values:
        checked_slug(values["slug"])
    filled = {name: value for name, value in _defaults(kind, values, source, on).items() if name not in values}
    values |= filled
    for name, fact in known.items():
        if values.get(name) is None and not fact.optional:
            raise InputError(f"{name} is missing", hint=fact.meaning)
        values.setdefault(name, None)
    if kind == "models":
        _check_parts(values)
    rates = _rates(given.get(RATES))
    return Entry(
        kind=kind,
        values={name: values[name] for name in known},
        aliases=_aliases(given.get(ALIASES), values.get("slug")),
        rates=rates,
        peak_sources=_peak_sources(given.get(PEAK_SOURCES), rates),
        where=where,
        assumed=frozenset(
            [*filled, *(name for name in (ALIASES, RATES, PEAK_SOURCES) if _absent(given.get(name)) or not given[name])]
        ),
    )


def typed(fact: Field, value: object) -> Any:  # noqa: ANN401 - as the column holds it
    """`value` as the column `fact` holds it. Raises InputError."""
    match fact.type:
        case "flag":
            return _flag(fact, value)
        case "whole" | "number":
            return _number(fact, value)
    return _text(fact, value)


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _flag(fact: Field, value: object) -> bool:
    if isinstance(value, bool):
        return value
    truth = _TRUTHS.get(str(value).strip().casefold()) if isinstance(value, int | str) else None
    if truth is None:
        raise InputError(f"{fact.name} must be true or false, not {clipped(value)}")
    return truth


def _number(fact: Field, value: object) -> int | float:
    number = amount(fact.name, value)
    if number < 0:
        raise InputError(f"{fact.name} must not be negative, as {clipped(value)} is")
    if fact.positive and not number:
        raise InputError(f"{fact.name} must be above 0")
    if fact.type == "number":
        return float(number)
    if number != int(number):
        raise InputError(f"{fact.name} must be a whole number, not {clipped(value)}")
    if number > fact.largest:
        raise InputError(f"{fact.name} {clipped(value)} is more than {fact.largest:,}")
    return int(number)


def amount(name: str, value: object) -> int | float:
    """A number, or a text of a number with the unit that the field's name ends in. Raises InputError."""
    number = _read_amount(name, value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InputError(f"{name} must be a number, not {clipped(value)}")
    if isinstance(number, float) and not math.isfinite(number):
        raise InputError(f"{name} must be a finite number, not {clipped(value)}")
    if abs(number) > LARGEST_NUMBER:
        raise InputError(f"{name} is more than {LARGEST_NUMBER:g}")
    return number


def _read_amount(name: str, text: str) -> int | float:
    if text.isascii() and text.strip().isdecimal() and len(text) < LONGEST_NUMBER:
        return int(text)
    unit, parse = next(
        ((ending, parse) for ending, parse in _UNITS if name.endswith(ending)), ("number", parse_quantity)
    )
    try:
        return parse(_plain(text))
    except (ValueError, OverflowError):
        raise InputError(f"{name} {clipped(text)} is no {unit.strip('_')} that can be read") from None


def _plain(text: str) -> str:
    stripped = text.strip()
    if len(stripped) > LONGEST_NUMBER:
        raise ValueError("longer than any number")
    # A sign is no part of any amount, but deserves its own message.
    if stripped.startswith("-"):
        raise InputError(f"{clipped(stripped)} is negative")
    return stripped


def _text(fact: Field, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | date):
        raise InputError(f"{fact.name} must be a text, not {clipped(value)}")
    text = value.isoformat()[:10] if isinstance(value, date) else str(value)
    if fact.name in _DATES:
        return _day(fact.name, text.strip())
    if fact.length is not None and len(text) > fact.length:
        raise InputError(f"{fact.name} {clipped(text)} is longer than {fact.length} characters")
    if fact.name in _NAMES or fact.refers_to is not None:
        return checked_name(text, what=fact.name)
    return checked_text(text, what=fact.name, lines=fact.name in _SPACED)


def _day(name: str, text: str) -> str:
    try:
        if not _DATE.fullmatch(text) or not text.isascii():
            raise ValueError(text)
        date.fromisoformat(f"{text}-01-01"[:10] if len(text) == 4 else f"{text}-01"[:10])
    except ValueError:
        raise InputError(f"{name} {clipped(text)} is no date", hint="write 2026-11-24, 2026-11 or 2026") from None
    return text


def _aliases(given: object, slug: str | None) -> tuple[str, ...]:
    if _absent(given):
        return ()
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        raise InputError(f"{ALIASES} must be a list of names, not {clipped(given)}")
    if len(listed) > MOST_ALIASES:
        raise InputError(f"{len(listed):,} aliases are more than {MOST_ALIASES}")
    return tuple(dict.fromkeys(name for each in listed if (name := checked_name(each, what="alias")) != slug))


def _rates(given: object) -> dict[str, float]:
    if _absent(given):
        return {}
    if not isinstance(given, Mapping) or len(given) > MOST_RATES:
        raise InputError(f"{RATES} must map formats to rates", hint="as in {bf16: 312 TFLOP/s}")
    found = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _FORMAT.fullmatch(name):
            raise InputError(f"{RATES}: {clipped(name)} is no format", hint="as in {bf16: 312 TFLOP/s}")
        rate = float(amount(RATES, value))
        if rate <= 0:
            raise InputError(f"{RATES}: {name} must be above 0")
        found[name] = rate
    return found


def _peak_sources(given: object, rates: Mapping[str, float]) -> dict[str, dict[str, str | None]]:
    """What is said of each peak's source; a text is the source itself."""
    if _absent(given):
        return {}
    example = "as in {bf16: {source: data sheet, source_date: 2024-05}}"
    if not isinstance(given, Mapping):
        raise InputError(f"{PEAK_SOURCES} must map formats to sources", hint=example)
    known = peak_source_fields()
    found = {}
    for name, said in given.items():
        if name not in rates:
            raise InputError(f"{PEAK_SOURCES}: there is no rate {clipped(name)} in {RATES}", hint=example)
        parts = said if isinstance(said, Mapping) else {"source": said}
        for each in parts:
            if each not in known:
                raise UnknownNameError(f"field of {PEAK_SOURCES}", clipped(each)[1:-1], known)
        values = {each: typed(known[each], value) for each, value in parts.items() if not _absent(value)}
        if "source" not in values:
            raise InputError(f"{PEAK_SOURCES}: {name}: source is missing", hint=example)
        found[name] = {each: values.get(each) for each in known} | {"confidence": values.get("confidence", "high")}
    return found


def _defaults(kind: str, values: Mapping[str, Any], source: str, on: str | None) -> dict[str, Any]:
    known = fields_of(kind)
    slug = values.get("slug")
    filled: dict[str, Any] = {
        "name": slug, "source": source or None, "source_date": on, "confidence": "high", "note": "",
        **_OF_KIND.get(kind, {}),
    }  # fmt: skip
    if kind == "models":
        filled |= {"family": slug, **_ARCHITECTURE}
        for prefix, part, record in (
            ("moe_", "moe_experts", MixtureOfExperts),
            ("mla_", "mla_kv_rank", LatentAttention),
        ):
            if values.get(part) is not None:
                filled |= {f"{prefix}{name}": value for name, value in _record_defaults(record).items()}
    return {name: value for name, value in filled.items() if name in known and value is not None}


def _record_defaults(record: type) -> dict[str, Any]:
    return {each.name: each.default for each in fields(record) if each.default is not MISSING}


_ARCHITECTURE: Final = {
    name: value
    for name, value in _record_defaults(Architecture).items()
    if name not in ("moe", "mla", "source", "note") and value is not None
}
_OF_KIND: Final[Mapping[str, Mapping[str, Any]]] = {
    "accelerators": {"architecture": "", "form_factor": "", "memory_type": "", "scaleup_domain": 1},
    "nodes": {"provider": "own", "kind": "on-prem", "intra_node_topology": ""},
    "prices": {"provider": "own", "region": "", "kind": "on-demand", "superseded": False},
    "sources": {"kind": "documentation", "licence": ""},
    "carbon": {"provider": ""},
    "failures": {"component": ""},
}


def _check_parts(values: Mapping[str, Any]) -> None:
    """Experts and latent attention are stated whole or not at all."""
    for prefix, part, record in (("moe_", "moe_experts", MixtureOfExperts), ("mla_", "mla_kv_rank", LatentAttention)):
        given = [name for name in values if name.startswith(prefix) and values[name] is not None]
        if values.get(part) is None and given:
            raise InputError(f"{given[0]} needs {part}")
        for each in fields(record):
            name = f"{prefix}{each.name}"
            if given and values.get(name) is None and each.name != "q_rank":
                raise InputError(f"{name} is missing", hint=f"{part} needs it")


def differences(new: Entry, old: Entry) -> tuple[str, ...]:
    """The fields in which `new` says something else than `old`; what it assumes and names that it leaves out say nothing."""
    fields_ = [name for name, value in new.values.items() if name not in new.assumed and value != old.values[name]]
    if ALIASES not in new.assumed and set(new.aliases) != set(old.aliases):
        fields_.append(ALIASES)
    if dict(new.rates) != dict(old.rates):
        fields_.append(RATES)
    if PEAK_SOURCES not in new.assumed and dict(new.peak_sources) != dict(old.peak_sources):
        fields_.append(PEAK_SOURCES)
    return tuple(fields_)


def as_written(stored: Entry) -> dict[str, Any]:
    """An entry as it is exported: every field that has a value."""
    known = {name: value for name, value in stored.values.items() if value is not None}
    first: dict[str, Any] = {name: known[name] for name in ("slug", "name") if name in known}
    fields_: dict[str, Any] = {KIND: stored.kind, **first, **known}
    if stored.rates:
        fields_[RATES] = dict(sorted(stored.rates.items()))
    if stored.peak_sources:
        fields_[PEAK_SOURCES] = {
            name: {each: value for each, value in said.items() if value is not None}
            for name, said in sorted(stored.peak_sources.items())
        }
    if stored.aliases:
        fields_[ALIASES] = sorted(stored.aliases)
    return fields_


def unknown_reference(kind: str, name: str, known: tuple[str, ...]) -> str:
    """What to say of a reference to an entry that is not there."""
    near = nearest_names(name, known)
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    return f"there is no {singular(kind)} {clipped(name)}{hint}"
