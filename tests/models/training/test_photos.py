"""What the visual head is taught, on pictures drawn here."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from torch.nn import functional as F

from models.local.backbone import Backbone
from models.local.config import NetworkConfig
from models.local.visual_tower import VisualHead, VisualTower
from models.training.photos.data import Entry, load, page_entries, photo_entries
from models.training.photos.objective import PhotoLossWeights, agreement, kept, relations, supervised
from models.training.photos.scores import mean_precision, ranking
from models.training.photos.start import set_components, set_discriminant
from models.training.photos.study import Split, judged, splits
from models.training.photos.train import PhotoSettings, features, fit, parts_of, read, turn_towards, write
from models.training.photos.views import altered, plain

CONFIG = NetworkConfig(thumbnail=64, summary_dim=32, visual_dim=64)
CPU = torch.device("cpu")
COLOURS = {"car_door_dent": "red", "car_bumper_scratch": "blue", "flood_street": "green"}


def entry(fine: str, *, kind: str = "", part: str = "", severity: str = "", source: str = "a/b") -> Entry:
    return Entry(Path("x.jpg"), fine, fine.split("_")[0], part, kind, severity, source)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of each label: a coloured disc somewhere on grey."""
    folder = tmp_path_factory.mktemp("photos")
    lines = []
    for label, colour in COLOURS.items():
        for number in range(6):
            picture = Image.new("RGB", (90 + number, 70), (90 + 8 * number,) * 3)
            ImageDraw.Draw(picture).ellipse((9 * number, 5, 9 * number + 40, 60), fill=colour)
            name = f"{label}{number}.png"
            picture.save(folder / name)
            row = {"photo_id": name, "file": name, "label_fine": label, "subject": label.split("_")[0], "part": "p"}
            lines.append(json.dumps(row | {"kind_of_damage": "k", "severity": None, "source": "a/b@12:x.jpg"}))
    (folder / "labels.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_pages_that_may_not_train_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"page_id": "p1", "type": "receipt", "licence": "CC-BY-4.0", "repo": "r"},
        {"page_id": "p2", "type": "form", "licence": "research-only", "repo": "r"},
    ]
    with gzip.open(tmp_path / "pages.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    assert [(page.fine, page.path.name) for page in page_entries(tmp_path)] == [("page_receipt", "p1.webp")]


def test_photos_keep_labels_and_repository(photos: Path) -> None:
    first = photo_entries(photos)[0]
    assert (first.fine, first.part, first.severity, first.source) == ("car_door_dent", "p", "", "a/b")


def test_loaded_pictures_know_their_shape(photos: Path) -> None:
    pictures = load(photo_entries(photos)[:2])
    assert pictures.images.dtype == torch.uint8
    torch.testing.assert_close(pictures.aspect, torch.log(torch.tensor([90 / 70, 91 / 70])))


def test_views_differ_and_stay_pictures(photos: Path) -> None:
    torch.manual_seed(0)
    pictures = load(photo_entries(photos)[:3])
    twice = pictures.images[:1].expand(8, -1, -1, -1)
    views, aspect = altered(twice, pictures.aspect[:1].expand(8), torch.zeros(8, dtype=torch.bool), 64)
    assert views.shape == (8, 3, 64, 64)
    assert views.min() >= 0
    assert views.max() <= 1
    assert min((one - two).abs().mean() for one, two in itertools.pairwise(views)) > 0.01
    assert aspect.unique().numel() == 8


def test_a_page_is_never_mirrored() -> None:
    """A page that is dark on the left stays so in every view; half of the photos do not."""
    images = torch.full((40, 3, 64, 64), 255, dtype=torch.uint8)
    images[..., :32] = 0
    torch.manual_seed(0)
    for is_page, turned in ((True, 0), (False, 20)):
        views, _ = altered(images, torch.zeros(40), torch.full((40,), is_page), 64)
        mirrored = int((views[..., :16].mean((1, 2, 3)) > views[..., 48:].mean((1, 2, 3))).sum())
        assert abs(mirrored - turned) <= (0 if is_page else 12)


def test_same_label_pulls_and_an_unknown_one_does_not_push() -> None:
    entries = [
        entry("car_door_dent", kind="dent", part="door", severity="minor"),
        entry("car_door_dent", kind="dent", part="door"),
        entry("car_bumper_dent", kind="dent", part="bumper"),
        entry("car_mixed_minor", severity="minor"),
        entry("car_mixed_minor", severity="moderate"),
        entry("car_undamaged"),
    ]
    found = relations(entries, PhotoLossWeights(kind=0.1, part=0.1, severity=0.05), "cpu")
    assert found.pull[0].tolist() == pytest.approx([1.0, 1.0, 0.1, 0.05, 0.0, 0.0])
    assert found.known[0].tolist() == [True, True, True, True, False, True]
    assert found.known[5].all(), "a damaged car is no undamaged one, whatever its damage"
    z = F.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=1).requires_grad_()
    supervised(z[:1], found.pull[:1, :1], found.known[:1, :1], 0.1)
    pair = torch.tensor([0, 4])
    supervised(z[pair], found.pull[pair][:, pair], found.known[pair][:, pair], 0.1).backward()
    assert z.grad is not None
    assert z.grad.abs().max() == 0


