"""Scores of encoders that give one vector a page."""

from __future__ import annotations

import numpy as np

from models.encoder import Embedding, FloatArray, PackedPages


def cosine_scores(query: Embedding, pages: PackedPages) -> FloatArray:
    """float32 (P,): the cosine -1..1 of query and each page as 0..1, in order."""
    return np.clip((pages.summaries @ query.summary + 1.0) / 2.0, 0.0, 1.0).astype(np.float32)
