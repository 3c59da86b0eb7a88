"""Trains the head of the visual tower on frozen features of each picture, and of altered views of it.

    python -m models.training.photos.train --photos FOLDER --pages FOLDER --out FILE
        [--permissive] [--held-out] [--like FILE] [--views N --steps N]

FOLDERs as data/photos/train and data/docs/train. The head that ships is the linear start alone, minutes on a CPU; with
--views 12 --steps 1200 it is refined by gradients, which wants a GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from models.local.backbone import Backbone
from models.local.config import NetworkConfig
from models.local.visual_tower import VisualHead
from models.training.photos.data import SEVERITY_ONLY, Entry, Pictures, load, training_entries
from models.training.photos.objective import PhotoLossWeights, agreement, kept, relations, supervised
from models.training.photos.start import set_components, set_discriminant
from models.training.photos.views import altered, plain

AT_ONCE = 64
REPORT_EVERY = 100


@dataclass(frozen=True, slots=True)
class PhotoSettings:
    """views: altered views of each picture beside the plain one. pictures: of a step, two views each. steps: of the
    refinement by gradients, 0 = the linear start alone. rate, direct_rate: peak learning rates of the detail and of
    the linear map beside it. dropout: share of feature channels left out of a view. severity: the linear start tells
    severities apart too, not labels alone. balance: a label with n pictures is drawn n ** balance times as often as
    one with one."""

    views: int = 0
    pictures: int = 256
    steps: int = 0
    rate: float = 1e-3
    direct_rate: float = 3e-4
    weight_decay: float = 0.05
    dropout: float = 0.2
    severity: bool = True
    balance: float = 0.5
    seed: int = 0
    weights: PhotoLossWeights = field(default_factory=PhotoLossWeights)


@dataclass(frozen=True, slots=True)
class Bank:
    """Frozen features of every view. maps: fp16 [views, n, channels, rows, columns]. aspect: [views, n]. View 0 is
    the plain one."""

    entries: tuple[Entry, ...]
    maps: Tensor
    aspect: Tensor

    def pooled(self) -> Tensor:
        """Of the plain views: unit vectors [n, channels]."""
        return F.normalize(torch.cat([part.float().mean((2, 3)) for part in self.maps[0].split(AT_ONCE)]), dim=1)


@torch.no_grad()
def features(pictures: Pictures, backbone: Backbone, views: int, side: int, device: torch.device) -> Bank:
    """All views of all pictures through the backbone."""
    is_page = torch.tensor([entry.is_page for entry in pictures.entries], device=device)
    images, aspect = pictures.images.to(device), pictures.aspect.to(device)
    maps: list[Tensor] = []
    aspects = [aspect]
    for view in range(views + 1):
        parts: list[Tensor] = []
        turned: list[Tensor] = []
        for rows in torch.arange(len(images), device=device).split(AT_ONCE):
            if view == 0:
                seen = plain(images[rows], side)
            else:
                seen, seen_aspect = altered(images[rows], aspect[rows], is_page[rows], side)
                turned.append(seen_aspect)
            parts.append(backbone(seen).half())
        maps.append(torch.cat(parts))
        if view:
            aspects.append(torch.cat(turned))
    return Bank(pictures.entries, torch.stack(maps), torch.stack(aspects))


def fit(
    bank: Bank, rows: Sequence[int], settings: PhotoSettings, config: NetworkConfig, report: Callable[[str], None]
) -> VisualHead:
    """A head that has seen the pictures `rows` of the bank, ready for use."""
    device = bank.maps.device
    torch.manual_seed(settings.seed)
    head = VisualHead(config).to(device)
    index = torch.tensor(rows, device=device)
    entries = [bank.entries[row] for row in rows]
    pooled = bank.pooled()[index]
    set_components(head.base, pooled)
    fine = ["" if entry.fine in SEVERITY_ONLY else entry.fine for entry in entries]
    severity = [f"{entry.subject} {entry.severity}" if entry.severity else "" for entry in entries]
    set_discriminant(head.direct, pooled, fine, severity if settings.severity else ())
    head.base.requires_grad_(False)
    teacher = F.normalize(pooled - pooled.mean(0), dim=1)

    def old(z: Tensor) -> Tensor:
        return kept(z, teacher[drawn], settings.weights.kept_temperature)

    related = relations(entries, settings.weights, device)
    count = Counter(entry.fine for entry in entries)
    chance = torch.tensor([count[entry.fine] ** (settings.balance - 1) for entry in entries], device=device)
    detail = [p for name, p in head.named_parameters() if not name.startswith(("base.", "direct."))]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in detail if p.ndim >= 2], "lr": settings.rate},
            {"params": [p for p in detail if p.ndim < 2], "lr": settings.rate, "weight_decay": 0.0},
            {"params": head.direct.parameters(), "lr": settings.direct_rate, "weight_decay": 0.0},
        ],
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: share_of_rate(step, settings.steps))
    pictures = min(settings.pictures, len(rows))
    for step in range(settings.steps):
        drawn = torch.multinomial(chance, pictures)
        view = torch.rand(len(bank.maps), pictures, device=device).topk(min(2, len(bank.maps)), dim=0).indices
        view = view[[0, -1]].flatten()
        twice = drawn.repeat(2)
        maps = bank.maps[view, index[twice]].float()
        maps = F.dropout2d(maps, settings.dropout)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            _, z = head(maps, bank.aspect[view, index[twice]])
        first, second = z.chunk(2)
        weights = settings.weights
        pull, known = related.pull[twice][:, twice], related.known[twice][:, twice]
        parts = {
            "supervised": weights.supervised * supervised(z, pull, known, weights.temperature),
            "agreement": weights.agreement * agreement(first, second, weights.temperature),
            "kept": weights.kept / 2 * (old(first) + old(second)),
        }
        loss = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % REPORT_EVERY == 0:
            said = "  ".join(f"{name} {part.item():.3f}" for name, part in parts.items())
            report(f"step {step + 1}  {said}")
    return head.eval().requires_grad_(False)


@torch.no_grad()
def turn_towards(head: VisualHead, earlier: VisualHead, pooled: Tensor) -> None:
    """Takes the base of `earlier` and turns the learned part to lie as near to that of `earlier` as it can: likeness of
    pictures is not changed by it, and words trained for `earlier` keep most of their sense. pooled: unit vectors
    [n, channels]. For a head whose learned part is linear still."""
    head.base.load_state_dict(earlier.base.state_dict())
    new, old = (F.normalize(one.direct(pooled) + one.detail.bias, dim=1) for one in (head, earlier))
    left, _, right = torch.linalg.svd(new.T @ old)
    turn = left @ right
    head.direct.weight.copy_(turn.T @ head.direct.weight)
    head.direct.bias.copy_(turn.T @ head.direct.bias)


def read(path: Path, config: NetworkConfig) -> VisualHead:
    """A head as `write` has left it."""
    head = VisualHead(config)
    head.load_state_dict({name.removeprefix("visual.head."): part.float() for name, part in load_file(path).items()})
    return head.eval().requires_grad_(False)


def share_of_rate(step: int, steps: int) -> float:
    """Warm-up over a twentieth, then a cosine."""
    warm = max(1, steps // 20)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / max(1, steps))))


@torch.no_grad()
def parts_of(head: VisualHead, bank: Bank, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Base and learned part of the plain views of these rows, on the CPU."""
    index = torch.tensor(rows, device=bank.maps.device)
    found = [head(bank.maps[0, part].float(), bank.aspect[0, part]) for part in index.split(AT_ONCE)]
    return torch.cat([base for base, _ in found]).cpu(), torch.cat([learned for _, learned in found]).cpu()


