"""Every spelling that published tables use for a cell, and what it is read as."""

import pytest

from planner.errors import InputError
from planner.importers import run_cells as cells
from planner.importers.run_cells import Worded

PRECISIONS = ("mxfp8", "nvfp4", "bf16-mixed", "bf16-pure", "fp8-blockwise")
OPTIMIZERS = ("adamw", "adamw-8bit", "muon", "lion")

SHARDINGS = {
    "": None, "unknown": None,
    "FSDP FULL_SHARD": (3, None), "FSDP full shard": (3, None), "FSDP": (3, None), "FSDP2": (3, None),
    "FSDP+DP": (3, None), "HSDP": (3, None), "FSDP rest of slice": (3, None), "FSDP within slice": (3, None),
    "FSDP within slice x16": (3, None), "FSDP 8 in node, DP across nodes": (3, 8), "FSDP 64": (3, 64),
    "FSDP 192": (3, 192), "FSDP(group 8)": (3, 8), "FSDP(group 64)": (3, 64), "FSDP=64 (+DP beyond)": (3, 64),
    "FSDP=128 (+DP beyond)": (3, 128), "FSDP=256 (+DP beyond)": (3, 256), "FSDP2 size 4": (3, 4),
    "FSDP2 size 8": (3, 8), "FSDP2 size 64": (3, 64), "FSDP2 size 128": (3, 128), "FSDP2 size 256": (3, 256),
    "FSDP2 size 1": (0, None), "FSDP=0": (0, None), "FSDP=0 (DDP)": (0, None), "DDP": (0, None),
    "DDP (FSDP no-shard)": (0, None), "FSDP SHARD_GRAD_OP": (2, None), "SHARD_GRAD_OP": (2, None),
    "FULL_SHARD": (3, None), "fsdp no_shard": (0, None), "HYBRID_SHARD": (3, None),
    "ZeRO-0": (0, None), "ZeRO-1": (1, None), "ZeRO-2": (2, None), "ZeRO-3": (3, None), "zero3": (3, None),
    "ZeRO stage 2": (2, None), "1": (1, None), "ZeRO-1 (all DP)": (1, None),
    "ZeRO-1 (shard group 4)": (1, 4), "ZeRO-1 (shard group 8)": (1, 8), "ZeRO-1 (shard group all DP)": (1, None),
    "distributed optimizer (ZeRO-1 like)": (1, None), "distributed optimizer": (1, None),
    "ZeRO-3 + full CPU offload": (3, None), "ZeRO-3 + optimizer CPU offload": (3, None),
    "FSDP full shard + CPU offload": (3, None),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SHARDINGS.items())
def test_sharding_is_read_by_its_leading_word(text, expected):
    found = cells.sharding(text)
    assert (None if found is None else (found.stage, found.shard_group)) == expected


@pytest.mark.parametrize("text", [text for text in SHARDINGS if "offload" in text])
def test_offload_beside_the_zero_stage_is_seen(text):
    assert cells.sharding(text).offloads


@pytest.mark.parametrize("text", ["ZeRO", "ZeRO-4", "ZeRO-Infinity", "ZeRO-1.5", "1F1B", "magic", "pipeline", "FSDPX"])
def test_a_sharding_that_nobody_knows_names_its_column(text):
    with pytest.raises(InputError, match=r"^zero_stage_or_fsdp: "):
        cells.sharding(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "": None, "Unknown": None, "bf16": "bf16-mixed", "BF16": "bf16-mixed", "fp16": "fp16-mixed",
        "fp8": "fp8-delayed", "fp8 (tensorwise)": "fp8-delayed", "fp8 (rowwise)": "fp8-delayed", "mxfp8": "mxfp8",
        "nvfp4": "nvfp4", "bf16-mixed": "bf16-mixed", "bf16-pure": "bf16-pure", "fp32": "fp32",
        "bf16 autocast + fp32 optimizer": "bf16-mixed",
    }.items(),
)  # fmt: skip
def test_a_bare_precision_is_the_mixed_one(text, expected):
    assert cells.precision(text, PRECISIONS) == expected


