"""`nvidia-smi`: its XML (``-q -x``), its CSV (``--query-gpu=name,memory.total --format=csv``), its list (``-L``), its table."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from planner.catalog.spelling import clipped
from planner.errors import InputError
from planner.importers.machines import MachineFormat, SeenNodes, shown_count
from planner.units import MIB

DEEPEST: Final = 24
MOST_ELEMENTS: Final = 100_000
_LISTED: Final = re.compile(r"^GPU \d+: (?P<name>.+?) \(UUID: ", re.MULTILINE)
# The name stands before the persistence mode, the bus id in the next cell.
_TABLE_GPU: Final = re.compile(
    r"^\W*\d+\s+(?P<name>\S.*?)\s+(?:On|Off|WDDM|TCC|N/A)\s*\|\s*[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d",
    re.MULTILINE,
)
_TABLE_MEMORY: Final = re.compile(r"\d+MiB\s*/\s*(?P<total>-?\d{1,9})MiB\s*\|")
_MEMORY_COLUMN: Final = "memory.total"


class Gpu(NamedTuple):
    """One GPU: its name, and its memory where it is shown."""

    name: str
    memory_bytes: int | None


def _recognises(text: str) -> bool:
    start = text[:4000]
    patterns = any(pattern.search(start) for pattern in (_TABLE_GPU, _LISTED))
    return "<nvidia_smi_log" in start or "NVIDIA-SMI" in start or patterns or _is_csv(start)


def _is_csv(text: str) -> bool:
    first = text.lstrip().split("\n", 1)[0]
    return ("name" in first and _MEMORY_COLUMN in first) or bool(re.fullmatch(r"[^,|<{]+, -?\d+ MiB(,.*)?\s*", first))


def _parse(text: str) -> tuple[SeenNodes, ...]:
    if "<nvidia_smi_log" in text[:4000]:
        return _node(*_of_xml(text))
    if listed := [Gpu(match["name"], None) for match in _LISTED.finditer(text)]:
        return _node(listed)
    if table := _of_table(text):
        return _node(table)
    if _is_csv(text):
        return _node(_of_csv(text))
    raise InputError("nvidia-smi lists no GPU", hint="give the output of nvidia-smi -q -x")


def _node(gpus: Iterable[Gpu], notes: tuple[str, ...] = ()) -> tuple[SeenNodes, ...]:
    counted = Counter(gpus)
    names = list(dict.fromkeys(gpu.name for gpu in counted))
    if len(names) > 1:
        raise InputError(
            f"one machine with {' and '.join(map(clipped, names[:3]))}: a node has accelerators of one kind",
            hint="give the lines of one kind only",
        )
    memories = [gpu.memory_bytes for gpu in counted if gpu.memory_bytes is not None]
    return tuple(
        SeenNodes(accelerator=name, per_node=counted.total(), memory_bytes=max(memories, default=None), notes=notes)
        for name in names
    )


def _of_xml(text: str) -> tuple[list[Gpu], tuple[str, ...]]:
    root = safe_xml(text)
    gpus = [
        Gpu(_text(gpu, "product_name") or "", _mebibytes(_text(gpu, "fb_memory_usage/total"), number))
        for number, gpu in enumerate(root.iter("gpu"), start=1)
    ]
    if any(not gpu.name for gpu in gpus):
        raise InputError("a <gpu> has no <product_name>")
    attached = shown_count(_text(root, "attached_gpus"), "<attached_gpus>", least=0)
    if attached is not None and attached != len(gpus):
        raise InputError(
            f"{attached} GPUs are attached and {len(gpus)} are listed: the output is cut", hint="give all of it"
        )
    sliced = any((_text(gpu, "mig_mode/current_mig") or "") == "Enabled" for gpu in root.iter("gpu"))
    return gpus, ("MIG is on: the GPUs are counted whole",) if sliced else ()


def safe_xml(text: str) -> Element:
    """The root of an XML text that defines no entities, is not deep and not endless. Raises InputError."""
    builder = TreeBuilder()
    depth = elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > DEEPEST:
            raise InputError(f"XML nested more than {DEEPEST} deep")
        if elements > MOST_ELEMENTS:
            raise InputError(f"more than {MOST_ELEMENTS:,} XML elements")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: Any) -> NoReturn:  # noqa: ANN401 - what expat passes
        raise InputError("XML that defines entities is not accepted")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    # Entities are how a few lines of XML grow without end; nvidia-smi writes none.
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(text.encode(), True)
        return builder.close()
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code] if error.code in expat.errors.messages else str(error)
        raise InputError(f"malformed XML: {reason} at line {error.lineno}") from None
    except AssertionError:
        raise InputError("malformed XML: no element") from None


def _text(element: Element, path: str) -> str | None:
    found = element.findtext(path)
    return None if found is None else found.strip()


def _mebibytes(text: str | None, number: int) -> int | None:
    """The memory of the GPU with this number, in bytes. Raises InputError."""
    mebibytes = shown_count((text or "").removesuffix("MiB").strip(), f"the memory of GPU {number}, in MiB,")
    return None if mebibytes is None else mebibytes * MIB


def _of_csv(text: str) -> list[Gpu]:
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), strict=True) if any(row)]
    except csv.Error as problem:
        raise InputError(f"malformed CSV: {problem}") from None
    name_column, memory_column = 0, 1
    if rows and "name" in rows[0]:
        header = [cell.split(" ")[0] for cell in rows.pop(0)]
        name_column = header.index("name")
        memory_column = header.index(_MEMORY_COLUMN) if _MEMORY_COLUMN in header else -1
    gpus = []
    for number, row in enumerate(rows, start=1):
        if len(row) <= max(name_column, memory_column) or not row[name_column]:
            raise InputError(f"GPU {number} has no name and memory: {clipped(', '.join(row))}")
        gpus.append(Gpu(row[name_column], _mebibytes(row[memory_column], number) if memory_column >= 0 else None))
    return gpus


def _of_table(text: str) -> list[Gpu]:
    gpus = []
    for number, match in enumerate(_TABLE_GPU.finditer(text), start=1):
        # The memory stands in the line below the name.
        below = text[match.end() : match.end() + 400]
        memory = _TABLE_MEMORY.search(below)
        gpus.append(Gpu(match["name"], None if memory is None else _mebibytes(memory["total"], number)))
    return gpus


FORMAT: Final = MachineFormat("nvidia-smi", _recognises, _parse)
