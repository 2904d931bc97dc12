"""What is asked: the job, independent of any layout."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training run: sequence length [tokens], global batch [sequences], length of the run [tokens].

    `capacity_factor`: the token copies that an expert computes over its even share, as padding to a capacity or uneven routing
    on the fullest rank make it (FORMULAS section 3.4). `flops_convention` says how the model's FLOPs are counted in MFU.
    """

    seq_len: int
    global_batch: int
    tokens: float
    capacity_factor: float = 1.0
    flops_convention: str = "causal"

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step."""
        return self.seq_len * self.global_batch
