"""What flash attention kernels reach of an accelerator's peak, by kernel, generation and sequence length.

References
----------
[1] Dao, "FlashAttention-2", arXiv 2307.08691, section 4.1: forward and backward together, causal, head dimension 128, on A100
    (figure 4) and on H100 without Hopper's own instructions ("up to 335 TFLOPs/s").
[2] Shah et al., "FlashAttention-3", arXiv 2407.08608, section 4.1, figures 5 and 6: causal, head dimension 128, H100.
[3] NVIDIA/cudnn-frontend at 3929da2e, benchmark/sdpa_benchmark_training/results: cuDNN 9.19 on H200 and 9.22 on GB200 and GB300,
    bf16, causal, forward and backward; with windows of 1,024 and 128 tokens and 64-wide heads (gpt_oss).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from planner.domain.mesh import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionRate:
    """The fraction of the peak that a kernel reaches on one generation: ``asymptote * s / (s + half_length)``.

    `half_length` [tokens] is the sequence length at which half of the asymptote is reached. `narrow` is what heads of 64 elements
    reach of that: as many exponentials for half of the multiplications.
    """

    asymptote: float
    half_length: float
    source: str
    narrow: float = 1.0

    def fraction(self, seq_len: Array | float) -> Array:
        """The fraction of the dense peak at a sequence length of `seq_len` tokens.

        >>> round(float(RATES["flash-2", "Ampere"].fraction(16384)), 2)
        0.63
        """
        length = np.asarray(seq_len, dtype=np.float64)
        return self.asymptote * length / (length + self.half_length)


NARROW_HEAD: Final = 64
RATES: Final[Mapping[tuple[str, str], AttentionRate]] = {
    ("flash-2", "Ampere"): AttentionRate(
        asymptote=0.65, half_length=600.0, source="[1], figure 4: 0.50 at 2k to 0.63 at 16k"
    ),
    ("flash-2", "Hopper"): AttentionRate(
        asymptote=0.34, half_length=600.0, source="[1], section 4.1: 335 of 989 TFLOP/s"
    ),
    ("flash-2", "Blackwell"): AttentionRate(
        asymptote=0.15, half_length=600.0, source="335 TFLOP/s as on Hopper, of a larger peak: an assumption"
    ),
    ("flash-triton", "Ampere"): AttentionRate(
        asymptote=0.355,
        half_length=600.0,
        source="[1], section 4.1: flash-2 is 1.3 to 1.5 times as fast in the forward, 2 times in the backward: 1.83 in all",
    ),
    ("flash-triton", "Hopper"): AttentionRate(
        asymptote=0.186, half_length=600.0, source="the same ratio to flash-2 as on Ampere: an assumption"
    ),
    ("flash-3", "Hopper"): AttentionRate(
        asymptote=0.66,
        half_length=1700.0,
        source="[2]: 0.36 at 2k to 0.60 at 16k; narrow: [3], 0.88 on H200, 0.81 on GB200",
        narrow=0.84,
    ),
    ("flash-3", "Blackwell Ultra"): AttentionRate(
        asymptote=0.73,
        half_length=1700.0,
        source="[3], GB300: 1.10 to 1.13 times what GB200 reaches of the same peak, from 2k to 16k tokens; narrow: Hopper's",
        narrow=0.84,
    ),
}
"""Published rates. Where there is none, `nearest_generation` says which one stands in."""


def nearest_generation(kernel: str, architecture: str) -> str:
    """The architecture or generation whose published rate stands in: the accelerator's own, else its generation's; kernels made
    for Hopper as on Hopper; flash-2, which uses nothing newer than Ampere's instructions, as on Hopper where the accelerator is
    newer than that, and else as on Ampere."""
    generation = architecture.split(" ")[0]
    for name in (architecture, generation):
        if (kernel, name) in RATES:
            return name
    newer = generation in ("Blackwell", "Rubin")
    return "Hopper" if kernel == "flash-3" or newer else "Ampere"


def attention_fraction(
    kernel: str, architecture: str, seq_len: int, window: Array | float | None = None, head_dim: int = 128
) -> Array:
    """The fraction of the peak for `kernel` on an accelerator of `architecture`, whose first word is its generation.

    A query that sees a `window` of keys, or that many in one call of the kernel, sees as many as one of a causal sequence of twice
    that length does on average, and its kernel is as short.
    """
    rate = RATES[kernel, nearest_generation(kernel, architecture)]
    length = np.asarray(seq_len if window is None else np.minimum(seq_len, 2 * np.asarray(window)))
    return rate.fraction(length) * (rate.narrow if head_dim <= NARROW_HEAD else 1.0)
