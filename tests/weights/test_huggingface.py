import pytest
import torch
from safetensors.torch import load_file, save_file

from vitrail.heads.names import build_model
from vitrail.models.vit import SIZES
from vitrail.weights.convert import convert
from vitrail.weights.detect import LAYOUTS, detect
from vitrail.weights.load import load_weights

from .random_weights import randomise, relative_difference

hf = pytest.importorskip("transformers")

MAE = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "image_size": 32,
    "patch_size": 8,
    "decoder_hidden_size": 64,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 256,
    "layer_norm_eps": 1e-6,
    "mask_ratio": 0.75,
}


def vit(name: str, depth: int, classes: int = 7):
    c = SIZES[name]
    config = hf.ViTConfig(
        hidden_size=c.width,
        num_hidden_layers=depth,
        num_attention_heads=c.num_heads,
        intermediate_size=int(c.width * c.mlp_ratio),
        image_size=4 * c.patch_size,
        patch_size=c.patch_size,
        layer_norm_eps=1e-6,
        num_labels=classes,
        hidden_act="gelu",
    )
    return randomise(hf.ViTForImageClassification(config))


def our_mae(**options):
    return build_model(
        "mae_vit_s16",
        width=64,
        depth=2,
        num_heads=4,
        image_size=32,
        patch_size=8,
        decoder_width=64,
        decoder_depth=2,
        decoder_heads=2,
        **options,
    ).eval()


@pytest.mark.parametrize(
    "name", ["vit_ti16", "vit_s16", "vit_b16", "vit_b32", "vit_l16", "vit_l32", "vit_h14", "vit_b8"]
)
def test_two_blocks_of_every_size_give_transformers_features_and_logits(name, tmp_path):
    theirs = vit(name, depth=2)
    size = theirs.config.image_size
    ours = build_model(name, depth=2, image_size=size, num_classes=7).eval()
    theirs.save_pretrained(tmp_path)
    report = load_weights(ours, tmp_path)
    assert report.layout.startswith("huggingface")
    assert not (report.missing + report.dropped + report.unexpected)
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert relative_difference(ours(images), theirs(images).logits) < 1e-5
        pooled = theirs.vit(images).last_hidden_state[:, 0]
        assert relative_difference(ours.backbone.embed(images), pooled) < 1e-5


def test_names_of_before_and_after_2026_are_the_same_weights():
    state = vit("vit_ti16", depth=1).state_dict()
    assert detect(state, "x") == "huggingface_2026"
    plain = LAYOUTS["huggingface_2026"].to_plain(state)
    old = LAYOUTS["huggingface"].from_plain(plain, 3)
    assert "vit.encoder.layer.0.attention.attention.query.weight" in old
    assert detect(old, "x") == "huggingface"
    again = LAYOUTS["huggingface"].to_plain(old)
    assert again.keys() == plain.keys()
    assert all(torch.equal(again[n], plain[n]) for n in plain)
    new = LAYOUTS["huggingface_2026"].from_plain(again, 3)
    assert new.keys() == state.keys()
    assert all(torch.equal(new[n], state[n]) for n in state)


@pytest.mark.parametrize("to", ["huggingface", "huggingface_2026"])
def test_what_convert_writes_loads_in_transformers_with_the_same_logits(to, tmp_path):
    ours = randomise(build_model("vit_ti16", image_size=64, num_classes=5))
    save_file(ours.state_dict(), tmp_path / "ours.safetensors")
    convert(tmp_path / "ours.safetensors", to, tmp_path / "out" / "model.safetensors")
    theirs, info = hf.ViTForImageClassification.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(ours(images), theirs.eval()(images).logits) < 1e-5


def test_a_bare_backbone_without_prefix_loads(tmp_path):
    theirs = randomise(hf.ViTModel(vit("vit_ti16", depth=1).config))
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = build_model("vit_ti16", depth=1, image_size=64, num_classes=3).eval()
    report = load_weights(ours, tmp_path / "model.safetensors")
    assert set(report.dropped) == {"pre_logits.weight", "pre_logits.bias"}
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pooled = theirs(images).last_hidden_state[:, 0]
        assert relative_difference(ours.backbone.embed(images), pooled) < 1e-5


@pytest.mark.parametrize("normalised", [False, True])
def test_vitmae_gives_the_same_loss_and_predictions_under_the_same_mask(normalised, tmp_path):
    theirs = randomise(hf.ViTMAEForPreTraining(hf.ViTMAEConfig(**MAE, norm_pix_loss=normalised)))
    theirs.save_pretrained(tmp_path)
    ours = our_mae(normalize_target=normalised)
    report = load_weights(ours, tmp_path)
    assert not (report.missing + report.dropped + report.unexpected)
    images, noise = torch.randn(3, 3, 32, 32), torch.rand(3, 16)
    with torch.no_grad():
        expected = theirs(images, noise=noise)
        got = ours(images, mask=expected.mask)
        alone = ours.loss(images, expected.mask.bool())
    assert float(expected.mask.sum()) == 3 * 12
    assert relative_difference(got.predicted, expected.logits) < 1e-5
    assert float(got.loss) == pytest.approx(float(expected.loss), rel=1e-5)
    assert float(alone) == pytest.approx(float(expected.loss), rel=1e-5)


@pytest.mark.parametrize("to", ["huggingface", "huggingface_2026"])
def test_a_mae_converted_for_transformers_reconstructs_the_same(to, tmp_path):
    ours = randomise(our_mae(normalize_target=False))
    save_file(ours.state_dict(), tmp_path / "ours.safetensors")
    convert(tmp_path / "ours.safetensors", to, tmp_path / "out" / "model.safetensors", num_heads=4)
    theirs = hf.ViTMAEForPreTraining.from_pretrained(tmp_path / "out").eval()
    assert theirs.config.decoder_num_attention_heads == 2
    images, noise = torch.randn(3, 3, 32, 32), torch.rand(3, 16)
    with torch.no_grad():
        expected = theirs(images, noise=noise)
        got = ours(images, mask=expected.mask)
    assert relative_difference(got.predicted, expected.logits) < 1e-5


def test_the_names_of_every_generation_have_a_place_in_transformers_own_files(tmp_path):
    theirs = vit("vit_ti16", depth=1)
    theirs.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    plain = LAYOUTS[detect(state, "x")].to_plain(state)
    own = build_model("vit_ti16", depth=1, image_size=64, num_classes=7).state_dict()
    assert {n.removeprefix("backbone.") for n in own} == plain.keys()
