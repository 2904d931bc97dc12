"""What the rest of the planner gets to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from planner.catalog.kinds import TABLES
from planner.catalog.location import database_url, sqlite_path
from planner.catalog.prices import newest, typical
from planner.catalog.reader import Catalog
from planner.domain.architecture import LatentAttention, MixtureOfExperts
from planner.errors import UnknownNameError

QUICK = """
import sys
from planner.catalog.reader import Catalog
with Catalog.open(sys.argv[1]) as catalog:
    catalog.architecture("llama3-7b"), catalog.cluster("a100-pool")
print([name for name in ("alembic", "sqlalchemy.orm", "numpy") if name in sys.modules])
"""


def test_a_dense_model_comes_out_whole(catalog: Catalog) -> None:
    model = catalog.architecture("llama3-7b")
    assert (model.layers, model.hidden, model.heads, model.kv_heads, model.head_dim) == (32, 4096, 32, 8, 128)
    assert (model.ffn_hidden, model.vocab, model.gated, model.max_seq_len) == (14336, 128256, True, 8192)
    assert model.gated is True
    assert (model.moe, model.mla, model.source != "") == (None, None, True)


def test_experts_and_latent_attention_come_out_whole(catalog: Catalog) -> None:
    model = catalog.architecture("deepseek-v2-lite")
    assert model.mixer == "mla"
    assert model.moe == MixtureOfExperts(
        experts=64, topk=6, expert_ffn=1408, shared_ffn=2816, first_k_dense=1, router_float32=True
    )
    assert model.mla == LatentAttention(q_rank=None, kv_rank=512, nope_dim=128, rope_dim=64, v_dim=128)


def test_variants_are_kept(catalog: Catalog) -> None:
    opt, bloom, phi = (catalog.architecture(name) for name in ("opt-30b", "bloom-7b1", "phi-2"))
    assert (opt.position, opt.learned_positions) == ("learned", 2050)
    assert (bloom.position, bloom.embedding_norm) == ("alibi", True)
    assert (phi.head_bias, phi.norms_per_layer, phi.parallel_residual) == (True, 1, True)
    gemma, oss = catalog.architecture("gemma-3-4b-text"), catalog.architecture("gpt-oss-20b")
    assert (gemma.norms_per_layer, gemma.qk_norm, gemma.window, gemma.window_layers) == (4, "head", 1024, 29)
    assert (oss.attention_sinks, oss.moe and oss.moe.expert_bias, oss.window_layers) == (True, True, 12)
    assert oss.activation == "clamped_silu"


def test_where_a_config_disagrees_it_wins_and_a_note_says_so(catalog: Catalog) -> None:
    model = catalog.architecture("gemma-3-4b-text")
    assert model.vocab == 262208
    assert "config.json" in model.note
    assert "262144" in model.note


def test_an_accelerator_has_its_dense_rates_and_efficiencies(catalog: Catalog) -> None:
    a100 = catalog.accelerator("a100")
    assert a100.peak_flop_per_s["bf16"] == 312e12
    assert "fp8" not in a100.peak_flop_per_s
    assert (a100.memory_bytes, a100.reference_node, a100.vendor) == (80 * 2**30, "dgx-a100-640", "nvidia")
    assert (a100.scaleup_bytes_per_s, a100.scaleup_domain) == (300e9, 8)
    best = [entry for entry in a100.efficiencies if entry.metric == "matmul_mamf" and entry.format == "bf16"]
    assert [entry.fraction for entry in best] == [0.8692]


def test_what_is_unknown_is_none_and_never_zero(catalog: Catalog) -> None:
    assert catalog.node("lambda-8x-b200").network_bytes_per_s is None
    assert catalog.accelerator("rtx-4090").scaleup_bytes_per_s is None
    assert catalog.accelerator("rtx-4090").reference_node is None


def test_the_pool_of_the_main_job(catalog: Catalog) -> None:
    pool = catalog.cluster("a100-pool")
    assert (pool.nodes, pool.accelerators, pool.accelerator.slug) == (64, 512, "a100-sxm4-80gb")
    assert (pool.node.slug, pool.node.nic_count, pool.node.network_bytes_per_s) == ("dgx-a100-640", 8, 8 * 200e9 / 8)
    assert pool.node.intra_node_topology.startswith("NVSwitch")
    assert pool.price is not None
    assert pool.price.kind == "on-demand"


def test_every_entry_of_every_kind_can_be_read(catalog: Catalog) -> None:
    for kind in TABLES:
        rows = catalog.rows(kind)
        assert [row["slug"] for row in rows] == list(catalog.names(kind))
        for slug in catalog.names(kind):
            json.dumps(catalog.row(kind, slug))
    for slug in catalog.names("models"):
        assert catalog.architecture(slug).slug == slug
    for slug in catalog.names("clusters"):
        assert catalog.cluster(slug).slug == slug


def test_an_entry_shows_its_aliases_sources_and_rates(catalog: Catalog) -> None:
    row = catalog.row("accelerators", "h100")
    assert "h100" in row["aliases"]
    assert row["document_name"]
    assert row["peak_flop_per_s"]["fp8"] == 1979e12
    assert row["prices"][0]["date"] >= row["prices"][-1]["date"]
    with pytest.raises(UnknownNameError):
        catalog.row("accelerators", "h1000x")


def test_search_tries_what_stands_after_the_last_slash(catalog: Catalog) -> None:
    """The hub's names, of which the catalog lists some alone."""
    assert [row["slug"] for row in catalog.search("meta-llama/Llama-3.1-8B")] == ["llama-3.1-8b"]
    assert catalog.search("meta-llama/Meta-Llama-3-8B")[0]["slug"] == "llama-3-8b"
    assert catalog.search("somebody/") == []


