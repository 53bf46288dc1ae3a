import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.explain.record import evaluating, record_attention
from vitrail.layers.attention import Attention


def observers(model):
    return [module.observe for module in model.modules() if isinstance(module, Attention)]


def fail(*_):
    raise RuntimeError("mid-way")


def test_weights_of_every_layer_have_rows_that_sum_to_one(classifier, images):
    with record_attention(classifier) as recorded, torch.no_grad():
        classifier(images)
    assert list(recorded) == [0, 1, 2]
    for weights in recorded.values():
        assert weights.shape == (3, 2, 7, 7)
        assert torch.allclose(weights.sum(-1), torch.ones(3, 2, 7))


def test_recording_does_not_change_the_result(classifier, images):
    plain = classifier(images)
    with record_attention(classifier):
        observed = classifier(images)
    assert torch.allclose(plain, observed, rtol=1e-6, atol=1e-7)


def test_recording_does_not_change_the_result_of_the_fused_path(classifier, images, monkeypatch):
    monkeypatch.setattr("vitrail.layers.attention.PLAIN_ON_CPU_UP_TO", 0)
    plain = classifier(images)
    with record_attention(classifier):
        observed = classifier(images)
    assert torch.allclose(plain, observed, rtol=1e-5, atol=1e-6)


def test_only_chosen_layers_leave_the_fast_path(classifier, images):
    with record_attention(classifier, layers=[-1]) as recorded:
        watched = [observer is not None for observer in observers(classifier)]
        classifier(images)
    assert watched == [False, False, True]
    assert list(recorded) == [2]
    assert recorded[-1] is not None
    assert torch.equal(recorded[-1], recorded[2])


def test_passes_are_joined_along_the_batch(classifier, images):
    with record_attention(classifier, layers=[1]) as recorded:
        classifier(images)
        classifier(images[:1])
    assert recorded[1].shape[0] == 4
    assert torch.allclose(recorded[1][0], recorded[1][3], atol=1e-6)


def test_weights_hold_no_graph(classifier, images):
    with record_attention(classifier) as recorded:
        classifier(images)
    assert not recorded[0].requires_grad


def test_model_is_left_as_found_after_an_exception(classifier, images):
    classifier.head.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="mid-way"), record_attention(classifier):
        classifier(images)
    assert observers(classifier) == [None, None, None]


def test_a_recording_inside_another_gives_the_outer_one_back(classifier, images):
    with record_attention(classifier, layers=[0]) as outer:
        with record_attention(classifier) as inner:
            classifier(images[:1])
        classifier(images)
    assert inner[0].shape[0] == 1
    assert outer[0].shape[0] == 3
    assert observers(classifier) == [None, None, None]


def test_the_encoder_of_a_mae_is_recorded_and_sees_the_whole_image(mae, images):
    with record_attention(mae) as recorded:
        mae.encoder(images)
    assert recorded[1].shape == (3, 2, 7, 7)


@pytest.mark.parametrize("layers", [[3], [-4], [0, 99]])
def test_a_missing_layer_is_named(classifier, layers):
    with pytest.raises(ConfigError, match=f"there is no layer {layers[-1]}"), record_attention(classifier, layers):
        pass
    assert observers(classifier) == [None, None, None]


def test_a_model_without_attention_is_refused():
    with pytest.raises(ConfigError, match="a Linear has no backbone"), record_attention(torch.nn.Linear(1, 1)):
        pass


def test_reading_before_a_forward_pass_says_so(classifier):
    with record_attention(classifier) as recorded, pytest.raises(ConfigError, match="no attention was recorded"):
        recorded[0]


def test_evaluating_gives_every_module_its_mode_back(classifier):
    classifier.train()
    classifier.head.eval()
    with evaluating(classifier):
        assert not any(module.training for module in classifier.modules())
        assert not torch.is_grad_enabled()
    classifier.head.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="mid-way"), evaluating(classifier):
        classifier(torch.zeros(1, 3, 12, 8))
    assert classifier.training
    assert classifier.backbone.blocks[0].training
    assert not classifier.head.training
    assert torch.is_grad_enabled()
