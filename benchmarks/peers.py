"""The speed of other planners on the same machine: PYTHONPATH=CHECKOUT python benchmarks/peers.py [--calculon CHECKOUT].

Calculon (github.com/calculon-ai/calculon) evaluates executions of GPT-3 175B on 512 A100 as its `llm-optimal-execution` does,
llm-analysis (PyPI) the same layouts one call at a time. Each runs for some seconds on one core; nothing of them is kept here.
One that cannot be imported is left out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

GPUS, BATCH = 512, 512
Layout = tuple[int, int, int, int]


def layouts() -> Iterator[Layout]:
    """tp, pp, dp and micro-batch of GPT-3 175B on 512 GPUs, over and over."""
    found = [
        (tp, pp, GPUS // (tp * pp), micro_batch)
        for tp, pp, micro_batch in itertools.product((1, 2, 4, 8, 16, 32), (1, 2, 4, 8, 16, 32), (1, 2, 4))
        if tp * pp <= GPUS and BATCH % (GPUS // (tp * pp) * micro_batch) == 0
    ]
    return itertools.cycle(found)


def rate(evaluate: Callable[[Layout], None], seconds: float) -> float:
    """Layouts per CPU second."""
    source, count = layouts(), 0
    started = time.process_time()
    while time.process_time() - started < seconds:
        for layout in itertools.islice(source, 20):
            evaluate(layout)
        count += 20
    return count / (time.process_time() - started)


def calculon(checkout: Path, seconds: float) -> float:
    """Executions per second of Calculon."""
    sys.path.insert(0, str(checkout))
    from calculon.llm import Llm, System  # type: ignore[import-not-found]

    app = Llm.Application(json.loads((checkout / "models" / "gpt3-175B.json").read_text(encoding="utf-8")))
    system = System(json.loads((checkout / "systems" / "a100_80g.json").read_text(encoding="utf-8")))
    logger = logging.Logger("calculon")

    def evaluate(layout: Layout) -> None:
        tp, pp, dp, micro_batch = layout
        execution: dict[str, Any] = {
            "num_procs": GPUS, "tensor_par": tp, "pipeline_par": pp, "data_par": dp, "tensor_par_net": 0,
            "pipeline_par_net": 1, "data_par_net": 1, "batch_size": BATCH, "microbatch_size": micro_batch,
            "datatype": "float16", "fused_activation": True, "attention_type": "multihead",
            "activation_recompute": "full", "pipeline_interleaving": 1, "optimizer_sharding": dp > 1,
            "tensor_par_comm_type": "rs_ag", "tensor_par_overlap": "none", "seq_par_ag_redo": False,
            "data_par_overlap": False, "weight_offload": False, "activations_offload": False,
            "optimizer_offload": False, "training": True,
        }  # fmt: skip
        try:
            model = Llm(app, logger)
            model.compile(system, Llm.Execution.from_json(execution))
            model.run(system)
            model.get_stats_json(False)
        except Llm.Error:
            pass

    return rate(evaluate, seconds)


def llm_analysis(seconds: float) -> float:
    """Calls per second of llm-analysis."""
    from llm_analysis import analysis, config  # type: ignore[import-not-found]

    logging.disable(logging.CRITICAL)
    model = config.get_model_config_by_name("gpt3-175b") if _has_gpt3(config) else config.ModelConfig(
        name="gpt3-175b", num_layers=96, n_head=96, hidden_dim=12288, vocab_size=51200, max_seq_len=2048
    )  # fmt: skip
    gpu = config.get_gpu_config_by_name("a100-sxm-80gb")
    dtype = config.get_dtype_config_by_name("w16a16e16")

    def evaluate(layout: Layout) -> None:
        tp, pp, dp, micro_batch = layout
        parallelism = config.ParallelismConfig(tp_size=tp, pp_size=pp, dp_size=dp)
        try:
            one = analysis.LLMAnalysis(model, gpu, dtype, parallelism, flops_efficiency=0.5)
            one.training(batch_size_per_gpu=micro_batch, global_batch_size=BATCH, seq_len=2048, total_num_tokens=3e11)
        except (AssertionError, ValueError, ZeroDivisionError):
            pass

    return rate(evaluate, seconds)


def _has_gpt3(config: Any) -> bool:
    try:
        config.get_model_config_by_name("gpt3-175b")
    except Exception:
        return False
    return True


def main() -> int:
    """Measure what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calculon", type=Path, help="a checkout of Calculon")
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU seconds for each")
    given = parser.parse_args()
    if given.calculon is not None:
        print(f"Calculon: {calculon(given.calculon, given.seconds):,.0f} executions a second")
    try:
        print(f"llm-analysis: {llm_analysis(given.seconds):,.0f} layouts a second")
    except ImportError:
        print("llm-analysis: not installed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