def test_search_finds_all_words_and_puts_the_closest_first(catalog: Catalog) -> None:
    found = catalog.search("llama 70b")
    assert {"llama-3-70b", "llama-3.1-70b"} <= {row["slug"] for row in found}
    assert catalog.search("A100")[0]["slug"] == "a100-sxm4-80gb"
    assert catalog.search("") == catalog.search("%") == catalog.search("no such thing") == []


def test_opening_an_up_to_date_catalog_loads_neither_alembic_nor_the_orm(made: Path) -> None:
    command = [sys.executable, "-c", QUICK, f"sqlite:///{made}"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_environment_names_the_database_and_an_argument_wins(tmp_path: Path) -> None:
    environment = {"PLANNER_DATABASE_URL": "sqlite:///from-environment.db"}
    assert database_url(None, environment) == "sqlite:///from-environment.db"
    assert database_url("sqlite:///given.db", environment) == "sqlite:///given.db"
    assert sqlite_path(database_url(str(tmp_path / "a b%.db"), {})) == tmp_path / "a b%.db"
    assert database_url(None, {}).endswith("/planner/catalog.db")


@pytest.mark.parametrize("name", ["a b.db", "a%20b.db", "a#b.db", "ünï.db"])
def test_odd_file_names_are_made_and_read(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        with Catalog.open(str(tmp_path / name)) as catalog:
            assert catalog.names("clusters")
    assert (tmp_path / name).is_file()


def offer(
    usd: float, provider: str, date: str, *, kind: str = "on-demand", superseded: bool = False
) -> dict[str, object]:
    return {
        "usd_per_accelerator_hour": usd, "provider": provider, "date": date, "kind": kind, "superseded": superseded,
        "source": "test", "region": "",
    }  # fmt: skip


def test_the_usual_price_is_the_median_of_the_providers_latest() -> None:
    price = typical([
        offer(9, "A", "2023-01-01"), offer(3, "A", "2026-01-01"), offer(4, "B", "2026-02-01"),
        offer(8, "C", "2026-03-01"), offer(1, "D", "2026"), offer(0.5, "B", "2026-05-01", kind="spot"),
        offer(99, "E", "2026-05-01", superseded=True),
    ])  # fmt: skip
    assert price is not None
    assert (price.usd_per_accelerator_hour, price.date, price.provider) == (4, "2026-03-01", "median of A, B, C")


def test_prices_with_a_year_alone_stand_in_where_none_has_a_day() -> None:
    price = typical([offer(6, "A", "2026")])
    assert price is not None
    assert (price.usd_per_accelerator_hour, price.date) == (6, "2026")
    assert typical([offer(1, "A", "2026-01-01", kind="spot")]) is None
    assert newest([]) is None


def gemm_rates(catalog: Catalog, slug: str) -> list[float]:
    return sorted(row.fraction for row in catalog.accelerator(slug).efficiencies if row.metric == "gemm_best")


def test_gemms_run_as_on_the_same_chip_with_another_memory(catalog: Catalog) -> None:
    assert gemm_rates(catalog, "a100-sxm4-40gb") == gemm_rates(catalog, "a100-sxm4-80gb") != []
    # 500 W instead of 700 W, and cards of another form: nobody says that they run as fast.
    assert gemm_rates(catalog, "h100-sxm5-96gb") == gemm_rates(catalog, "a100-pcie-40gb") == []
