"""Pictures and words to vectors, and their scores. Torch is imported inside models.local only."""

from models.encoder import (
    Embedding,
    Encoder,
    EncoderError,
    EncodingFailure,
    FloatArray,
    PackedPages,
    QueryInput,
    Reading,
    SimilarityMap,
    encoder_id,
)
from models.packing import dequantise_tokens, pack_pages, quantise_tokens
from models.registry import EncoderOptions, create_encoder, is_encoder_name

__all__ = [
    "Embedding",
    "Encoder",
    "EncoderError",
    "EncoderOptions",
    "EncodingFailure",
    "FloatArray",
    "PackedPages",
    "QueryInput",
    "Reading",
    "SimilarityMap",
    "create_encoder",
    "dequantise_tokens",
    "encoder_id",
    "is_encoder_name",
    "pack_pages",
    "quantise_tokens",
]
