"""A user's file, read as text: never more of it than it may hold, and refused in one line where it is no such file."""

from __future__ import annotations

import os
import select
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Final

from planner.errors import InputError
from planner.units import MIB

STANDARD_INPUT: Final = "-"
PIPE_TIMEOUT_S: Final = 30.0
"""How long a pipe that is named as a file may give nothing."""


def shown_path(path: str) -> str:
    """The file as messages name it."""
    return "standard input" if path == STANDARD_INPUT else path


def read_bytes(path: str, largest_bytes: int) -> bytes:
    """What a file or standard input (``-``) holds. Raises InputError where it cannot be read or is larger than allowed."""
    named = shown_path(path)
    try:
        content = _of_standard_input(largest_bytes) if path == STANDARD_INPUT else _of_file(Path(path), largest_bytes)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise InputError(f"cannot read {named}: {reason}") from None
    if len(content) > largest_bytes:
        raise too_large(named, largest_bytes)
    return content


def read_text(path: str, largest_bytes: int) -> str:
    """The same as text in UTF-8. Raises InputError."""
    return decoded(read_bytes(path, largest_bytes), shown_path(path))


def decoded(content: bytes, named: str) -> str:
    """Text in UTF-8, with or without a byte order mark. Raises InputError."""
    if b"\0" in content:
        raise InputError(f"{named} is not a text file: byte {content.index(0)} is NUL", hint="save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise InputError(f"{named} is not UTF-8: byte {problem.start}", hint="save it as UTF-8") from None


def open_binary(path: Path) -> BinaryIO:
    """A file to read from. Raises OSError and ValueError as `open` does, InputError for a pipe that gives nothing."""
    # Else opening a pipe that has no writer waits for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            _await_writer(descriptor, path)
        if hasattr(os, "O_NONBLOCK"):
            os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _await_writer(descriptor: int, path: Path) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(PIPE_TIMEOUT_S * 1000):
        raise InputError(
            f"{path} is a pipe that gave nothing for {PIPE_TIMEOUT_S:g} s",
            hint="name a file, or give the text on standard input, which is -",
        )


def too_large(named: str, largest_bytes: int) -> InputError:
    """What to say of a file of more than that."""
    return InputError(f"{named} is larger than {largest_bytes // MIB} MiB", hint="split it, or bring many rows as CSV")


def _of_standard_input(largest_bytes: int) -> bytes:
    return sys.stdin.buffer.read(largest_bytes + 1)


def _of_file(path: Path, largest_bytes: int) -> bytes:
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a file")
    with open_binary(path) as file:
        about = path.stat()
        if stat.S_ISREG(about.st_mode) and about.st_size > largest_bytes:
            raise too_large(str(path), largest_bytes)
        return file.read(largest_bytes + 1)
