import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.weights.random_weights import randomise, relative_difference
from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.layers.relative_position import resize_bias_table
from vitrail.weights.convert import convert
from vitrail.weights.detect import LAYOUTS, detect, translate
from vitrail.weights.inspect import verify
from vitrail.weights.load import load_weights

# Every size of the paper as (name, image size). The tiny ones run each time; the others take minutes.
SIZES = [
    pytest.param("swin_t", 224),
    *(pytest.param(f"swin_{size}", 224, marks=pytest.mark.slow) for size in "sbl"),
    *(pytest.param(f"swin_{size}", 384, marks=pytest.mark.slow) for size in "ts"),
    *(pytest.param(f"swin_{size}_384", 384, marks=pytest.mark.slow) for size in "bl"),
]
# What is the same for all of them at 384 pixels, in a fraction of the time.
NARROW_384 = {"embed_width": 32, "depths": (2, 2, 2, 2), "window": 12, "image_size": 384}
LAYOUT_NAMES = ["swin", "swin_timm", "swin_torchvision", "swin_huggingface", "swin_huggingface_2026"]


def random_images(height: int, width: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def timm_swin(model: nn.Module, classes: int = 7) -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    config = model.backbone.config
    return SwinTransformer(
        img_size=config.image_size,
        num_classes=classes,
        embed_dim=config.embed_width,
        depths=config.depths,
        num_heads=tuple(width // config.head_width for width in model.backbone.channels),
        window_size=config.window,
    )


def torchvision_swin(model: nn.Module, classes: int = 7) -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer

    config = model.backbone.config
    return SwinTransformer(
        [config.patch_size] * 2,
        config.embed_width,
        list(config.depths),
        [width // config.head_width for width in model.backbone.channels],
        list(config.window),
        num_classes=classes,
    )


def huggingface_swin(model: nn.Module, classes: int = 7) -> nn.Module:
    from transformers import SwinConfig, SwinForImageClassification

    config = model.backbone.config
    return SwinForImageClassification(
        SwinConfig(
            image_size=config.image_size[0],
            embed_dim=config.embed_width,
            depths=list(config.depths),
            num_heads=[width // config.head_width for width in model.backbone.channels],
            window_size=config.window[0],
            num_labels=classes,
            attn_implementation="eager",
        )
    )


def timm_outputs(peer: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    return peer(images), peer.forward_intermediates(images, intermediates_only=True)


def torchvision_outputs(peer: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    maps, tokens = [], images
    for i, part in enumerate(peer.features):
        tokens = part(tokens)
        maps += [tokens.permute(0, 3, 1, 2)] if i % 2 else []
    return peer(images), maps


def huggingface_outputs(peer: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    maps = peer.swin(images, output_hidden_states=True, output_hidden_states_before_downsampling=True)
    return peer(images).logits, list(maps.reshaped_hidden_states[1:])


PEERS = {
    "timm": (timm_swin, timm_outputs, "swin_timm"),
    "torchvision": (torchvision_swin, torchvision_outputs, "swin_torchvision"),
    "huggingface": (huggingface_swin, huggingface_outputs, "swin_huggingface_2026"),
}


def compare(library: str, model: nn.Module, folder) -> None:
    """Give a peer random weights, load its file, and compare logits and the maps of all stages."""
    build, outputs, layout = PEERS[library]
    peer = randomise(build(model))
    file = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in peer.state_dict().items()}, file)
    report = load_weights(model, file)
    assert report.layout == layout
    assert [*report.missing, *report.unexpected, *report.resized, *report.dropped] == []
    images = random_images(*model.backbone.config.image_size)
    with torch.inference_mode():
        logits, maps = outputs(peer, images)
        ours = model.backbone.feature_maps(images)
        assert relative_difference(model(images), logits) < 1e-5
        assert len(maps) == len(ours)
        for our, their in zip(ours, maps, strict=True):
            assert relative_difference(our, their) < 1e-5


@pytest.mark.parametrize(("name", "size"), SIZES)
@pytest.mark.parametrize("library", PEERS)
def test_logits_and_all_maps_equal_other_libraries(library, name, size, tmp_path):
    # At 384 pixels windows of 12 fit the maps; peers pad where none fits, and let tokens attend to the padding.
    model = build_model(name, num_classes=7, image_size=size, window=12 if size == 384 else 7).eval()
    compare(library, model, tmp_path)


@pytest.mark.parametrize("library", PEERS)
def test_windows_of_12_at_384_pixels_equal_other_libraries(library, tmp_path):
    model = build_model("swin_t", num_classes=7, **NARROW_384).eval()
    compare(library, model, tmp_path)


def test_shrunken_windows_equal_timms(tmp_path):
    # Maps of 16, 8, 4 and 2 tokens for windows of 4: the last stage's shrink to 2.
    model = build_model("swin_t", num_classes=7, embed_width=32, image_size=64, window=4, small_maps="shrink").eval()
    compare("timm", model, tmp_path)


def small(**options) -> nn.Module:
    shape = {"embed_width": 16, "head_width": 8, "depths": (2, 2, 1), "window": 4, "image_size": 64, "num_classes": 5}
    return randomise(build_model("swin_t", **(shape | options)))


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    return translate(model.state_dict(), "a model")[0]


@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_there_and_back_changes_nothing_in_any_layout(layout):
    state = plain_state(small())
    foreign = LAYOUTS[layout].from_plain(state, 1)
    again, known_as, _ = translate(foreign, "a file")
    assert known_as == layout
    assert again.keys() == state.keys()
    assert all(tensor.equal(state[name]) for name, tensor in again.items())


@pytest.mark.parametrize("layout", [name for name in LAYOUT_NAMES if name != "swin_torchvision"])
def test_absolute_positions_survive_where_the_layout_knows_them(layout):
    state = plain_state(small(positions="both"))
    again = translate(LAYOUTS[layout].from_plain(state, 1), "a file")[0]
    assert again["absolute_pos_embed"].equal(state["absolute_pos_embed"])


@pytest.mark.parametrize(("library", "layout"), [("timm", "swin_timm"), ("torchvision", "swin_torchvision")])
def test_what_is_written_for_a_library_is_all_it_asks_for(library, layout):
    build, outputs, _ = PEERS[library]
    model = randomise(build_model("swin_t", num_classes=7, embed_width=32, depths=(2, 2, 2, 2)))
    peer = build(model).eval()
    peer.load_state_dict(LAYOUTS[layout].from_plain(plain_state(model), 1), strict=True)
    images = random_images(224, 224)
    with torch.inference_mode():
        assert relative_difference(model(images), outputs(peer, images)[0]) < 1e-5


def test_files_in_hugging_faces_old_names_are_read_by_transformers(tmp_path):
    from transformers import SwinForImageClassification

    model = randomise(build_model("swin_t", num_classes=7, **NARROW_384 | {"image_size": 224, "window": 7}))
    peer = huggingface_swin(model)
    peer.save_pretrained(tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    ours = LAYOUTS["swin_huggingface"].from_plain(plain_state(model), 1)
    assert ours.keys() == written.keys()
    assert detect(written, "transformers") == "swin_huggingface"
    save_file(ours, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = SwinForImageClassification.from_pretrained(tmp_path).eval()
    images = random_images(224, 224)
    with torch.inference_mode():
        assert relative_difference(model(images), loaded(images).logits) < 1e-5


def test_microsofts_files_have_the_published_names_and_buffers():
    state = LAYOUTS["swin"].from_plain(plain_state(build_model("swin_t")), 1)
    masks = {name: tuple(tensor.shape) for name, tensor in state.items() if name.endswith("attn_mask")}
    assert masks == {
        "layers.0.blocks.1.attn_mask": (64, 49, 49),
        "layers.1.blocks.1.attn_mask": (16, 49, 49),
        **{f"layers.2.blocks.{i}.attn_mask": (4, 49, 49) for i in (1, 3, 5)},
    }
    mask = state["layers.2.blocks.1.attn_mask"]
    assert mask.unique().tolist() == [-100, 0]
    assert mask[0].eq(0).all()
    index = state["layers.3.blocks.1.attn.relative_position_index"]
    assert index.dtype is torch.int64
    assert index.shape == (49, 49)
    assert index[0, 0] == 84
    assert index[0, -1] == 0


def test_timm_reads_what_is_written_under_microsofts_names():
    from timm.models.swin_transformer import checkpoint_filter_fn

    model = randomise(build_model("swin_t", num_classes=7, embed_width=32, depths=(2, 2, 2, 2)))
    peer = timm_swin(model).eval()
    official = LAYOUTS["swin"].from_plain(plain_state(model), 1)
    peer.load_state_dict(checkpoint_filter_fn({"model": official}, peer), strict=True)
    images = random_images(224, 224)
    with torch.inference_mode():
        assert relative_difference(model(images), peer(images)) < 1e-5


def test_masks_written_for_microsoft_are_those_torchvision_computes():
    # torchvision builds the mask inside its forward pass by slices, from the paper's figure 4.
    state = LAYOUTS["swin"].from_plain(plain_state(small()), 1)
    window, shift, side = 4, 2, 32
    region, count = torch.zeros(side, side), 0
    for ys in (slice(0, -window), slice(-window, -shift), slice(-shift, None)):
        for xs in (slice(0, -window), slice(-window, -shift), slice(-shift, None)):
            region[ys, xs] = count
            count += 1
    cut = region.view(side // window, window, side // window, window).permute(0, 2, 1, 3).reshape(-1, window**2)
    expected = torch.where(cut.unsqueeze(1) != cut.unsqueeze(2), -100.0, 0.0)
    assert state["layers.0.blocks.1.attn_mask"].equal(expected)


def test_an_old_file_with_buffers_loads_into_a_model_of_another_window_and_says_so(tmp_path):
    source, target = small(), small(window=6)
    file = tmp_path / "swin.pth"
    torch.save({"model": LAYOUTS["swin"].from_plain(plain_state(source), 1)}, file)
    report = load_weights(target, file)
    assert report.layout == "swin"
    assert len(report.resized) == 5
    assert [*report.unexpected, *report.missing] == []
    name = "layers.1.blocks.0.attn.relative_position_bias_table"
    expected = resize_bias_table(plain_state(source)[name], (4, 4), (6, 6))
    assert target.backbone.get_parameter(name).equal(expected)


def test_absolute_positions_are_resized_to_the_image_size(tmp_path):
    source, target = small(positions="both"), small(positions="both", image_size=(32, 96))
    save_file(source.state_dict(), tmp_path / "a.safetensors")
    report = load_weights(target, tmp_path / "a.safetensors")
    assert report.resized == ("backbone.absolute_pos_embed",)


def test_simmims_encoder_loads_without_its_wrapping(tmp_path):
    model = small(num_classes=0)
    state = {f"encoder.{name}": tensor for name, tensor in model.state_dict().items()}
    state |= {"encoder.mask_token": torch.zeros(1, 1, 16), "decoder.0.weight": torch.zeros(8, 64, 1, 1)}
    torch.save({"model": state}, tmp_path / "simmim.pth")
    other = small(num_classes=0)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    report = load_weights(other, tmp_path / "simmim.pth")
    assert report.dropped == ("decoder.0.weight",)
    assert all(a.equal(b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_timms_feature_extractor_loads(tmp_path):
    import timm

    peer = timm.create_model("swin_tiny_patch4_window7_224", features_only=True, embed_dim=32, depths=(1, 1, 1, 1),
                             num_heads=(1, 2, 4, 8))  # fmt: skip
    randomise(peer)
    save_file(peer.state_dict(), tmp_path / "f.safetensors")
    model = build_model("swin_t", num_classes=0, embed_width=32, depths=(1, 1, 1, 1))
    with pytest.raises(WeightsError, match=r"lacks 2 tensors.*norm\.weight"):
        load_weights(model, tmp_path / "f.safetensors")
    load_weights(model, tmp_path / "f.safetensors", partial=True)
    images = random_images(224, 224)
    with torch.inference_mode():
        for ours, theirs in zip(model.feature_maps(images), peer(images), strict=True):
            assert relative_difference(ours, theirs.permute(0, 3, 1, 2)) < 1e-5


def test_a_headless_hugging_face_model_loads(tmp_path):
    from transformers import SwinConfig, SwinModel

    peer = randomise(SwinModel(SwinConfig(embed_dim=32, depths=[1, 1], num_heads=[1, 2])))
    save_file(peer.state_dict(), tmp_path / "a.safetensors")
    model = build_model("swin_t", num_classes=0, embed_width=32, depths=(1, 1)).eval()
    report = load_weights(model, tmp_path / "a.safetensors")
    assert [*report.unexpected, *report.missing] == []
    images = random_images(224, 224)
    with torch.inference_mode():
        assert relative_difference(model(images), peer(images).pooler_output) < 1e-5


def test_rectangular_windows_of_another_shape_are_refused_in_one_sentence(tmp_path):
    save_file(small(window=(3, 5)).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="belong to no square window"):
        load_weights(small(window=(5, 5)), tmp_path / "a.safetensors")
    report = load_weights(small(window=(3, 5)), tmp_path / "a.safetensors")
    assert not report.resized


@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_convert_and_verify_take_a_swin(layout, tmp_path):
    model = small()
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    convert(tmp_path / "own.safetensors", layout, tmp_path / "foreign.safetensors")
    verification = verify(tmp_path / "foreign.safetensors")
    assert verification.ok, json.dumps(verification.problems)
    convert(tmp_path / "foreign.safetensors", "vitrail", tmp_path / "back.safetensors")
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == model.state_dict().keys()
    assert all(tensor.equal(back[name]) for name, tensor in model.state_dict().items())


def test_a_vits_file_is_not_taken_for_a_swins(tmp_path):
    vit = build_model("vit_ti16", depth=1, num_classes=3)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    with pytest.raises(WeightsError):
        load_weights(small(), tmp_path / "vit.safetensors")
