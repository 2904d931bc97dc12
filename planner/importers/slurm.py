"""What Slurm says of its nodes: `sinfo` with its GRES column, as ``sinfo -N -o "%N %G %c %m %T"`` or ``sinfo --json``,
``scontrol show node``, and the lines of ``slurm.conf``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.catalog.spelling import clipped
from planner.errors import InputError
from planner.importers.documents import parse_json
from planner.importers.machines import MachineFormat, SeenNodes, shown_count
from planner.units import MIB

ASK: Final = 'ask with sinfo -N -o "%N %G %c %m %T"'
MOST_NAMES: Final = 100_000
# Commas stand between resources, and within the parentheses after one.
_RESOURCE: Final = re.compile(r"(?:[^,(]|\([^)]*\)?)+")
_GPUS: Final = re.compile(r"gpu(?::(?P<type>[^:()]+))?:(?P<count>\d{1,6})(?:\(.*)?", re.IGNORECASE)
_RANGE: Final = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_OUT: Final = ("down", "drain", "fail", "maint", "power")
_NAMED: Final = re.compile(r"^NodeName=", re.MULTILINE | re.IGNORECASE)
_RECORD: Final = re.compile(
    r"^(?=(?:NodeName|NodeSet|PartitionName|DownNodes|FrontendName|SwitchName)=)", re.MULTILINE | re.IGNORECASE
)
# The system's version, which scontrol prints, may hold a "#" with no space after it.
_COMMENT: Final = re.compile(r"^\s*#.*|\s#\s.*", re.MULTILINE)
_DEFAULT: Final = "default"
"""The name under which ``slurm.conf`` says what holds for the nodes below, until it says another."""


def _recognises(text: str) -> bool:
    start = text.lstrip()[:4000]
    if start.startswith("{"):
        return '"sinfo"' in start or ('"gres"' in start and '"nodes"' in start)
    header = start.split("\n", 1)[0].upper().split()
    return bool(_NAMED.search(start)) or ("NODELIST" in header or ("PARTITION" in header and "GRES" in header))


def _parse(text: str) -> tuple[SeenNodes, ...]:
    if text.lstrip().startswith("{"):
        return tuple(_of_json(parse_json(text, "sinfo")))
    if _NAMED.search(text):
        return tuple(_of_records(text))
    return tuple(_of_table(text))


def _of_table(text: str) -> Iterator[SeenNodes]:
    lines = [line for line in text.splitlines() if line.strip()]
    separator = "|" if "|" in lines[0] else None
    header = [name.strip().upper() for name in lines[0].split(separator)]
    if "GRES" not in header:
        raise InputError("sinfo shows no column GRES", hint=ASK)
    if "NODELIST" not in header and "NODES" not in header:
        raise InputError("sinfo shows neither NODELIST nor NODES", hint=ASK)
    seen: set[str] = set()
    for number, line in enumerate(lines[1:], start=2):
        cells = [cell.strip() for cell in line.split(separator)]
        if len(cells) < len(header):
            raise InputError(f"line {number} has {len(cells)} columns, the header {len(header)}", hint=ASK)
        row = dict(zip(header, cells, strict=False))
        if "NODELIST" in row:
            names = _fresh(row["NODELIST"], seen, f"line {number}")
            count = len(names)
        else:
            # Without names, a node in two partitions would count twice.
            if "PARTITION" in row and len({each.split(separator)[0] for each in lines[1:]}) > 1:
                raise InputError("several partitions may share nodes, and no NODELIST tells them apart", hint=ASK)
            count = shown_count(row["NODES"], f"line {number}: NODES", least=0) or 0
        if count:
            where = f"line {number}"
            yield from _nodes(row["GRES"], count, row.get("MEMORY"), row.get("CPUS"), row.get("STATE", ""), where)


def _of_json(document: Any) -> Iterator[SeenNodes]:  # noqa: ANN401 - parsed JSON
    listed = document.get("sinfo") if isinstance(document, Mapping) else None
    listed = document.get("nodes") if listed is None and isinstance(document, Mapping) else listed
    if not isinstance(listed, list):
        raise InputError("sinfo --json lists no nodes")
    seen: set[str] = set()
    for number, row in enumerate(listed, start=1):
        if not isinstance(row, Mapping):
            raise InputError(f"node {number} must be an object, not {clipped(row)}")
        names = _at(row, "nodes", "nodes")
        named = ",".join(map(str, names)) if isinstance(names, list) else str(row.get("name", row.get("hostname", "")))
        state = _at(row, "node", "state") or row.get("state") or ""
        gres = row.get("gres")
        total = gres.get("total") if isinstance(gres, Mapping) else gres
        count = len(_fresh(named, seen, f"node {number}")) if named else 0
        if count:
            memory = _at(row, "memory", "maximum") or row.get("real_memory")
            cpus = _at(row, "cpus", "maximum") or (
                row.get("cpus") if not isinstance(row.get("cpus"), Mapping) else None
            )
            state_text = "+".join(map(str, state)) if isinstance(state, list) else str(state)
            yield from _nodes(str(total or ""), count, memory, cpus, state_text, f"node {number}")


def _of_records(text: str) -> Iterator[SeenNodes]:
    """``NodeName=gpu[01-16] Gres=gpu:h100:8 …``: what ``scontrol show node`` prints, and ``slurm.conf`` says."""
    lines = _COMMENT.sub("", text).replace("\\\n", " ")
    records = [record for record in _RECORD.split(lines) if _NAMED.match(record)]
    common: dict[str, str] = {}
    seen: set[str] = set()
    for number, record in enumerate(records, start=1):
        own: dict[str, str] = {}
        for name, value in re.findall(r"(\w+)=(\S*)", record):
            own.setdefault(name.casefold(), value)
        facts = common | own
        if own["nodename"].casefold() == _DEFAULT:
            common = facts
            continue
        where = f"node {number}"
        if count := len(_fresh(own["nodename"], seen, where)):
            cpus = facts.get("cputot", facts.get("cpus"))
            yield from _nodes(
                facts.get("gres", ""), count, facts.get("realmemory"), cpus, facts.get("state", ""), where
            )


def _at(row: Mapping[str, Any], outer: str, inner: str) -> Any:  # noqa: ANN401 - parsed JSON
    part = row.get(outer)
    return part.get(inner) if isinstance(part, Mapping) else None


def _nodes(gres: str, count: int, memory: Any, cpus: Any, state: str, where: str) -> Iterator[SeenNodes]:  # noqa: ANN401
    if len(gres) > 2000:
        raise InputError(f"{where}: GRES {clipped(gres)} is longer than any")
    found = [(kind, each) for kind, each in _gpus(gres, where) if each]
    if not found:
        return
    kinds = list(dict.fromkeys(kind or "" for kind, _ in found))
    if len(kinds) > 1:
        raise InputError(f"a node with {' and '.join(map(clipped, kinds[:3]))}: a node has accelerators of one kind")
    mebibytes = _amount(memory, f"{where}: memory in MB")
    # A node that is down belongs to the pool all the same; the note says how many are.
    out = state.casefold().startswith(_OUT)
    yield SeenNodes(
        accelerator=kinds[0],
        per_node=sum(each for _, each in found),
        nodes=count,
        host_memory_bytes=None if not mebibytes else mebibytes * MIB,
        vcpus=_amount(cpus, f"{where}: CPUs"),
        notes=("some nodes are down or drained: they are counted too",) if out else (),
    )


def _gpus(gres: str, where: str) -> Iterator[tuple[str | None, int]]:
    """The kind (None: not said) and number of each ``gpu`` among a node's resources. Raises InputError.

    >>> list(_gpus("gpu:a100:4(S:0-1,3),tmpfs:1T,gpu:2", "line 1"))
    [('a100', 4), (None, 2)]
    """
    for resource in map(str.strip, _RESOURCE.findall(gres)):
        if resource.partition(":")[0].casefold() != "gpu":
            continue
        match = _GPUS.fullmatch(resource)
        if match is None:
            raise InputError(f"{where}: {clipped(resource)} counts no GPUs", hint="Slurm writes gpu:h100:8")
        yield match["type"], int(match["count"])


def _amount(shown: Any, what: str) -> int | None:  # noqa: ANN401 - parsed JSON
    """An amount of a node, of several the least (``512000+``); JSON may put it as ``{"set": true, "number": 512000}``."""
    if isinstance(shown, Mapping):
        shown = shown.get("number") if shown.get("set") else None
    return shown_count(shown.rstrip("+") if isinstance(shown, str) else shown, what)


def _fresh(nodelist: str, seen: set[str], where: str) -> list[str]:
    """The names of a list that were not there before: a node in two partitions is one node."""
    names = []
    for name in _expanded(nodelist, where):
        if name not in seen:
            seen.add(name)
            names.append(name)
        if len(seen) > MOST_NAMES:
            raise InputError(f"more than {MOST_NAMES:,} nodes", hint="give fewer partitions")
    return names


def _expanded(nodelist: str, where: str) -> Iterator[str]:
    """``gpu[001-003,007],login`` as its names.

    >>> list(_expanded("gpu[001-002,007],a", "line 1"))
    ['gpu001', 'gpu002', 'gpu007', 'a']
    """
    if nodelist.count("[") != nodelist.count("]"):
        raise InputError(f"{where}: the list of nodes {clipped(nodelist)} is cut", hint=ASK)
    for part in re.findall(r"[^,\[\]]+(?:\[[^\]]*\][^,\[\]]*)*", nodelist):
        before, bracket, rest = part.partition("[")
        if not bracket:
            yield before
            continue
        inside, _, after = rest.partition("]")
        if "[" in after:
            raise InputError(f"{where}: the list of nodes {clipped(part)} has two ranges", hint=ASK)
        for piece in inside.split(","):
            match = _RANGE.fullmatch(piece.strip())
            first, last = (0, -1) if match is None else (int(match[1]), int(match[2] or match[1]))
            if match is None or last < first:
                raise InputError(f"{where}: {clipped(part)} is no list of nodes")
            if last - first >= MOST_NAMES:
                raise InputError(f"{where}: {clipped(part)} is more than {MOST_NAMES:,} nodes")
            yield from (f"{before}{each:0{len(match[1])}d}{after}" for each in range(first, last + 1))


FORMAT: Final = MachineFormat("sinfo", _recognises, _parse)
