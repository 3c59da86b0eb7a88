"""The JSON file beside a model: how its input is made, and which output is the vector."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from models.encoder import EncoderError

Fit = Literal["squash", "crop"]
Layout = Literal["NCHW", "NHWC"]
Pool = Literal["none", "first", "mean"]

LARGEST_SIDE, LARGEST_BATCH, LONGEST_TEXT = 2048, 256, 4096


@dataclass(frozen=True, slots=True)
class TextConfig:
    """A text model whose vectors lie in the space of the pictures'.

    model, tokenizer: files beside the JSON; the tokenizer as the package tokenizers saves it. length: tokens of every
    text, cut or filled up with `pad`. output, pool: as in OnnxConfig.
    """

    model: str
    tokenizer: str
    length: int = 77
    pad: int = 0
    output: str = ""
    pool: Pool = "none"


@dataclass(frozen=True, slots=True)
class OnnxConfig:
    """size: height and width of the input in pixels. fit: squash the picture, or cut out its middle. mean, std: of each
    colour, R G B in 0..1. output: its name, empty for the first. pool: what to make of an output (n, steps, dims): its
    first step or the mean; none for an output (n, dims). normalise: False where the model itself gives unit vectors.
    batch: pictures that are encoded at once."""

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fit: Fit = "squash"
    layout: Layout = "NCHW"
    output: str = ""
    pool: Pool = "none"
    normalise: bool = True
    batch: int = 8
    text: TextConfig | None = None


def read_config(path: Path) -> OnnxConfig:
    """Raises EncoderError encoder_misconfigured that names the file and what is wrong with it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return _config(_known(OnnxConfig, raw))
    except FileNotFoundError:
        raise misconfigured(f"There is no {path.name} beside the model; docs/encoders.md says what it holds.") from None
    except OSError as error:
        raise misconfigured(f"{path.name} cannot be read: {error.strerror}.") from None
    except json.JSONDecodeError as error:
        raise misconfigured(f"{path.name} is not JSON: line {error.lineno}, column {error.colno}.") from None
    except ValueError as error:
        raise misconfigured(f"{path.name}: {error}.") from None


def misconfigured(detail: str) -> EncoderError:
    return EncoderError("encoder_misconfigured", detail, retryable=False)


def _config(raw: Mapping[str, Any]) -> OnnxConfig:
    size = raw.get("size")
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    text = raw.get("text")
    std = _colours(raw, "std")
    if min(std) <= 0:
        raise ValueError("std holds numbers above 0")
    return OnnxConfig(
        size=(_whole("size", height, LARGEST_SIDE), _whole("size", width, LARGEST_SIDE)),
        mean=_colours(raw, "mean"),
        std=std,
        fit=_one_of("fit", raw.get("fit", "squash"), ("squash", "crop")),
        layout=_one_of("layout", raw.get("layout", "NCHW"), ("NCHW", "NHWC")),
        output=_string("output", raw.get("output", "")),
        pool=_one_of("pool", raw.get("pool", "none"), ("none", "first", "mean")),
        normalise=_yes_or_no("normalise", raw.get("normalise", True)),
        batch=_whole("batch", raw.get("batch", 8), LARGEST_BATCH),
        text=None if text is None else _text(_known(TextConfig, text)),
    )


def _text(raw: Mapping[str, Any]) -> TextConfig:
    return TextConfig(
        model=_file("text.model", raw.get("model")),
        tokenizer=_file("text.tokenizer", raw.get("tokenizer")),
        length=_whole("text.length", raw.get("length", 77), LONGEST_TEXT),
        pad=_whole("text.pad", raw.get("pad", 0), 2**31 - 1, least=0),
        output=_string("text.output", raw.get("output", "")),
        pool=_one_of("text.pool", raw.get("pool", "none"), ("none", "first", "mean")),
    )


def _known(kind: type, raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError("an object is wanted")
    unknown = sorted(set(raw) - {field.name for field in fields(kind)})
    if unknown:
        raise ValueError(f"{unknown[0]} is not known")
    return raw


def _whole(name: str, value: object, most: int, *, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is a whole number from {least} to {most}")
    return value


def _colours(raw: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    match raw.get(name):
        case [int() | float() as red, int() | float() as green, int() | float() as blue]:
            return float(red), float(green), float(blue)
        case _:
            raise ValueError(f"{name} holds three numbers, for red, green and blue")


def _one_of(name: str, value: object, choices: tuple[Any, ...]) -> Any:
    if value not in choices:
        raise ValueError(f"{name} is {' or '.join(choices)}")
    return value


def _string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is a name")
    return value


def _file(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or Path(value).name != value:
        raise ValueError(f"{name} is the name of a file in the same folder")
    return value


def _yes_or_no(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false")
    return value
