"""Exact scores of the candidates, and their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.encoder import Embedding, Encoder
from retrieval.errors import EncoderTrouble
from retrieval.search.probes import encoder_errors
from retrieval.search.selection import Selection


async def score_candidates(encoder: Encoder, probes: Sequence[Embedding], selection: Selection) -> NDArray[np.float32]:
    """The score of each page for each probe, (m, n) in 0..1, pages in the order of `selection.page_ids`.

    Raises EncoderTrouble, also for scores that are not finite.
    """
    by_probe = np.zeros((len(probes), len(selection.page_ids)), np.float32)
    for place, probe in enumerate(probes):
        with encoder_errors():
            scores = await encoder.score(probe, selection.packed)
        if scores.shape != by_probe.shape[1:] or not np.isfinite(scores).all():
            raise EncoderTrouble(
                "The encoder gave scores that cannot be ranked.", code="encoder_unavailable", retryable=True
            )
        by_probe[place] = selection.scores_as_asked(np.clip(scores, 0.0, 1.0).astype(np.float32))
    return by_probe