def test_adapters_on_a_base_in_four_bits_are_qlora():
    assert cells.on_quantised_base(cells.Tuning("lora", 8), "nf4 double-quant") == cells.Tuning("qlora", 8)
    assert cells.on_quantised_base(cells.Tuning("lora", 8), "bf16") == cells.Tuning("lora", 8)
    with pytest.raises(InputError, match="base for adapters"):
        cells.on_quantised_base(cells.Tuning("full"), "int4 (GPTQ base)")


@pytest.mark.parametrize("text", ["int8", "fp7"])
def test_a_precision_that_is_not_registered_names_its_column(text):
    with pytest.raises(InputError, match=r"^precision: ") as caught:
        cells.precision(text, PRECISIONS)
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "": None, "unknown": None, "none": ("none", ""), "full": ("full", ""), "Full": ("full", ""),
        "selective": ("selective", ""), "selective:mla_up_proj": ("selective", "mla_up_proj"),
        "selective:layernorm/moe_act": ("selective", "layernorm/moe_act"),
        "selective:moe_act/layernorm": ("selective", "moe_act/layernorm"),
        "selective:moe/layernorm/core_attn/moe_act": ("selective", "moe/layernorm/core_attn/moe_act"),
        "selective:mlp": ("selective", "mlp"), "selective:mla_up_proj/mlp": ("selective", "mla_up_proj/mlp"),
        "selective (per-op SAC)": ("selective", "per-op SAC"), "selective (per-op)": ("selective", "per-op"),
        "selective (every-nth layer)": ("selective", "every-nth layer"), "partial:custom": ("full", "custom"),
        "partial:minimal": ("selective", "minimal"),
        "partial:minimal_with_context": ("selective", "minimal_with_context"),
        "partial:custom (layer input on device, qkv remat)": ("full", "custom (layer input on device, qkv remat)"),
        "partial:qkv_proj_offloaded": ("full", "qkv_proj_offloaded"),
    }.items(),
)  # fmt: skip
def test_recompute_is_the_nearest_policy_with_its_qualifier(text, expected):
    found = cells.recompute(text)
    assert (None if found is None else (found.name, found.qualifier)) == expected


def test_a_registered_recompute_stands_for_itself():
    assert cells.recompute("selective:mlp", ("selective:mlp",)) == cells.Worded("selective:mlp")


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "": None, "decoupled_adamw": "adamw", "AdamW": "adamw", "adam": "adamw", "adamw": "adamw", "FusedAdam": "adamw",
        "AdamW (fp32 master, fp32 grad accumulation)": "adamw", "mcore_distributed_optim": "adamw",
        "distributed_fused_adam (distributed optimizer)": "adamw", "distributed_fused_adam": "adamw",
        "distributed optimizer (overlap-grad-reduce, overlap-param-gather)": "adamw", "adamw (LoRA)": "adamw",
        "AdamW (CPU offload)": "adamw", "Muon + AdamW": "muon", "adamw-8bit": "adamw-8bit",
    }.items(),
)  # fmt: skip
def test_optimizers_are_read_by_what_they_keep(text, expected):
    found = cells.optimizer(text, OPTIMIZERS)
    assert (None if found is None else found.name) == expected


@pytest.mark.parametrize("text", ["lora-fa", "sophia"])
def test_an_optimizer_that_is_not_registered_names_its_column(text):
    with pytest.raises(InputError, match=r"^optimizer: "):
        cells.optimizer(text, OPTIMIZERS)


@pytest.mark.parametrize(("text", "expected"), {"": None, "unknown": None, "none": "none", "0": "none"}.items())
def test_nothing_is_offloaded(text, expected):
    found = cells.offload(text)
    assert (None if found is None else found.name) == expected


OFFLOADS = {
    "cpu params": "parameters", "cpu optimizer": "optimizer", "cpu": "parameters", "cpu (DeepSpeed)": "parameters",
    "cpu params + activations": "parameters+activations", "activation": "activations", "activation (qkv)": "activations",
    "activation (layer input, qkv, out proj)": "activations", "cpu optimizer + activations": "optimizer+activations",
    "cpu (params, grads, optimizer step on CPU)": "parameters", "ZeRO-3 + optimizer CPU offload": "optimizer",
    "FSDP full shard + CPU offload": "parameters",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), OFFLOADS.items())
