import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vitrail.errors import ConfigError, WeightsError
from vitrail.heads.names import build_model
from vitrail.layers.positions import resize_positions
from vitrail.weights.convert import convert
from vitrail.weights.load import LoadReport, load_weights

SMALL = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "num_heads": 2}
SMALL_MAE = {**SMALL, "decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}


def small(**options):
    return build_model("vit_ti16", **{**SMALL, "num_classes": 5, **options})


def saved(model, path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


def test_another_number_of_heads_than_a_file_or_its_config_says_is_refused_though_every_tensor_fits(tmp_path):
    file = convert(saved(small(), tmp_path / "a.safetensors"), "timm", tmp_path / "b.safetensors", num_heads=2).out
    with pytest.raises(WeightsError, match="has 2 heads, the model 4"):
        load_weights(small(num_heads=4), file)
    beside = saved(small(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"num_attention_heads": 2}')
    with pytest.raises(WeightsError, match="has 2 heads, the model 1"):
        load_weights(small(num_heads=1), beside)
    load_weights(small(), beside)


def test_every_tensor_of_a_file_arrives_bit_for_bit(tmp_path):
    source, target = small(), small()
    report = load_weights(target, saved(source, tmp_path / "a.safetensors"))
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name
    assert set(report.loaded) == set(source.state_dict())
    assert report == LoadReport(loaded=report.loaded)


def test_positions_of_another_grid_are_resized_and_reported(tmp_path):
    source, target = small(), small(image_size=(48, 64))
    report = load_weights(target, saved(source, tmp_path / "a.safetensors"))
    assert report.resized == ("backbone.pos_embed",)
    expected = resize_positions(source.state_dict()["backbone.pos_embed"], (4, 4), (6, 8))
    assert torch.equal(target.state_dict()["backbone.pos_embed"], expected)


def test_a_head_for_other_classes_is_dropped_and_the_models_own_kept(tmp_path):
    source, target = small(num_classes=7), small()
    head = target.head.weight.clone()
    report = load_weights(target, saved(source, tmp_path / "a.safetensors"))
    assert set(report.dropped) == {"head.weight", "head.bias"}
    assert torch.equal(target.head.weight, head)
    assert "dropped 2" in str(report)


def test_a_head_on_other_features_is_dropped_with_its_bias(tmp_path):
    source, target = small(), small(representation=16, head_init="zero")
    torch.nn.init.ones_(source.head.bias)
    report = load_weights(target, saved(source, tmp_path / "a.safetensors"))
    assert set(report.dropped) == {"head.weight", "head.bias"}
    assert not target.head.bias.any()


def test_a_head_for_other_classes_is_an_error_when_nothing_may_be_adapted(tmp_path):
    with pytest.raises(WeightsError, match=r"head\.weight"):
        load_weights(small(), saved(small(num_classes=7), tmp_path / "a.safetensors"), adapt=())


def test_the_encoder_of_a_masked_autoencoder_loads_into_a_classifier(tmp_path):
    mae, target = build_model("mae_vit_ti16", **SMALL_MAE), small()
    report = load_weights(target, saved(mae, tmp_path / "mae.safetensors"))
    for name, tensor in mae.encoder.state_dict().items():
        assert torch.equal(target.backbone.state_dict()[name], tensor), name
    assert set(report.missing) == {"head.weight", "head.bias"}
    assert all(name.startswith("decoder.") for name in report.dropped)
    assert not report.unexpected


def test_a_classifier_loads_into_the_encoder_of_a_masked_autoencoder(tmp_path):
    classifier, mae = small(), build_model("mae_vit_ti16", **SMALL_MAE)
    file = saved(classifier, tmp_path / "a.safetensors")
    load_weights(mae.encoder, file)
    for name, tensor in classifier.backbone.state_dict().items():
        assert torch.equal(mae.encoder.state_dict()[name], tensor), name
    with pytest.raises(WeightsError, match="encoder only"):
        load_weights(mae, file)
    assert load_weights(mae, file, partial=True).missing


def test_mean_pooling_starts_its_own_norm_afresh(tmp_path):
    source, target = small(), small(pool="mean")
    report = load_weights(target, saved(source, tmp_path / "a.safetensors"))
    assert set(report.missing) == {"backbone.fc_norm.weight", "backbone.fc_norm.bias"}
    assert set(report.dropped) == {"norm.weight", "norm.bias"}


def test_a_mean_pooled_file_in_a_class_token_model_says_what_to_build(tmp_path):
    with pytest.raises(WeightsError, match='pool="mean"'):
        load_weights(small(), saved(small(pool="mean"), tmp_path / "a.safetensors"))


def test_a_model_without_a_class_token_takes_only_the_places(tmp_path):
    source, target = small(pool="mean"), small(pool="mean", class_token=False)
    report = load_weights(target, saved(source, tmp_path / "a.safetensors"))
    assert torch.equal(target.backbone.pos_embed, source.backbone.pos_embed[:, 1:])
    assert report.dropped == ("cls_token",)
    with pytest.raises(WeightsError, match="without a class token"):
        load_weights(source, saved(target, tmp_path / "b.safetensors"))


def test_weights_of_another_size_name_the_model_they_belong_to(tmp_path):
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError, match="width 64, depth 2, patch size 8"):
        load_weights(model, saved(small(width=64), tmp_path / "a.safetensors"))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_blocks_that_the_model_lacks_are_an_error_unless_asked_for(tmp_path):
    file = saved(small(depth=3), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="no place for"):
        load_weights(small(), file)
    assert len(load_weights(small(), file, partial=True).unexpected) == 12
    with pytest.raises(WeightsError, match="lacks 12 tensors"):
        load_weights(small(depth=4), file)


@pytest.mark.parametrize("channels", [1, 6])
def test_copies_of_a_grey_image_give_the_colour_models_logits(tmp_path, channels):
    source, target = small(), small(channels=channels)
    file = saved(source, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="trained on 3 input channels"):
        load_weights(target, file)
    report = load_weights(target, file, adapt=("classes", "channels"))
    assert report.adapted == ("backbone.patch_embed.proj.weight",)
    grey = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(target(grey.expand(-1, channels, -1, -1)), source(grey.expand(-1, 3, -1, -1)))


def test_a_masked_autoencoder_predicts_the_channels_it_was_fitted_to(tmp_path):
    source, target = build_model("mae_vit_ti16", **SMALL_MAE), build_model("mae_vit_ti16", channels=1, **SMALL_MAE)
    file = saved(source, tmp_path / "a.safetensors")
    report = load_weights(target, file, adapt=("channels",))
    assert set(report.adapted) == {"encoder.patch_embed.proj.weight", "decoder.predict.weight", "decoder.predict.bias"}
    grey, mask = torch.randn(2, 1, 32, 32), torch.arange(16).expand(2, -1) % 4 != 0
    colour = source(grey.expand(-1, 3, -1, -1), mask=mask).predicted
    torch.testing.assert_close(target(grey, mask=mask).predicted, colour.unflatten(-1, (-1, 3)).mean(-1))


def test_a_misspelt_adaptation_gets_the_nearest_right_one(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'channels'"):
        load_weights(small(), saved(small(), tmp_path / "a.safetensors"), adapt=("chanels",))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_stripped(tmp_path, prefix):
    source, target = small(), small()
    save_file({prefix + k: v for k, v in source.state_dict().items()}, tmp_path / "a.safetensors")
    load_weights(target, tmp_path / "a.safetensors")
    assert torch.equal(target.head.weight, source.head.weight)


def test_a_file_of_something_else_is_refused(tmp_path):
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="names of no ViT"):
        load_weights(small(), tmp_path / "a.safetensors")


def test_the_real_deit_tiny_loads_whole():
    file = Path(os.environ.get("VITRAIL_DATA", "/nowhere")) / "weights" / "deit_tiny_patch16_224.safetensors"
    if not file.is_file():
        pytest.skip("VITRAIL_DATA does not point at the shared data")
    model = build_model("vit_ti16")
    report = load_weights(model, file)
    assert len(report.loaded) == 152
    assert torch.equal(model.head.weight, load_file(file)["head.weight"])


def test_checkpoints_and_run_folders_load_like_files(tmp_path):
    source = small()
    step = tmp_path / "run" / "checkpoints" / "step_00000120"
    step.mkdir(parents=True)
    saved(source, step / "model.safetensors")
    (step / "config.json").write_text("{}")
    (step.parent / "last").write_text(step.name)
    for path in (step, step.parent, tmp_path / "run", step.parent / "last", step / "model.safetensors"):
        target = small()
        load_weights(target, path)
        assert torch.equal(target.head.weight, source.head.weight), path
