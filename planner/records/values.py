"""What functions of plugins may return, and names of groups that the core derives."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Value: TypeAlias = NDArray[Any] | np.float64 | np.bool_ | float | int
"""What a plugin's function may return: a scalar, or an array that broadcasts with the layouts."""


def is_multiple(whole: Value, part: Value) -> NDArray[np.bool_]:
    """Whether `whole` is a multiple of `part`: exact for whole numbers below 2**53, where a quotient never rounds up to a whole
    number, and ten times as fast as the remainder of a division."""
    times = np.divide(whole, part)
    found: NDArray[np.bool_] = np.equal(times, np.floor(times))
    return found


REPLICAS: Final = "replicas"
"""The group over which dense parameters are replicated: the product of dp and cp."""
SHARD_GROUP: Final = "shard_group"
"""The degree that cuts the replicas into groups that share states out (HSDP); 1 takes all of them as one group."""
EXPERT_REPLICAS: Final = "expert_replicas"
"""The group over which routed experts are replicated: n_gpus / (pp · ep · etp)."""
