"""The contract of ``planner evaluate --runs``: columns, sums, defaults, errors that stop nobody else."""

import csv
import math

import pytest
from runs.conftest import DENSE, MEASURED

from planner.runs.evaluate import PREDICTED, evaluate_runs

CONTRACT = (
    "predicted_step_time_s, predicted_tokens_per_s_per_gpu, predicted_model_tflops_per_gpu, predicted_mfu, "
    "predicted_hfu, "
    "predicted_peak_memory_gib, predicted_weights_gib, predicted_gradients_gib, predicted_optimizer_gib, "
    "predicted_activations_gib, predicted_other_gib, predicted_when_peak, predicted_params, fits, defaults, error"
)
NUMBERS = tuple(name for name in PREDICTED if name.startswith("predicted_") and name != "predicted_when_peak")
PARTS = tuple(f"predicted_{name}_gib" for name in ("weights", "gradients", "optimizer", "activations", "other"))


def filled(row):
    return dict(text.split(" = ", 1) for text in row["defaults"].split("; ") if " = " in text)


def test_the_files_columns_come_back_followed_by_the_contracts(measured):
    with MEASURED.open(newline="", encoding="utf-8") as file:
        given = list(csv.DictReader(file))
    assert measured.columns == (*given[0], *CONTRACT.split(", "))
    assert all(tuple(row) == measured.columns for row in measured.rows)
    assert [{name: row[name] for name in given[0]} for row in measured.rows] == given


def test_a_row_has_predictions_or_an_error(measured):
    for row in measured.rows:
        if row["error"]:
            assert not any(row[name] for name in PREDICTED if name != "error")
            assert "\n" not in row["error"]
        else:
            assert all(math.isfinite(float(row[name])) for name in NUMBERS)
            assert float(row["predicted_step_time_s"]) > 0
            assert row["predicted_when_peak"] in ("fwd", "bwd", "opt")
            assert row["fits"] in ("true", "false")


def test_the_components_sum_to_the_peak_as_printed(measured):
    for row in measured.rows:
        if not row["error"]:
            total = sum(round(float(row[name]) * 10**6) for name in PARTS)
            assert total == round(float(row["predicted_peak_memory_gib"]) * 10**6)


def test_most_rows_are_answered_and_the_others_say_why(measured):
    errors = {row["id"]: row["error"] for row in measured.rows if row["error"]}
    assert len(errors) <= len(measured.rows) // 2
    assert "fsdpqlora-0001" not in errors
    assert errors["MB-013"].startswith(("layers: ", "model_name: "))
    assert errors["levanter-0001"].startswith("layers: ")
    assert "stas-0001" not in errors


def test_a_full_row_fills_nothing(predict):
    (row,) = predict({})
    assert row["error"] == ""
    assert row["defaults"] == ""
    assert row["predicted_params"] == "8030261248"


def test_empty_and_unknown_cells_take_the_contracts_defaults(predict):
    names = set(DENSE) - {"model_name", "gpu_slug", "n_gpus", "seq_len", "framework_slug"}
    empty, unknown = predict(dict.fromkeys(names, ""), dict.fromkeys(names, "unknown"))
    assert empty["defaults"] == unknown["defaults"]
    found = filled(empty)
    assert {name: found[name] for name in ("tp", "pp", "cp", "ep", "vpp", "micro_batch", "zero")} == {
        "tp": "1", "pp": "1", "cp": "1", "ep": "1", "vpp": "1", "micro_batch": "1", "zero": "0",
    }  # fmt: skip
    assert found["dp"].startswith("8 ")
    assert found["global_batch"].startswith("8 ")
    assert found["precision"] == "bf16-mixed"
    assert (found["optimizer"], found["recompute"], found["offload"]) == ("adamw", "none", "none")
    assert (found["sequence_parallel"], found["flash_attention"]) == ("0", "1")


def test_columns_may_be_missing(database, tmp_path):
    path = tmp_path / "few.csv"
    path.write_text("gpu,n_gpus,model_name,seq_len\nH100 80GB,8,Llama 3.1 8B,4096\n")
    (row,) = evaluate_runs(str(path), database=database).rows
    assert row["error"] == ""
    assert filled(row)["framework"] == "megatron-core"


