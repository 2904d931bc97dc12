"""What may be asked for; by itself, so that the command line knows it without loading anything."""

from __future__ import annotations

from typing import Final

OBJECTIVES: Final = ("min-gpus", "time", "cost", "energy")
