"""Faults done to a running service, and what it made of them. Entry point: scripts/bench_faults.py."""
