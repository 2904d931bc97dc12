"""A picture's file: which formats there are, and how one is written with the same bytes on every run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from planner.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES: Final = (".svg", ".png", ".pdf")
DOTS_PER_INCH: Final = 150


def check_drawable(path: Path) -> None:
    """Raises InputError for a file whose format cannot be drawn, or where matplotlib is not installed."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"--plot: cannot draw {str(path)!r}", hint=f"name a file that ends in {', '.join(SUFFIXES)}")
    if find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib", hint="pip install 'gpu-planner[plot]'")


@contextmanager
def drawing(font_size: float) -> Iterator[None]:
    """Settings to draw under: matplotlib's own font, a fixed salt for the ids in an SVG, and a dollar in a name is no formula."""
    from matplotlib import rc_context

    with rc_context(
        {"svg.hashsalt": "planner", "font.family": "DejaVu Sans", "font.size": font_size, "text.parse_math": False}
    ):
        yield


def save(figure: Figure, path: Path, **options: Any) -> None:  # noqa: ANN401 - matplotlib's own
    """Write the figure without a date. Raises InputError if the file cannot be written."""
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    try:
        figure.savefig(path, dpi=DOTS_PER_INCH, metadata=metadata, **options)
    except OSError as problem:
        raise InputError(
            f"cannot write {str(path)!r}: {problem.strerror or problem}", hint="name another file with --plot"
        ) from None
