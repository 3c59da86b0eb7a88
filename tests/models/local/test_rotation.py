"""Token vectors are handed out rotated: nothing that is compared changes, and coarse storage loses less."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from models.local.network import Network
from models.local.rotation import rotate_tokens, rotation
from models.local.words import as_bytes
from models.packing import dequantise_tokens, quantise_tokens


@pytest.mark.parametrize("dims", [1, 2, 16, 64])
def test_a_rotation_keeps_products(dims: int) -> None:
    turn = rotation(dims)
    torch.testing.assert_close(turn @ turn.T, torch.eye(dims), atol=1e-6, rtol=0)


def test_a_rotation_is_the_same_everywhere() -> None:
    """Stored pages were made with it."""
    assert (rotation(8)[0] > 0).tolist() == [False, True, True, False, True, True, True, False]


def test_only_powers_of_two() -> None:
    with pytest.raises(ValueError, match="power of two"):
        rotation(48)


def test_an_offset_that_all_tokens_share_costs_less_when_rotated() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((400, 64)).astype(np.float32)
    tokens[:, 5] += 6.0
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    turned = tokens @ rotation(64).numpy().T
    lost, lost_turned = (
        np.square(dequantise_tokens(*quantise_tokens(given)) - given).sum() for given in (tokens, turned)
    )
    assert lost_turned < 0.7 * lost


def test_a_rotated_network_compares_words_as_before(network: Network) -> None:
    turned = copy.deepcopy(network)
    rotate_tokens(turned)
    words = torch.from_numpy(as_bytes(["hail", "windshield", "hall"]))
    with torch.inference_mode():
        before, after = (net.text.tokens(net.text.features(words)) for net in (network, turned))
    assert (before - after).abs().max() > 0.1
    torch.testing.assert_close(before @ before.T, after @ after.T, atol=1e-5, rtol=0)
