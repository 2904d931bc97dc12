"""`planner catalog import cluster`: what tools print on real machines, and a pool described in YAML."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from planner.catalog.reader import Catalog
from planner.errors import InputError
from planner.importers.machine_names import accelerator_named
from planner.importers.machines import formats, parsed, recognised
from planner.units import GIB, MIB

SAMPLES = Path(__file__).parent.parent / "data" / "machines"
EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"


@pytest.fixture(scope="module")
def catalog(released: Path):
    with Catalog.open(f"sqlite:///{released}") as opened:
        yield opened


def seen(name: str):
    text = (SAMPLES / name).read_text(encoding="utf-8")
    found = recognised(text)
    assert found is not None
    return found.name, parsed(text, name, found)


@pytest.mark.parametrize(
    ("sample", "tool", "slug", "per_node", "nodes"),
    [
        ("nvidia-smi-a10g.xml", "nvidia-smi", "a10g", 1, 1),
        ("nvidia-smi-rtx-3090.xml", "nvidia-smi", "rtx-3090", 1, 1),
        ("nvidia-smi-t4.xml", "nvidia-smi", "t4", 1, 1),
        ("nvidia-smi-query-a100.csv", "nvidia-smi", "a100-sxm4-80gb", 8, 1),
        ("nvidia-smi-query-h200.csv", "nvidia-smi", "h200-sxm5-141gb", 4, 1),
        ("nvidia-smi-query-a6000.csv", "nvidia-smi", "rtx-a6000", 2, 1),
        ("nvidia-smi-list-a100.txt", "nvidia-smi", "a100-sxm4-80gb", 6, 1),
        ("nvidia-smi-table-a100-pcie.txt", "nvidia-smi", "a100-pcie-80gb", 2, 1),
        ("nvidia-smi-table-a100-cut.txt", "nvidia-smi", "a100-sxm4-80gb", 1, 1),
        ("nvidia-smi-table-h100.txt", "nvidia-smi", "h100-sxm5-80gb", 1, 1),
        ("rocm-smi-mi100.json", "rocm-smi", "mi100", 4, 1),
        ("amd-smi-mi300x.json", "rocm-smi", "mi300x", 1, 1),
        ("sinfo-nodes.txt", "sinfo", "gb200", 4, 2),
        ("sinfo.json", "sinfo", "rtx-3090", 8, 2),
        ("scontrol-nodes.txt", "sinfo", "a100-sxm4-80gb", 8, 1),
    ],
)
def test_each_tool_is_told_by_its_output_and_its_accelerators_are_counted(
    catalog: Catalog, sample: str, tool: str, slug: str, per_node: int, nodes: int
) -> None:
    name, (found,) = seen(sample)
    assert name == tool
    assert (found.per_node, found.nodes) == (per_node, nodes)
    assert accelerator_named(catalog, found.accelerator, found.memory_bytes).slug == slug


def test_a_scheduler_with_many_kinds_of_nodes_gives_one_group_of_each(catalog: Catalog) -> None:
    _, groups = seen("sinfo-gres.txt")
    found = [(accelerator_named(catalog, each.accelerator, None).slug, each.per_node, each.nodes) for each in groups]
    assert found == [
        ("h100-nvl-94gb", 1, 1), ("h200-nvl-141gb", 4, 1), ("rtx-pro-6000-bw-server", 4, 3), ("rtx-5090", 4, 2),
        ("a100-pcie-80gb", 4, 1), ("rtx-3090", 8, 2),
    ]  # fmt: skip


def test_kubernetes_names_accelerators_by_every_operator_s_labels(catalog: Catalog) -> None:
    _, groups = seen("kubernetes-nodes.json")
    found = [
        (accelerator_named(catalog, each.accelerator, each.memory_bytes).slug, each.per_node, each.nodes)
        for each in groups
    ]
    assert found == [("l4", 4, 2), ("a100-pcie-80gb", 1, 1), ("h100-sxm5-80gb", 8, 3), ("mi300x", 8, 1)]
    assert groups[0].host_memory_bytes == 195_999_996 * 1024
    assert groups[3].memory_bytes == 192 * GIB


def test_memory_and_host_are_read(catalog: Catalog) -> None:
    _, (a10g,) = seen("nvidia-smi-a10g.xml")
    assert a10g.memory_bytes == 23028 * MIB
    _, (mi100,) = seen("rocm-smi-mi100.json")
    assert mi100.memory_bytes == 34342961152
    _, (gb200,) = seen("sinfo-nodes.txt")
    assert (gb200.host_memory_bytes, gb200.vcpus) == (7500 * MIB, 4)


@pytest.mark.parametrize(
    ("name", "memory_gib", "slug"),
    [
        ("V100", 16, "v100-sxm2-16gb"),
        ("V100", None, "v100-sxm2-32gb"),
        ("nvidia-tesla-a100", 40, "a100-sxm4-40gb"),
        ("NVIDIA-A100-PCIE-40GB", 40, "a100-pcie-40gb"),
        ("nvidia-h100-mega-80gb", None, "h100-sxm5-80gb"),
        ("h100-80", None, "h100-sxm5-80gb"),
        ("v100-32", None, "v100-sxm2-32gb"),
        ("AMD_Instinct_MI300X_OAM", 192, "mi300x"),
        ("nvidia_h100_80gb_hbm3", None, "h100-sxm5-80gb"),
    ],
)
def test_names_of_tools_and_clouds_are_the_catalog_s_accelerators(
    catalog: Catalog, name: str, memory_gib: int | None, slug: str
) -> None:
    memory_bytes = None if memory_gib is None else memory_gib * GIB
    assert accelerator_named(catalog, name, memory_bytes).slug == slug


@pytest.mark.parametrize(
    ("name", "memory_gib", "said"),
    [
        ("NVIDIA Foo 9000", None, "knows no accelerator 'NVIDIA Foo 9000' (say which it is with --accelerator"),
        ("NVIDIA GeForce RTX 4090", 48, "'NVIDIA GeForce RTX 4090' has 48.0 GiB here, rtx-4090 24.0 GiB"),
        ("NVIDIA A100-SXM...", None, "could be a100-sxm4-40gb, a100-sxm4-80gb"),
        ("", None, "are counted, not named (say which with --accelerator)"),
    ],
)
def test_a_name_that_the_catalog_does_not_know_is_named(
    catalog: Catalog, name: str, memory_gib: int | None, said: str
) -> None:
    with pytest.raises(InputError) as refused:
        accelerator_named(catalog, name, None if memory_gib is None else memory_gib * GIB)
    assert said in str(refused.value)


def cluster(planner, slug: str) -> dict:
    return json.loads(planner("catalog", "show", "clusters", slug, "-f", "json").out)


def test_a_machine_becomes_a_cluster_of_its_reference_node(planner) -> None:
    sample = str(SAMPLES / "nvidia-smi-query-a100.csv")
    outcome = planner("catalog", "import", "cluster", sample, "--slug", "big", "--nodes", "16", "--price", "1.50")
    assert outcome.status == 0
    assert "big: taken for a dgx-a100-640; say --node or --network if it is another" in outcome.err
    found = cluster(planner, "big")
    assert (found["node"], found["nodes"], found["layer"]) == ("dgx-a100-640", 16, "user")
    assert [price["usd_per_accelerator_hour"] for price in found["prices"]] == [1.5]
    planned = json.loads(planner("plan", "--model", "llama3-7b", "--cluster", "big", "-f", "json").out)
    assert planned["answer"]["min_gpus"] == 3
    assert planned["provenance"]["price"]["usd_per_gpu_hour"] == 1.5


def test_an_instance_type_is_the_node_and_nothing_is_assumed(planner) -> None:
    outcome = planner("catalog", "import", "cluster", str(SAMPLES / "kubernetes-nodes.json"), "--slug", "k8s")
    assert "h100" not in outcome.err
    assert cluster(planner, "k8s-h100-sxm5-80gb-x8")["node"] == "gcp-a3-megagpu-8g"
    assert cluster(planner, "k8s-l4-x4")["node"] == "aws-g6-12xlarge"


def test_a_machine_like_none_of_the_catalog_gets_a_node_of_the_user_s_own(planner) -> None:
    sample = str(SAMPLES / "nvidia-smi-query-h200.csv")
    outcome = planner("catalog", "import", "cluster", sample, "--slug", "four", "--nodes", "2")
    assert "four: the network between nodes is not known; say --network or --node" in outcome.err
    outcome = planner(
        "catalog", "import", "cluster", sample, "--slug", "four", "--nodes", "2", "--network", "800Gbit/s", "--replace"
    )
    assert outcome.err == ""
    node = json.loads(planner("catalog", "show", "nodes", "four-node", "-f", "json").out)
    assert (node["accelerators_per_node"], node["scaleup_domain"], node["network_bytes_per_s"]) == (4, 4, 1e11)


def test_a_cut_list_slices_and_two_kinds_in_one_machine_are_refused(refused, tmp_path: Path) -> None:
    def line(path: Path, *more: str) -> str:
        return refused("catalog", "import", "cluster", str(path), *more)

    assert "4 GPUs are attached and 1 are listed: the output is cut" in line(SAMPLES / "nvidia-smi-a100-mig.xml")
    assert "shows slices of MIG ('NVIDIA-H100-80GB-HBM3-MIG-1g.10gb')" in line(SAMPLES / "kubernetes-mig.json")
    assert "sinfo shows no column GRES (ask with sinfo -N -o" in line(SAMPLES / "sinfo-plain.txt")
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("name, memory.total [MiB]\nNVIDIA H100 PCIe, 81559 MiB\nNVIDIA L4, 23034 MiB\n", encoding="utf-8")
    assert "one machine with 'NVIDIA H100 PCIe' and 'NVIDIA L4'" in line(mixed)


def test_mig_on_whole_gpus_is_counted_whole_and_said(planner, tmp_path: Path) -> None:
    text = (SAMPLES / "nvidia-smi-a100-mig.xml").read_text(encoding="utf-8")
    path = tmp_path / "mig.xml"
    path.write_text(text.replace("<attached_gpus>4", "<attached_gpus>1"), encoding="utf-8")
    assert "MIG is on: the GPUs are counted whole" in planner("catalog", "import", "cluster", str(path)).err


def test_nodes_in_two_partitions_count_once(catalog: Catalog, tmp_path: Path) -> None:
    text = "PARTITION NODELIST GRES\na gpu[01-04] gpu:h100:8\nb gpu[03-06] gpu:h100:8\n"
    (found,) = parsed(text, "sinfo.txt", formats()["sinfo"])
    assert (found.nodes, found.per_node) == (6, 8)


def slurm(text: str):
    found = recognised(text)
    assert found is formats()["sinfo"]
    return parsed(text, "nodes.txt", found)


def test_lines_of_slurm_conf_are_as_many_nodes_as_they_name() -> None:
    """The forms of https://slurm.schedmd.com/slurm.conf.html: ranges, DEFAULT, a line continued, keywords in any case."""
    text = """\
# NodeName=old[01-99] Gres=gpu:a100:8
NodeName=DEFAULT CPUs=128 RealMemory=2000000 State=UNKNOWN
NodeName=gpu[001-016] Gres=gpu:h100:8 \\
    Sockets=2
Nodename=gpu[015-018] gres=gpu:h100:8,tmpfs:2T # two of them again
NodeName=cpu[01-99] CPUs=64
PartitionName=all Nodes=ALL Default=YES State=DOWN
"""
    (found,) = slurm(text)
    assert (found.accelerator, found.per_node, found.nodes) == ("h100", 8, 18)
    assert (found.vcpus, found.host_memory_bytes) == (128, 2_000_000 * MIB)
    assert found.notes == ()


