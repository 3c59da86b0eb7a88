"""Photo search on labelled photos: ours beside every baseline, all computed in this run.

    python scripts/bench_photos.py PHOTOS --pages PAGES [--heads NAME=FILE ...] [--held-out FILE] [--own-eyes FOLDER]

PHOTOS: a folder with train/ and dev/, each with labels.jsonl. PAGES: a folder of pages as `claimsight evaluate` reads.
Leave-one-out on dev: relevant = same fine label, queries = photos whose label has four or more. Baselines that are
fitted use train alone. --heads: further weights of the visual head, compared by their summaries. --held-out: weights
trained without six labels, judged on those. Writes photos.csv, photos_held_out.csv and photos_cost.csv in
docs/benchmarks, and contact sheets in docs/pictures/photos of photos that may be shown; --own-eyes: sheets of all
photos, for nobody else. Goes on with bench_photo_words.py and bench_photo_changes.py on the same photos.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from models import Encoder
from models.local.backbone import Backbone
from models.local.config import NetworkConfig
from models.local.pictures import log_aspect, thumbnail
from models.local.scenes import LAST, glances
from models.local.visual_tower import VisualHead, joined
from models.training.photos.data import HELD_OUT, SEVERITY_ONLY, Entry, photo_entries
from models.training.photos.scores import ranking
from scripts import bench_photo_changes, bench_photo_words
from scripts.bench import pages, photos, record, tesseract
from scripts.bench import photo_baselines as baselines

OURS, PRETRAINED = "Claimsight", "Lite1 + Lite2, mirrored too, train mean removed"
UNSEEN_CARS = "labels held out, cars"
UNSEEN = "labels held out"
LARGE_SIDE = 1600
SAMPLED_PAGES = 6
"""One page in so many is timed."""
SHEET_QUERIES, SHOWN, SHEET_COLUMNS = 20, 5, 2


def at_random(labels: Sequence[str], *, seeds: int = 5) -> list[dict[str, object]]:
    """Mean of the figures over random orders."""
    count = len(labels)
    orders = [torch.rand(count, count, generator=torch.Generator().manual_seed(seed)) for seed in range(seeds)]
    runs = [photos.judged("chance", order, labels) for order in orders]
    return [
        {**rows[0], **{name: f"{mean(float(str(row[name])) for row in rows):.4f}" for name in ("map", "ndcg10", "p5")}}
        for rows in zip(*runs, strict=True)
    ]


def baseline_vectors(
    dev: Sequence[Image.Image], train: Sequence[Image.Image], labels: Sequence[str]
) -> dict[str, Tensor]:
    """One row a dev photo for every baseline but chance. labels: of train."""
    one, two = (baselines.pretrained(dev, name) for name in baselines.SIDES)
    train_one, train_two = (baselines.pretrained(train, name) for name in baselines.SIDES)
    centred = baselines.centred
    one_plain, two_plain = centred(one, train_one), centred(two, train_two)
    turned = [picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture in dev]
    one_turned, two_turned = (baselines.pretrained(turned, name) for name in baselines.SIDES)
    one_both = F.normalize(one_plain + centred(one_turned, train_one), dim=1)
    two_both = F.normalize(two_plain + centred(two_turned, train_two), dim=1)
    known = [place for place, label in enumerate(labels) if label not in SEVERITY_ONLY]
    return {
        "perceptual hash": baselines.hash_bits(dev),
        "gradients (HOG), train mean removed": baselines.gradients(dev) - baselines.gradients(train).mean(0),
        "colour histogram": baselines.colours(dev),
        "EfficientNet-Lite1": one,
        "EfficientNet-Lite2": two,
        "Lite2, train mean removed": two_plain,
        "Lite1 + Lite2, train mean removed": torch.cat([one_plain, two_plain], 1),
        PRETRAINED: torch.cat([one_both, two_both], 1),
        "Lite2, linear discriminant of train": baselines.discriminant(
            two, train_two[known], [labels[place] for place in known]
        ),
    }


@torch.inference_mode()
def head_vectors(heads: dict[str, Path], pictures: Sequence[Image.Image]) -> dict[str, Tensor]:
    """Summaries by heads of the visual tower stored as safetensors."""
    config = NetworkConfig()
    backbone = Backbone(config.thumbnail)
    looks = [torch.from_numpy(thumbnail(picture, side=config.thumbnail))[None] for picture in pictures]
    maps = torch.cat([backbone(look) for look in looks])
    aspects = torch.tensor([log_aspect(picture) for picture in pictures])
    found: dict[str, Tensor] = {}
    for name, path in heads.items():
        head = VisualHead(config)
        tensors = load_file(path)
        head.load_state_dict({key.removeprefix("visual.head."): value.float() for key, value in tensors.items()})
        parts = [head.eval()(maps[rows], aspects[rows]) for rows in torch.arange(len(maps)).split(32)]
        found[name] = torch.cat([joined(base, learned) for base, learned in parts])
    return found


def held_out_rows(system: str, found: Tensor, labels: Sequence[str]) -> list[dict[str, object]]:
    """Only queries of the labels that a run never saw: among all photos, and cars among cars."""
    asked = ranking(found, labels).of([label in HELD_OUT for label in labels])
    car = [place for place, label in enumerate(labels) if label.startswith("car_")]
    among = ranking(found[car][:, car], [labels[place] for place in car])
    cars = among.of([labels[place] in HELD_OUT for place in car])
    parts = {UNSEEN: asked, UNSEEN_CARS: cars}
    return [{"system": system, "queries_of": name, **photos.figures(part)} for name, part in parts.items()]


async def cost_rows(encoder: Encoder, seen: photos.Gallery, folder: Path) -> list[dict[str, object]]:
    """Processor seconds of a photo and of a page, all that the encoder does with each, on one thread; and the share of
    them that the probe takes for scenes."""
    large = tuple(enlarged(picture) for picture in seen.pictures)
    _, of_large = await photos.encoded(encoder, large)
    some = tuple(tesseract.open_page(path) for path in list(pages.load(folder).pictures.values())[::SAMPLED_PAGES])
    _, of_pages = await photos.encoded(encoder, some)
    found = {
        "photo": (seen.pictures, list(seen.cpu_s)),
        f"photo, {LARGE_SIDE} px": (large, of_large),
        "page": (some, of_pages),
    }
    of_a_page = pages.spread(of_pages, digits=4)
    rows: list[dict[str, object]] = []
    for name, (pictures, spent) in found.items():
        spread = pages.spread(spent, digits=4)
        told = {
            "of_a_page": f"{spread['median'] / of_a_page['median']:.2f}",
            "mean_of_a_page": f"{spread['mean'] / of_a_page['mean']:.2f}",
            "scenes": f"{scenes(pictures):.3f}",
        }
        rows.append({"picture": name, "count": len(spent), **spread, **told})
    return rows


@torch.inference_mode()
def scenes(pictures: Sequence[Image.Image]) -> float:
    """The share that is taken for a scene; where the last copy alone is asked, a picture is in doubt."""
    side = NetworkConfig().thumbnail
    backbone = Backbone(side)
    looks = (torch.from_numpy(thumbnail(one, side=side))[None] for one in pictures)
    copies = (glances(backbone(look)) for look in looks)
    return mean(asked is not None and asked.start < LAST for asked in copies)


def enlarged(picture: Image.Image) -> Image.Image:
    scale = LARGE_SIDE / max(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)


def alike_sheet(found: Tensor, entries: Sequence[Entry], pictures: Sequence[Image.Image], path: Path) -> None:
    """SHEET_QUERIES queries, as many of each label, and the SHOWN nearest of these photos."""
    labels = [entry.fine for entry in entries]
    rows = {label: [row for row, name in enumerate(labels) if name == label] for label in sorted(set(labels))}
    rows = {label: places for label, places in rows.items() if len(places) > SHOWN}
    share = -(-SHEET_QUERIES // len(rows))
    queries = [row for places in rows.values() for row in places[:: max(1, len(places) // share)][:share]]
    lines: list[tuple[str, list[tuple[Image.Image, bool]]]] = []
    for query in queries[:SHEET_QUERIES]:
        near = [row for row in found[query].argsort(descending=True).tolist() if row != query][:SHOWN]
        beside = [(pictures[row], labels[row] == labels[query]) for row in near]
        lines.append((labels[query], [(pictures[query], False), *beside]))
    photos.sheet(lines, path, columns=SHEET_COLUMNS, first_apart=True)


async def measure(given: argparse.Namespace) -> None:
    encoder = photos.one_thread()
    seen = await photos.gallery(encoder, given.photos / "dev")
    labels, train = seen.labels, photo_entries(given.photos / "train")
    stamp = record.stamp(["torch", "efficientnet-lite-pytorch"], others={"weights": encoder.version})
    scores = await photos.likeness(encoder, seen.embeddings, seen.pages)
    vectors = baseline_vectors(seen.pictures, photos.opened(train), [entry.fine for entry in train])
    heads = {name: Path(path) for name, path in (head.split("=", 1) for head in given.heads)}
    if given.held_out:
        heads[UNSEEN] = given.held_out
    vectors["Claimsight, summaries alone"] = torch.from_numpy(seen.pages.summaries)
    vectors |= head_vectors(heads, seen.pictures) if heads else {}
    found = {name: (unit := F.normalize(rows.double(), dim=1)) @ unit.T for name, rows in vectors.items()}
    rows = at_random(labels)
    rows += [row for name, part in found.items() if name != UNSEEN for row in photos.judged(name, part, labels)]
    rows += photos.judged(OURS, scores, labels)
    record.write_csv(record.BENCHMARKS / "photos.csv", [{**row, **stamp} for row in rows])
    record.show([row for row in rows if row["queries_of"] in (photos.ALL, photos.MACRO, photos.CARS)])
    if given.held_out:
        pairs = [(PRETRAINED, PRETRAINED), (f"{OURS}, trained without them", UNSEEN)]
        unseen = [row for name, key in pairs for row in held_out_rows(name, found[key], labels)]
        record.write_csv(record.BENCHMARKS / "photos_held_out.csv", [{**row, **stamp} for row in unseen])
        record.show(unseen)
    costs = await cost_rows(encoder, seen, given.pages)
    record.write_csv(record.BENCHMARKS / "photos_cost.csv", [{**row, **stamp} for row in costs])
    record.show(costs)
    shown = photos.showable(seen.entries)
    some = [seen.entries[row] for row in shown], [seen.pictures[row] for row in shown]
    alike_sheet(scores[shown][:, shown], *some, photos.SHEETS / "alike.jpg")
    if given.own_eyes:
        alike_sheet(scores, seen.entries, seen.pictures, given.own_eyes / "alike.jpg")
    await bench_photo_words.measure(encoder, seen, given.own_eyes)
    await encoder.aclose()
    plain = torch.from_numpy(seen.pages.summaries)
    bench_photo_changes.measure(seen.entries, seen.pictures, plain, bench_photo_changes.EVERY)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--pages", type=Path, default=pages.DEFAULT_DATASET)
    parser.add_argument("--heads", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--own-eyes", type=Path)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