def test_an_offload_is_named_and_keeps_what_was_written(text, expected):
    assert cells.offload(text) == Worded(expected, text)


def test_a_registered_offload_needs_no_reading():
    assert cells.offload("NVMe-all", registered=("nvme-all",)) == Worded("nvme-all")


@pytest.mark.parametrize("text", ["to the moon", "activation cpu_offloading_num_layers=20"])
def test_an_offload_that_is_not_known_names_its_column(text):
    with pytest.raises(InputError, match=r"^offload: "):
        cells.offload(text)


@pytest.mark.parametrize(
    ("unit", "source", "expected"),
    [
        (
            "",
            "bigscience-workshop/bigscience:train/tr11-176B-ml/chronicles-prequel.md@9e64edec topology tables",
            "nvidia-smi",
        ),
        (
            "GB allocated",
            "bigscience-workshop/bigscience:train/tr11-176B-ml/chronicles-prequel.md@9e64edec",
            "allocated",
        ),
        (
            "GiB",
            "torchtitan benchmarks 2024-12, Table 1: pytorch/torchtitan:benchmarks/llama3.md@4a61bd87d",
            "reserved",
        ),
        ("GB", "somebody else", "allocated"),
    ],
)
def test_a_source_says_once_how_it_measured(unit, source, expected):
    assert cells.peak_kind(unit, source).name == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "": None, "pretrain": ("full", None), "full": ("full", None),
        "full (3212749824 trainable params)": ("full", None),
        "lora": ("lora", None), "lora:64": ("lora", 64), "lora:64 +embed/output trainable": ("lora", 64),
        "lora:32 (9175040 trainable params)": ("lora", 32), "lora (2,097,152 trainable params)": ("lora", None),
    }.items(),
)  # fmt: skip
def test_methods_carry_their_rank(text, expected):
    found = cells.method(text, ("full", "lora"))
    assert (None if found is None else (found.name, found.rank)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "qlora", "qlora:32 (all linear)",
        "adapter", "lora:32 dora", "prefix_tuning (many trainable params)",
    ],
)  # fmt: skip
def test_a_method_that_is_not_registered_names_its_column(text):
    with pytest.raises(InputError, match=r"^finetune_method: "):
        cells.method(text, ("full", "lora"))


@pytest.mark.parametrize(
    ("text", "trained"),
    {
        "adapter (573,888 trainable params)": 573_888, "lora:32 dora (9289728 trainable params)": 9_289_728,
        "vera:256 (129024 trainable params)": 129_024, "osf (194535936 trainable params)": 194_535_936,
    }.items(),
)  # fmt: skip
def test_a_method_that_is_not_registered_but_says_what_it_trains_is_adapters_of_that_many(text, trained):
    found = cells.method(text, ("full", "lora"))
    assert (found.name, found.rank, found.trained_params) == ("lora", None, trained)
    with pytest.raises(InputError, match=r"^finetune_method: "):
        cells.method(text, ("full",))


