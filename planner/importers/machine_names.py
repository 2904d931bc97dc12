"""Which accelerator of the catalog a tool's name means: by its words, and where they leave it open by its memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from planner.catalog.reader import Catalog
from planner.catalog.spelling import clipped
from planner.domain.hardware import Accelerator
from planner.errors import InputError
from planner.importers.machines import CUT
from planner.units import format_bytes

MEMORY_MISMATCH: Final = 0.08
"""By how much the memory that a tool shows may differ from the catalog's: drivers and ECC keep a part."""
_BESIDES: Final = frozenset(
    {"nvidia", "amd", "intel", "tesla", "instinct", "geforce", "quadro", "oam", "mega", "generation"}
)
"""Words that makers and clouds put around the name of an accelerator."""
_FORM_FACTORS: Final = frozenset({"pcie", "sxm", "sxm2", "sxm4", "sxm5", "sxm6", "nvl"})


def accelerator_named(catalog: Catalog, name: str, memory_bytes: int | None) -> Accelerator:
    """The accelerator that a tool calls `name`, with about `memory_bytes` of memory where it shows them.

    Raises InputError where the catalog knows none, or more than one that fits.
    """
    if not name:
        raise InputError("the accelerators are counted, not named", hint="say which with --accelerator")
    if name.endswith(CUT):
        fitting = _fitting(catalog, _beginning(catalog, name.removesuffix(CUT)), memory_bytes)
        if not fitting:
            raise _unknown(name)
        return _the_one(name, fitting)
    slug = next((each for spelling in _spellings(name) if (each := catalog.find("accelerators", spelling))), None)
    if slug is None:
        raise _unknown(name)
    found = catalog.accelerator(slug)
    if memory_bytes is None or _fits(found, memory_bytes):
        return found
    # A name such as V100 is sold with more than one size of memory.
    wanted = _FORM_FACTORS & set(_words(name))
    family = set(catalog.accelerator_names(_family(slug)).values())
    others = {each for each in family if not wanted or wanted & set(each.split("-"))}
    fitting = _fitting(catalog, others, memory_bytes)
    if not fitting:
        shown = f"{clipped(name)} has {format_bytes(memory_bytes)} here"
        raise InputError(
            f"{shown}, {found.slug} {format_bytes(found.memory_bytes)}", hint="say which it is with --accelerator"
        )
    return _the_one(name, [each for each in fitting if each.form_factor == found.form_factor] or fitting)


def _family(slug: str) -> str:
    """The slug up to its first part with a digit: ``v100`` of v100-sxm2-16gb, ``rtx-4090``."""
    return re.match(r"[^\d]*[^-]*", slug).group()  # type: ignore[union-attr]


def _spellings(name: str) -> Iterator[str]:
    """The name, then without the words around it, then with the unit that schedulers leave out."""
    yield name
    words = _words(name)
    for left_out in (frozenset({"nvidia", "amd", "intel"}), _BESIDES):
        kept = [word for word in words if word not in left_out]
        yield "-".join(kept)
        if kept and re.fullmatch(r"\d{2,3}", kept[-1]) and len(kept) > 1:
            yield f"{'-'.join(kept)}gb"
        without_memory = [word for word in kept if not re.fullmatch(r"hbm\d\w*|gddr\d\w*", word)]
        if len(without_memory) < len(kept):
            yield "-".join(without_memory)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9.]+", name.casefold())


def _beginning(catalog: Catalog, stem: str) -> set[str]:
    return {slug for spelling in _spellings(stem) if spelling for slug in catalog.accelerator_names(spelling).values()}


def _fitting(catalog: Catalog, slugs: set[str], memory_bytes: int | None) -> list[Accelerator]:
    known = (catalog.accelerator(slug) for slug in sorted(slugs))
    return [each for each in known if memory_bytes is None or _fits(each, memory_bytes)]


def _the_one(name: str, fitting: list[Accelerator]) -> Accelerator:
    if len(fitting) > 1:
        named = ", ".join(each.slug for each in fitting[:4])
        raise InputError(f"{clipped(name)} could be {named}", hint="say which with --accelerator")
    return fitting[0]


def _fits(accelerator: Accelerator, memory_bytes: int) -> bool:
    sizes = {accelerator.capacity_bytes, accelerator.memory_bytes}
    return any(abs(memory_bytes / size - 1) <= MEMORY_MISMATCH for size in sizes)


def _unknown(name: str) -> InputError:
    return InputError(
        f"the catalog knows no accelerator {clipped(name)}",
        hint="say which it is with --accelerator, or import it first: planner catalog import cluster FILE.yaml",
    )
