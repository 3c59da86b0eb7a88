"""The visual tower: one unit vector a picture, from features that nothing in training can change."""

from __future__ import annotations

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from models.local.backbone import NETWORKS, SMALL_MAP, Backbone, Points
from models.local.config import NetworkConfig
from models.local.visual_tower import VisualTower, joined

SIDE = 96


@pytest.fixture(scope="module")
def tower() -> VisualTower:
    torch.manual_seed(3)
    tower = VisualTower(NetworkConfig(thumbnail=SIDE)).eval()
    torch.nn.init.normal_(tower.head.detail.weight, std=0.1)
    return tower


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def test_every_picture_has_one_unit_vector(tower: VisualTower, pictures: torch.Tensor) -> None:
    summary = tower(pictures, torch.tensor([-0.5, 0.0, 1.2]))
    assert summary.shape == (3, 256)
    assert summary.dtype == torch.float32
    torch.testing.assert_close(summary.norm(dim=1), torch.ones(3))


def test_a_picture_alone_and_among_others_has_the_same_vector(tower: VisualTower, pictures: torch.Tensor) -> None:
    aspect = torch.tensor([-0.5, 0.0, 1.2])
    with torch.inference_mode():
        torch.testing.assert_close(tower(pictures, aspect)[1], tower(pictures[1:2], aspect[1:2])[0], atol=1e-4, rtol=0)


def test_layers_add_nothing_before_they_are_refined_and_something_after(pictures: torch.Tensor) -> None:
    tower, aspect = VisualTower(NetworkConfig(thumbnail=SIDE)), torch.zeros(3)
    as_trained, as_used = tower.train()(pictures, aspect), tower.eval()(pictures, aspect)
    assert torch.equal(as_trained, as_used)
    torch.nn.init.normal_(tower.head.detail.weight, std=0.1)
    refined = tower(pictures, aspect)
    assert torch.equal(tower.train()(pictures, aspect), refined)
    assert not torch.equal(refined, as_used)


def test_the_packages_weights_are_neither_saved_nor_learned(tower: VisualTower) -> None:
    assert all(name.startswith("head.") for name in tower.state_dict())
    assert {name for name, _ in tower.named_parameters()} == set(tower.state_dict())
    tower.load_state_dict(tower.state_dict())


def test_the_shipped_head_is_small() -> None:
    head = VisualTower(NetworkConfig()).head
    assert sum(value.numel() for value in head.state_dict().values()) <= 2_200_000


def test_training_mode_leaves_the_features_alone(pictures: torch.Tensor) -> None:
    backbone = Backbone(SIDE)
    before = backbone.eval()(pictures)
    after = backbone.train()(pictures)
    assert torch.equal(before, after)
    assert torch.equal(before, backbone.eval()(pictures))


@pytest.mark.parametrize("place", range(len(NETWORKS)))
def test_features_are_those_of_the_packages_own_network(pictures: torch.Tensor, place: int) -> None:
    name, path = list(NETWORKS.items())[place]
    network = EfficientNet.from_name(name, image_size=SIDE)
    network.load_state_dict(torch.load(path(), weights_only=True))
    with torch.no_grad():
        expected = network.eval().extract_features(pictures * 255 / 127 - 1)
    width = Backbone.channels // len(NETWORKS)
    found = Backbone(SIDE)(pictures)[:, place * width : (place + 1) * width]
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_small_maps_in_half_precision_give_nearly_the_same_features() -> None:
    picture = torch.rand(1, 3, 260, 260, generator=torch.Generator().manual_seed(2))
    halved = Backbone(260)
    halved.halve()
    exact, half = Backbone(260)(picture), halved(picture)
    assert half.dtype == exact.dtype
    assert not torch.equal(half, exact)
    assert torch.nn.functional.cosine_similarity(half.flatten(), exact.flatten(), dim=0) > 0.999


def test_large_maps_stay_in_full_precision() -> None:
    """Where the network sees edges and colours, rounding would cost most and save least."""
    halved = Backbone(260)
    halved.halve()
    sides: list[int] = []
    for module in halved.modules():
        if isinstance(module, Points):
            module.register_forward_pre_hook(lambda _, given: sides.append(given[0].shape[-1]))
    halved(torch.zeros(1, 3, 260, 260))
    assert max(sides) == SMALL_MAP
    assert len(sides) < sum(isinstance(module, torch.nn.Conv2d) for module in Backbone(260).modules()) / 2


def test_the_learned_part_has_its_share_of_the_cosine() -> None:
    same, other = torch.eye(2), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    one, two = joined(same, same, 0.7), joined(other, same, 0.7)
    torch.testing.assert_close((one * two).sum(1), torch.full((2,), 0.7))
