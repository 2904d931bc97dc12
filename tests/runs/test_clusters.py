"""The machines of a row: the reference node where the row agrees, otherwise what was changed is named."""

import pytest

from planner.domain.hardware import Accelerator, BusBandwidths, Node
from planner.errors import InputError, UnknownNameError
from planner.importers.runs import RunRow
from planner.runs.clusters import Machines, gpu_names
from planner.search.network import NETWORK_EFFICIENCY
from planner.units import GIB, GIGA

GIGABIT = GIGA / 8


def accelerator(slug, memory_gib=80, node=None, form="SXM4", link=300e9, domain=8):
    return Accelerator(
        slug=slug,
        name=slug.upper(),
        vendor="",
        architecture="",
        year=2020,
        form_factor=form,
        usable_bytes=None,
        capacity_bytes=memory_gib * GIB,
        memory_bandwidth_bytes_per_s=2e12,
        peak_flop_per_s={"bf16": 3e14},
        scaleup_bytes_per_s=link,
        scaleup_domain=domain,
        reference_node=node,
    )


def node(slug, gpu, count=8, domain=8, gigabits=1600):
    return Node(
        slug=slug,
        name=slug,
        provider="",
        accelerator=gpu,
        accelerators_per_node=count,
        scaleup_domain=domain,
        intra_node_topology="",
        network_bytes_per_s=None if gigabits is None else gigabits * GIGABIT,
    )


ACCELERATORS = {
    each.slug: each
    for each in (
        accelerator("a100", node="dgx-a100"),
        accelerator("a100-40", 40, node="p4d"),
        accelerator("a800"),
        accelerator("4090", 24, form="PCIe", link=None, domain=1),
        accelerator("gb200", 185, node="tray", form="superchip", domain=72),
        accelerator("tpu", 16, form="board", domain=256),
    )
}
NAMES = {**ACCELERATORS, "a100 40gb": ACCELERATORS["a100-40"], "a100 80gb": ACCELERATORS["a100"]}
NODES = {
    each.slug: each
    for each in (
        node("dgx-a100", "a100"),
        node("p4d", "a100-40", gigabits=400),
        node("tray", "gb200", 4, 72),
        node("other", "a100-40", gigabits=800),
        node("unconnected", "a100-40", gigabits=None),
    )
}


@pytest.fixture
def machines():
    def look_up(name):
        if name.lower() not in NAMES:
            raise UnknownNameError("accelerator", name, NAMES)
        return NAMES[name.lower()]

    return Machines(look_up, NODES.__getitem__, NODES.values)


def test_the_reference_node_is_taken_whole(machines):
    cluster, filled = machines.cluster(RunRow(gpu_slug="a100", n_gpus=16, gpus_per_node=8))
    assert (cluster.node, cluster.nodes) == (NODES["dgx-a100"], 2)
    assert filled == ("network = 1600 Gb/s per node (dgx-a100)",)


def test_a_job_inside_a_node_needs_no_network(machines):
    cluster, filled = machines.cluster(RunRow(gpu_slug="a100", n_gpus=8, gpus_per_node=8))
    assert (cluster.nodes, filled) == (1, ())


def test_a_node_of_another_size_keeps_its_share_of_the_network(machines):
    cluster, filled = machines.cluster(RunRow(gpu_slug="a100", n_gpus=16, gpus_per_node=4))
    assert (cluster.node.accelerators_per_node, cluster.node.scaleup_domain, cluster.nodes) == (4, 4, 4)
    assert cluster.node.network_bytes_per_s == 800 * GIGABIT
    assert len(filled) == 2


def test_the_network_that_the_row_states_is_the_nodes(machines):
    cluster, filled = machines.cluster(RunRow(gpu_slug="a100", n_gpus=16, gpus_per_node=8, network_bytes_per_s=5e10))
    assert (cluster.node.network_bytes_per_s, filled) == (5e10, ())


def test_a_rack_scale_domain_stays_whole(machines):
    cluster, filled = machines.cluster(RunRow(gpu_slug="gb200", n_gpus=64, gpus_per_node=4))
    assert (cluster.node.scaleup_domain, cluster.nodes, filled) == (72, 16, ())


