"""What the cells of a measured run say about it: whose it is, on what, and whether it may be scored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from planner.validation.scoring import number

Row = Mapping[str, str]

FLAGS: Final = ("INCONSISTENT", "CONFLICT", "IMPLAUSIBLE")
"""Words of a note that say: for reading, not for scoring."""
NOT_STATED: Final = "not stated"
FAMILIES: Final = (
    "gpt-oss", "deepseek", "mixtral", "mistral", "nemotron", "internlm", "stablelm", "falcon", "gemma", "llama",
    "maxtext", "qwen", "grok", "modded-nanogpt", "mt-nlg", "mpt", "phi", "gpt",
)  # fmt: skip
"""Looked for in this order; a name with none of them is its own family."""
TIME_ESSENTIALS: Final = ("tp", "pp", "micro_batch", "global_batch", "recompute", "precision")
"""What changes a step's time most: a row that leaves one open may have been measured on something else than we predict."""
MEMORY_ESSENTIALS: Final = ("tp", "pp", "micro_batch", "recompute", "precision", "zero")
"""What changes a peak most."""
_REPOSITORY: Final = re.compile(r"(?<![\w./-])([A-Za-z0-9][\w.-]*/[\w.-]+):(?!//)")
_HOST: Final = re.compile(r"https?://([^/]+)")
_LONGEST_SOURCE: Final = 40


def source(row: Row) -> str:
    """The repository that a source names, else its host, else its first words.

    >>> source({"source": "LitGPT config_hub finetune table: Lightning-AI/litgpt:config_hub/README.md@00af8b0d"})
    'Lightning-AI/litgpt'
    """
    text = row.get("source", "").strip()
    found = _REPOSITORY.search(text) or _HOST.match(text)
    if found:
        return found.group(1)
    return re.split(r" \(|,", text)[0][:_LONGEST_SOURCE] or NOT_STATED


def framework(row: Row) -> str:
    """The framework by our name for it, else as the row writes it."""
    return row.get("framework_slug") or row.get("framework") or NOT_STATED


def accelerator(row: Row) -> str:
    """The accelerator by our name for it, else as the row writes it."""
    return row.get("gpu_slug") or row.get("gpu") or NOT_STATED


def family(row: Row) -> str:
    """The family that a model's name speaks of; with experts it is a family of its own.

    >>> family({"model_name": "meta-llama/Llama-3.2-3B"}), family({"model_name": "Llama 4 Scout", "n_experts": "16"})
    ('llama', 'llama, experts')
    """
    name = row.get("model_name", "").casefold().replace("gpt oss", "gpt-oss")
    known = next((known for known in FAMILIES if known in name), name or NOT_STATED)
    return f"{known}, experts" if (number(row.get("n_experts")) or 1) > 1 else known


def scale(row: Row) -> str:
    """The decade of the number of GPUs.

    >>> scale({"n_gpus": "1"}), scale({"n_gpus": "512"}), scale({"n_gpus": "16384"})
    ('1 to 9', '100 to 999', '10,000 to 99,999')
    """
    count = number(row.get("n_gpus"))
    if count is None:
        return NOT_STATED
    lowest = 10 ** (len(str(int(count))) - 1)
    return f"{lowest:,} to {10 * lowest - 1:,}"


def calibrations(row: Row) -> Sequence[str]:
    """The user's own calibrations that the row was predicted with, as `defaults` lists them.

    >>> calibrations({"defaults": "tp = 1; calibrated_arithmetic = 0.9 (planner calibrate)"})
    ['calibrated_arithmetic = 0.9 (planner calibrate)']
    """
    return [part for part in _filled(row) if part.startswith("calibrated_")]


def stated(row: Row, essentials: Sequence[str] = TIME_ESSENTIALS) -> str:
    """Whether the row states all `essentials`, by what the planner had to fill."""
    filled = {part.split(" = ")[0] for part in _filled(row)}
    return "essentials filled in" if filled & set(essentials) else "essentials stated"


def stated_for_memory(row: Row) -> str:
    """Whether the row states all that changes its peak."""
    return stated(row, MEMORY_ESSENTIALS)


def unfit(row: Row) -> str | None:
    """Why a row may not be scored, whatever was predicted for it; None if it may."""
    note = row.get("note", "")
    if row.get("confidence", "").strip().casefold() == "low":
        return "confidence low"
    flag = next((flag for flag in FLAGS if flag in note), None)
    if flag:
        return f"note says {flag}"
    if "proxy" in f"{row.get('model_name', '')} {note}".casefold():
        return "a proxy with fewer layers"
    return None


def reason_kind(error: str) -> str:
    """An error without what differs from row to row, so that rows of one reason count together.

    >>> reason_kind("layers: not given, and the catalog has no model 'Nemotron 3 Nano'")
    'layers: not given, and the catalog has no model …'
    """
    return re.sub(r"'[^']*'", "…", error)


def _filled(row: Row) -> list[str]:
    """What the planner filled in or took otherwise than written, each as ``name = value`` or in words."""
    return row.get("defaults", "").split("; ")
