"""`rocm-smi --showproductname --showmeminfo vram --json`, and `amd-smi static --json` that follows it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from planner.catalog.spelling import clipped
from planner.errors import InputError
from planner.importers.documents import parse_json
from planner.importers.machines import MachineFormat, SeenNodes, shown_count
from planner.units import MIB, parse_bytes

_CARD: Final = re.compile(r"card\d+")
_SERIES: Final = ("card series", "device name", "card model")
_MEMORY: Final = "vram total memory (b)"
_BRACKETED: Final = re.compile(r"\[([^\]]+)\]")


def _recognises(text: str) -> bool:
    start = text.lstrip()[:4000]
    return start[:1] in ("{", "[") and (
        re.search(r'"card\d+"\s*:', start) is not None or '"market_name"' in start or '"gpu_data"' in start
    )


def _parse(text: str) -> tuple[SeenNodes, ...]:
    document = parse_json(text, "rocm-smi")
    cards = _of_amd_smi(document) if not _has_cards(document) else _of_rocm_smi(document)
    counted = Counter(cards)
    names = list(dict.fromkeys(name for name, _ in counted))
    if len(names) > 1:
        raise InputError(
            f"one machine with {' and '.join(map(clipped, names[:3]))}: a node has accelerators of one kind",
            hint="give the cards of one kind only",
        )
    memories = [memory for _, memory in counted if memory is not None]
    return tuple(
        SeenNodes(accelerator=name, per_node=counted.total(), memory_bytes=max(memories, default=None))
        for name in names
    )


def _has_cards(document: Any) -> bool:  # noqa: ANN401 - parsed JSON
    return isinstance(document, Mapping) and any(_CARD.fullmatch(key) for key in document)


def _of_rocm_smi(document: Mapping[str, Any]) -> Iterable[tuple[str, int | None]]:
    for key, card in document.items():
        if not _CARD.fullmatch(key):
            continue
        if not isinstance(card, Mapping):
            raise InputError(f"{key} must be an object, not {clipped(card)}")
        facts = {name.casefold(): value for name, value in card.items()}
        names = [facts[name] for name in _SERIES if isinstance(facts.get(name), str)]
        # An id in the place of the name means that the tool did not know it.
        series = next((name for name in names if not name.startswith("0x")), None)
        if series is None:
            raise InputError(f"{key} has no 'Card Series'", hint="add --showproductname to rocm-smi")
        yield _product(series), shown_count(facts.get(_MEMORY), f"the memory of {key}, in bytes,")


def _of_amd_smi(document: Any) -> Iterable[tuple[str, int | None]]:  # noqa: ANN401
    listed = document.get("gpu_data") if isinstance(document, Mapping) else document
    if not isinstance(listed, list):
        raise InputError("amd-smi lists no GPU", hint="give the output of amd-smi static --asic --vram --json")
    for index, gpu in enumerate(listed):
        asic = gpu.get("asic") if isinstance(gpu, Mapping) else None
        name = asic.get("market_name") if isinstance(asic, Mapping) else None
        if not isinstance(name, str):
            raise InputError(f"GPU {index} has no market_name", hint="add --asic to amd-smi static")
        yield _product(name), _size(gpu.get("vram"), index)


def _size(vram: Any, index: int) -> int | None:  # noqa: ANN401
    """The memory of the GPU with this index in bytes; None where it is not shown. Raises InputError."""
    size = vram.get("size") if isinstance(vram, Mapping) else vram
    value, unit = (size.get("value"), size.get("unit")) if isinstance(size, Mapping) else (size, "")
    count = shown_count(value, f"the memory of GPU {index}")
    if count is None:
        return None
    # amd-smi writes MB and means MiB.
    try:
        return count * MIB if unit == "MB" else int(parse_bytes(f"{count}{unit}"))
    except ValueError:
        raise InputError(f"the memory of GPU {index} has the unknown unit {clipped(unit)}") from None


def _product(name: str) -> str:
    """The name in brackets, where there is one: before it stands the chip's code name."""
    match = _BRACKETED.search(name)
    return (match.group(1) if match else name).strip()


FORMAT: Final = MachineFormat("rocm-smi", _recognises, _parse)
