"""Activation recomputation: none, the attention core, single operators, whole layers.

Sources: arXiv 2205.05198, section 5; Megatron-LM, ``--recompute-modules``.
"""

from __future__ import annotations

from collections.abc import Iterator

from planner.plugin import Recompute, hookimpl

MEGATRON = "Megatron-LM, megatron/training/arguments.py, --recompute-modules"


@hookimpl
def planner_recomputes() -> Iterator[Recompute]:
    """none, selective, full."""
    yield Recompute(name="none", source="nothing is run again")
    yield Recompute(name="selective", operators=frozenset({"attention"}), source="arXiv:2205.05198, section 5")
    yield Recompute(name="full", whole_layer=True, source="arXiv:1604.06174")
