"""Names as people type them: what makes two spellings the same name, and which names are near."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_PARENTHESES: Final = re.compile(r"\([^)]*\)")
_WORDS: Final = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+")


def name_key(name: str) -> str:
    """What a name is looked up by: its letters and numbers, without case, punctuation and parenthesised parts.

    A decimal point belongs to its number, and two numbers stay apart, so that 1.5b, 15b and 1-5b are three names.

    >>> name_key("Llama 3.1 8B"), name_key("LLAMA3.1-8B (BF16)"), name_key("qwen2.5-1.5b")
    ('llama3.1-8b', 'llama3.1-8b', 'qwen2.5-1.5b')
    """
    text = _PARENTHESES.sub("", unicodedata.normalize("NFKC", name).casefold())
    key = ""
    for word in _WORDS.findall(text):
        key += f"-{word}" if key[-1:].isdigit() and word[0].isdigit() else word
    return key


def lookup_keys(name: str) -> Iterator[str]:
    """The keys to try for a name, best first: as it is, then without the organisation before a slash."""
    whole = name_key(name)
    if whole:
        yield whole
    _, slash, last = name.rpartition("/")
    if slash and (key := name_key(last)):
        yield key
