"""The scan's heaviest kernels again, for Hopper: bf16, heads of 64 side by side. ../../README.md has the drawing.

They are written in Gluon, Triton's language with explicit memory. A program of ssd/output.py or ssd/backward.py waits
for its own loads; here one warp asks the copy engine for the tiles of a head while two warpgroups, half a chunk each,
work on those of the head before, which both find in shared memory. A slot goes back when both have read it.
"""

from kernels.ssd.hopper.columns import write_columns
from kernels.ssd.hopper.output import write_output
from kernels.ssd.hopper.rows import write_rows
from kernels.ssd.hopper.walk import walk_states

__all__ = ["walk_states", "write_columns", "write_output", "write_rows"]
