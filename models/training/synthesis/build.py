"""`python -m models.training.synthesis.build OUT_FOLDER --fonts FOLDER`: faces and words to atlas.npz and pool.npz.

FOLDER holds the unpacked packages of packages.txt: fonts (.ttf, .otf, .pfb), the stroke alphabets of Hershey (.jhf) and
the word lists of usr/share/dict.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from models.training.synthesis.fonts import build_atlas, choose
from models.training.synthesis.scribbles import build_scribbles
from models.training.synthesis.strokes import read_hands
from models.training.synthesis.vocabulary import build_pool


def build(out: Path, fonts: Path, faces: int, hands: int) -> None:
    """Write both files into `out` and print what they hold."""
    out.mkdir(parents=True, exist_ok=True)
    pool: dict[str, Any] = build_pool(fonts)
    np.savez_compressed(out / "pool.npz", **pool)
    chosen = choose(fonts, faces)
    atlas: dict[str, Any] = build_atlas(chosen, build_scribbles(), read_hands(fonts, hands))
    np.savez_compressed(out / "atlas.npz", **atlas)
    print("words", {kind: len(words) for kind, words in pool.items()}, "faces", len(chosen), "hands", hands)
    print("bytes", {path.name: path.stat().st_size for path in sorted(out.glob("*.npz"))})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share"))
    parser.add_argument("--faces", type=int, default=320)
    parser.add_argument("--hands", type=int, default=56)
    options = parser.parse_args()
    build(options.out, options.fonts, options.faces, options.hands)


if __name__ == "__main__":
    main()
