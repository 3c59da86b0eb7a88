"""Words to pictures: trains the heads of the text tower that give a query its summary, against finished summaries.

    python -m models.training.photos.words --weights FOLDER --photos FOLDER --pages FOLDER [--permissive] [--steps N]

FOLDERs: models/local/weights as `release` wrote it (changed in place), data/photos/train, data/docs/train. The rest of
the text tower and the visual tower stay as they are. Minutes on a CPU: nothing but the small heads is computed twice.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from models.local.config import ScoreConfig
from models.local.network import Network
from models.local.pictures import log_aspect, thumbnail
from models.local.weights import read_weights, write_weights
from models.local.words import as_bytes, canonical, typed_words
from models.training.photos.data import SEVERITY_ONLY, Entry, training_entries
from models.training.photos.descriptions import CAR_DAMAGE, FILLERS, TERMS, draw_query
from models.training.real_pages import known_pages

MOST_WORDS = 8
AT_ONCE = 8
JUNK_POOL = 4000
TRUE_WEIGHT = 0.2
"""Of the true pairs together, beside 1 for all others: most pictures answer no query."""


@dataclass(frozen=True, slots=True)
class WordSettings:
    """queries: of a step. junk: share of them that no picture answers. added: share of the others that get a word which
    says nothing of pictures. sharpness: of the contrast."""

    queries: int = 256
    steps: int = 1500
    rate: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.1
    junk: float = 0.3
    added: float = 0.3
    sharpness: float = 12.0
    seed: int = 0


class Vocabulary:
    """Word features of the frozen text tower, each word once."""

    def __init__(self, network: Network, words: Sequence[str]) -> None:
        self.row = {word: row for row, word in enumerate(dict.fromkeys(words))}
        with torch.no_grad():
            codes = torch.from_numpy(as_bytes(list(self.row)))
            self.features = torch.cat([network.text.features(part) for part in codes.split(512)])

    def __call__(self, queries: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Features [n, words, width] and mask [n, words] of typed queries, at most MOST_WORDS words each."""
        rows = [[self.row[canonical(word)] for word in typed_words(query)][:MOST_WORDS] for query in queries]
        index = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        mask = torch.zeros_like(index, dtype=torch.bool)
        for place, row in enumerate(rows):
            index[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = True
        return self.features[index], mask


def junk_words(pages: Path, rng: random.Random) -> list[str]:
    """Names, amounts and other print of the training pages that no description uses."""
    used = {canonical(word) for term in TERMS for wording in term.wordings for word in wording.split()}
    found = {word for page in known_pages(pages, research_only=False) for word, *_ in page.words} - used
    return rng.sample(sorted(found), min(JUNK_POOL, len(found)))


@torch.no_grad()
def seen(network: Network, entries: Sequence[Entry]) -> Tensor:
    """Summaries of pictures as the encoder makes them, [n, summary_dim]."""
    vectors: list[Tensor] = []
    for first in range(0, len(entries), AT_ONCE):
        looks: list[np.ndarray] = []
        aspects: list[float] = []
        for entry in entries[first : first + AT_ONCE]:
            with Image.open(entry.path) as picture:
                looks.append(thumbnail(picture, side=network.config.thumbnail))
                aspects.append(log_aspect(picture))
        vectors.append(network.visual(torch.from_numpy(np.stack(looks)), torch.tensor(aspects)))
    return torch.cat(vectors)


def truth(queries: Sequence[frozenset[str]], entries: Sequence[Entry]) -> tuple[Tensor, Tensor]:
    """Labels that each query is true of -> bool [queries, pictures] twice: answers it; and whether that is known. A
    damaged car whose part and kind nobody named may answer any query for a damaged car."""
    labels = {label: place for place, label in enumerate(dict.fromkeys(entry.fine for entry in entries))}
    of_picture = torch.tensor([labels[entry.fine] for entry in entries])
    answers = torch.tensor([[label in query for label in labels] for query in queries])
    unclear = torch.tensor(
        [[label in SEVERITY_ONLY and bool(query & set(CAR_DAMAGE)) for label in labels] for query in queries]
    )
    return answers[:, of_picture], (answers | ~unclear)[:, of_picture]


def word_loss(
    z: Tensor, pictures: Tensor, share: Tensor, answers: Tensor, known: Tensor, network: Network, sharpness: float
) -> Tensor:
    """z: unit vectors of queries [q, dim]; pictures: [n, dim]; share: [n], how much a picture counts; answers, known:
    as `truth`. Contrast of each query with its pictures, and the calibrated yes or no of each pair."""
    cosine = z @ pictures.T
    logit = (sharpness * cosine + share.log()).masked_fill(~known, -1e4)
    asked = answers.any(1)
    found = logit.masked_fill(~answers, -1e4).logsumexp(1) - logit.logsumexp(1)
    contrast = -(found * asked).sum() / asked.sum().clamp(min=1)
    said = network.topic_scale.exp() * cosine + network.topic_bias
    each = F.binary_cross_entropy_with_logits(said, answers.to(said.dtype), reduction="none") * share
    yes = (each * answers).sum() / (share * answers).sum().clamp(min=1e-6)
    no = (each * (known & ~answers)).sum() / (share * (known & ~answers)).sum()
    return contrast + 2 * (TRUE_WEIGHT * yes + no)


def train_words(
    network: Network,
    pictures: Tensor,
    entries: Sequence[Entry],
    junk: Sequence[str],
    settings: WordSettings,
    report: Callable[[str], None],
) -> None:
    """Trains topic, topic_weight and summary of the text tower, topic_scale and topic_bias; nothing else."""
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    wordings = [word for term in TERMS for wording in term.wordings for word in wording.split()]
    vocabulary = Vocabulary(network, [canonical(word) for word in (*wordings, *FILLERS, *junk)])
    text = network.text
    trained = [*text.topic.parameters(), *text.topic_weight.parameters(), *text.summary.parameters()]
    trained += [network.topic_scale, network.topic_bias]
    network.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(trained, lr=settings.rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    labels = [entry.fine for entry in entries]
    share = torch.tensor([1 / labels.count(label) for label in labels])
    for step in range(settings.steps):
        queries, true_of = zip(*(drawn(rng, junk, settings) for _ in range(settings.queries)), strict=True)
        features, mask = vocabulary(queries)
        z = text.summaries(F.dropout(features, settings.dropout), mask)
        answers, known = truth(true_of, entries)
        loss = word_loss(z, pictures, share, answers, known, network, settings.sharpness)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            report(f"step {step + 1}  loss {loss.item():.3f}  scale {network.topic_scale.exp().item():.1f}")
    network.requires_grad_(False)


def drawn(rng: random.Random, junk: Sequence[str], settings: WordSettings) -> tuple[str, frozenset[str]]:
    """A query and the labels that it is true of; none where it asks for print only."""
    if rng.random() < settings.junk:
        return " ".join(rng.choices(junk, k=rng.choice((1, 1, 2, 3)))), frozenset()
    query, labels = draw_query(rng)
    if rng.random() < settings.added:
        words = query.split()
        words.insert(rng.randrange(len(words) + 1), rng.choice(junk))
        query = " ".join(words)
    return query, labels


def with_topic(score: ScoreConfig, network: Network) -> ScoreConfig:
    """`score` with the calibration that the training has found."""
    slope, bias = network.topic_scale.exp().item(), network.topic_bias.item()
    return dataclasses.replace(score, topic_slope=round(slope, 4), topic_bias=round(bias, 4))


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pages", type=Path, required=True)
    parser.add_argument("--permissive", action="store_true", help="as the visual tower was trained")
    parser.add_argument("--steps", type=int, default=WordSettings().steps)
    given = parser.parse_args()
    settings = dataclasses.replace(WordSettings(), steps=given.steps)
    config, network = read_weights(given.weights)
    entries = training_entries(given.photos, given.pages, permissive=given.permissive)
    junk = junk_words(given.pages, random.Random(settings.seed))
    train_words(network, seen(network, entries), entries, junk, settings, print)
    write_weights(given.weights, dataclasses.replace(config, score=with_topic(config.score, network)), network)


if __name__ == "__main__":
    main()
