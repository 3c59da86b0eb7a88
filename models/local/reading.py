"""The network at work: pictures and words to embeddings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from models.encoder import Embedding, FloatArray, Regions
from models.local.config import WORD_BYTES, LocalConfig
from models.local.facts import Facts, measured
from models.local.found import Found, clipped, distinct, enlarged, joined, nothing, touching, with_neighbours
from models.local.layers import Chunks, make_quick
from models.local.lookalikes import numbers_of
from models.local.network import Network
from models.local.page_copy import page_copy
from models.local.page_looks import PageLooks, Seen, Sight
from models.local.page_tower import Cells
from models.local.pictures import brightness, log_aspect, padded, reading_copy, thumbnail
from models.local.probability import cosine_for
from models.local.regions import regions_of
from models.local.scenes import AROUND, SCENE_PIXELS, SMALL_PART, glances, mean_features
from models.local.senses import Senses
from models.local.sideways import find_sideways
from models.local.summary import summary_of
from models.local.upright import TURNS, Upright, turned, turned_back
from models.local.words import LOOK, as_bytes, plan_query, typed_words

SHORT = 12
"""Bytes of most words."""
SUREST = 0.98
"""Probability of a look at most: a whole one has no length."""
MOST_TURNS = 2
"""Times that a page is turned: which side it lies on is told less surely than that it does."""
WIDEST_GAP = 4
"""Columns between two neighbouring inked cells of one word, at most: 32 pixels, wider than the gaps of spaced print."""


class Reader:
    """Runs the network for one thread. device: where its weights lie; half: bf16 for reading."""

    def __init__(
        self,
        config: LocalConfig,
        network: Network,
        *,
        device: torch.device,
        half: bool,
        encoder: str,
        looks: PageLooks | None = None,
        senses: Senses | None = None,
        upright: Upright | None = None,
    ) -> None:
        self.device = device
        self._config, self._network, self._half, self._encoder = config, network.to(device), half, encoder
        if half:
            if device.type == "cpu":
                network.visual.backbone.halve()
                make_quick(network.page)
            # Autocast would turn the same weights anew for every page.
            for layer in network.page.modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    layer.to(torch.bfloat16)
        elif device.type == "cpu":
            network.page.stem.tile()
        self._looks, self._senses, self._upright = looks, senses, upright

    def picture(self, picture: Image.Image) -> Embedding:
        """A page or photo, alone, so that nothing beside it can change its vectors. A page that lies on its side or
        upside down is read as it stands upright; its boxes are those of the picture as it is given."""
        as_given, cells = self._embedded(picture)
        turns, wanted = 0, self._turns(cells)
        for _ in range(MOST_TURNS):
            turns = (turns + wanted) % len(TURNS)
            if not turns:
                break
            upright, cells = self._embedded(turned(picture, turns))
            wanted = self._turns(cells)
            if not wanted and upright.cells is not None:
                boxes = turned_back(upright.cells, turns, width=picture.width, height=picture.height)
                return replace(upright, cells=boxes)
        return as_given

    def _turns(self, cells: Cells | None) -> int:
        """Quarter turns to the left that set a page upright; 0 for a photo."""
        return 0 if cells is None or self._upright is None else self._upright.turns(cells)

    @torch.inference_mode()
    def _embedded(self, picture: Image.Image) -> tuple[Embedding, Cells | None]:
        """As it is given. Cells: of a page."""
        network, read = self._config.network, self._config.read
        small = torch.from_numpy(thumbnail(picture, side=network.thumbnail)).to(self.device)[None]
        aspect = torch.tensor([log_aspect(picture)], device=self.device)
        # Not under autocast: all in bf16, the features would leave those of fp32 by more than 0.001 of the cosine.
        features = self._network.visual.backbone(small)
        look = self._network.visual.summaries(features, aspect)[0].cpu().numpy()
        copies = glances(features)
        glanced = self._glance(picture, copies) if copies is not None else None
        if glanced is not None:
            keep = distinct(glanced, read, most=read.tokens)
            return self._embedding(look, glanced.tokens[keep], glanced.boxes[keep], words=glanced.tokens[keep]), None
        found, cells, ink, inked = self._study(picture)
        facts = measured(small[0].cpu().numpy(), ink, inked, aspect=picture.width / picture.height)
        seen = self._looks.seen(sight_of(features[0], cells, facts)) if self._looks else []
        room = read.tokens - len(seen)
        words = distinct(found, read, most=room)
        keep = with_neighbours(words, found, read, most=room)
        tokens, boxes = found.tokens[keep], found.boxes[keep]
        if self._looks is not None and seen:
            whole = np.array(picture.size * 2, np.float32)
            tokens = np.concatenate([tokens, self._look_tokens(self._looks, seen, beside=len(keep))])
            boxes = np.concatenate([boxes, np.array([word.box for word in seen], np.float32) * whole])
        return self._embedding(look, tokens, boxes, words=found.tokens[words]), cells

    def _embedding(self, look: FloatArray, tokens: FloatArray, boxes: FloatArray, *, words: FloatArray) -> Embedding:
        """words: the tokens of print that what is meant is told from, each word once."""
        meaning = self._senses.of_print(words, self._config.score) if self._senses is not None else None
        return Embedding(
            summary=summary_of(look, meaning),
            encoder=self._encoder,
            tokens=tokens if len(tokens) else None,
            cells=boxes if len(tokens) else None,
        )

    def _glance(self, picture: Image.Image, copies: range) -> Found | None:
        """Copies of a scene, each of twice the pixels, while each shows more than twice the words; then what is around
        those of the last. Without a copy nothing is read. None where the picture is worth reading in full: no copy is
        left that is smaller than the picture, or words are all over it."""
        if not copies:
            return nothing(self._config.network.token_dim)
        words = 0
        for step in copies:
            pixels = SCENE_PIXELS << step
            if step and pixels >= picture.width * picture.height:
                return None
            copy = reading_copy(picture, pixels=pixels)
            found, _ = self._read(brightness(copy))
            sure = found.confidence >= self._config.read.confidence
            if not sure.any():
                return found
            if sure.sum() <= 2 * words:
                return self._around(enlarged(found, copy, picture).boxes[sure], picture)
            words = int(sure.sum())
        return None

    def _around(self, boxes: FloatArray, picture: Image.Image) -> Found | None:
        """The part of a picture around some boxes, read as large as it would be read with the whole; None where it is
        no small part."""
        network, read = self._config.network, self._config.read
        room = np.array(picture.size, np.float32) * AROUND
        left, top = np.maximum(boxes[:, :2].min(0) - room, 0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(boxes[:, 2:].max(0) + room), picture.size).astype(int).tolist()
        area, whole = (right - left) * (bottom - top), picture.width * picture.height
        if area > SMALL_PART * whole:
            return None
        part = picture.crop((left, top, right, bottom))
        scale = min(1.0, read.cells * network.cell_height * network.cell_width / whole)
        copy = reading_copy(part, pixels=max(1, int(area * scale)))
        found = enlarged(self._read(brightness(copy))[0], copy, part)
        return Found(found.tokens, found.boxes + np.array([left, top] * 2, np.float32), found.confidence)

    def _study(self, picture: Image.Image) -> tuple[Found, Cells, torch.Tensor, NDArray[np.bool_]]:
        """Read as `page_copy` has it. Boxes in pixels of the picture; the cells of the page, its ink and the cells that
        hold any, for what is said of its look."""
        copy = page_copy(picture, self._config)
        grey = brightness(copy.grey)
        page, cells = self._read(grey)
        found = joined([page, *(() if copy.crowded else self._read_margins(grey))])
        return enlarged(found, copy.grey, picture), cells, copy.ink, copy.inked

    @torch.inference_mode()
    def regions(self, picture: Image.Image) -> Regions:
        look = torch.from_numpy(thumbnail(picture, side=self._config.network.thumbnail)).to(self.device)[None]
        return regions_of(self._network.visual, look, width=picture.width, height=picture.height)

    @torch.inference_mode()
    def text(self, text: str) -> Embedding:
        """Typed words: tokens of the plan's strings, then of the lookalikes of its numbers. A text without a single
        letter or digit that can be compared has a summary only."""
        words = typed_words(text)
        plan = plan_query(words)
        strings = (*plan.strings, *itertools.chain(*numbers_of(plan).values())) or ("",)
        features = self._features(strings)
        typed = torch.tensor([span.rows[0] for span in plan.spans if span.kind == "word"] or [0], device=self.device)
        everything = torch.ones(1, len(typed), dtype=torch.bool, device=self.device)
        look = self._network.text.summaries(features[typed][None], everything)[0].cpu().numpy()
        meaning = self._senses.of_text(text) if self._senses is not None and words else None
        tokens = self._network.text.tokens(features).cpu().numpy() if words else None
        if tokens is not None:
            looks = [row for row, string in enumerate(strings) if string.startswith(LOOK)]
            names = [strings[row].removeprefix(LOOK) for row in looks]
            # An encoder that says nothing of looks is not asked for them: zeros answer nothing.
            tokens[looks] = self._looks.signs_of(names) if self._looks is not None else 0.0
        return Embedding(summary=summary_of(look, meaning), encoder=self._encoder, tokens=tokens, words=words)

    def _look_tokens(self, looks: PageLooks, seen: Sequence[Seen], *, beside: int) -> FloatArray:
        """(n, d): the signs of what was seen, as short as it is unsure, so that they are answered with that
        probability. beside: tokens of print on the page."""
        sure = np.array([word.sure for word in seen], np.float32).clip(max=SUREST)
        length = np.maximum(cosine_for(sure, beside + len(seen), self._config.score), 0.0)
        return looks.signs_of([word.word for word in seen]) * length[:, None].astype(np.float32)

    def _features(self, strings: Sequence[str]) -> torch.Tensor:
        """Of the text tower, one row a string, zeros for names of looks; short strings apart, for the work grows with
        the longest."""
        table = torch.from_numpy(as_bytes(strings))
        short = table[:, SHORT:].sum(1) == 0
        printed = torch.tensor([not string.startswith(LOOK) for string in strings])
        features = torch.zeros(len(strings), 2 * self._config.network.text_dim, device=self.device)
        for chosen, width in ((short & printed, SHORT), (~short & printed, WORD_BYTES)):
            if chosen.any():
                features[chosen] = self._network.text.features(table[chosen, :width].to(self.device))
        return features

    def _read_margins(self, grey: FloatArray) -> Iterator[Found]:
        """Lines written sideways, from top to bottom, near the left and the right edge."""
        width = round(self._config.read.margin * grey.shape[1])
        for left in (0, grey.shape[1] - width):
            strip = grey[:, left : left + width]
            sideways = find_sideways(strip)
            if sideways is not None:
                found, _ = self._read(np.ascontiguousarray(np.rot90(strip[sideways.top : sideways.bottom])))
                x0, y0, x1, y1 = found.boxes.T
                boxes = np.stack([width - y1, sideways.top + x0, width - y0, sideways.top + x1], axis=1)
                kept = touching(boxes, sideways.spots)
                moved = boxes[kept] + np.array([left, 0, left, 0], np.float32)
                yield Found(found.tokens[kept], moved, found.confidence[kept])

    def _read(self, grey: FloatArray) -> tuple[Found, Cells]:
        page = torch.from_numpy(padded(grey)).to(self.device)[None, None]
        tower = self._network.page
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            cells = tower.cells(page)
            logits = tower.router(cells.hidden)
            begins = ((logits > 0) & cells.mask)[0]
            blank = tower.sign_logits(cells.hidden[:, begins])[0].float().softmax(-1)[..., 0]
            confidence = (1.0 - blank.amin(-1)).cpu().numpy()
            if not (confidence >= self._config.read.confidence).any():
                # None of them would be kept, so the layers that make words of them are spared.
                return nothing(self._config.network.token_dim), cells
            tokens, chunks = tower.words(cells, logits)
        boxes = word_boxes(
            cells, chunks, height=self._config.network.cell_height, width=self._config.network.cell_width
        )
        boxes = clipped(boxes, width=grey.shape[1], height=grey.shape[0])
        return Found(tokens[0][chunks.mask[0]].cpu().numpy(), boxes, confidence), cells


def sight_of(features: torch.Tensor, cells: Cells, facts: Facts) -> Sight:
    """Of one page. features: [channels, rows, columns] of the backbone."""
    mask = cells.mask[0]
    return Sight(
        features=mean_features(features[None])[0].cpu().numpy(),
        cells=cells.hidden[0, mask].float().cpu().numpy(),
        place=cells.index[0, mask].cpu().numpy(),
        rows=cells.rows,
        columns=cells.columns,
        facts=facts,
    )


def word_boxes(cells: Cells, chunks: Chunks, *, height: int, width: int) -> FloatArray:
    """The cells of each chunk of one page as a box, (T, 4) in pixels.

    Only cells on the row of the first, up to the first gap: at the end of a line a chunk also holds the first cells
    of the row below, and before a word that begins a little late, its first cell.
    """
    index, member = cells.index[0].cpu().numpy(), chunks.member[0].cpu().numpy()
    start = chunks.start[0][chunks.mask[0]].cpu().numpy()
    row, column = np.divmod(index, cells.columns)
    inside = np.flatnonzero(member > 0)
    inside = inside[row[inside] == row[start[member[inside] - 1]]]
    apart = (np.diff(member[inside]) == 0) & (np.diff(column[inside]) > WIDEST_GAP)
    gaps = np.cumsum(np.concatenate([[False], apart]))
    first = np.searchsorted(inside, start[member[inside] - 1])
    inside = inside[gaps == gaps[first]]
    left, right = np.full(len(start), cells.columns), np.zeros(len(start), np.int64)
    np.minimum.at(left, member[inside] - 1, column[inside])
    np.maximum.at(right, member[inside] - 1, column[inside] + 1)
    top = row[start]
    return np.stack([left * width, top * height, right * width, (top + 1) * height], axis=1).astype(np.float32)
