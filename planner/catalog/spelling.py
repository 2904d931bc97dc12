"""Which slugs, names and texts the catalog takes: what is shown must be what is meant."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from planner.errors import InputError

LONGEST_SLUG: Final = 120
LONGEST_NAME: Final = 200
LONGEST_TEXT: Final = 10_000
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_LINE_BREAKS: Final = frozenset("\n\t")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
"""Categories of characters that show nothing, turn the direction of a line or have no meaning yet."""
_MARKS: Final = frozenset("™℠")
"""Signs behind names of products, which are letters to no reader."""
_BLANKS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and symbols by category that show nothing all the same."""

_FORMULA: Final = re.compile("[=@\uff1d\uff20]|[-+\uff0b\uff0d]\\S")
"""Of https://owasp.org/www-community/attacks/CSV_Injection, with their full-width forms; a dash before a blank begins a list."""

# Of https://www.unicode.org/Public/security/latest/confusables.txt: Cyrillic and Greek letters that look like Latin ones.
LOOK_LATIN: Final = frozenset("аеорсухіјѕԁһԛԝѵӏАВЕКМНОРСТУХІЈЅҺԚԜѴӀορνιαυχγΑΒΕΖΗΙΚΜΝΟΡΤΥΧ")


def checked_slug(slug: str) -> str:
    """`slug`, if it is one: lower-case ASCII letters, digits, and ``.``, ``_``, ``-`` between them.

    Raises InputError.
    """
    if len(slug) > LONGEST_SLUG:
        raise InputError(f"slug {clipped(slug)} is longer than {LONGEST_SLUG} characters")
    if not _SLUG.fullmatch(slug) or ".." in slug:
        raise InputError(
            f"{clipped(slug)} is no slug", hint="use a to z, 0 to 9 and single . _ - between them, as in my-model-8b"
        )
    return slug


def checked_name(name: str, *, what: str = "name") -> str:
    """`name` without outer blanks, if people can read it as it is written: `what` says which name it is.

    Refused are characters that do not show, other forms of usual letters, and words that mix alphabets or only look Latin.
    Raises InputError.
    """
    stripped = unicodedata.normalize("NFC", name.strip())
    if not stripped:
        raise InputError(f"{what} is empty")
    if len(stripped) > LONGEST_NAME:
        raise InputError(f"{what} {clipped(stripped)} is longer than {LONGEST_NAME} characters")
    _refuse_unseen(stripped, what)
    _refuse_formula(stripped, what)
    _refuse_variants(stripped, what)
    for word in re.findall(r"[^\W\d_]+", stripped):
        _refuse_lookalike(word, what)
    return stripped


def checked_text(text: str, *, what: str, lines: bool = False) -> str:
    """`text` as it is, if all of it shows; with `lines`, line breaks and tabs may stand in it. Raises InputError."""
    if len(text) > LONGEST_TEXT:
        raise InputError(f"{what} is longer than {LONGEST_TEXT:,} characters")
    _refuse_unseen(text, what, allowed=_LINE_BREAKS if lines else frozenset())
    _refuse_formula(text, what)
    return unicodedata.normalize("NFC", text)


def clipped(value: object, most: int = 40) -> str:
    """A value as messages quote it: ASCII, on one line and never long.

    >>> clipped("a\\u202eb"), clipped("x" * 50)
    ("'a\\\\u202eb'", "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…'")
    """
    if isinstance(value, Mapping | list | tuple | set):
        return "an object" if isinstance(value, Mapping) else "a list"
    text = value if isinstance(value, str) else _digits(value) if isinstance(value, int) else repr(value)[: most + 1]
    quoted = repr(text[:most])[1:-1]
    quoted = "".join(
        each if unicodedata.category(each) not in _UNSEEN else each.encode("unicode_escape").decode() for each in quoted
    )
    return f"'{quoted}{'…' if len(text) > most else ''}'"


def _digits(number: int) -> str:
    # Python refuses to spell out a number of very many digits.
    return str(number) if abs(number) < 10**40 else f"a number of {number.bit_length()} bits"


def _refuse_unseen(text: str, what: str, allowed: frozenset[str] = frozenset()) -> None:
    if text.isascii() and text.isprintable():
        return
    for each in text:
        if each not in allowed and (unicodedata.category(each) in _UNSEEN or each in _BLANKS):
            raise InputError(f"{what} {clipped(text)} holds the character U+{ord(each):04X}, which does not show")


def _refuse_formula(text: str, what: str) -> None:
    """Refuse what a spreadsheet that opens an exported CSV would compute, or run, instead of showing it."""
    if _FORMULA.match(text.lstrip()):
        raise InputError(
            f"{what} {clipped(text)} begins as a formula of spreadsheets does",
            hint="begin with none of = @, nor with + or - before anything but a blank",
        )


def _refuse_variants(text: str, what: str) -> None:
    """Refuse letters and digits that are only other forms of usual ones, as full-width or encircled: look-up takes them alike."""
    if text.isascii():
        return
    for each in text:
        usual = unicodedata.normalize("NFKC", each)
        if each not in _MARKS and usual != each and any(map(str.isalnum, usual)):
            raise InputError(
                f"{what} {clipped(text)} holds U+{ord(each):04X}, another form of {clipped(usual)}", hint="write that"
            )


def _refuse_lookalike(word: str, what: str) -> None:
    if word.isascii():
        return
    alphabets = {_alphabet(each) for each in word}
    if "LATIN" in alphabets and len(alphabets) > 1:
        raise InputError(f"{what} {_spelled(word)} mixes {' and '.join(sorted(map(str.title, alphabets)))} letters")
    if LOOK_LATIN.issuperset(word):
        raise InputError(f"{what} {_spelled(word)} looks Latin but is {alphabets.pop().title()}")


def _alphabet(letter: str) -> str:
    """The first word of a letter's name in Unicode, which is its script: LATIN, CYRILLIC, GREEK, CJK …"""
    first = unicodedata.name(letter, "UNNAMED").split(" ")[0]
    return "LATIN" if first == "MODIFIER" else first


def _spelled(word: str) -> str:
    return f"{clipped(word)} ({word[:40].encode('unicode_escape').decode()})"
