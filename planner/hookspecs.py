"""The hooks: each a plural noun, called once per process, yielding records of `planner.plugin`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from planner.plugin import (
        CatalogBranch,
        ConfigReader,
        Estimator,
        Framework,
        Method,
        Offload,
        Optimizer,
        Precision,
        Recompute,
        Schedule,
        Strategy,
        Sublayer,
    )

hookspec = pluggy.HookspecMarker("planner")


class PlannerHooks:
    """Every hook that the planner calls. An example in each docstring runs as a test."""

    @hookspec
    def planner_precisions(self) -> Iterable[Precision]:  # type: ignore[empty-body]
        """Number formats by role.

        >>> from planner.plugin import Precision, hookimpl
        >>> @hookimpl
        ... def planner_precisions():
        ...     yield Precision(
        ...         name="mxfp4", compute="bf16", matmul="fp4", weight_bytes=0.5 + 1 / 32, gradient_bytes=4,
        ...         master_bytes=4, activation_bytes=2, communication_bytes=2, gemm_input_bytes=0.5 + 1 / 32,
        ...         source="OCP Microscaling Formats v1.0, section 5",
        ...     )
        """

    @hookspec
    def planner_optimizers(self) -> Iterable[Optimizer]:  # type: ignore[empty-body]
        """Update rules and the states they keep.

        >>> from planner.plugin import Optimizer, State, hookimpl
        >>> def momentum(local, storage):
        ...     yield State(name="momentum", elements=local.elements, bytes_per_element=storage.state_bytes)
        >>> @hookimpl
        ... def planner_optimizers():
        ...     yield Optimizer(name="signum", states=momentum, source="arXiv:1802.04434")
        """

    @hookspec
    def planner_strategies(self) -> Iterable[Strategy]:  # type: ignore[empty-body]
        """Ways to divide work: mesh axes, sharding rules, collectives, constraints.

        >>> from planner.plugin import Axis, Degree, Strategy, divisors, hookimpl
        >>> @hookimpl
        ... def planner_strategies():
        ...     yield Strategy(
        ...         name="head-parallel",
        ...         degrees=(Degree(name="hp", candidates=lambda context: divisors(context.architecture.heads),
        ...                         multiplies_gpus=True),),
        ...         divides={Axis.HEADS: "hp", Axis.KV_HEADS: "hp"},
        ...         source="an example",
        ...     )
        """

    @hookspec
    def planner_schedules(self) -> Iterable[Schedule]:  # type: ignore[empty-body]
        """Pipeline schedules: what is in flight, what is idle.

        >>> import numpy as np
        >>> from planner.plugin import Schedule, hookimpl
        >>> def bubble(context, layouts, times):
        ...     forward = times.total_forward_s - times.slowest_forward_s
        ...     return forward + times.total_backward_s - times.slowest_backward_s
        >>> @hookimpl
        ... def planner_schedules():
        ...     yield Schedule(name="all-forward-all-backward",
        ...                    chunks_in_flight=lambda context, layouts, stage: layouts["micro_batches"],
        ...                    bubble_s=bubble, source="arXiv:1811.06965")
        """

    @hookspec
    def planner_recomputes(self) -> Iterable[Recompute]:  # type: ignore[empty-body]
        """Which activations are computed again in the backward.

        >>> from planner.plugin import Recompute, hookimpl
        >>> @hookimpl
        ... def planner_recomputes():
        ...     yield Recompute(name="selective:norm", operators=frozenset({"norm.rmsnorm"}), source="Megatron-LM")
        """

    @hookspec
    def planner_offloads(self) -> Iterable[Offload]:  # type: ignore[empty-body]
        """What is kept in the host's memory instead of the device's.

        >>> from planner.plugin import Offload, StateKind, hookimpl
        >>> @hookimpl
        ... def planner_offloads():
        ...     yield Offload(name="moments", states=frozenset({StateKind.OPTIMIZER}), source="arXiv:2101.06840")
        """

    @hookspec
    def planner_sublayers(self) -> Iterable[Sublayer]:  # type: ignore[empty-body]
        """Mixers and feed-forwards that architectures are made of.

        >>> from planner.plugin import Axis, Linear, Region, Sublayer, SublayerParts, Tensor, hookimpl, matrix
        >>> def identity_projection(architecture, layer, source):
        ...     width = architecture.hidden
        ...     output = Tensor("projection.output", width, Region.GATHERED)
        ...     multiply = Linear(name="projection", kind="linear", inputs=(source,), outputs=(output,),
        ...                       in_features=width, out_features=width)
        ...     weight = matrix("projection", (Axis.EMBED, width), (Axis.EMBED, width))
        ...     return SublayerParts(operators=(multiply,), parameters=(weight,), output=output)
        >>> @hookimpl
        ... def planner_sublayers():
        ...     yield Sublayer(name="projection", build=identity_projection, source="an example")
        """

    @hookspec
    def planner_config_readers(self) -> Iterable[ConfigReader]:  # type: ignore[empty-body]
        """Readers of Hugging Face ``config.json`` files, by ``model_type``.

        >>> from planner.plugin import Architecture, ConfigReader, hookimpl
        >>> def read(config):
        ...     return Architecture(slug="tiny", name="tiny", family="tiny", layers=config["n"], hidden=64, heads=1,
        ...                         kv_heads=1, head_dim=64, ffn_hidden=256, vocab=256, gated=False)
        >>> @hookimpl
        ... def planner_config_readers():
        ...     yield ConfigReader(name="tiny", model_types=("tiny",), read=read, source="an example")
        """

    @hookspec
    def planner_methods(self) -> Iterable[Method]:  # type: ignore[empty-body]
        """Training methods: which parameter groups train, which are added.

        >>> from planner.plugin import Method, hookimpl
        >>> @hookimpl
        ... def planner_methods():
        ...     yield Method(name="everything", apply=lambda program, options: program, source="an example")
        """

    @hookspec
    def planner_frameworks(self) -> Iterable[Framework]:  # type: ignore[empty-body]
        """Execution profiles of training frameworks.

        >>> from planner.plugin import DeviceOverheads, Framework, Overlaps, Storage, hookimpl
        >>> def storage(precision):
        ...     return Storage(weight_bytes=4, gradient_bytes=4, gradient_copy_bytes=0, master_bytes=0, state_bytes=4,
        ...                    unsharded_weight_bytes=precision.activation_bytes, reduce_bytes=4)
        >>> @hookimpl
        ... def planner_frameworks():
        ...     yield Framework(name="plain", storage=storage, footprints={}, overlaps=Overlaps(),
        ...                     overheads=DeviceOverheads(context_bytes=0, workspace_bytes=0, communicator_bytes=0,
        ...                                               fragmentation=0.0, source="an example"),
        ...                     source="an example")
        """

    @hookspec
    def planner_estimators(self) -> Iterable[Estimator]:  # type: ignore[empty-body]
        """Rules of thumb for `planner estimate`.

        >>> from planner.plugin import Estimate, Estimator, hookimpl
        >>> def chinchilla(known):
        ...     yield Estimate(name="optimal tokens", value=20 * known.params, unit="tokens", formula="20 · N",
        ...                    source="arXiv:2203.15556")
        >>> @hookimpl
        ... def planner_estimators():
        ...     yield Estimator(name="twenty-tokens", estimates=chinchilla, source="arXiv:2203.15556")
        """

    @hookspec
    def planner_catalogs(self) -> Iterable[CatalogBranch]:  # type: ignore[empty-body]
        """Alembic branches with facts of a plugin's own.

        >>> from pathlib import Path
        >>> from planner.plugin import CatalogBranch, hookimpl
        >>> @hookimpl
        ... def planner_catalogs():
        ...     yield CatalogBranch(label="gh200", directory=Path("versions"))
        """
