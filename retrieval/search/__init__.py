"""Search: the one path of a query, from words or a picture to hits with reasons."""

from retrieval.search.cache import DEFAULT_CACHE_BYTES
from retrieval.search.engine import EXACT_LIMIT, SearchEngine
from retrieval.search.explain import Explanation
from retrieval.search.matches import Matches
from retrieval.search.sketches import DEFAULT_SKETCH_BYTES

__all__ = ["DEFAULT_CACHE_BYTES", "DEFAULT_SKETCH_BYTES", "EXACT_LIMIT", "Explanation", "Matches", "SearchEngine"]