def test_a_node_that_scontrol_shows_twice_is_one_and_one_that_is_down_is_said() -> None:
    node = """\
NodeName=gn01 Arch=x86_64 CoresPerSocket=32
   CPUAlloc=0 CPUTot=128 CPULoad=0.01
   Gres=gpu:h100:8(S:0-1)
   OS=Linux 5.15.0-91-generic #101-Ubuntu SMP Tue Nov 14 13:30:08 UTC 2023 RealMemory=2000000
   State=DOWN+DRAIN ThreadsPerCore=2
   Partitions=gpu

"""
    (found,) = slurm(node + node + node.replace("gn01", "gn02"))
    assert (found.nodes, found.vcpus, found.host_memory_bytes) == (2, 128, 2_000_000 * MIB)
    assert found.notes == ("some nodes are down or drained: they are counted too",)


@pytest.mark.parametrize("shown", ["-5 MiB", "0 MiB", "80.5 MiB", "80 GiB", "much"])
def test_memory_that_is_there_and_wrong_is_not_taken_for_unknown(shown: str) -> None:
    text = f"name, memory.total [MiB]\nNVIDIA H100 80GB HBM3, 81559 MiB\nNVIDIA H100 80GB HBM3, {shown}\n"
    with pytest.raises(InputError, match=r"the memory of GPU 2, in MiB, must be a whole number from 1 up, not"):
        parsed(text, "gpus.csv", formats()["nvidia-smi"])
    xml = (SAMPLES / "nvidia-smi-t4.xml").read_text(encoding="utf-8")
    total = "<fb_memory_usage>\n\t\t\t<total>"
    start, rest = xml.split(total)
    with pytest.raises(InputError, match="the memory of GPU 1, in MiB, must be"):
        parsed(f"{start}{total}{shown}{rest[rest.index('</total>') :]}", "gpus.xml", formats()["nvidia-smi"])


