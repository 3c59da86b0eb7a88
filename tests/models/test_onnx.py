"""The onnx encoder: a real image network of a package, and small models made here for what can go wrong."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image, ImageDraw, ImageFilter
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from models import Embedding, EncoderError, EncoderOptions, EncodingFailure, create_encoder, is_encoder_name, pack_pages
from models.encoder import Encoder
from models.local.backbone import frozen

SIDE = 64
COLOURS = {"size": SIDE, "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


def described(path: Path, **changed: Any) -> Path:
    """Writes the JSON beside the model at `path`; None takes a field away."""
    fields = {name: value for name, value in {**COLOURS, **changed}.items() if value is not None}
    path.with_suffix(".json").write_text(json.dumps(fields), encoding="utf-8")
    return path


def mean_colour(path: Path, *, nodes: list[Any] | None = None, shape: tuple[Any, ...] = ("n", 3, SIDE, SIDE)) -> Path:
    """A model whose vector is the mean of each colour; or what `nodes` make of `pixels`, as `vector`."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    made = nodes or [helper.make_node("ReduceMean", ["pixels", "axes"], ["vector"], keepdims=0)]
    graph = helper.make_graph(
        made,
        "colour",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, None)],
        [axes],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def opened(path: Path) -> Encoder:
    return create_encoder(f"onnx:{path}", EncoderOptions(threads=1))


def plain(colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (90, 70), colour)


async def vectors(encoder: Encoder, images: list[Image.Image]) -> list[np.ndarray]:
    found = await encoder.encode_pages(images)
    assert all(isinstance(one, Embedding) for one in found)
    return [one.summary for one in found if isinstance(one, Embedding)]


