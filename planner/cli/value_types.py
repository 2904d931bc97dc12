"""Values of options as people write them: each function reads one, click names the option in what it raises."""

from __future__ import annotations

import re
from typing import Final

import click

from planner.units import GIGA, parse_bytes, parse_duration_s, parse_quantity

LONGEST_RANGE: Final = 4096
_TRUTHS: Final = {"true": 1, "on": 1, "yes": 1, "false": 0, "off": 0, "no": 0}
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


def seconds(text: str) -> float:
    """A time in seconds, which may be none: ``600``, ``10m``, ``0``."""
    try:
        return parse_duration_s(text)
    except ValueError as problem:
        raise click.BadParameter(f"{problem}: write 600, 10m or 1h") from problem


def bytes_per_s(text: str) -> float:
    """A bandwidth given in GB per second: ``100``, ``0.5``."""
    try:
        return _positive(parse_quantity(text), text) * GIGA
    except ValueError as problem:
        raise click.BadParameter(f"{problem}: write GB per second, as 100 or 0.5") from problem


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


def whole_numbers(text: str) -> int | tuple[int, ...]:
    """One number, or several to choose from: ``8``, ``1,2,4``, ``1-8``."""
    numbers: list[int] = []
    for part in text.split(","):
        match = _GPU_RANGE.fullmatch(part.strip())
        if match is None:
            raise click.BadParameter(f"{text!r} is not a number, a list or a range: write 8, 1,2,4 or 1-8")
        first, last = int(match.group(1)), int(match.group(2) or match.group(1))
        if last < first:
            raise click.BadParameter(f"{part.strip()!r} runs backwards: write {last}-{first}")
        if last - first > LONGEST_RANGE:
            raise click.BadParameter(f"{part.strip()!r} is more than {LONGEST_RANGE:,} numbers")
        numbers.extend(range(first, last + 1))
    return numbers[0] if len(numbers) == 1 else tuple(dict.fromkeys(numbers))


def words(text: str) -> str | tuple[str, ...]:
    """One word, or several to choose from: ``full``, ``none,full``."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(found):
        raise click.BadParameter(f"{text!r} has an empty word: write full or none,full")
    return found[0] if len(found) == 1 else found


def axes_and_values(text: str) -> dict[str, int | str]:
    """Axes of a layout with their values: ``tp=4,pp=2``, ``sequence_parallel=1``."""
    found: dict[str, int | str] = {}
    for part in text.split(","):
        axis, value = key_and_value(part)
        axis = axis.lower().replace("-", "_")
        if axis in found:
            raise click.BadParameter(f"{text!r} names {axis} twice")
        found[axis] = int(value) if value.isdecimal() else _TRUTHS.get(value.lower(), value)
    return found


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
