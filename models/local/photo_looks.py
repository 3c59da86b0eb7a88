"""What the local encoder sees of a photo, without reading: one vector a picture, to stand beside another encoder's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from PIL import Image

from models.encoder import FloatArray, Regions
from models.local.config import LocalConfig
from models.local.encoder import WEIGHTS
from models.local.pictures import log_aspect, thumbnail
from models.local.regions import regions_of
from models.local.visual_tower import VisualTower
from models.local.weights import read_weights

_T = TypeVar("_T")


class PhotoLooks:
    """Works in one thread of its own, on the processor, a picture at a time."""

    def __init__(self, config: LocalConfig, tower: VisualTower) -> None:
        self._config, self._tower = config, tower
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="looks")

    @classmethod
    def load(cls) -> PhotoLooks:
        """With the weights that ship. Raises EncoderError encoder_misconfigured where they are missing."""
        config, network = read_weights(WEIGHTS)
        return cls(config, network.visual)

    @property
    def version(self) -> str:
        return self._config.version

    async def vectors(self, images: Sequence[Image.Image]) -> list[FloatArray]:
        """float32 (d,) of length 1 for each."""
        return [await self._run(lambda image=image: self._vector(image)) for image in images]

    async def regions(self, image: Image.Image) -> Regions:
        size = {"width": image.width, "height": image.height}
        return await self._run(lambda: regions_of(self._tower, self._look(image), **size))

    def same_kind(self, cosine: float) -> float:
        """Chance that two photos of that cosine show the same kind of damage."""
        score = self._config.score
        return 1.0 / (1.0 + math.exp(-(score.picture_slope * cosine + score.picture_bias)))

    async def aclose(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)

    @torch.inference_mode()
    def _vector(self, image: Image.Image) -> FloatArray:
        return self._tower(self._look(image), torch.tensor([log_aspect(image)]))[0].numpy()

    def _look(self, image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(thumbnail(image, side=self._config.network.thumbnail))[None]

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
