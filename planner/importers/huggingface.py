"""Hugging Face ``config.json`` files: from a path, a folder, standard input or text to an architecture."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from planner.domain.architecture import Architecture
from planner.errors import InputError, UnknownNameError
from planner.importers.files import open_binary
from planner.importers.model_types import NOT_DECODERS
from planner.plugin import ConfigReader
from planner.records.config_fields import shown

LARGEST_FILE_BYTES: Final = 10_000_000
STANDARD_INPUT: Final = "-"
FILE_NAME: Final = "config.json"
TEXT_PARTS: Final = ("text_config", "llm_config", "language_config")
"""Where multimodal models keep their language part."""
INHERITED: Final = ("tie_word_embeddings",)
"""What a multimodal file may say outside its language part and mean for it."""


def read_config(path_or_text: str | Path, readers: Iterable[ConfigReader]) -> Architecture:
    """The architecture of a ``config.json``: its path, the folder that holds it, ``-`` for standard input, or its text.

    Raises InputError naming the field, UnknownNameError for an unsupported ``model_type``.
    """
    text, origin = read_text(path_or_text)
    by_type = {model_type: reader for reader in readers for model_type in reader.model_types}
    config, note = language_part(parse(text), by_type)
    reader = reader_for(config, by_type)
    architecture = reader.read(config)
    check(architecture)
    slug = slug_of(origin or architecture.family)
    notes = "; ".join(part for part in (note, architecture.note) if part)
    return replace(
        architecture,
        slug=slug,
        name=origin or architecture.name,
        note=notes,
        source=f"config.json, read as {reader.name}",
    )


def read_text(path_or_text: str | Path) -> tuple[str, str]:
    """The text, and the name that its place suggests ("" if none)."""
    if isinstance(path_or_text, str):
        if path_or_text == STANDARD_INPUT:
            return _decoded(sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)), ""
        if path_or_text.lstrip()[:1] in ("{", "["):
            return limited(path_or_text), ""
    path = Path(path_or_text)
    try:
        if path.is_dir():
            path = path / FILE_NAME
        with open_binary(path) as file:
            text = _decoded(file.read(LARGEST_FILE_BYTES + 1))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {shown(str(path_or_text))}: {reason(error)}") from None
    name = path.resolve().parent.name if path.name == FILE_NAME else path.stem
    return text, name


def _decoded(content: bytes) -> str:
    try:
        return limited(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError("not a UTF-8 text") from None


def reason(error: Exception) -> str:
    """Why a file cannot be read, without its path."""
    return (error.strerror or "unknown error") if isinstance(error, OSError) else str(error)


def limited(text: str) -> str:
    """`text`, unless it is longer than any configuration. Raises InputError."""
    if len(text) > LARGEST_FILE_BYTES:
        raise InputError(f"larger than {LARGEST_FILE_BYTES // 1_000_000} MB: not a config.json")
    return text


def parse(text: str) -> Mapping[str, Any]:
    """The JSON object in `text`. Raises InputError."""

    def refuse(constant: str) -> NoReturn:
        raise InputError(f"malformed JSON: {constant} is not a JSON number")

    try:
        config = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InputError(f"malformed JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise InputError("malformed JSON: nested too deeply") from None
    except ValueError:
        raise InputError("malformed JSON: a number has too many digits") from None
    if not isinstance(config, dict):
        raise InputError(f"not a JSON object but {shown(config)}")
    return config


def language_part(config: Mapping[str, Any], by_type: Mapping[str, ConfigReader]) -> tuple[Mapping[str, Any], str]:
    """Of a multimodal file its language part, with a note; any other file as it is. Raises InputError."""
    for name in TEXT_PARTS:
        part = config.get(name)
        if part is None:
            continue
        if not isinstance(part, dict):
            raise InputError(f"{name} must be an object, not {shown(part)}")
        outer = {key: config[key] for key in INHERITED if key in config}
        inner = {**outer, **part}
        if "model_type" not in inner and config.get("model_type") in by_type:
            inner["model_type"] = config["model_type"]
        return inner, f"the language part of {config.get('model_type', 'a multimodal model')} only"
    return config, ""


def reader_for(config: Mapping[str, Any], by_type: Mapping[str, ConfigReader]) -> ConfigReader:
    """The reader of the file's ``model_type``. Raises InputError and UnknownNameError."""
    model_type = config.get("model_type")
    if model_type is None:
        raise InputError("model_type is missing")
    if not isinstance(model_type, str):
        raise InputError(f"model_type must be a string, not {shown(model_type)}")
    if model_type in NOT_DECODERS or config.get("is_encoder_decoder") is True:
        raise InputError(f"model_type {shown(model_type)} is not a decoder-only language model")
    if model_type not in by_type:
        raise UnknownNameError("model_type", model_type[:100], by_type)
    return by_type[model_type]


def check(architecture: Architecture) -> None:
    """Refuse shapes that contradict themselves. Raises InputError."""
    if architecture.heads % architecture.kv_heads:
        raise InputError(
            f"{architecture.heads} attention heads are not a multiple of {architecture.kv_heads} key-value heads"
        )
    moe = architecture.moe
    if moe is not None and moe.topk > moe.experts:
        raise InputError(f"num_experts_per_tok {moe.topk} is more than the {moe.experts} experts")
    if moe is not None and moe.first_k_dense > architecture.layers:
        raise InputError(f"{moe.first_k_dense} dense layers are more than the {architecture.layers} layers")


def slug_of(name: str) -> str:
    """A slug as the catalog writes them.

    >>> slug_of("Llama 3.1 8B")
    'llama-3.1-8b'
    """
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "model"
