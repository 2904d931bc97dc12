"""What is asked: the job, independent of any layout."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training run: sequence length [tokens], global batch [sequences], length of the run [tokens]."""

    seq_len: int
    global_batch: int
    tokens: float

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step."""
        return self.seq_len * self.global_batch