def test_an_unknown_network_is_the_median_of_nodes_of_the_same_form(machines):
    cluster, filled = machines.cluster(RunRow(gpu_slug="a800", n_gpus=16, gpus_per_node=8))
    assert cluster.node.network_bytes_per_s == 800 * GIGABIT
    assert filled == ("network = 800 Gb/s per node (median of the catalog's nodes with SXM4 accelerators)",)


def test_without_a_reference_node_the_node_is_plain(machines):
    cluster, filled = machines.cluster(RunRow(gpu_slug="4090", n_gpus=2))
    assert (cluster.node.accelerators_per_node, cluster.node.scaleup_domain, cluster.node.synthetic) == (2, 1, True)
    assert filled == ("gpus_per_node = 2 (no reference node)",)


def test_a_link_that_joins_a_pod_joins_plain_nodes_too(machines):
    cluster, filled = machines.cluster(RunRow(gpu_slug="tpu", n_gpus=64))
    assert (cluster.node.accelerators_per_node, cluster.node.scaleup_domain) == (8, 256)
    assert filled == ("gpus_per_node = 8 (no reference node)",)


def test_a_gpu_is_found_by_name_and_memory(machines):
    assert machines.cluster(RunRow(gpu="A100", gpu_memory_gb=40.0, n_gpus=8))[0].accelerator.slug == "a100-40"
    assert machines.cluster(RunRow(gpu="A100 (Selene)", n_gpus=8))[0].accelerator.slug == "a100"
    assert machines.cluster(RunRow(gpu="A100 40GB HBM2", n_gpus=8))[0].accelerator.slug == "a100-40"


@pytest.mark.parametrize(
    ("row", "column"),
    [
        (RunRow(gpu_slug="z9", n_gpus=8), "gpu_slug"),
        (RunRow(gpu="Z9", n_gpus=8), "gpu"),
        (RunRow(n_gpus=8), "gpu"),
        (RunRow(gpu="A100", gpu_memory_gb=64.0, n_gpus=8), "gpu"),
    ],
)
def test_a_gpu_that_is_not_known_names_its_column(machines, row, column):
    with pytest.raises(InputError, match=rf"^{column}: "):
        machines.cluster(row)


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        ("H100", ["H100"]),
        ("H100 80GB 700W", ["H100 80GB 700W", "H100 80GB", "H100"]),
        ("DGX-H100", ["DGX-H100", "H100"]),
        ("A100-SXM4-80G", ["A100-SXM4-80G", "A100-SXM4-80GB"]),
        ("A6000 Ada", ["A6000 Ada"]),
        ("NVIDIA Blackwell GPU (GB200)", ["NVIDIA Blackwell GPU", "Blackwell GPU", "GB200"]),
    ],
)
def test_only_what_qualifies_is_dropped_from_a_gpus_name(gpu, expected):
    assert list(gpu_names(gpu)) == expected


def test_a_network_that_the_source_measured_is_the_nodes(machines):
    """All-reduces reached 361.7 GB/s of bus bandwidth on two nodes: of a buffer 1/2 crosses where 15/16 are counted. What more
    nodes reached holds for groups that span as many; a note's nominal rate gives way to what was measured."""
    measured = BusBandwidths(all_reduce=((1, 436e9), (2, 361.7e9), (8, 99.6e9)))
    row = RunRow(gpu="a100", n_gpus=64, bus_bandwidths=measured, network_bytes_per_s=400e9)
    cluster, filled = machines.cluster(row)
    reached = cluster.node.network_bytes_per_s * NETWORK_EFFICIENCY
    assert reached == pytest.approx(361.7e9 * (1 / 2) / (15 / 16))
    assert cluster.measured == measured
    assert any("the source's own all-reduce on 2 nodes" in text for text in filled)
    inside, _ = machines.cluster(RunRow(gpu="a100", n_gpus=8, bus_bandwidths=measured))
    assert inside.node == NODES["dgx-a100"]
