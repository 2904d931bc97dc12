"""Names and notes come from files and plugins: what is shown must not steer the terminal."""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"  # of no width, or turning lines
)


def printable(text: str) -> str:
    """`text` with control characters and those of no width replaced and tabs and newlines as spaces.

    >>> printable("a\\x1b[31mb\\nc"), printable("gp\\u200bt\\u200e-2")
    ('a?[31mb c', 'gp?t?-2')
    """
    return _CONTROL.sub("?", text.replace("\r\n", " ").replace("\n", " ").replace("\t", " "))
