"""Retrieval on pages that are not trained on, while a run goes on."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.local.pictures import padded
from models.local.probability import USUAL_TOKENS
from models.local.reading_network import ReadingNetwork
from models.local.words import as_bytes
from models.training.real_pages import known_pages

PAGE_QUERIES = 4


@dataclass(frozen=True, slots=True)
class Findings:
    """ndcg5, recall1 of phrases of one to four words; tokens: mean of a page."""

    ndcg5: float
    recall1: float
    tokens: float


class Validation:
    """Pages whose licence lets them judge weights but not make them, and phrases that stand on them."""

    def __init__(self, folder: Path, *, device: torch.device | str, limit: int = 108) -> None:
        self.device = torch.device(device)
        pages = list(known_pages(folder, research_only=True))[:limit]
        self.images = [_image(page.picture) for page in pages]
        on_page = [{word for word, *_ in page.words} for page in pages]
        rng = random.Random(0)
        self.queries: list[tuple[list[str], list[int]]] = []
        for page in pages:
            for _ in range(PAGE_QUERIES):
                length = min(rng.choice((1, 2, 2, 3, 4)), len(page.words))
                first = rng.randrange(len(page.words) - length + 1)
                words = [word for word, *_ in page.words[first : first + length]]
                right = [i for i, held in enumerate(on_page) if held.issuperset(words)]
                if len(right) <= 5:
                    self.queries.append((words, right))
        self.vocabulary = sorted({word for words, _ in self.queries for word in words})

    @torch.no_grad()
    def __call__(self, reader: ReadingNetwork) -> Findings:
        """Encodes the pages one by one, as a service does, and asks the phrases."""
        training = reader.training
        reader.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            typed = reader.text.tokens(
                reader.text.features(torch.from_numpy(as_bytes(self.vocabulary)).to(self.device))
            )
            pages = [reader.page.read(image.to(self.device))[0][0] for image in self.images]
        reader.train(training)
        best = torch.stack([(typed @ tokens.T).amax(1) for tokens in pages], 1)
        length = torch.tensor([len(tokens) for tokens in pages], device=self.device)
        logit = best * reader.presence_scale.exp() + reader.presence_bias
        present = torch.sigmoid(logit - 0.5 * torch.log(length / USUAL_TOKENS)).cpu().numpy()
        frequency = present.sum(1)
        rarity = np.log(1 + (len(pages) - frequency + 0.5) / (frequency + 0.5))
        row = {word: i for i, word in enumerate(self.vocabulary)}
        gains, firsts = [], []
        for words, right in self.queries:
            rows = [row[word] for word in words]
            order = np.argsort(-(rarity[rows] @ present[rows]), kind="stable")[:5]
            gain = [1 / math.log2(rank + 2) if page in right else 0.0 for rank, page in enumerate(order)]
            gains.append(sum(gain) / sum(1 / math.log2(rank + 2) for rank in range(min(5, len(right)))))
            firsts.append(gain[0])
        return Findings(float(np.mean(gains)), float(np.mean(firsts)), float(length.float().mean()))


def _image(picture: np.ndarray) -> Tensor:
    """[rows, columns] bytes to [1, 1, height, width], 0..1, with sides that the page tower takes."""
    return torch.from_numpy(padded(picture.astype(np.float32) / np.float32(255)))[None, None]