def test_losses_fall_when_what_belongs_together_lies_together() -> None:
    near = F.normalize(torch.tensor([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0]]), dim=1)
    mixed = near[[0, 2, 1, 3]]
    pull = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    known = torch.ones(4, 4, dtype=torch.bool)
    assert supervised(near, pull, known, 0.1) < supervised(mixed, pull, known, 0.1)
    assert agreement(near, near, 0.1) < agreement(near, mixed, 0.1)
    assert float(kept(near, near, 0.1)) == pytest.approx(0, abs=1e-6)
    assert kept(near, mixed, 0.1) > 0.1


def test_the_start_tells_the_labels_apart_and_keeps_the_features() -> None:
    torch.manual_seed(0)
    labels = ["a"] * 20 + ["b"] * 20 + [""] * 5
    pooled = torch.randn(45, 12)
    pooled[:20, 3] += 3
    pooled[:, :3] *= 4
    base, learned = torch.nn.Linear(12, 6), torch.nn.Linear(12, 4)
    set_components(base, pooled)
    set_discriminant(learned, pooled, labels)
    assert base(pooled).mean(0).abs().max() < 1e-4
    names = labels[:40]
    assert mean_precision(learned(pooled)[:40], names) > mean_precision(pooled[:40] - pooled.mean(0), names) + 0.02
    found = torch.corrcoef(torch.stack([base(pooled).norm(dim=1), (pooled - pooled.mean(0))[:, :3].norm(dim=1)]))
    assert found[0, 1] > 0.5


def test_severities_are_told_apart_where_the_label_is_not_known() -> None:
    """Two severities differ along a direction in which the labels do not."""
    torch.manual_seed(0)
    labels = ["a"] * 20 + ["b"] * 20 + [""] * 40
    severity = [""] * 40 + ["car minor"] * 20 + ["car severe"] * 20
    pooled = torch.randn(80, 12)
    pooled[:20, 3] += 3
    pooled[60:, 5] += 4
    found = {}
    for graded in ((), severity):
        layer = torch.nn.Linear(12, 4)
        set_discriminant(layer, pooled, labels, graded)
        found[bool(graded)] = mean_precision(layer(pooled)[40:], severity[40:])
    assert found[True] > 0.9 > found[False] + 0.1


def test_a_head_turned_towards_an_earlier_one_sees_the_same_likeness(photos: Path, tmp_path: Path) -> None:
    bank = features(load(photo_entries(photos)), Backbone(CONFIG.thumbnail), 0, CONFIG.thumbnail, CPU)
    head, earlier = (fit(bank, range(18), PhotoSettings(), CONFIG, print) for _ in range(2))
    mix, _ = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(4)))
    earlier.direct.weight.copy_(mix @ earlier.direct.weight)
    earlier.direct.bias.copy_(mix @ earlier.direct.bias)
    _, before = parts_of(head, bank, range(18))
    turn_towards(head, earlier, bank.pooled())
    base, learned = parts_of(head, bank, range(18))
    torch.testing.assert_close(learned @ learned.T, before @ before.T, atol=1e-4, rtol=0)
    for mine, theirs in zip((base, learned), parts_of(earlier, bank, range(18)), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=0)
    write(head, tmp_path / "head.safetensors")
    again = read(tmp_path / "head.safetensors", CONFIG)
    torch.testing.assert_close(parts_of(again, bank, range(18))[1], learned, atol=1e-2, rtol=0)


