"""Shape of the local network, and the figures that turn its vectors into scores."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

WORD_BYTES = 24
"""Bytes of a word in canonical form; longer words are cut."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Widths and depths. Layer strings: r = row scan, c = column scan, w = attention in windows, s = scan,
    a = attention over all.

    cell_height, cell_width: pixels of one cell. stem_dim, cell_dim, chunk_dim, token_dim, text_dim,
    summary_dim, visual_dim: channels. cell_state, chunk_state: numbers a channel that a scan remembers. window: cells
    that look at each other. slots: sign labels in a cell, 4 px each. scan_block: length of a
    block in the chunked scan. reach: cells of a chunk that its pooling looks at. thumbnail: side in
    pixels of the squashed colour picture behind the summary.
    """

    cell_height: int = 16
    cell_width: int = 8
    stem_dim: int = 128
    cell_dim: int = 256
    cell_layers: str = "rrwrcr"
    cell_state: int = 16
    window: int = 256
    chunk_dim: int = 384
    chunk_layers: str = "ssass"
    chunk_state: int = 32
    token_dim: int = 64
    text_dim: int = 192
    text_layers: str = "sas"
    summary_dim: int = 256
    visual_dim: int = 192
    thumbnail: int = 260
    slots: int = 2
    scan_block: int = 64
    reach: int = 32


@dataclass(frozen=True, slots=True)
class ScoreConfig:
    """Calibration of the scores, fixed on data that is neither dev nor a test: length, common, near and meaning on
    questions written for the training pages, in other words than theirs, and on words of those pages, some mistyped.

    P(word on page) = sigmoid(slope * s + bias - length * ln(tokens / 125)) for the best cosine s of the page.
    apart: share of the score that a page loses on which no two neighbours of the query stand side by side; chosen on
    phrases of two to four words of the training pages, and small enough for words from different places of a page.
    join: factor of two typed words read as one. date: factor of a date rewritten in digits. look: factor of what is
    seen of a page instead of printed on it. Where most words say what a page looks like, that counts in full, printed:
    factor of those words in print, filler: of the rarity of the words around them. common: factor of the
    rarity of words that hold a question together. near: factor of a word that means the same as a typed one, falling
    to 0 at a likeness of near_from; near_doubt: probability up to which it does not count. meaning: of the likeness of
    what question and page mean as a whole, what it counts for words that the page does not print. topic_slope,
    topic_bias: for the cosine of the looks of words and picture; topic: most that words score on a picture without
    print, so that a page that prints them all comes first. picture_slope, picture_bias: for the cosine of the looks of
    two pictures, the chance that both show the same kind of damage (scripts/calibrate_photos.py); print: share of the
    score that the print of a picture query decides, where it holds much.
    """

    slope: float = 20.0
    bias: float = -10.0
    length: float = 0.75
    apart: float = 0.1
    join: float = 0.9
    date: float = 1.0
    look: float = 0.6
    printed: float = 0.5
    filler: float = 0.1
    common: float = 0.3
    near: float = 0.75
    near_from: float = 0.4
    near_doubt: float = 0.2
    meaning: float = 0.6
    topic: float = 0.6
    topic_slope: float = 10.0
    topic_bias: float = -4.0
    picture_slope: float = 8.0
    picture_bias: float = -4.0
    print: float = 0.8


@dataclass(frozen=True, slots=True)
class ReadConfig:
    """How a picture is read. pixels: most pixels of the reading copy. cells: a picture with more
    that hold ink, as photos have, is read smaller, so that they are about as many. tokens: most tokens of a picture
    (470 take 16 KB in the store). confidence: least probability that a token begins with a sign. duplicate: cosine
    above which a token is a copy of an earlier one and dropped. margin: share of the width at the left and right edge
    where lines written sideways are looked for and read a second time, turned; 0 = nowhere. small_print: a page whose
    print is lower, in pixels (`print_height`), is read `enlarge` times as large, within pixels and cells; 0 = none is.
    """

    pixels: int = 1024 * 1408
    cells: int = 5120
    tokens: int = 470
    confidence: float = 0.3
    duplicate: float = 0.9
    margin: float = 0.2
    small_print: float = 0.0
    enlarge: float = 1.25


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """Everything beside the weights; stored as config.json next to them."""

    version: str
    network: NetworkConfig = field(default_factory=NetworkConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    read: ReadConfig = field(default_factory=ReadConfig)

    @classmethod
    def from_json(cls, path: Path) -> LocalConfig:
        """Read config.json. Raises ValueError when a field is unknown: the file belongs to other code."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            version=str(raw["version"]),
            network=NetworkConfig(**known(NetworkConfig, raw.get("network", {}))),
            score=ScoreConfig(**known(ScoreConfig, raw.get("score", {}))),
            read=ReadConfig(**known(ReadConfig, raw.get("read", {}))),
        )

    def to_json(self) -> str:
        """The text of config.json."""
        return json.dumps(asdict(self), indent=2) + "\n"


def known(kind: type, raw: dict[str, Any]) -> dict[str, Any]:
    """`raw`, if every key is a field of the data class `kind`; raises ValueError otherwise."""
    unknown = set(raw) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} does not know {', '.join(sorted(unknown))}")
    return raw
