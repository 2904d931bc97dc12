"""Names and notes come from files and plugins: what is shown must not steer the terminal."""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` with control characters replaced and tabs and newlines as spaces.

    >>> printable("a\\x1b[31mb\\nc")
    'a?[31mb c'
    """
    return _CONTROL.sub("?", text.replace("\r\n", " ").replace("\n", " ").replace("\t", " "))
