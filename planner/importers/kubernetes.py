"""`kubectl get nodes -o json`: accelerators by capacity, named by the labels of NVIDIA's, AMD's and the clouds' operators."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from planner.catalog.spelling import clipped
from planner.errors import InputError
from planner.importers.documents import parse_json
from planner.importers.machines import MachineFormat, SeenNodes, is_shown, shown_count
from planner.units import MIB, parse_bytes

RESOURCES: Final = ("nvidia.com/gpu", "amd.com/gpu", "habana.ai/gaudi", "google.com/tpu", "aws.amazon.com/neurondevice")
"""What a node's capacity calls its accelerators."""
PRODUCTS: Final = (
    "nvidia.com/gpu.product", "amd.com/gpu.product-name", "beta.amd.com/gpu.product-name",
    "cloud.google.com/gke-accelerator", "cloud.google.com/gke-tpu-accelerator", "k8s.amazonaws.com/accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
)  # fmt: skip
"""Labels that name the accelerator, the most exact first."""
INSTANCE_TYPES: Final = (
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "nvidia.com/gpu.machine",
)
_SLICED: Final = re.compile(r"-MIG-\S+$")
_SHARED: Final = "-SHARED"


def _recognises(text: str) -> bool:
    start = text.lstrip()[:1_000_000]
    return (
        start.startswith("{")
        and '"metadata"' in start
        and bool(re.search(r'"kind"\s*:\s*"(List|Node|NodeList)"', text))
    )


def _parse(text: str) -> tuple[SeenNodes, ...]:
    document = parse_json(text, "kubectl")
    items = document.get("items") if isinstance(document, Mapping) else None
    if items is None and isinstance(document, Mapping) and document.get("kind") == "Node":
        items = [document]
    if not isinstance(items, list):
        raise InputError("no items", hint="give the output of kubectl get nodes -o json")
    return tuple(each for index, item in enumerate(items, start=1) for each in _node(item, index))


def _node(item: Any, index: int) -> Iterator[SeenNodes]:  # noqa: ANN401 - parsed JSON
    if not isinstance(item, Mapping):
        raise InputError(f"item {index} must be an object, not {clipped(item)}")
    metadata, status = _part(item, "metadata"), _part(item, "status")
    labels, capacity = _part(metadata, "labels"), _part(status, "capacity")
    where = f"node {clipped(metadata.get('name', index))}"
    # 0 is what a node shows whose device plugin is gone.
    counts = [shown_count(capacity.get(name), f"{where}: {name}", least=0) for name in RESOURCES]
    count = next(filter(None, counts), None)
    product = next((str(labels[name]) for name in PRODUCTS if isinstance(labels.get(name), str)), None)
    notes: list[str] = []
    if product is not None and _SLICED.search(product):
        raise InputError(
            f"{where} shows slices of MIG ({clipped(product)}), not whole GPUs",
            hint="leave it out, or count its GPUs with nvidia-smi",
        )
    if product is not None and (_label(labels, "nvidia.com/gpu.replicas", where) or 1) > 1:
        product, count = product.removesuffix(_SHARED), _label(labels, "nvidia.com/gpu.count", where) or count
        notes.append("GPUs that several pods share are counted once")
    if not count:
        return
    memory = _label(labels, "nvidia.com/gpu.memory", where, least=1)
    yield SeenNodes(
        accelerator=product or "",
        per_node=count,
        memory_bytes=memory * MIB if memory else _bytes(labels.get("amd.com/gpu.vram"), f"{where}: amd.com/gpu.vram"),
        host_memory_bytes=_bytes(capacity.get("memory"), f"{where}: memory"),
        vcpus=shown_count(capacity.get("cpu"), f"{where}: cpu"),
        instance_type=next((str(labels[name]) for name in INSTANCE_TYPES if isinstance(labels.get(name), str)), None),
        notes=tuple(notes),
    )


def _label(labels: Mapping[str, Any], name: str, where: str, *, least: int = 0) -> int | None:
    return shown_count(labels.get(name), f"{where}: {name}", least=least)


def _part(item: Any, name: str) -> Mapping[str, Any]:  # noqa: ANN401 - parsed JSON
    part = item.get(name) if isinstance(item, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _bytes(text: Any, what: str) -> int | None:  # noqa: ANN401
    """A quantity of Kubernetes (``2113929216Ki``), or AMD's label (``192G``, which means GiB). Raises InputError."""
    if not is_shown(text):
        return None
    try:
        amount = int(parse_bytes(f"{text}i" if re.fullmatch(r"\d+G", str(text)) else str(text)[:40]))
    except (ValueError, OverflowError):
        amount = 0
    if amount <= 0:
        raise InputError(f"{what} must be an amount as 2113929216Ki, not {clipped(text)}")
    return amount


FORMAT: Final = MachineFormat("kubernetes", _recognises, _parse)