def test_training_gathers_labels_and_writes_what_the_tower_reads(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    pictures = load(photo_entries(photos))
    bank = features(pictures, Backbone(CONFIG.thumbnail), 2, CONFIG.thumbnail, CPU)
    assert bank.maps.shape == (3, 18, Backbone.channels, 2, 2)
    rows = list(range(18))
    settings = PhotoSettings(views=2, pictures=18, steps=30)
    said: list[str] = []
    head = fit(bank, rows, settings, CONFIG, said.append)
    base, learned = parts_of(head, bank, rows)
    labels = [entry.fine for entry in bank.entries]
    assert mean_precision(learned, labels) > max(0.9, mean_precision(base, labels))
    write(head, tmp_path / "visual.safetensors")
    stored = load_file(tmp_path / "visual.safetensors")
    tower = VisualTower(CONFIG)
    tower.load_state_dict({name.removeprefix("visual."): value.float() for name, value in stored.items()})
    with torch.inference_mode():
        summary = tower.eval()(plain(pictures.images[:2], CONFIG.thumbnail), pictures.aspect[:2])
    assert summary.shape == (2, CONFIG.summary_dim)


def test_the_base_does_not_learn(photos: Path) -> None:
    bank = features(load(photo_entries(photos)), Backbone(CONFIG.thumbnail), 0, CONFIG.thumbnail, CPU)
    heads: list[VisualHead] = [
        fit(bank, range(18), PhotoSettings(views=0, pictures=8, steps=steps), CONFIG, print) for steps in (0, 3)
    ]
    assert torch.equal(heads[0].base.weight, heads[1].base.weight)
    assert not torch.equal(heads[0].direct.weight, heads[1].direct.weight)


def test_ranking_by_hand() -> None:
    likeness = torch.tensor(
        [[9, 3, 2, 1, 0.5], [3, 9, 0.1, 0.2, 3], [2, 0.1, 9, 4, 1], [1, 0.2, 4, 9, 5], [0.5, 3, 1, 5, 9]]
    )
    found = ranking(likeness, ["a", "a", "a", "a", "b"])
    assert found.query.tolist() == [0, 1, 2, 3]
    assert float(found.precision[0]) == 1.0
    # Row 1: the b of equal likeness stands before the first a.
    assert float(found.precision[1]) == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3)
    assert found.first_five.tolist() == [0.75, 0.75, 0.75, 0.75]


def test_no_split_asks_for_what_it_trained_on() -> None:
    entries = [
        entry(label, source=source)
        for label in ("car_a", "car_b", "car_c", "car_d", "car_e", "fire_a", "flood_b", "car_mixed_minor", "page_x")
        for source in ("yatharthbhatia/car-damage-analysis", "AlmogJakov/Car-Damage-Assessment", "q/r")
        for _ in range(4)
    ]
    for split in splits(entries):
        trained, asked = ({entries[row].fine for row in rows} for rows in (split.train, split.test))
        assert not set(split.train) & set(split.test)
        assert not {"page_x", "car_mixed_minor"} & asked
        if split.kind == "labels":
            assert len(split.asked) == 6
            assert not split.asked & trained
            assert split.asked <= asked
        if split.kind == "source":
            assert not {entries[row].source for row in split.train} & {entries[row].source for row in split.test}


def test_a_split_is_judged_by_the_labels_that_it_asks_for() -> None:
    entries = [entry(label) for label in ("car_a", "car_b", "fire_c") for _ in range(4)]
    vectors = torch.eye(2)[[0] * 4 + [1, 0] * 4]
    every = Split("labels", (), tuple(range(12)))
    asked = Split("labels", (), tuple(range(12)), frozenset({"car_a"}))
    assert judged(asked, vectors, entries)["labels"] != judged(every, vectors, entries)["labels"]
    alone = torch.eye(12)[[0] * 4 + [1] * 4 + [2] * 4]
    assert judged(every, alone, entries) == {"labels": 1.0, "labels, cars": 1.0}