@pytest.mark.parametrize("framework", ["torchtitan", "llm-foundry", "fms-fsdp"])
def test_frameworks_that_shard_unasked_shard_everything(predict, framework):
    (row,) = predict({"framework_slug": framework, "zero_stage_or_fsdp": "", "tp": "1", "dp": "8"})
    assert filled(row)["zero"] == "3"


def test_recipes_of_megatron_shard_the_optimizer_and_the_sequence_unasked(predict):
    silent = {"zero_stage_or_fsdp": "", "sequence_parallel": ""}
    recipe, bare = predict(silent | {"framework": "NeMo 25.02 / Megatron-Core"}, silent | {"framework": "Megatron-LM"})
    assert filled(recipe)["zero"].startswith("1 (")
    assert filled(recipe)["sequence_parallel"].startswith("1 (")
    assert (filled(bare)["zero"], filled(bare)["sequence_parallel"]) == ("0", "0")


def test_recipes_of_nemo_interleave_where_vpp_is_open(predict):
    """mlcommons/training_results_v3.1, gpt3, conf/custom.yaml: INTERLEAVED_PIPELINE is 12 unless set, which 96 layers on 8 stages
    allow; Megatron-Bridge prints n/a where it does not interleave."""
    cells = {"vpp": "", "pp": "4", "tp": "1", "dp": "2"}
    nemo, stated, container, bridge, bare, odd = predict(
        cells | {"framework": "NVIDIA NeMo Framework Release 23.09"},
        cells | {"framework": "NVIDIA NeMo Framework Release 23.09", "vpp": "1"},
        cells | {"framework": "PyTorch NVIDIA Release 23.09"},
        cells | {"framework": "Megatron-Bridge (NeMo container 25.09)"},
        cells | {"framework": "Megatron-LM"},
        cells | {"framework": "NeMo 25.02", "layers": "36"},
    )
    assert filled(nemo)["vpp"].startswith("4 (")
    assert filled(container)["vpp"].startswith("4 (")
    assert (filled(bridge)["vpp"], filled(bare)["vpp"], filled(odd)["vpp"]) == ("1", "1", "1")
    assert float(nemo["predicted_step_time_s"]) < float(stated["predicted_step_time_s"])


def test_fms_fsdp_s_selective_recomputation_is_of_whole_layers(predict):
    """fms_fsdp/policies/ac_handler.py: every n-th block, as a whole; of how many of the 32 a row does not say."""
    cells = {"framework_slug": "fms-fsdp", "recompute": "selective", "zero_stage_or_fsdp": "FSDP", "tp": "1", "dp": "8"}
    open_, stated, named, torchtitan = predict(
        cells,
        cells | {"recompute_layers": "32"},
        cells | {"recompute": "full:block"},
        cells | {"framework_slug": "torchtitan"},
    )
    assert filled(open_)["recompute_layers"] == "16 (of how many is not said)"
    assert not any("recompute_layers" in filled(row) for row in (stated, named, torchtitan))
    one, half, every = (float(row["predicted_step_time_s"]) for row in (named, open_, stated))
    assert one < half < every


@pytest.mark.parametrize("note", ["vocab as in Llama 3", "vocab padded to a multiple of 128", "vocab 0"])
def test_another_number_of_a_note_is_no_vocabulary(predict, note):
    noted, silent = predict({"note": note}, {"note": ""})
    assert noted["predicted_params"] == silent["predicted_params"]


def test_a_vocabulary_that_only_the_note_states_is_used(predict):
    """BigScience's section "48 node contenders": no column has the 250k."""
    noted, silent = predict({"vocab": "", "note": "vocab about 250k"}, {"vocab": "", "note": ""})
    more = (250_000 - 128_256) * 4096 * 2
    assert int(noted["predicted_params"]) - int(silent["predicted_params"]) == more


