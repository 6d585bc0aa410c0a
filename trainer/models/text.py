"""Text models of transformers: a class of the library and its own config; neither code nor weights are fetched."""

import inspect
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from trainer.config import Finite
from trainer.models.registry import Architecture, Missing, register

MAX_LAYERS = 256
MAX_NUMBER = 2**20
_LAYERS = {"n_layer", "n_layers", "num_hidden_layers"}
_CAUSAL = ("GPT2", "GPTNeoX", "Llama", "Qwen2")

# Fields of a config that are no sizes, rates or switches of the network itself, or that `pad` decides. Among them are
# those by which the library finds code and kernels, and writes more than numbers.
_REFUSED = {
    "self",
    "kwargs",
    "transformers_version",
    "architectures",
    "output_hidden_states",
    "return_dict",
    "dtype",
    "chunk_size_feed_forward",
    "is_encoder_decoder",
    "id2label",
    "label2id",
    "problem_type",
    "use_cache",
    "pad_token_id",
    "is_decoder",
    "add_cross_attention",
    "attn_implementation",
    "torch_dtype",
    "pretraining_tp",
    "layer_types",
    "use_sliding_window",
    "sliding_window",
    "max_window_layers",
    "reorder_and_upcast_attn",
    "sinusoidal_pos_embds",
}

Number = Annotated[int, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Scalar = bool | Number | Finite | Annotated[str, Field(max_length=64)] | None
Class = Literal[
    "GPT2LMHeadModel",
    "GPT2ForSequenceClassification",
    "GPT2ForTokenClassification",
    "GPTNeoXForCausalLM",
    "LlamaForCausalLM",
    "LlamaForSequenceClassification",
    "LlamaForTokenClassification",
    "Qwen2ForCausalLM",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
]


@register("transformers")
class Transformers(Architecture):
    """Maps tokens int64[b, length] to logits float32[b, length, words], [b, classes] or [b, length, classes]."""

    kind: Class = Field(
        alias="class",
        description="A class of transformers; docs/models.md lists them.",
    )
    config: dict[str, Scalar | dict[str, Scalar]] = Field(
        default_factory=dict,
        max_length=64,
        description="The fields of the class's own config; `num_labels` is the number of classes.",
    )
    pad: Number = Field(
        default=256,
        ge=0,
        description="Token that fills texts up, and is not looked at; 256 with the tokenizer `bytes`.",
    )

    @model_validator(mode="after")
    def _bounded(self) -> "Transformers":
        # Layers cost time and memory even where nothing is allocated for their weights.
        for name in _LAYERS & self.config.keys():
            layers = self.config[name]
            if not isinstance(layers, int) or not 1 <= layers <= MAX_LAYERS:
                raise ValueError(f"config.{name} is {layers}, 1 … {MAX_LAYERS} are possible")
        labels = self.config.get("num_labels", 2)
        if not isinstance(labels, int) or not 1 <= labels <= 2**16:
            raise ValueError(f"config.num_labels is {labels}, 1 … {2**16} are possible")
        return self

    def build(self) -> nn.Module:
        try:
            import transformers  # noqa: PLC0415 (an extra, and takes seconds)
        except ImportError as error:
            raise Missing("the architecture 'transformers'", "text") from error
        base: Any = getattr(transformers, self.kind)
        fields = set(inspect.signature(base.config_class.__init__).parameters) - _REFUSED | {"num_labels"}
        unknown = sorted(self.config.keys() - fields)
        if unknown:
            raise ValueError(f"config.{unknown[0]} cannot be set for {self.kind}; {', '.join(sorted(fields))} can")
        # GPT-2's default tokens lie outside a small vocabulary, of which the library warns; nothing here uses them.
        chosen: dict[str, Any] = {name: None for name in ("bos_token_id", "eos_token_id") if name in fields}
        chosen |= {"use_cache": False, **self.config, "pad_token_id": self.pad}
        try:
            config = base.config_class(**chosen)
        except Exception as error:  # of many kinds, the library's and its checkers' own
            raise ValueError(f"the config does not suit {self.kind}: {str(error).splitlines()[-1].strip()}") from error
        if not 1 <= config.num_hidden_layers <= MAX_LAYERS:
            raise ValueError(f"{self.kind} has {config.num_hidden_layers} layers, 1 … {MAX_LAYERS} are possible")
        if not self.pad < config.vocab_size:
            raise ValueError(f"pad is {self.pad}, the vocabulary has the tokens 0 … {config.vocab_size - 1}")
        config._attn_implementation = "sdpa"
        module: nn.Module = _on_tokens(base)(config)
        _replace_norms(module)
        return module


def _on_tokens(base: Any) -> Any:
    """The class, called with tokens alone and giving logits alone; its names and files stay those of the library."""

    def forward(self: Any, tokens: torch.Tensor) -> torch.Tensor:
        length, most = tokens.shape[1], self.config.max_position_embeddings
        if length > most:
            raise ValueError(f"texts have {length} tokens, the model takes {most}")
        # Everybody sees itself: a row without any entry would be not a number, where a text is all padding.
        own = torch.eye(length, dtype=torch.bool, device=tokens.device)
        seen = (tokens != self.config.pad_token_id)[:, None, None, :] | own
        if base.__name__.startswith(_CAUSAL):
            seen = seen & torch.ones_like(own).tril()
        options = {"use_cache": False} if base.__name__.startswith(_CAUSAL) else {}
        found: torch.Tensor = base.forward(self, input_ids=tokens, attention_mask=seen, **options).logits
        return found

    return type(base.__name__, (base,), {"forward": forward, "__module__": base.__module__})


def _replace_norms(module: nn.Module) -> None:
    """RMS norms that compute in the type of what they get: the library's go down to float32 in float64."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__.endswith("RMSNorm") and not isinstance(child, nn.RMSNorm):
                weight: Any = child.weight
                norm = nn.RMSNorm(weight.shape, eps=float(child.variance_epsilon))  # type: ignore[arg-type]
                norm.weight = weight
                setattr(parent, name, norm)