def write(head: VisualHead, path: Path) -> None:
    """The head in fp16, named as in the whole network."""
    tensors = {f"visual.head.{name}": value.half().cpu().contiguous() for name, value in head.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a .safetensors file")
    parser.add_argument("--permissive", action="store_true", help="photos of sources that state a permissive licence")
    parser.add_argument("--held-out", action="store_true", help="without the labels of the leave-labels-out check")
    parser.add_argument("--views", type=int, default=PhotoSettings().views)
    parser.add_argument("--steps", type=int, default=PhotoSettings().steps)
    parser.add_argument("--like", type=Path, help="an earlier head, whose words shall go on to find pictures")
    given = parser.parse_args()
    settings = dataclasses.replace(PhotoSettings(), views=given.views, steps=given.steps)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = NetworkConfig()
    entries = training_entries(given.photos, given.pages, permissive=given.permissive, held_out=given.held_out)
    torch.manual_seed(settings.seed)
    pictures = load(entries)
    bank = features(pictures, Backbone(config.thumbnail).to(device), settings.views, config.thumbnail, device)
    print(f"{len(entries)} pictures, of which {sum(entry.is_page for entry in entries)} pages, {len(bank.maps)} views")
    head = fit(bank, range(len(bank.entries)), settings, config, print)
    if given.like:
        turn_towards(head, read(given.like, config).to(device), bank.pooled())
    write(head, given.out)


if __name__ == "__main__":
    main()
