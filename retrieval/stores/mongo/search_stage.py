"""The only place that builds a `$vectorSearch` stage: tenant first, then everything else.

MongoDB ignores misspelt fields of the stage in silence ("filters" would drop the tenant), so no other code writes one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.stores.mongo.link import Document
from retrieval.stores.mongo.records import float32_binary, summary_path

MAX_RESULTS = 10_000  # mongot gives no more
_CANDIDATES_PER_HIT = 20
_LEAST_CANDIDATES = 200


def search_stage(
    tenant: str, *, encoder: str, vector: NDArray[np.float32], where: Document, limit: int, exact: bool
) -> Document:
    """Pages of one tenant and one encoder that pass `where`, nearest first. limit: 1 to MAX_RESULTS."""
    stage: Document = {
        "index": index_name(len(vector)),
        "path": summary_path(len(vector)),
        "queryVector": float32_binary(vector),
        "limit": limit,
        "filter": {"$and": [{"tenant_id": {"$eq": tenant}}, {"encoder": {"$eq": encoder}}, where]},
    }
    if exact:
        stage["exact"] = True
    else:
        stage["numCandidates"] = min(max(_CANDIDATES_PER_HIT * limit, _LEAST_CANDIDATES), MAX_RESULTS)
    return {"$vectorSearch": stage}


def index_name(dims: int) -> str:
    return f"pages_{dims}"


def cosine_of(score: float) -> float:
    """MongoDB's score of a cosine index is (1 + cosine) / 2."""
    return min(max(2.0 * score - 1.0, -1.0), 1.0)