def test_an_open_batch_fills_the_pipeline(predict):
    """GPipe, arXiv:1811.06965, section 2.3: four micro-batches per stage make the bubble negligible."""
    piped, plain = predict(
        {"global_batch": "", "pp": "4", "tp": "1", "dp": "2"}, {"global_batch": "", "tp": "1", "dp": "8"}
    )
    assert filled(piped)["global_batch"].startswith("32 (dp x micro_batch x 4 x pp")
    assert filled(plain)["global_batch"].startswith("8 (dp x micro_batch)")


def test_maxtext_on_tpus_shards_recomputes_and_steps_over_the_whole_batch(predict):
    """MaxText, configs/base.yml: ici_fsdp_parallelism -1, remat_policy full, gradient_accumulation_steps 1."""
    cells = {
        "framework_slug": "maxtext",
        "recompute": "",
        "zero_stage_or_fsdp": "",
        "micro_batch": "",
        "tp": "1",
        "dp": "8",
    }
    on_tpu, on_gpu = predict(cells | {"gpu_slug": "tpu-v6e", "gpu": "TPU v6e", "global_batch": "32"}, cells)
    assert (filled(on_tpu)["zero"], filled(on_gpu)["zero"]) == ("3", "3")
    assert filled(on_tpu)["micro_batch"] == "4 (global_batch / dp)"
    assert filled(on_tpu)["recompute"].startswith("full")
    assert filled(on_gpu)["recompute"] == "none"


GROK = {
    "model_name": "Grok-1", "layers": "64", "hidden": "6144", "heads": "48", "kv_heads": "8", "ffn_hidden": "32768",
    "vocab": "131072", "n_experts": "8", "topk": "2", "expert_ffn": "32768", "n_gpus": "128", "tp": "4", "dp": "32", "ep": "8",
}  # fmt: skip


def test_experts_have_megatron_s_tensor_parallelism_unless_a_recipe_says_otherwise(predict):
    """megatron/core/model_parallel_config.py; NVIDIA/dgxc-benchmarking v25.05, grok1/README.md: ETP 4 with TP 4 and EP 8;
    deepseek_v3/pretraining/README.md: ETP 1 with TP 2."""
    nemo, bridge, stated, few, narrow = predict(
        GROK | {"framework": "NeMo 2.0 / Megatron-Core"},
        GROK | {"framework": "Megatron-Bridge (NeMo container 26.04)"},
        GROK | {"framework": "NeMo 2.0 / Megatron-Core", "etp": "1"},
        GROK | {"framework": "NeMo 2.0 / Megatron-Core", "n_gpus": "8", "dp": "2"},
        GROK | {"framework": "NeMo 2.0 / Megatron-Core", "expert_ffn": "2048"},
    )
    assert filled(nemo)["etp"].startswith("4 (")
    assert filled(bridge)["etp"] == "1"
    assert "etp" not in filled(stated)
    assert filled(few)["etp"] == filled(narrow)["etp"] == "1"


def test_grok_on_128_gb200_takes_as_long_as_measured(predict):
    """NVIDIA/dgxc-benchmarking v25.05, grok1/README.md: 7.325 s a step of 256 sequences in bf16."""
    measured = {
        "gpu_slug": "gb200",
        "gpus_per_node": "4",
        "global_batch": "256",
        "framework": "NeMo 2.0 / Megatron-Core",
    }
    (row,) = predict(GROK | measured)
    assert float(row["predicted_step_time_s"]) == pytest.approx(7.325, rel=0.2)


def test_a_published_overlap_of_experts_saves_about_what_it_saved(predict):
    """NVIDIA-NeMo/Megatron-Bridge at 067f987d, nemo-mbridge-perf-moe-comm-overlap: Qwen3 30B on 16 H100s, 24.71 s without and
    20.99 s with the overlap, whose share of the all-to-all was taken from there; the all-to-all itself was not."""
    row = {"model_name": "Qwen3-30B-A3B", "n_gpus": "16", "tp": "1", "dp": "16", "ep": "16", "sequence_parallel": "0",
           "global_batch": "1024", "seq_len": "4096", "framework": "Megatron-Bridge"}  # fmt: skip
    (found,) = predict(row)
    assert float(found["predicted_step_time_s"]) == pytest.approx(20.99, rel=0.15)