@pytest.mark.parametrize(
    ("slug", "name", "expected"),
    [
        ("megatron-core", "Anything", "megatron-core"), ("", "", None), ("unknown", "", None),
        ("", "Megatron-Bridge (NeMo container 26.04.01)", "megatron-bridge-26.04"),
        ("megatron-core", "Megatron-Bridge (NeMo container 26.08)", "megatron-bridge"),
        ("megatron-core", "NeMo 2.0 / Megatron-Core", "nemo"), ("", "Megatron-Bridge", "megatron-bridge"),
        ("", "Megatron-DeepSpeed (BigScience)", "megatron-deepspeed"),
        ("", "NeMo 25.02 / Megatron-Core", "nemo"),
        ("", "NVIDIA NeMo Framework Release 25.04", "nemo"), ("", "nanotron v0.5", "nanotron"),
        ("", "NeMo AutoModel (PyTorch FSDP2) LoRA", "nemo-automodel"), ("", "torchtitan+torchao", "torchtitan"),
        ("", "Composer/FSDP (llm-foundry)", "llm-foundry"), ("", "PyTorch FSDP (fms-fsdp)+compile", "fms-fsdp"),
        ("", "MaxText (JAX)", "maxtext"), ("", "LitGPT (commit 8641822, torch 2.1.0)", "litgpt"),
        ("", "HF Trainer + PEFT", "transformers"), ("", "PEFT 0.19.2.dev0, torch 2.13.0+cu130", "peft"),
        ("", "Colossal-AI", "colossalai"), ("", "llm.c (CUDA)", "llm.c"), ("", "PyTorch (torch.compile)", "pytorch"),
        ("", "Meta internal 4D parallel (TP/CP/PP/FSDP)", "meta"), ("", "NeuronX Distributed", "neuronx"),
    ],
)  # fmt: skip
def test_frameworks_are_read_by_slug_or_by_how_their_name_begins(slug, name, expected):
    assert cells.framework(slug, name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "": "allocated", "GB": "allocated", "GiB per GPU": "allocated", "MiB/MB as labelled": "allocated",
        "GB, TOTAL over GPUs (exceeds one card)": "allocated", "GB allocated (77.9 GB reserved)": "allocated",
        "GB (torch.cuda.max_memory_allocated/1e9 in LitGPT)": "allocated", "GiB reserved, per GPU": "reserved",
        "GB 1e9 (accelerator_memory_max bytes, reserved, includes eval)": "reserved",
        "GiB max reserved, worst rank": "reserved", "GB (nvidia-smi, first/last stage)": "nvidia-smi",
        "GiB shown as GB (torch max allocated or reserved: not stated)": "allocated", "GiB active": "active",
    }.items(),
)  # fmt: skip
def test_a_peak_is_what_its_unit_says_first(text, expected):
    assert cells.peak_kind(text).name == expected


@pytest.mark.parametrize(
    ("text", "gigabits"),
    {
        "": None, "repo configs: 150 GB/s intra-node, 800 Gb/s inter-node per node": 800,
        "1600 Gbps node-node RoCE (stated from 2023-07 on)": 1600, "400 Gbps node-node": 400,
        "4 x 100 Gb RoCE per node": 400, "InfiniBand 100 Gb/s per node": 100,
        "GPUDirect-TCPX; 4 x 200 Gbps per A3 High node (public spec)": 800,
        "Jean Zay; 4 x Omni-Path 100 Gbps per node": 400, "Jean Zay, NVLink + Omni-Path": None,
        "RoCE 400 Gb/s per GPU": None, "Grand Teton; RDMA 400 Gb/s per GPU; H100 96GB HBM2e 2.4TB/s, 500W cap": None,
        "NVLINK Gen5 1800 GB/s + NVSWITCH Gen5; 4x ConnectX-7 IB NDR 400Gb/s": None, "PCIe 4.0 x16, no NVLink": None,
        "NVLINK 4.0; 1x Ethernet 100Gb/Sec, 8x NVIDIA Quantum-2 CX7 InfiniBand (400Gb/s)": None,
        "18x 5th Gen NVLink, 14.4 TB/s aggregated bandwidth; Data bandwidth for GPU-PCIe: 504GB/s": None,
        "16 slice(s) of v5e-256; DCN between slices": None,
    }.items(),
)  # fmt: skip
def test_a_network_is_read_only_where_it_is_stated_per_node(text, gigabits):
    assert cells.network_bytes_per_s(text) == (None if gigabits is None else gigabits * 1e9 / 8)


FLAGS = {"1": True, "0": False, "true": True, "No": False, "": None, "unknown": None}


@pytest.mark.parametrize(("text", "expected"), FLAGS.items())
def test_flags(text, expected):
    assert cells.flag("flash_attention", text) is expected


@pytest.mark.parametrize(("text", "expected"), {"8": 8, " 8.0 ": 8, "": None, "unknown": None}.items())
def test_counts(text, expected):
    assert cells.whole("tp", text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "eight", "nan", "inf", "1e99", "8 GPUs"])
def test_what_is_no_count_names_its_column(text):
    with pytest.raises(InputError, match=r"^tp: "):
        cells.whole("tp", text)
