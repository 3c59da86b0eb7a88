"""What kernels for Hopper share in which one warp asks the copy engine for tiles and two warpgroups work on them."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import fence_async_shared, mbarrier, tma
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

# Triton 3.6 knows these by the second name, 3.9 by the first alone.
fetch = tma.async_load if hasattr(tma, "async_load") else tma.async_copy_global_to_shared
send = tma.async_store if hasattr(tma, "async_store") else tma.async_copy_shared_to_global
KINDS = {torch.float16: gl.float16, torch.bfloat16: gl.bfloat16, torch.float32: gl.float32}


@gluon.jit
def barriers(SLOTS: gl.constexpr):
    """ready: what is fetched once; full and empty: a slot each. A slot is empty when both warpgroups say so."""
    ready = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
    full = gl.allocate_shared_memory(gl.int64, [SLOTS, 1], mbarrier.MBarrierLayout())
    empty = gl.allocate_shared_memory(gl.int64, [SLOTS, 1], mbarrier.MBarrierLayout())
    mbarrier.init(ready, count=1)
    for k in gl.static_range(SLOTS):
        mbarrier.init(full.index(k), count=1)
        mbarrier.init(empty.index(k), count=2)
    fence_async_shared()
    return ready, full, empty


@cache
def layout_of(kind: torch.dtype, block: tuple[int, ...]) -> gl.NVMMASharedLayout:
    """How a block lies in shared memory."""
    return gl.NVMMASharedLayout.get_default_for(list(block), KINDS[kind])


def described(tensor: Tensor, *block: int) -> TensorDescriptor:
    """For the copy engine: a tensor of one of KINDS, cut into blocks; rows begin on 16 bytes."""
    shape, strides = list(tensor.shape), list(tensor.stride())
    return TensorDescriptor(tensor, shape, strides, list(block), layout_of(tensor.dtype, block))