@pytest.fixture(scope="module")
def efficientnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNet-Lite1 of its package: the last map, so that the JSON says how to pool it."""

    class Steps(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = frozen("efficientnet-lite1", SIDE)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.network.extract_features(pictures).flatten(2).transpose(1, 2)

    path = tmp_path_factory.mktemp("models") / "lite1.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its older exporter; the newer one wants further packages
        torch.onnx.export(
            Steps().eval(), (torch.zeros(1, 3, SIDE, SIDE),), path, dynamo=False, opset_version=17,
            input_names=["pictures"], output_names=["steps"], dynamic_axes={"pictures": {0: "n"}, "steps": {0: "n"}},
        )  # fmt: skip
    return described(path, mean=[127 / 255] * 3, std=[127 / 255] * 3, output="steps", pool="mean", batch=4)


def drawn(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    picture = Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8)).resize((150, 110))
    ImageDraw.Draw(picture).line((10, 20 * seed, 140, 90), fill="white", width=9)
    return picture


async def test_a_network_of_a_package_finds_an_altered_picture(efficientnet: Path) -> None:
    encoder = opened(efficientnet)
    pictures = [drawn(seed) for seed in range(6)]
    summaries = await vectors(encoder, pictures)
    assert (encoder.name, encoder.dims, encoder.batch_size) == ("onnx", 1280, 4)
    assert all(abs(float(np.linalg.norm(summary)) - 1) < 1e-5 for summary in summaries)
    pages = pack_pages([(summary, None, None) for summary in summaries], encoder="onnx")
    [query] = await encoder.encode_queries([pictures[4].crop((8, 6, 146, 104)).filter(ImageFilter.GaussianBlur(1))])
    scores = await encoder.score(query, pages)
    assert int(scores.argmax()) == 4
    assert scores.dtype == np.float32
    assert 0 <= scores.min() <= scores.max() <= 1
    await encoder.aclose()


async def test_the_vector_is_what_torch_gives(efficientnet: Path) -> None:
    picture = Image.new("RGB", (SIDE, SIDE), (200, 40, 90))
    ImageDraw.Draw(picture).rectangle((10, 12, 40, 50), fill="white")
    [found] = await vectors(opened(efficientnet), [picture])
    pixels = torch.from_numpy(np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 127 - 1)
    with torch.inference_mode():
        expected = frozen("efficientnet-lite1", SIDE).extract_features(pixels).mean((2, 3))[0].numpy()
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-4)


async def test_a_picture_alone_and_among_others_has_the_same_vector(efficientnet: Path) -> None:
    encoder = opened(efficientnet)
    many = await vectors(encoder, [drawn(seed) for seed in range(5)])
    [alone] = await vectors(encoder, [drawn(2)])
    np.testing.assert_allclose(alone, many[2], atol=1e-5)


async def test_colours_are_made_ready_as_the_json_says(tmp_path: Path) -> None:
    path = described(mean_colour(tmp_path / "m.onnx"), mean=[0.0, 0.0, 0.5], std=[1.0, 0.5, 1.0])
    [found] = await vectors(opened(path), [plain((255, 51, 255))])
    wanted = np.array([1.0, 0.4, 0.5])
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-5)


@pytest.mark.parametrize(("fit", "share"), [("squash", 0.5), ("crop", 0.0)])
async def test_the_whole_picture_or_its_middle_is_seen(tmp_path: Path, fit: str, share: float) -> None:
    """A wide picture, green on both sides: half of it all, and none of its middle."""
    path = described(mean_colour(tmp_path / "m.onnx"), fit=fit, normalise=True)
    picture = Image.new("RGB", (400, 200), (255, 0, 0))
    for left in (0, 300):
        picture.paste((0, 255, 0), (left, 0, left + 100, 200))
    [found] = await vectors(opened(path), [picture])
    assert found[1] / found.sum() == pytest.approx(share, abs=0.02)


async def test_channels_may_come_last(tmp_path: Path) -> None:
    axes = helper.make_node("Constant", [], ["last"], value_ints=[1, 2])
    mean = helper.make_node("ReduceMean", ["pixels", "last"], ["vector"], keepdims=0)
    model = mean_colour(tmp_path / "m.onnx", nodes=[axes, mean], shape=("n", SIDE, SIDE, 3))
    [found] = await vectors(opened(described(model, layout="NHWC")), [plain((255, 0, 0))])
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-6)


async def test_a_model_that_takes_one_picture_at_a_time(tmp_path: Path) -> None:
    path = described(mean_colour(tmp_path / "m.onnx", shape=(1, 3, SIDE, SIDE)))
    found = await vectors(opened(path), [plain((255, 0, 0)), plain((0, 255, 0)), plain((0, 0, 255))])
    np.testing.assert_allclose(np.stack(found), np.eye(3), atol=1e-6)


async def test_one_picture_without_a_vector_harms_no_other(tmp_path: Path) -> None:
    """Black has length 0, so its direction is no number."""
    encoder = opened(described(mean_colour(tmp_path / "m.onnx")))
    found = await encoder.encode_pages([plain((0, 9, 0)), plain((0, 0, 0)), Image.new("RGB", (0, 4)), plain((9, 0, 0))])
    assert [one.code if isinstance(one, EncodingFailure) else "ok" for one in found] == [
        "ok", "image_refused", "image_refused", "ok",
    ]  # fmt: skip
    with pytest.raises(EncoderError) as caught:
        await encoder.encode_queries([plain((0, 0, 0))])
    assert (caught.value.code, caught.value.retryable) == ("query_refused", False)


async def test_words_and_explanations_are_refused_by_their_codes(tmp_path: Path) -> None:
    encoder = opened(described(mean_colour(tmp_path / "m.onnx")))
    with pytest.raises(EncoderError) as words:
        await encoder.encode_queries(["broken windscreen"])
    assert (words.value.code, words.value.retryable) == ("text_unsupported", False)
    [page] = await encoder.encode_queries([plain((9, 0, 0))])
    with pytest.raises(EncoderError) as explained:
        await encoder.explain(page, page)
    assert explained.value.code == "explain_unsupported"


def text_files(folder: Path, *, dims: int = 3) -> dict[str, Any]:
    """Words to colours: the sum of a row a word, of those that the mask marks."""
    tokenizer = Tokenizer(WordLevel({"[PAD]": 0, "red": 1, "green": 2, "blue": 3, "[UNK]": 4}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "words.json"))
    rows = np.zeros((5, dims), np.float32)
    rows[0] = 9.0  # padding that the mask does not hide would show
    rows[1:4, :3] = np.eye(3)
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["share"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["share", "end"], ["shares"]),
        helper.make_node("Mul", ["each", "shares"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "steps"], ["vector"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ("n", 6)) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, None)],
        [
            helper.make_tensor("rows", TensorProto.FLOAT, rows.shape, rows.tobytes(), raw=True),
            helper.make_tensor("end", TensorProto.INT64, [1], [2]),
            helper.make_tensor("steps", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "words.onnx")
    return {"model": "words.onnx", "tokenizer": "words.json", "length": 6}


async def test_a_text_model_lets_words_find_pictures(tmp_path: Path) -> None:
    path = mean_colour(tmp_path / "m.onnx")
    encoder = opened(described(path, text=text_files(tmp_path)))
    [words] = await encoder.encode_queries(["green"])
    pages = [(summary, None, None) for summary in await vectors(encoder, [plain((200, 9, 9)), plain((9, 200, 9))])]
    scores = await encoder.score(words, pack_pages(pages, encoder=words.encoder))
    assert scores[1] > 0.95 > scores[0]
    [long] = await encoder.encode_queries(["blue " * 40])
    np.testing.assert_allclose(long.summary, [0, 0, 1], atol=1e-6)


def test_the_version_follows_every_file(tmp_path: Path) -> None:
    path = described(mean_colour(tmp_path / "m.onnx"), text=text_files(tmp_path))
    seen = [opened(path).version]
    changes: list[Callable[[], object]] = [
        lambda: described(path, std=[1.0, 1.0, 0.5], text=text_files(tmp_path)),
        lambda: mean_colour(path, nodes=[helper.make_node("ReduceMax", ["pixels", "axes"], ["vector"], keepdims=0)]),
        lambda: (tmp_path / "words.json").write_text((tmp_path / "words.json").read_text("utf-8") + "\n", "utf-8"),
        lambda: (tmp_path / "m.onnx_data").write_bytes(b"weights"),
    ]
    for change in changes:
        change()
        seen.append(opened(path).version)
    assert len(set(seen)) == len(seen)
    assert opened(path).version == seen[-1]
    moved = tmp_path / "other"
    moved.mkdir()
    for name in ("m.onnx", "m.json", "m.onnx_data", "words.onnx", "words.json"):
        (moved / name).write_bytes((tmp_path / name).read_bytes())
    assert opened(moved / "m.onnx").version == seen[-1]


NAN = [
    helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
    helper.make_node("Sub", ["mean", "mean"], ["zero"]),
    helper.make_node("Div", ["zero", "zero"], ["vector"]),
]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"size": None}, "size is a whole number"),
        ({"size": [64, "x"]}, "size is a whole number"),
        ({"size": 32}, "do not take|does not take"),
        ({"mean": [0.5]}, "mean holds three numbers"),
        ({"std": [1, 1, 0]}, "std holds numbers above 0"),
        ({"layout": "CHW"}, "layout is NCHW or NHWC"),
        ({"layout": "NHWC"}, "does not take"),
        ({"output": "logits"}, "no output logits"),
        ({"pool": "mean"}, r"shape \(1, 3\)"),
        ({"normalise": "no"}, "normalise is true or false"),
        ({"batch": 0}, "batch is a whole number"),
        ({"sise": 64}, "sise is not known"),
        ({"text": {"model": "../m.onnx", "tokenizer": "t.json"}}, "text.model is the name of a file"),
        ({"text": {"model": "none.onnx", "tokenizer": "t.json"}}, "no model file none.onnx"),
        ({"text": {"model": "m.onnx", "tokenizer": "t.json"}}, "input_ids"),
    ],
)
def test_what_the_json_gets_wrong_is_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path = described(mean_colour(tmp_path / "m.onnx"), **changed)
    with pytest.raises(EncoderError, match=said) as caught:
        opened(path)
    assert caught.value.code == "encoder_misconfigured"
    assert str(tmp_path) not in caught.value.detail


def spoilt(name: str, content: bytes | None) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink() if content is None else (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoilt("m.onnx", None), "no model file m.onnx"),
        (spoilt("m.onnx", b"not a model"), "no ONNX model"),
        (spoilt("m.onnx", b""), "no ONNX model|must take one input"),
        (spoilt("m.json", None), "no m.json beside the model"),
        (spoilt("m.json", b"{"), "not JSON: line 1"),
        (spoilt("m.json", b"[]"), "an object is wanted"),
        (spoilt("m.json", b"\xff\xfe"), "m.json"),
        (lambda folder: mean_colour(folder / "m.onnx", nodes=NAN), "not finite"),
    ],
    ids=["no model", "no onnx", "empty model", "no json", "half json", "list", "bytes", "nan"],
)
def test_files_that_are_missing_or_broken_are_named(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    path = described(mean_colour(tmp_path / "m.onnx"))
    spoil(tmp_path)
    with pytest.raises(EncoderError, match=said) as caught:
        opened(path)
    assert caught.value.code == "encoder_misconfigured"
    assert str(tmp_path) not in caught.value.detail


async def test_vectors_that_the_json_calls_unit_must_be(tmp_path: Path) -> None:
    encoder = opened(described(mean_colour(tmp_path / "m.onnx"), normalise=False))
    assert isinstance((await encoder.encode_pages([plain((255, 0, 0))]))[0], Embedding)
    with pytest.raises(EncoderError, match="normalise") as caught:
        await encoder.encode_pages([plain((90, 0, 0))])
    assert caught.value.code == "encoder_misconfigured"


def test_text_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    path = described(mean_colour(tmp_path / "m.onnx"), text=text_files(tmp_path, dims=4))
    with pytest.raises(EncoderError, match="text model gives 4 numbers") as caught:
        opened(path)
    assert caught.value.code == "encoder_misconfigured"


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith(("models.onnx", "onnxruntime"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EncoderError, match=r"claimsight\[onnx\]") as caught:
        opened(tmp_path / "m.onnx")
    assert caught.value.code == "encoder_misconfigured"


@pytest.mark.parametrize(("name", "known"), [("onnx:a.onnx", True), ("onnx:", False), ("onnx", False), ("clip", False)])
def test_names_of_encoders(name: str, known: bool) -> None:
    assert is_encoder_name(name) is known
    if not known:
        with pytest.raises(ValueError, match="onnx:PATH"):
            create_encoder(name)
