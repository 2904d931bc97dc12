"""What follows from a step's time: FLOPs utilisation, throughput, duration, money, energy, and all that with failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner.domain.mesh import Array, Layouts
from planner.formulas import cost, run
from planner.plugin import Context
from planner.search.conventions import TRAINING_PASSES, model_flops_per_token
from planner.search.operators import peak_flop_per_s
from planner.search.recomputing import share_of_model
from planner.search.rules import Rules, mesh_recomputes
from planner.search.running import Energy, Progress, accelerator_w, expected_energy, progress, run_energy
from planner.search.timing import StepTimes, hardware_flops_factor


@dataclass(frozen=True, slots=True)
class Expected:
    """The whole run with interruptions, checkpoints and restarts, per layout."""

    progress: Progress
    duration_s: Array
    cost_usd: Array | None
    energy: Energy | None


@dataclass(frozen=True, slots=True)
class Measures:
    """Per layout: fractions of the peak, tokens per second, and the whole run without failures.

    `energy`: None where no power is known, or the components of the step were not given.
    """

    mfu: Array
    hfu: Array
    tokens_per_s: Array
    model_flops_per_s_per_gpu: Array
    duration_s: Array
    cost_usd: Array | None
    energy: Energy | None
    expected: Expected | None

    @property
    def due_s(self) -> Array:
        """When the run can be expected to end, which a deadline is held against."""
        return self.duration_s if self.expected is None else self.expected.duration_s

    @property
    def due_usd(self) -> Array | None:
        """What the run can be expected to cost, which a budget is held against."""
        return self.cost_usd if self.expected is None else self.expected.cost_usd


def measures(
    context: Context,
    layouts: Layouts,
    rules: Rules,
    step_time_s: Array,
    components: Mapping[str, Array] | None = None,
) -> Measures:
    """MFU counts model FLOPs as the job's convention has it; HFU is larger by the share that runs again.

    `components` are the step's [s], which decide the mean power.
    """
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
    power = context.operating.power
    mean_w = None if power is None or components is None else accelerator_w(power, components, step_time_s)
    return Measures(
        mfu=per_gpu / peak,
        hfu=per_gpu / peak * (1.0 + again / halved),
        tokens_per_s=rate,
        model_flops_per_s_per_gpu=per_gpu,
        duration_s=run_s,
        cost_usd=_cost_usd(context, n_gpus, run_s),
        energy=None if power is None or mean_w is None else run_energy(power, n_gpus, run_s, mean_w),
        expected=expected_run(context, n_gpus, run_s, mean_w),
    )


def expected_run(context: Context, n_gpus: Array, run_s: Array, mean_w: Array | None = None) -> Expected | None:
    """A run of `run_s` as it can be expected to go; None where nothing is known of failures.

    The share that is progress depends on the number of GPUs alone, so that layouts on as many keep their order.
    """
    reliability, power = context.operating.reliability, context.operating.power
    if reliability is None:
        return None
    found = progress(reliability, n_gpus)
    wall_s = found.wall_s(run_s)
    used = None if power is None or mean_w is None else expected_energy(power, n_gpus, run_s, mean_w, found)
    return Expected(found, wall_s, _cost_usd(context, n_gpus, wall_s), used)


def step_energy_j(context: Context, n_gpus: Array, step: StepTimes) -> Array | None:
    """Energy [J] of one step of every layout, of accelerators, hosts and building; None where no power is known.

    It orders layouts as the energy of the whole run does. Power depends on what a step's time is made of, so least energy is
    not simply the fewest GPU-hours.
    """
    power = context.operating.power
    if power is None:
        return None
    mean_w = accelerator_w(power, step.components, step.total_s)
    return n_gpus * step.total_s * (mean_w + power.host_w) * power.pue


def _cost_usd(context: Context, n_gpus: Array, run_s: Array) -> Array | None:
    price = context.cluster.price
    if price is None:
        return None
    return cost.cost_usd(n_gpus, run_s, price.usd_per_accelerator_hour, context.operating.utilisation)
