"""Encoders by name; each is imported only when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from threadpoolctl import threadpool_limits

from models.encoder import Encoder, EncoderError

ONNX = "onnx:"
"""Begins the name of an encoder that is a file."""
VOYAGE_AND_LOOKS = "voyage+local"


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """What an encoder may be told.

    device: "auto", "cpu" or "cuda" (local). threads: CPU threads of one process (local, onnx), 0 = all cores.
    voyage_*: see models.voyage.
    """

    device: str = "auto"
    threads: int = 0
    voyage_api_key: str = ""
    voyage_base_url: str = ""
    voyage_dims: int = 1024
    voyage_timeout_s: float = 60.0


def is_encoder_name(name: str) -> bool:
    """Whether `create_encoder` knows it; a file that it names may still be missing."""
    return name in ("local", "voyage", VOYAGE_AND_LOOKS) or (name.startswith(ONNX) and name != ONNX)


def create_encoder(name: str, options: EncoderOptions | None = None) -> Encoder:
    """The encoder called `name`: "local", "voyage", "voyage+local" or "onnx:PATH". Raises ValueError for any other
    name, EncoderError encoder_misconfigured where it cannot be had.

    From then on numpy multiplies in one thread, in the whole process: what is multiplied beside an encoder is small,
    and after each product the other threads of OpenBLAS spin for some 30 ms, a fifth of a page's processor time.
    """
    if not is_encoder_name(name):
        raise ValueError(f"unknown encoder {name!r}: use local, voyage, voyage+local or onnx:PATH")
    threadpool_limits(limits=1, user_api="blas")
    options = options or EncoderOptions()
    if name == "local":
        from models.local import LocalEncoder

        return LocalEncoder.load(device=options.device, threads=options.threads)
    if name in ("voyage", VOYAGE_AND_LOOKS):
        from models.voyage import VoyageEncoder

        voyage = VoyageEncoder(
            api_key=options.voyage_api_key,
            base_url=options.voyage_base_url,
            dims=options.voyage_dims,
            timeout_s=options.voyage_timeout_s,
        )
        if name == "voyage":
            return voyage
        from models.fused import FusedEncoder
        from models.local.photo_looks import PhotoLooks

        return FusedEncoder(voyage, PhotoLooks.load())
    try:
        from models.onnx import OnnxEncoder
    except ModuleNotFoundError as error:
        detail = f"The onnx encoder needs the package {error.name}: pip install 'claimsight[onnx]'."
        raise EncoderError("encoder_misconfigured", detail, retryable=False) from None
    return OnnxEncoder.load(Path(name.removeprefix(ONNX)).expanduser(), threads=options.threads)
