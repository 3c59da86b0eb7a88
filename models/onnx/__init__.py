"""Any image encoder exported to ONNX, described by a JSON file beside it. Needs the extra `claimsight[onnx]`."""

from models.onnx.encoder import OnnxEncoder

__all__ = ["OnnxEncoder"]
