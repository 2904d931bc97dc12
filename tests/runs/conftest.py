"""A catalog made once, and a way to predict rows written in a test."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from planner.runs.evaluate import evaluate_runs

MEASURED = Path(__file__).parents[1] / "data" / "runs" / "measured.csv"
"""Published runs over every framework and accelerator of the collection."""

DENSE = {
    "model_name": "Llama 3.1 8B", "framework_slug": "megatron-core", "gpu_slug": "h100-sxm5-80gb", "n_gpus": "8",
    "gpus_per_node": "8", "tp": "2", "pp": "1", "vpp": "1", "dp": "4", "cp": "1", "ep": "1", "sequence_parallel": "1",
    "zero_stage_or_fsdp": "ZeRO-1", "micro_batch": "1", "global_batch": "128", "seq_len": "8192", "recompute": "none",
    "precision": "bf16", "flash_attention": "1", "optimizer": "adam", "offload": "none", "finetune_method": "pretrain",
}  # fmt: skip
"""A row that leaves nothing open."""


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'catalog.db'}"


@pytest.fixture(scope="session")
def measured(database):
    return evaluate_runs(str(MEASURED), database=database)


@pytest.fixture
def predict(database, tmp_path):
    """Predicts rows that differ from `DENSE` as given."""

    def predicted(*changes):
        rows = [DENSE | change for change in changes]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        path = tmp_path / "runs.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        return evaluate_runs(str(path), database=database).rows

    return predicted
