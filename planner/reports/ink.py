"""ANSI colours, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from planner.reports.blocks import Tone

_CODES: Final = {
    Tone.STRONG: "1",
    Tone.FAINT: "2",
    Tone.GOOD: "1;32",
    Tone.BAD: "1;31",
    Tone.WARNING: "33",
}


@dataclass(frozen=True, slots=True)
class Ink:
    """Paints text in a tone when enabled; changes nothing otherwise.

    >>> Ink(enabled=False).paint("8 GPUs", Tone.STRONG)
    '8 GPUs'
    """

    enabled: bool

    def paint(self, text: str, tone: Tone) -> str:
        """`text` in the colour of `tone`."""
        code = _CODES.get(tone)
        if not self.enabled or code is None or not text:
            return text
        return f"\x1b[{code}m{text}\x1b[0m"
