"""Pages by the batch: scene, ink, wear, paper, bend, scan, labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.local.config import NetworkConfig
from models.training.batch import Batch
from models.training.repeatable import in_any_order
from models.training.synthesis.assets import Assets
from models.training.synthesis.chance import Chance
from models.training.synthesis.degrade import blurred, on_paper, scanned, wear, with_ground
from models.training.synthesis.draw import draw, draw_glyphs
from models.training.synthesis.handwriting import Wobble, draw_wobble, with_pen
from models.training.synthesis.labels import sign_labels, word_labels
from models.training.synthesis.place import Glyphs, Words, place, place_marks
from models.training.synthesis.scene import Rules, Runs, Scene, joined, picked
from models.training.synthesis.styles import compose
from models.training.synthesis.warp import Warp, draw_warp
from models.training.synthesis.words import draw_words

CLEAN = 0.22
"""Share of the pages that look like a file turned into pixels: straight, sharp, without noise."""


class Composer:
    """Draws training pages of one size on `device`. assets: folder with atlas.npz and pool.npz."""

    def __init__(
        self,
        assets: Path,
        *,
        device: torch.device | str,
        height: int = 704,
        width: int = 768,
        network: NetworkConfig | None = None,
    ) -> None:
        if height % 32 or width % 32:
            raise ValueError("height and width must be multiples of 32")
        self.device = torch.device(device)
        self.height, self.width = height, width
        self.network = network or NetworkConfig()
        self.assets = Assets.load(assets, self.device)
        self.chance = Chance(self.device)

    @torch.no_grad()
    def __call__(self, count: int) -> Batch:
        """`count` new pages with their labels, the same for the same seed. Takes no part in an autocast around it: it
        chooses its own precision."""
        with torch.autocast(self.device.type, enabled=False), in_any_order():
            return self.compose(count)

    def compose(self, count: int) -> Batch:
        """The steps from nothing to a batch."""
        scene = compose(self.assets, self.chance, count, self.height, self.width)
        runs = self.live_runs(scene)
        glyphs, words = self.typeset(scene, runs)
        typed = picked(glyphs, ~glyphs.hand)
        sprites = joined([typed, *(place_marks(marks) for marks in scene.marks)])
        ink, ground = draw(self.assets, sprites, Rules.of(torch.cat(scene.rules)), count, self.height, self.width)
        ink, wobble = self.write(ink, runs, picked(glyphs, glyphs.hand))
        straight = self.chance.share(count, CLEAN)
        warp = draw_warp(self.chance, count, self.height, self.width, straight=straight)
        image = self.photograph(ink, ground, scene.paper, warp, straight, self.strength(runs, count))
        return self.label(image, glyphs, words, warp, wobble)

    def write(self, ink: Tensor, runs: Runs, glyphs: Glyphs) -> tuple[Tensor, Wobble]:
        """Puts what is written with a pen on the ink [pages, height, width] of the print."""
        count = ink.shape[0]
        kind = torch.float16 if self.device.type == "cuda" else torch.float32
        by_hand = self.assets.by_hand(runs.face)
        sizes, lines = page_sums(runs.page, runs.em * by_hand, count), page_sums(runs.page, by_hand, count)
        wobble = draw_wobble(self.chance, sizes / lines.clamp(min=1), self.height, self.width)
        pen = wobble.bend(draw_glyphs(self.assets, glyphs, count, self.height, self.width))
        return (ink + with_pen(pen.to(kind), self.chance)).clamp(max=1), wobble

    def live_runs(self, scene: Scene) -> Runs:
        """The runs that hold words."""
        table = torch.cat(scene.runs)
        live = (Runs.of(table).count > 0).nonzero(as_tuple=True)[0]
        return Runs.of(table[live])

    def typeset(self, scene: Scene, runs: Runs) -> tuple[Glyphs, Words]:
        """All signs and words of the scene, in pixels of the flat page."""
        zones = torch.cat(scene.zones, 1) if scene.zones else None
        text = draw_words(self.assets, self.chance, runs, scene.count)
        return place(self.assets, self.chance, runs, text, zones)

    def strength(self, runs: Runs, count: int) -> Tensor:
        """[pages], how much wear the pages bear: from 0.3 where the print is 6 px high to 1 from 18 px on. The
        harmonic mean over the words, so that small print counts."""
        total, words = page_sums(runs.page, runs.count / runs.em, count), page_sums(runs.page, runs.count, count)
        return ((words / total.clamp(min=1e-6) - 1) / 17).clamp(0.3, 1)

    def photograph(
        self, ink: Tensor, ground: Tensor, sheet: Tensor, warp: Warp, straight: int, strength: Tensor
    ) -> Tensor:
        """Ink and ground [n, height, width] to images [n, 1, height, width]. Half precision on a GPU: the passes
        over whole pages are bound by memory."""
        chance, count = self.chance, ink.shape[0]
        kind = torch.float16 if self.device.type == "cuda" else torch.float32
        ink = wear(with_ground(ink.to(kind), ground.to(kind)), chance, straight, strength)
        soft = torch.where(
            chance.flag(0.3, count),
            chance.uniform(0.1, 0.35, count),
            chance.uniform(0.3, 1.25, count) * strength.clamp(min=0.45),
        )
        soft[:straight] = chance.uniform(0.1, 0.45, straight)
        page = on_paper(blurred(ink, soft), sheet, chance, straight)
        image = page.float()[:, None]
        image[straight:] = warp.part(straight).bend(image[straight:])
        return scanned(image[:, 0].to(kind), chance, straight, strength).float()[:, None]

    def label(self, image: Tensor, glyphs: Glyphs, words: Words, warp: Warp, wobble: Wobble) -> Batch:
        """The batch of the finished images."""
        page = torch.cat([glyphs.page, words.page, words.page])
        x = torch.cat([glyphs.centre_x, words.x, words.end_x])
        y = torch.cat([glyphs.centre_y, words.y, words.end_y])
        hand = torch.cat([glyphs.hand, words.hand, words.hand])
        x, y = wobble.move(page, x, y, hand)
        parts = [len(glyphs.page), len(words.page), len(words.page)]
        moved = warp.move(page, x, y)
        centre, start, end = zip(moved[0].split(parts), moved[1].split(parts), strict=True)
        size = (image.shape[0], self.height, self.width, self.network)
        return Batch(image, sign_labels(glyphs, *centre, *size), *word_labels(words, start, end, *size))


def page_sums(page: Tensor, values: Tensor, count: int) -> Tensor:
    """Sums of values [n] by their pages [n] of `count`, added in one order."""
    return torch.where(page == torch.arange(count, device=page.device)[:, None], values, 0).sum(1)
