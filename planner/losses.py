"""Implementations of the loss that a run may choose instead of its framework's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from planner.errors import UnknownNameError
from planner.plugin import FootprintFunction, Framework, Traffic, fused_loss
from planner.program.footprints import fused_linear_loss

FRAMEWORK: Final = "framework"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What one implementation keeps, and what it moves."""

    footprint: FootprintFunction
    traffic: Traffic
    help: str


LOSSES: Final[Mapping[str, Loss]] = {
    "fused": Loss(
        footprint=fused_loss, traffic=Traffic(forward=2, backward=4),
        help="one kernel on 16-bit logits (flash-attention, Liger)",
    ),
    "fused-linear": Loss(
        footprint=fused_linear_loss, traffic=Traffic(forward=2, backward=4),
        help="output projection and loss in one, chunk by chunk (Liger, cut cross-entropy)",
    ),
}  # fmt: skip


def with_loss(framework: Framework, name: str) -> Framework:
    """The profile with the loss called `name`; its own for ``framework``. Raises UnknownNameError."""
    if name == FRAMEWORK:
        return framework
    if name not in LOSSES:
        raise UnknownNameError("loss", name, (FRAMEWORK, *LOSSES))
    loss = LOSSES[name]
    return replace(
        framework,
        footprints={**framework.footprints, "loss": loss.footprint},
        traffic={**framework.traffic, "loss": loss.traffic},
    )
