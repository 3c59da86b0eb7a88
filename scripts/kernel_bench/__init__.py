"""Cases, peers and sizes for scripts/bench_kernels.py."""
