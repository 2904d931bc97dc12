"""Typed access to the keys of a ``config.json``: every value is checked, every refusal names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from planner.domain.architecture import Architecture
from planner.errors import InputError

LAYERS: Final = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HIDDEN: Final = ("hidden_size", "n_embd", "d_model", "n_embed")
HEADS: Final = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KV_HEADS: Final = ("num_key_value_heads", "num_kv_heads")
FFN: Final = ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
POSITIONS: Final = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx", "model_max_length")
ACTIVATIONS: Final = ("hidden_act", "hidden_activation", "activation_function", "activation")
DROPOUTS: Final = (
    "resid_pdrop", "embd_pdrop", "attn_pdrop", "emb_pdrop", "dropout", "hidden_dropout", "attention_dropout",
    "resid_dropout", "embed_dropout", "residual_dropout", "embedding_dropout",
)  # fmt: skip
"""The names that families of models give to the same hyper-parameter."""

MOST_LAYERS: Final = 10_000
LARGEST: Final = 1 << 24
LONGEST_SEQUENCE: Final = 1 << 40
ACTIVATION_NAMES: Final[Mapping[str, str]] = {
    "swish": "silu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_python_tanh": "gelu_tanh", "relu_squared": "relu2",
}  # fmt: skip
LOCAL_LAYERS: Final = frozenset({"sliding_attention", "chunked_attention", "local_attention", "local"})
FULL_LAYERS: Final = frozenset({"full_attention", "global_attention", "global"})


class ConfigFields:
    """The keys of one file. Names are alternatives: the first that is present counts; null counts as absent."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read from `config`, the parsed file."""
        self.config = config

    def value(self, *names: str) -> tuple[str, Any]:
        """The first of `names` that is present, and its value; (the first name, None) if none is."""
        for name in names:
            if self.config.get(name) is not None:
                return name, self.config[name]
        return names[0], None

    def count(self, *names: str, default: int | None = None, largest: int = LARGEST) -> int:
        """A positive whole number; without `default` it must be there. Raises InputError naming the field."""
        name, value = self.value(*names)
        if value is None:
            if default is None:
                raise InputError(f"{name} is missing")
            return default
        return self._whole(name, value, 1, largest)

    def count_or_zero(self, *names: str, default: int = 0, largest: int = LARGEST) -> int:
        """A whole number that may be zero. Raises InputError naming the field."""
        name, value = self.value(*names)
        return default if value is None else self._whole(name, value, 0, largest)

    def optional_count(self, *names: str, largest: int = LARGEST) -> int | None:
        """A positive whole number, or None where the file has null, 0 or nothing. Raises InputError."""
        return self.count_or_zero(*names, largest=largest) or None

    def fraction(self, *names: str, default: float) -> float:
        """A number between 0 and 1. Raises InputError naming the field."""
        name, value = self.value(*names)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{name} must be between 0 and 1, not {shown(value)}")
        return float(value)

    def flag(self, *names: str, default: bool) -> bool:
        """True or false. Raises InputError naming the field."""
        name, value = self.value(*names)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"{name} must be true or false, not {shown(value)}")
        return value

    def text(self, *names: str, default: str) -> str:
        """A string. Raises InputError naming the field."""
        name, value = self.value(*names)
        if value is None:
            return default
        if not isinstance(value, str):
            raise InputError(f"{name} must be a string, not {shown(value)}")
        return value

    def whole_numbers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers, empty where there is none. Raises InputError naming the field."""
        return tuple(self._whole(name, item, 0, LARGEST) for item in self._items(name))

    def words(self, name: str) -> tuple[str, ...]:
        """A list of strings, empty where there is none. Raises InputError naming the field."""
        items = self._items(name)
        for item in items:
            if not isinstance(item, str):
                raise InputError(f"{name} must be a list of strings, and holds {shown(item)}")
        return items

    def section(self, name: str) -> ConfigFields:
        """The keys of an object inside the file, empty where there is none. Raises InputError naming the field."""
        value = self.config.get(name)
        if value is None:
            return ConfigFields({})
        if not isinstance(value, Mapping):
            raise InputError(f"{name} must be an object, not {shown(value)}")
        return ConfigFields(value)

    def has_dropout(self) -> bool:
        """Whether any dropout rate is above zero. Raises InputError naming the field."""
        found = False
        for name in DROPOUTS:
            found = self.fraction(name, default=0.0) > 0 or found
        return found

    def refuse(self, name: str, wanted: object) -> None:
        """Refuse a file where `name` is set to anything but `wanted`, for want of a way to express it."""
        value = self.config.get(name)
        if value is not None and value != wanted:
            raise InputError(f"{name} {shown(value)} is not supported", hint=f"supported is {shown(wanted)}")

    def _items(self, name: str) -> tuple[Any, ...]:
        value = self.config.get(name)
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise InputError(f"{name} must be a list, not {shown(value)}")
        return tuple(value)

    def _whole(self, name: str, value: Any, smallest: int, largest: int) -> int:  # noqa: ANN401 - whatever JSON holds
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or value != value or value in (float("inf"), float("-inf")) or value != int(value):
            raise InputError(f"{name} must be a whole number, not {shown(value)}")
        if not smallest <= value <= largest:
            raise InputError(f"{name} must be between {smallest:,} and {largest:,}, not {shown(value)}")
        return int(value)


def shown(value: object) -> str:
    """A value as an error message shows it: short, on one line.

    >>> shown([1] * 100)
    '[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, …'
    """
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39].rstrip()}…"


def read_layers(fields: ConfigFields) -> int:
    """The number of layers."""
    return fields.count(*LAYERS, largest=MOST_LAYERS)


def read_windows(fields: ConfigFields, *names: str, unless_listed: int) -> dict[str, Any]:
    """`window` and `window_layers`: of ``layer_types`` where the file lists them, else of `unless_listed` layers.

    Raises InputError naming the field.
    """
    layers, kinds = read_layers(fields), fields.words("layer_types")
    if kinds and len(kinds) != layers:
        raise InputError(f"layer_types lists {len(kinds)} layers of {layers}")
    for kind in kinds:
        if kind not in LOCAL_LAYERS | FULL_LAYERS:
            raise InputError(f"layer_types names {shown(kind)}, which is not supported")
    window = fields.optional_count(*names, largest=LONGEST_SEQUENCE)
    local = sum(kind in LOCAL_LAYERS for kind in kinds) if kinds else unless_listed
    return {"window": window, "window_layers": local} if window and local else {}


def read_partial_rotary(fields: ConfigFields, head_dim: int, rotated: float) -> bool:
    """Whether only a part of each head is rotated; `rotated` is the share where the file names none.

    Raises InputError naming the field.
    """
    rotary_dim = fields.optional_count("rotary_dim")
    share = rotated if rotary_dim is None else min(1.0, rotary_dim / head_dim)
    inner = fields.section("rope_parameters").fraction("partial_rotary_factor", default=share)
    return fields.fraction("partial_rotary_factor", "rotary_pct", default=inner) < 1.0


def read_decoder(
    fields: ConfigFields,
    *,
    family: str,
    tied: bool = False,
    rotated: float = 1.0,
    **declared: Any,  # noqa: ANN401 - fields of Architecture
) -> Architecture:
    """An architecture from the keys that most files share.

    `declared` is what the family fixes or has read itself: it wins, and its keys are not read. `tied` is what an absent
    ``tie_word_embeddings`` means, `rotated` an absent share of each head that is rotated. Raises InputError naming the field.
    """
    hidden, heads = fields.count(*HIDDEN), fields.count(*HEADS, largest=1 << 16)
    found: dict[str, Any] = {"slug": family, "name": family, "family": family, "layers": read_layers(fields)}
    found |= {"hidden": hidden, "heads": heads, "vocab": fields.count("vocab_size", largest=1 << 28)}
    if "kv_heads" not in declared:
        found["kv_heads"] = fields.count(*KV_HEADS, default=heads, largest=1 << 16)
    if "head_dim" not in declared:
        found["head_dim"] = fields.optional_count("head_dim") or _share(fields, hidden, heads)
    if "ffn_hidden" not in declared:
        found["ffn_hidden"] = fields.count(*FFN)
    if "activation" not in declared:
        activation = fields.text(*ACTIVATIONS, default="silu")
        found["activation"] = ACTIVATION_NAMES.get(activation, activation)
    found["max_seq_len"] = fields.optional_count(*POSITIONS, largest=LONGEST_SEQUENCE)
    found["tied_embeddings"] = fields.flag("tie_word_embeddings", default=tied)
    found["dropout"] = fields.has_dropout()
    if declared.get("position", "rope") == "rope":
        found["partial_rotary"] = read_partial_rotary(fields, declared.get("head_dim") or found["head_dim"], rotated)
    return Architecture(**{"gated": True, **found, **declared})


def _share(fields: ConfigFields, hidden: int, heads: int) -> int:
    if hidden % heads:
        wide, many = fields.value(*HIDDEN)[0], fields.value(*HEADS)[0]
        raise InputError(f"{wide} {hidden} is not a multiple of {many} {heads}, and head_dim is not given")
    return hidden // heads