@pytest.mark.parametrize("shown", ["[N/A]", "N/A", "", "[Not Supported]"])
def test_memory_that_is_not_shown_is_unknown(shown: str) -> None:
    (found,) = parsed(f"name, memory.total [MiB]\nNVIDIA GB10, {shown}\n", "gpus.csv", formats()["nvidia-smi"])
    assert found.memory_bytes is None


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"value": -1, "unit": "MB"}, "the memory of GPU 0 must be a whole number from 1 up, not '-1'"),
        ({"value": 0, "unit": "MB"}, "the memory of GPU 0 must be"),
        ({"value": 196592, "unit": "parsec"}, "the memory of GPU 0 has the unknown unit 'parsec'"),
        ({"value": 196592}, "the memory of GPU 0 has the unknown unit"),
        ({"value": "N/A", "unit": "MB"}, None),
        ("N/A", None),
        (None, None),
    ],
)
def test_memory_of_amd_is_positive_or_not_shown(size: object, said: str | None) -> None:
    text = json.dumps([{"asic": {"market_name": "AMD Instinct MI300X"}, "vram": {"size": size}}])
    cards = {"card0": {"Card series": "MI100", "VRAM Total Memory (B)": "-34342961152"}}
    rocm = formats()["rocm-smi"]
    with pytest.raises(InputError, match="the memory of card0, in bytes, must be a whole number from 1 up"):
        parsed(json.dumps(cards), "card.json", rocm)
    if said is None:
        assert parsed(text, "gpus.json", rocm)[0].memory_bytes is None
        return
    with pytest.raises(InputError) as refused:
        parsed(text, "gpus.json", rocm)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nvidia.com/gpu", "-4"), ("nvidia.com/gpu", "4.5"), ("nvidia.com/gpu", "1k"), ("amd.com/gpu", "eight"),
        ("cpu", "-8"), ("memory", "-5Ki"), ("memory", "lots"),
    ],
)  # fmt: skip
def test_a_kubernetes_node_with_a_bad_count_is_refused_by_its_name(name: str, value: str) -> None:
    def node(called: str, **more: str) -> dict:
        capacity = {"nvidia.com/gpu": "8", "cpu": "64", "memory": "1056270304Ki"} | more
        return {"kind": "Node", "metadata": {"name": called}, "status": {"capacity": capacity}}

    kubernetes = formats()["kubernetes"]
    plain = {"kind": "List", "items": [node("gpu-1"), node("gone", **{"nvidia.com/gpu": "0"})]}
    (found,) = parsed(json.dumps(plain), "nodes.json", kubernetes)
    assert (found.nodes, found.per_node) == (1, 8)
    wrong = {"kind": "List", "items": [node("gpu-1"), node("gpu-2", **{name: value})]}
    with pytest.raises(InputError) as refused:
        parsed(json.dumps(wrong), "nodes.json", kubernetes)
    assert f"node 'gpu-2': {name} must be" in str(refused.value)
    assert value in str(refused.value)


