"""Photos that were handed in before, in another claim of the same tenant: evidence to look at, never a verdict."""

from retrieval.reuse.finder import ReuseFinder

__all__ = ["ReuseFinder"]
