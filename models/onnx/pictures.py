"""Pictures as a model of ONNX takes them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from models.encoder import FloatArray
from models.onnx.config import OnnxConfig


def prepared(picture: Image.Image, config: OnnxConfig) -> FloatArray:
    """float32 (3, height, width), or (height, width, 3) where the layout is NHWC. Bicubic."""
    height, width = config.size
    box = _middle(picture, config.size) if config.fit == "crop" else None
    small = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    colours = np.asarray(small, np.float32) / np.float32(255)
    colours = (colours - np.array(config.mean, np.float32)) / np.array(config.std, np.float32)
    return colours if config.layout == "NHWC" else np.ascontiguousarray(colours.transpose(2, 0, 1))


def _middle(picture: Image.Image, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest box of the shape `size`, height and width, in the middle of the picture."""
    scale = min(picture.height / size[0], picture.width / size[1])
    height, width = size[0] * scale, size[1] * scale
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return left, top, left + width, top + height
