"""How well a search answers a labelled set: the figures of `claimsight evaluate`."""

from retrieval.evaluation.report import Report
from retrieval.evaluation.runner import evaluate

__all__ = ["Report", "evaluate"]
