"""GPU operators with reference and CPU paths. Knows tensors only."""
