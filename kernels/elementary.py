"""Functions of single numbers that several kernels share."""

# Inside a kernel these are the compiler's values, not the host's that the package's types describe.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x)) of fp32. The square of a reciprocal root is one approximate instruction and a product where a
    division is eight; a gated norm then has 21 instructions a number instead of 28. Off by a few units in the last
    place."""
    root = tl.rsqrt(1.0 + tl.math.exp2(x * -1.4426950408889634))
    return root * root
