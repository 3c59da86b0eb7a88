"""Building blocks of the towers: bidirectional scan, attention, normalisation, dynamic chunking."""

from models.local.layers.attention import AttentionLayer
from models.local.layers.chunking import ChunkPool, Chunks, Router
from models.local.layers.norm import RMSNorm
from models.local.layers.quick import make_quick
from models.local.layers.scan import ScanLayer

__all__ = ["AttentionLayer", "ChunkPool", "Chunks", "RMSNorm", "Router", "ScanLayer", "make_quick"]