def test_the_tool_may_be_named_and_a_wrong_one_is_refused(planner, refused) -> None:
    sample = str(SAMPLES / "sinfo-nodes.txt")
    assert planner("catalog", "import", "cluster", sample, "--from", "sinfo").status == 0
    assert "nvidia-smi lists no GPU" in refused("catalog", "import", "cluster", sample, "--from", "nvidia-smi")
    assert "unknown format 'nvidia'" in refused("catalog", "import", "cluster", sample, "--from", "nvidia")


def test_accelerators_that_are_not_named_are_said_by_hand(planner, refused, tmp_path: Path) -> None:
    path = tmp_path / "sinfo.txt"
    path.write_text("NODELIST GRES\nnode[1-3] gpu:8\n", encoding="utf-8")
    assert "say which with --accelerator" in refused("catalog", "import", "cluster", str(path))
    planner("catalog", "import", "cluster", str(path), "--accelerator", "h100")
    assert cluster(planner, "sinfo")["nodes"] == 3


def test_the_wrong_node_is_refused(refused) -> None:
    sample = str(SAMPLES / "nvidia-smi-query-a100.csv")
    line = refused("catalog", "import", "cluster", sample, "--node", "dgx-h100")
    assert "node dgx-h100 holds 8 h100-sxm5-80gb, the machine 8 a100-sxm4-80gb" in line


