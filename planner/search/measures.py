"""What follows from a step's time: FLOPs utilisation, throughput, duration, money, energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.formulas import run
from planner.plugin import Context
from planner.search.conventions import TRAINING_PASSES, model_flops_per_token
from planner.search.evaluation import Rules, mesh_recomputes
from planner.search.operators import peak_flop_per_s
from planner.search.recomputing import share_of_model
from planner.search.timing import hardware_flops_factor


@dataclass(frozen=True, slots=True)
class Measures:
    """Per layout: fractions of the peak, tokens per second, and the whole run."""

    mfu: Array
    hfu: Array
    tokens_per_s: Array
    model_flops_per_s_per_gpu: Array
    duration_s: Array
    cost_usd: Array | None
    energy_kwh: Array | None


def measures(context: Context, layouts: Layouts, rules: Rules, step_time_s: Array) -> Measures:
    """MFU counts model FLOPs as the job's convention has it; HFU is larger by the share that runs again."""
    job, cluster, program = context.job, context.cluster, context.program
    seq_len = job.seq_len
    n_gpus = layouts["n_gpus"]
    halved = TRAINING_PASSES * program.flops_per_token(seq_len)
    model_flops = model_flops_per_token(program, seq_len, job.flops_convention)
    recomputes = mesh_recomputes(layouts, rules)
    again = np.zeros(1)
    for kind, count in zip(program.kinds, program.counts(), strict=True):
        per_choice = list(hardware_flops_factor(recomputes, kind, seq_len))
        again = again + count * layouts.choose("recompute", per_choice)
    again = again * share_of_model(context, layouts, recomputes)
    rate = job.tokens_per_step / step_time_s
    peak = peak_flop_per_s(cluster.accelerator, context.precision.matmul)
    per_gpu = model_flops * rate / n_gpus
    run_s = run.duration_s(job.tokens, job.tokens_per_step, step_time_s)
    price, tdp = cluster.price, cluster.accelerator.tdp_w
    return Measures(
        mfu=per_gpu / peak,
        hfu=per_gpu / peak * (1.0 + again / halved),
        tokens_per_s=rate,
        model_flops_per_s_per_gpu=per_gpu,
        duration_s=run_s,
        cost_usd=None if price is None else run.cost_usd(n_gpus, run_s, price.usd_per_accelerator_hour),
        energy_kwh=None if tdp is None else run.energy_kwh(n_gpus, run_s, tdp),
    )