def test_fsdp_switched_off_leaves_recipes_of_megatron_their_distributed_optimizer(predict):
    recipe = {"framework": "Megatron-Bridge (NeMo container 25.09)"}
    off, replicated, zero_1 = predict(
        recipe | {"zero_stage_or_fsdp": "FSDP=0 (DDP)"},
        recipe | {"zero_stage_or_fsdp": "DDP"},
        recipe | {"zero_stage_or_fsdp": "ZeRO-1"},
    )
    assert filled(off)["zero"].startswith("1 (")
    assert off["predicted_peak_memory_gib"] == zero_1["predicted_peak_memory_gib"]
    assert "zero" not in filled(replicated)
    assert float(replicated["predicted_optimizer_gib"]) == pytest.approx(4 * float(zero_1["predicted_optimizer_gib"]))


def test_an_unregistered_method_trains_as_many_parameters_as_it_says(predict):
    """Rank 8 beside every linear of Llama 3.1 8B trains 20,971,520 parameters (LoRA, arXiv:2106.09685, section 4.1)."""
    named, stated, one_more = predict(
        {"finetune_method": "lora:8"},
        {"finetune_method": "vera (20,971,520 trainable params)"},
        {"finetune_method": "vera (20,971,521 trainable params)"},
    )
    assert stated["predicted_peak_memory_gib"] == named["predicted_peak_memory_gib"]
    assert "vera with 20,971,520 trainable params taken as lora:8" in stated["defaults"]
    assert "taken as lora:9" in one_more["defaults"]


def test_an_accelerator_without_bf16_takes_fp16_and_no_flash_attention(predict):
    (row,) = predict({"gpu_slug": "v100-sxm2-32gb", "precision": "", "flash_attention": ""})
    assert (filled(row)["precision"], filled(row)["flash_attention"]) == ("fp16-mixed", "0")


def test_an_unknown_framework_never_fails_a_row(predict):
    (row,) = predict({"framework_slug": "brand-new-framework"})
    assert row["error"] == ""
    assert "framework brand-new-framework taken as megatron-core" in row["defaults"]


def test_one_bad_row_does_not_stop_the_others(predict):
    bad = {
        "tp": "0", "pp": "x", "precision": "fp7", "zero_stage_or_fsdp": "magic", "n_gpus": "", "seq_len": "", "cp": "3",
        "recompute": "sometimes", "optimizer": "sophia", "offload": "to the moon", "finetune_method": "adalora:8",
        "gpu_slug": "z9", "flash_attention": "maybe", "global_batch": "nan", "micro_batch": "-1", "vpp": "33",
    }  # fmt: skip
    rows = predict({}, *({name: value} for name, value in bad.items()), {})
    assert rows[0] == rows[-1]
    assert rows[0]["error"] == ""
    named = {"cp": "dp"}
    for name, row in zip(bad, rows[1:-1], strict=True):
        assert row["error"].startswith(f"{named.get(name, name)}: "), row["error"]


def test_a_model_that_is_nobodys_is_read_from_its_cells(predict):
    cells = {"model_name": "GPT 22B", "layers": "48", "hidden": "6144", "heads": "64", "gated_mlp": "0"}
    (row,) = predict(cells | {"model_name": "some GPT"})
    # 12 L h² + 2 V h and the norms, untied.
    assert int(row["predicted_params"]) == pytest.approx(12 * 48 * 6144**2 + 2 * 50304 * 6144, rel=1e-3)
    assert filled(row)["vocab"] == "50304"


def test_a_dp_that_contradicts_n_gpus_is_replaced_and_named(predict):
    (row,) = predict({"dp": "16"})
    assert row["error"] == ""
    assert "dp = 4 (n_gpus / (tp x pp x cp); the row says 16)" in row["defaults"]


def test_what_a_search_would_refuse_is_predicted_and_named(predict):
    (row,) = predict({"global_batch": "126"})
    assert row["error"] == ""
    assert "refused in a search: global batch is not a multiple of dp x micro batch" in row["defaults"]


def test_the_peak_is_what_the_row_measured(predict):
    units = ("", "GB", "GiB active", "GiB reserved, per GPU", "GB (nvidia-smi, first/last stage)")
    nothing, allocated, active, reserved, device = (
        float(row["predicted_peak_memory_gib"]) for row in predict(*({"peak_mem_unit": unit} for unit in units))
    )
    assert nothing == allocated == active
    assert allocated < reserved < device


