"""Values as every data format can hold them: only dict, list, str, int, float, bool and None."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any


def plain(value: Any) -> Any:  # noqa: ANN401 - a document holds anything
    """`value` with NumPy scalars, tuples and enums replaced; a number that is not finite becomes None.

    >>> plain({"a": (1, float("nan")), "b": True})
    {'a': [1, None], 'b': True}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, Set):
        return sorted(plain(entry) for entry in value)
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if callable(getattr(value, "tolist", None)):  # a NumPy scalar or array, without importing NumPy here
        return plain(value.tolist())
    return str(value)
