"""From a training run to the weights that ship: calibrates the scores and writes models/local/weights.

    python -m models.training.release RUN --visual FILE --real FOLDER --version V [--out FOLDER]

The scores are calibrated on pages whose licence lets them judge weights but not make them: a logistic regression of
"the word stands on the page" on the best cosine of the page. How much a long page is corrected (`length`) is not fitted
here: those pages are all of one kind and length.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from models.local.config import LocalConfig, NetworkConfig, ScoreConfig
from models.local.network import Network
from models.local.probability import FEWEST_TOKENS, USUAL_TOKENS
from models.local.reading import Reader
from models.local.weights import CONFIG, write_weights
from models.local.words import as_bytes
from models.training import checkpoint
from models.training.real_pages import KnownPage, known_pages

PAGE_WORDS = 24
ABSENT_WEIGHT = 4.0
"""All absent pairs together weigh so many times the present ones, as in training."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pairs:
    """Words against pages. cosine, excess (log of tokens / 125), present: [n]."""

    cosine: Tensor
    excess: Tensor
    present: Tensor


def word_page_pairs(reader: Reader, network: Network, pages: Sequence[KnownPage], *, seed: int = 0) -> Pairs:
    """Some words of each page against all pages."""
    rng = random.Random(seed)
    on_page = [{word for word, *_ in page.words} for page in pages]
    words = sorted({word for held in on_page for word in rng.sample(sorted(held), min(PAGE_WORDS, len(held)))})
    with torch.inference_mode():
        typed = network.text.tokens(network.text.features(torch.from_numpy(as_bytes(words)).to(reader.device))).cpu()
    best: list[Tensor] = []
    excess: list[float] = []
    kept: list[set[str]] = []
    for page, held in zip(pages, on_page, strict=True):
        tokens = reader.picture(Image.fromarray(page.picture).convert("RGB")).tokens
        if tokens is not None:
            best.append((typed @ torch.from_numpy(tokens).T).amax(1))
            excess.append(float(np.log(max(len(tokens), FEWEST_TOKENS) / USUAL_TOKENS)))
            kept.append(held)
    cosine = torch.stack(best, 1).double()
    present = torch.tensor([[word in held for held in kept] for word in words])
    return Pairs(cosine.flatten(), torch.tensor(excess).double().expand_as(cosine).flatten(), present.flatten())


def fitted(pairs: Pairs, score: ScoreConfig) -> ScoreConfig:
    """`score` with slope and bias by maximum likelihood."""
    weights = torch.tensor([score.slope, score.bias], dtype=torch.float64, requires_grad=True)
    target = pairs.present.double()
    share = torch.where(pairs.present, 1 / target.sum(), ABSENT_WEIGHT / (1 - target).sum())
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logit = weights[0] * pairs.cosine + weights[1] - score.length * pairs.excess
        value = (F.binary_cross_entropy_with_logits(logit, target, reduction="none") * share).sum()
        value.backward()
        return value

    optimiser.step(loss)
    slope, bias = (round(value, 4) for value in weights.tolist())
    return dataclasses.replace(score, slope=slope, bias=bias)


def reliability(pairs: Pairs, score: ScoreConfig, *, bins: int = 10) -> NDArray[np.float64]:
    """Rows (said, true, pairs): mean probability and share of words that do stand there, by bins of what was said."""
    said = torch.sigmoid(score.slope * pairs.cosine + score.bias - score.length * pairs.excess).numpy()
    place = np.minimum((said * bins).astype(int), bins - 1)
    present = pairs.present.numpy()
    rows = [
        (said[place == b].mean(), present[place == b].mean(), (place == b).sum())
        for b in range(bins)
        if (place == b).any()
    ]
    return np.array(rows)


def replaced_config(out: Path, *, version: str, network: NetworkConfig) -> LocalConfig:
    """The configuration of the weights that are replaced, with what was fitted on other data than pages (photos, words
    of like meaning); the defaults where there are none."""
    path = out / CONFIG
    before = LocalConfig.from_json(path) if path.is_file() else LocalConfig(version)
    return dataclasses.replace(before, version=version, network=network)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the --out of models.training.train")
    parser.add_argument("--visual", type=Path, required=True, help="weights of the visual tower")
    parser.add_argument("--real", type=Path, required=True, help="real pages with known words, as data/docs/train")
    parser.add_argument("--version", required=True, help="of the encoder: pages indexed with another are indexed anew")
    parser.add_argument("--out", type=Path, default=Path("models/local/weights"))
    given = parser.parse_args()
    config = replaced_config(given.out, version=given.version, network=checkpoint.network_of(given.run))
    network = Network(config.network)
    checkpoint.load_weights(given.run, network, strict=False)
    visual = {name: tensor.float() for name, tensor in load_file(given.visual).items()}
    network.load_state_dict(visual, strict=False)
    network.eval().requires_grad_(False)
    reader = Reader(config, network, device=torch.device("cpu"), half=False, encoder="calibration")
    pages = list(known_pages(given.real, research_only=True))
    pairs = word_page_pairs(reader, network, pages)
    score = fitted(pairs, config.score)
    write_weights(given.out, dataclasses.replace(config, score=score), network)
    print(score)
    for said, true, count in reliability(pairs, score):
        print(f"said {said:.3f}  true {true:.3f}  of {count:.0f}")


if __name__ == "__main__":
    main()
