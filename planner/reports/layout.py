"""A layout in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DEGREES: Final = ("tp", "pp", "vpp", "cp", "ep", "etp", "dp")
_ALWAYS_SHOWN: Final = ("tp", "pp", "dp")


def layout_text(layout: Mapping[str, Any]) -> str:
    """What divides the work and how, leaving out what is 1 or off.

    >>> layout_text({"tp": 2, "pp": 1, "vpp": 1, "dp": 4, "zero": 1, "micro_batch": 2, "recompute": "none"})
    'tp 2 · pp 1 · dp 4 · ZeRO-1 · micro-batch 2 · no recompute'
    """
    parts = [f"{axis} {layout[axis]}" for axis in DEGREES if _worth_showing(axis, layout)]
    if layout.get("cp_kind"):
        parts = [f"{part} ({layout['cp_kind']})" if part.startswith("cp ") else part for part in parts]
    if layout.get("zero"):
        parts.append(
            f"ZeRO-{layout['zero']}" + (" without resharding" if layout.get("reshard_after_forward") == 0 else "")
        )
    if _is_above_one(layout.get("shard_group")):
        parts.append(f"in groups of {layout['shard_group']}")
    if layout.get("sequence_parallel"):
        parts.append("sequence parallel")
    if layout.get("micro_batch"):
        parts.append(f"micro-batch {layout['micro_batch']}")
    if layout.get("recompute"):
        parts.append("no recompute" if layout["recompute"] == "none" else f"recompute {layout['recompute']}")
        if layout["recompute"] != "none" and _is_above_one(layout.get("recompute_layers")):
            parts[-1] += f" of {layout['recompute_layers']} layers"
    if layout.get("offload", "none") != "none":
        parts.append(f"{layout['offload']} on the host")
    if layout.get("schedule") and _is_above_one(layout.get("pp")):
        parts.append(str(layout["schedule"]))
    if layout.get("framework"):
        parts.append(str(layout["framework"]))
    return " · ".join(parts)


def _worth_showing(axis: str, layout: Mapping[str, Any]) -> bool:
    return axis in layout and (axis in _ALWAYS_SHOWN or _is_above_one(layout[axis]))


def _is_above_one(value: object) -> bool:
    return isinstance(value, int | float) and value > 1
