"""Seconds of an operator: the slower of arithmetic and memory traffic (FORMULAS section 5).

References
----------
[1] Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
[2] NVIDIA, "Matrix Multiplication Background User's Guide", sections on tile and wave quantization.
[3] deepseek-ai/DeepGEMM, README.md at a6d97a1: FP8 GEMMs on an H800 by shape.
"""

from __future__ import annotations

import numpy as np

from planner.domain.mesh import Array

TILE_ROWS = 128
TILE_COLUMNS = 256
"""The thread-block tile that gives GEMM libraries their best reuse on tensor cores: 256 × 128, [2] table 1."""


def wave_efficiency(rows: Array, columns: Array, batch: Array, compute_units: int) -> Array:
    """The share of compute units at work, averaged over the waves of output tiles, [2]; 1 for perfect fits.

    `rows` × `columns` is the output of each of `batch` GEMMs. Partial tiles cost as whole ones.

    >>> float(wave_efficiency(np.array([128.0]), np.array([256.0]), np.array([1.0]), 108)[0]) == 1 / 108
    True
    """
    tiles = np.ceil(rows / TILE_ROWS) * np.ceil(columns / TILE_COLUMNS) * batch
    useful = rows * columns * batch / (TILE_ROWS * TILE_COLUMNS)
    busy: Array = useful / (np.ceil(tiles / compute_units) * compute_units)
    return busy


def split_k_efficiency(rows: Array, columns: Array, depth: Array, batch: Array, compute_units: int) -> Array:
    """Wave efficiency where a kernel may also split the inner dimension into up to `depth`/1024 parts to fill the device
    ([2], "split-K"): the better of the two."""
    splits = np.clip(np.floor(depth / 1024.0), 1.0, 8.0)
    return np.maximum(
        wave_efficiency(rows, columns, batch, compute_units),
        wave_efficiency(rows, columns, batch * splits, compute_units),
    )


def roofline_s(flops: Array, traffic_bytes: Array, flop_per_s: Array, bytes_per_s: float) -> Array:
    """``max(F / (η·peak), bytes / (η·HBM))`` [1]; the rates given are those that are reached, not the datasheet's."""
    return np.maximum(flops / flop_per_s, traffic_bytes / bytes_per_s)


def gemm_s(flops: Array, traffic_bytes: Array, written_bytes: Array, flop_per_s: Array, bytes_per_s: float) -> Array:
    """A GEMM's multiplications, then the writing of its output, which they do not hide: a shallow product, whose tiles are done
    soon, reaches less. Or its whole traffic, if that takes longer.

    So run [3]: with K 512, 1,536, 7,168 and 16,384 deep they reach 0.30, 0.50, 0.66 and 0.69 of the peak.
    """
    return np.maximum(flops / flop_per_s + written_bytes / bytes_per_s, traffic_bytes / bytes_per_s)
