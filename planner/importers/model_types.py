"""Values of ``model_type`` that name no decoder-only language model: encoders, encoder-decoders, vision, speech."""

from __future__ import annotations

from typing import Final

NOT_DECODERS: Final = frozenset(
    {
        "albert", "audio-spectrogram-transformer", "bark", "bart", "beit", "bert", "big_bird", "bigbird_pegasus",
        "blenderbot", "blip", "blip-2", "blip_text_model", "bridgetower", "camembert", "canine", "clap", "clip",
        "clip_text_model", "clipseg", "convbert", "convnext", "convnextv2", "cvt", "data2vec-text", "deberta",
        "deberta-v2", "deit", "detr", "dinov2", "dinov3_vit", "distilbert", "dpr", "efficientnet", "electra",
        "encodec", "encoder-decoder", "ernie", "esm", "flaubert", "flava", "fnet", "fsmt", "funnel", "groupvit",
        "hubert", "ibert", "layoutlm", "layoutlmv2", "layoutlmv3", "layoutxlm", "led", "lilt", "longformer",
        "longt5", "luke", "lxmert", "m2m_100", "marian", "markuplm", "mask2former", "mbart", "megatron-bert",
        "mobilebert", "mobilenet_v2", "mobilevit", "modernbert", "mpnet", "mt5", "musicgen", "mvp", "nezha",
        "nllb-moe", "nomic_bert", "nystromformer", "owlv2", "owlvit", "pegasus", "pegasus_x", "perceiver",
        "pix2struct", "plbart", "prophetnet", "regnet", "rembert", "resnet", "roberta", "roberta-prelayernorm",
        "roc_bert", "roformer", "sam", "seamless_m4t", "segformer", "siglip", "siglip2", "siglip_text_model",
        "speech_to_text", "speecht5", "splinter", "squeezebert", "swin", "swinv2", "switch_transformers", "t5",
        "timesformer", "timm_wrapper", "trocr", "umt5", "unispeech", "videomae", "vilt", "vision-encoder-decoder",
        "vision-text-dual-encoder", "visual_bert", "vit", "vit_mae", "vitdet", "vits", "vivit", "wav2vec2",
        "wav2vec2-bert", "wavlm", "whisper", "xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod", "yolos",
        "yoso",
    }
)  # fmt: skip
"""Files of these are refused as what they are, rather than as unsupported."""
