"""What ``--cluster`` means."""

from __future__ import annotations

import pytest

from planner.catalog.reader import Catalog
from planner.errors import InputError, UnknownNameError


def test_a_bare_accelerator_takes_its_reference_node(catalog: Catalog) -> None:
    cluster = catalog.cluster("h100-sxm5-80gb:64x8")
    assert (cluster.nodes, cluster.accelerators, cluster.node.slug) == (64, 512, "dgx-h100")
    assert catalog.cluster("h100:512").node == cluster.node
    assert catalog.cluster("H100 : 512").nodes == 64


def test_fewer_than_a_node_share_its_network_and_memory(catalog: Catalog) -> None:
    whole, half = catalog.node("dgx-a100-640"), catalog.cluster("a100:4").node
    assert (half.accelerators_per_node, half.scaleup_domain) == (4, 4)
    assert half.network_bytes_per_s == whole.network_bytes_per_s / 2
    assert half.host_memory_bytes == whole.host_memory_bytes // 2
    assert "4 of 8" in half.note


def test_a_rack_is_one_scale_up_domain_across_nodes(catalog: Catalog) -> None:
    rack = catalog.cluster("gb200:72")
    assert (rack.nodes, rack.node.accelerators_per_node, rack.node.scaleup_domain) == (18, 4, 72)
    assert catalog.cluster("gb200:36x2").node.scaleup_domain == 36


def test_an_accelerator_without_a_reference_node_gets_one_behind_pcie(catalog: Catalog) -> None:
    for count in (1, 8):
        cluster = catalog.cluster(f"rtx-4090:{count}")
        assert (cluster.nodes, cluster.accelerators, cluster.node.synthetic) == (1, count, True)
        assert (cluster.node.network_bytes_per_s, cluster.node.scaleup_domain) == (None, 1)


def test_no_price_is_none(catalog: Catalog) -> None:
    assert catalog.cluster("rtx-4090:8").price is None


def test_a_bare_cluster_costs_what_its_node_costs(catalog: Catalog) -> None:
    node = catalog.node("aws-g6e-48xlarge")
    assert node.price is not None
    assert catalog.cluster("l40s:8").price == node.price == catalog.cluster("l40s-pool").price


def test_a_node_can_be_chosen(catalog: Catalog) -> None:
    assert catalog.cluster("h100:16", node="aws-p5-48xlarge").node.slug == "aws-p5-48xlarge"
    assert catalog.cluster("h100:16", node="p5.48xlarge").nodes == 2


@pytest.mark.parametrize(
    ("spec", "node", "says"),
    [
        ("rtx-4090:16", None, "--node"),
        ("rtx-4090:2x8", None, "--node"),
        ("rtx-4090:1x9", None, "--node"),
        ("h100:12", None, "use 8 or 16"),
        ("h100:2x16", None, "holds 8"),
        ("h100:16", "dgx-a100-640", "holds a100-sxm4-80gb"),
        ("a100-pool", "dgx-a100-640", "--node"),
        ("h100", None, "h100-sxm5-80gb:8"),
        ("h100:", None, "GPU:COUNT"),
        (":8", None, "GPU:COUNT"),
        ("h100:eight", None, "GPU:COUNT"),
        ("h100:-8", None, "GPU:COUNT"),
        ("h100:8x", None, "GPU:COUNT"),
        ("h100:0", None, "0 accelerators"),
        ("h100:8x0", None, "0 accelerators"),
        ("h100:99999999x9", None, "accelerators"),
        ("h100:99999999999999999999", None, "GPU:COUNT"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_one_helpful_line(
    catalog: Catalog, spec: str, node: str | None, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        catalog.cluster(spec, node)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(("spec", "near"), [("a100-pol", "a100-pool"), ("h10:8", "h100"), ("", "")])
def test_an_unknown_cluster_or_accelerator_comes_back_with_near_names(catalog: Catalog, spec: str, near: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        catalog.cluster(spec)
    assert near in str(caught.value)
