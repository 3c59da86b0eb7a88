"""One ONNX model on the CPU: opened, tried once, and run; what it gives is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states  # pyright: ignore[reportAttributeAccessIssue]

from models.encoder import EncoderError, FloatArray
from models.onnx.config import Pool, misconfigured

FLOATS: tuple[type[np.generic], ...] = (np.float32, np.float16)
WHOLE: tuple[type[np.generic], ...] = (np.int64, np.int32)
_NUMBERS: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}
_FAULTS = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoModel,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
)


class Session:
    """inputs: by name, with the type of number that each takes. batch: pictures or texts that the model takes at once,
    None for any number."""

    def __init__(self, path: Path, *, threads: int, output: str, pool: Pool) -> None:
        """Raises EncoderError encoder_misconfigured: no such file, no ONNX model, no such output."""
        if not path.is_file():
            raise misconfigured(f"There is no model file {path.name}.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # faults come back as errors
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except _FAULTS as error:
            raise misconfigured(f"{path.name} is no ONNX model that onnxruntime can open ({_kind(error)}).") from None
        given = [node.name for node in self._session.get_outputs()]
        if output and output not in given:
            raise misconfigured(f"{path.name} has no output {output}, but {', '.join(given)}.")
        self._name, self._output, self._pool = path.name, output or given[0], pool
        self.inputs = {node.name: _NUMBERS.get(node.type, np.object_) for node in self._session.get_inputs()}
        first = self._session.get_inputs()[0].shape[:1]
        self.batch = first[0] if first and isinstance(first[0], int) else None

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> FloatArray:
        """Vectors (n, dims) of n inputs. Raises EncoderError encoder_unavailable where the model fails, and
        encoder_misconfigured where what it gives is no vector an input."""
        try:
            [found] = self._session.run([self._output], dict(feeds))
        except _FAULTS as error:
            detail = f"The model {self._name} failed ({_kind(error)})."
            raise EncoderError("encoder_unavailable", detail, retryable=True) from None
        rows = np.asarray(found, np.float32)
        count, wanted = len(next(iter(feeds.values()))), 2 if self._pool == "none" else 3
        if rows.ndim != wanted or len(rows) != count or 0 in rows.shape:
            raise misconfigured(
                f"The output {self._output} of {self._name} has shape {rows.shape} for {count} inputs; with pool"
                f" {self._pool} it must be {'(n, dims)' if wanted == 2 else '(n, steps, dims)'}."
            )
        if self._pool == "first":
            return rows[:, 0]
        return rows.mean(1) if self._pool == "mean" else rows


def _kind(error: Exception) -> str:
    """The kind of fault; its text may hold paths."""
    return type(error).__name__
