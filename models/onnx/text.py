"""Typed words through a text model of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from models.encoder import FloatArray
from models.onnx.config import TextConfig, misconfigured
from models.onnx.session import WHOLE, Session

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"


class TextModel:
    """Tokens of a text go into the input `input_ids`; a mask and zeros into `attention_mask` and `token_type_ids`,
    where the model has them."""

    def __init__(self, folder: Path, config: TextConfig, *, threads: int) -> None:
        """Raises EncoderError encoder_misconfigured."""
        self._session = Session(folder / config.model, threads=threads, output=config.output, pool=config.pool)
        strange = set(self._session.inputs) - {IDS, MASK, TYPES}
        if IDS not in self._session.inputs or strange or not set(self._session.inputs.values()) <= set(WHOLE):
            raise misconfigured(f"{config.model} must take whole numbers as {IDS}, and {MASK} and {TYPES} at most.")
        if not (folder / config.tokenizer).is_file():
            raise misconfigured(f"There is no tokenizer file {config.tokenizer}.")
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / config.tokenizer))
        except Exception:  # noqa: BLE001 the package raises nothing narrower
            raise misconfigured(f"{config.tokenizer} is no tokenizer that can be read.") from None
        self._tokenizer.enable_truncation(config.length)
        self._tokenizer.enable_padding(length=config.length, pad_id=config.pad)

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """(n, dims), one text at a time."""
        return np.concatenate([self._one(text) for text in texts])

    def _one(self, text: str) -> FloatArray:
        read = self._tokenizer.encode(text)
        rows = {IDS: read.ids, MASK: read.attention_mask, TYPES: [0] * len(read.ids)}
        return self._session.run({name: np.array([rows[name]], kind) for name, kind in self._session.inputs.items()})