def test_standard_input_needs_a_name(planner, refused, monkeypatch) -> None:
    def typed() -> None:
        content = (SAMPLES / "nvidia-smi-query-a100.csv").read_bytes()
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content)))

    typed()
    assert "a cluster from standard input needs a name (say --slug)" in refused("catalog", "import", "cluster", "-")
    typed()
    assert planner("catalog", "import", "cluster", "-", "--slug", "piped").status == 0
    assert cluster(planner, "piped")["node"] == "dgx-a100-640"


def test_a_described_pool_is_kept_with_units_price_and_aliases(planner) -> None:
    assert planner("catalog", "import", "cluster", str(EXAMPLES / "our-pool.yaml")).status == 0
    node = json.loads(planner("catalog", "show", "nodes", "our-node", "-f", "json").out)
    assert (node["network_bytes_per_s"], node["host_memory_bytes"]) == (4e11, 2 * 1024 * GIB)
    assert node["accelerator"] == "h100-sxm5-80gb"
    found = cluster(planner, "The Pool")
    assert (found["slug"], found["node"], found["prices"][0]["date"]) == ("our-pool", "our-node", "2026-11-01")
    assert "3 unchanged" in planner("catalog", "import", "cluster", str(EXAMPLES / "our-pool.yaml")).out


def test_an_accelerator_of_one_s_own_is_described_and_planned_with(planner, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        """
accelerators:
  - slug: our-chip
    vendor: NVIDIA
    year: 2026
    capacity_bytes: 96 GiB
    memory_bandwidth_bytes_per_s: 4 TB/s
    tdp_w: 0.7 kW
    peak_flop_per_s: {bf16: 1 PFLOP/s, fp8: 2 PFLOP/s}
""",
        encoding="utf-8",
    )
    assert planner("catalog", "import", "cluster", str(path)).status == 0
    chip = json.loads(planner("catalog", "show", "accelerators", "our-chip", "-f", "json").out)
    assert (chip["vendor"], chip["capacity_bytes"], chip["tdp_w"]) == ("nvidia", 96 * GIB, 700.0)
    assert chip["peak_flop_per_s"] == {"bf16": 1e15, "fp8": 2e15}
    assert planner("plan", "--model", "llama3-7b", "--cluster", "our-chip:8").status == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clusters:\n  - slug: c\n    node: dgx-h1000\n    nodes: 2\n",
         "line 2: cluster 'c': node: there is no node 'dgx-h1000' (did you mean dgx-h100"),
        ("clusters:\n  - slug: c\n    node: dgx-h100\n", "line 2: cluster 'c': nodes is missing (nodes in the pool)"),
        ("clusters:\n  - slug: c\n    node: dgx-h100\n    nodes: -2\n", "nodes must not be negative"),
        ("clusters:\n  - slug: c\n    node: dgx-h100\n    nodes: 0\n", "nodes must be above 0"),
        ("clusters:\n  - slug: c\n    nods: 3\n", "unknown field 'nods' (did you mean nodes"),
        ("flowers:\n  - slug: c\n", "unknown kind 'flowers'"),
        ("clusters: 3\n", "clusters must be a list of entries"),
        ("clusters:\n  - 3\n", "clusters[1] must be an entry, not '3'"),
        ("just words\n", "holds no entries"),
        ("nodes:\n  - slug: n\n    accelerator: h100\n    accelerators_per_node: 8\n    scaleup_domain: 8\n"
         "    network_bytes_per_s: 400 miles\n", "network_bytes_per_s '400 miles' is no bytes_per_s that can be read"),
    ],
)  # fmt: skip
def test_a_description_that_cannot_be_is_refused_with_its_line(refused, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(text, encoding="utf-8")
    line = refused("catalog", "import", "cluster", str(path))
    assert said in line
    assert "pool.yaml" in line
