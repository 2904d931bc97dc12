"""Values of options as people write them: each function reads one, click names the option in what it raises."""

from __future__ import annotations

import re
from typing import Final

import click

from planner.units import parse_bytes, parse_duration_s, parse_quantity

_GPU_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")


def quantity(text: str) -> float:
    """A positive count with an optional prefix: ``7e9``, ``15T``, ``8B``."""
    try:
        return _positive(parse_quantity(text), text)
    except ValueError as problem:
        raise click.BadParameter(f"{problem}: write 7e9, 8B or 15T") from problem


def us_dollars(text: str) -> float:
    """An amount of US dollars: ``100000``, ``100k``, ``$2M``."""
    return quantity(text.strip().removeprefix("$"))


def size_in_bytes(text: str) -> float:
    """An amount of memory: ``80GB``, ``80GiB``; a bare number is bytes."""
    try:
        return _positive(parse_bytes(text), text)
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from problem


def duration_s(text: str) -> float:
    """A duration in seconds: ``30d``, ``12h``, ``90m``."""
    try:
        return _positive(parse_duration_s(text), text)
    except ValueError as problem:
        raise click.BadParameter(f"{problem}: write 30d, 12h or 90m") from problem


def gpu_range(text: str) -> tuple[int, int]:
    """The smallest and the largest number of GPUs, equal for a single number: ``64``, ``8-512``."""
    match = _GPU_RANGE.fullmatch(text.replace(",", "").strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is not a number or a range: write 64 or 8-512")
    fewest = int(match.group(1))
    most = int(match.group(2) or fewest)
    if fewest < 1 or most < fewest:
        raise click.BadParameter(f"{text!r} is not a range of at least 1 GPU: write 64 or 8-512")
    return fewest, most


def key_and_value(text: str) -> tuple[str, str]:
    """An option of a plugin, ``key=value``; blanks around both are dropped."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise click.BadParameter(f"{text!r} is not of the form key=value")
    return key.strip(), value.strip()


def _positive(number: float, text: str) -> float:
    if number <= 0:
        raise click.BadParameter(f"{text!r} is not above zero")
    return number