def test_fits_compares_the_whole_device_not_what_was_measured(predict):
    units = [{"peak_mem_unit": unit} for unit in ("GB allocated", "GiB reserved, per GPU")]
    assert [row["fits"] for row in predict(*units)] == ["true", "true"]
    assert [row["fits"] for row in predict(*({"micro_batch": "16"} | unit for unit in units))] == ["false", "false"]


def test_a_row_alone_equals_the_row_among_others(predict):
    changes = [{"tp": str(tp), "dp": str(8 // tp), "recompute": kind} for tp in (1, 2, 4) for kind in ("none", "full")]
    assert list(predict(*changes)) == [row for change in changes for row in predict(change)]


def test_predictions_of_an_earlier_run_are_replaced(predict, database, tmp_path):
    path = tmp_path / "again.csv"
    path.write_text("gpu_slug,n_gpus,model_name,seq_len,fits,error\nh100-sxm5-80gb,8,Llama 3.1 8B,4096,old,old\n")
    answer = evaluate_runs(str(path), database=database)
    assert answer.columns == ("gpu_slug", "n_gpus", "model_name", "seq_len", *PREDICTED)
    assert answer.rows[0]["error"] == ""


def test_the_json_document_has_the_columns_as_keys(measured):
    document = measured.to_dict()
    assert document["schema"] == "planner.runs/1"
    assert tuple(document["rows"][0]) == measured.columns


def test_a_note_says_that_the_embeddings_are_tied(predict):
    cells = {
        "model_name": "some GPT", "layers": "48", "hidden": "6144", "heads": "64", "kv_heads": "64", "ffn_hidden": "24576",
        "gated_mlp": "0", "vocab": "51200",
    }  # fmt: skip
    plain, tied = predict(cells, cells | {"note": "embeddings tied"})
    assert int(plain["predicted_params"]) - int(tied["predicted_params"]) == 51200 * 6144
    assert "tied embeddings (as note says)" in tied["defaults"]


def test_torchtune_shards_and_recomputes_where_a_row_is_silent(predict):
    """pytorch/torchtune, recipes/configs: enable_activation_checkpointing is set, distributed recipes are FSDP."""
    (row,) = predict({"framework_slug": "torchtune", "recompute": "", "zero_stage_or_fsdp": "", "tp": "1"})
    assert filled(row)["zero"] == "3"
    assert filled(row)["recompute"].startswith("full")


def test_a_peak_is_what_the_source_measured(predict):
    source = "bigscience-workshop/bigscience:train/tr11-176B-ml/chronicles-prequel.md@9e64edec topology tables"
    tensors, whole = predict({"source": "", "peak_mem_unit": ""}, {"source": source, "peak_mem_unit": ""})
    assert float(whole["predicted_other_gib"]) > float(tensors["predicted_other_gib"]) + 1.0
    assert "peak_mem_unit = nvidia-smi" in whole["defaults"]


def test_a_schedule_made_for_it_hides_the_all_to_all_of_experts(predict):
    """arXiv 2412.19437, section 3.2.1; a dense model, which has none, gains the bubble and half of the last stage's head."""
    experts = {"model_name": "deepseek-v3", "gpu_slug": "h100-sxm5-80gb", "n_gpus": "1024", "tp": "1", "pp": "8", "dp": "128",
               "ep": "64", "micro_batch": "1", "global_batch": "16384", "seq_len": "4096", "sequence_parallel": "0"}  # fmt: skip
    dense = {"n_gpus": "256", "tp": "8", "pp": "8", "dp": "4", "model_name": "Llama 3.1 70B", "global_batch": "2048"}

    def gain(row):
        plain, dual = (predict(row | {"schedule": name})[0] for name in ("1f1b", "dualpipe"))
        return float(dual["predicted_tokens_per_s_per_gpu"]) / float(plain["predicted_tokens_per_s_per_gpu"])

    assert gain(experts) > 1.2
    assert gain(dense) < 1.1
