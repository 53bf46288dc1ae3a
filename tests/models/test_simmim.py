"""SimMIM against the paper's section 3 and against plain loops."""

import pytest
import torch
from torch import Tensor

from tests.weights.random_weights import randomise
from vitrail.errors import ConfigError
from vitrail.heads.names import build_model, list_models
from vitrail.models.simmim import SimMIM
from vitrail.weights.load import fit_state

SWIN = {"image_size": (32, 48), "patch_size": 2, "embed_width": 8, "head_width": 4, "depths": (2, 2), "window": 4}
VIT = {"image_size": (32, 48), "patch_size": 4, "width": 16, "depth": 2, "num_heads": 2}
ENCODERS = {"simmim_swin_t": SWIN, "simmim_vit_ti16": VIT}


@pytest.fixture(params=ENCODERS)
def simmim(request: pytest.FixtureRequest) -> SimMIM:
    torch.manual_seed(0)
    model = randomise(build_model(request.param, mask_unit=8, **ENCODERS[request.param]))
    assert isinstance(model, SimMIM)
    return model


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def half(grid: tuple[int, int], batch: int = 2) -> Tensor:
    ranks = torch.rand(batch, grid[0] * grid[1], generator=torch.Generator().manual_seed(0)).argsort(dim=1)
    return ranks < grid[0] * grid[1] // 2


def test_hidden_pixels_are_never_seen_and_visible_ones_are(simmim: SimMIM) -> None:
    images, mask = noise(2, 3, 32, 48), half((4, 6))
    hidden = simmim.hidden_pixels(images, mask)
    before = simmim(images, mask)
    assert torch.equal(before, simmim(torch.where(hidden, noise(2, 3, 32, 48, seed=2), images), mask))
    assert not torch.allclose(before, simmim(torch.where(hidden, images, images + 1), mask))


def test_whole_squares_of_the_image_are_hidden(simmim: SimMIM) -> None:
    images, mask = noise(2, 3, 32, 48), half((4, 6))
    hidden = simmim.hidden_pixels(images, mask)
    assert hidden.shape == (2, 1, 32, 48)
    for b in range(2):
        for n in range(24):
            y, x = divmod(n, 6)
            square = hidden[b, 0, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
            assert torch.equal(square, mask[b, n].expand(8, 8))


def test_the_loss_is_the_mean_absolute_error_over_hidden_pixels_alone(simmim: SimMIM) -> None:
    images, mask = noise(2, 3, 32, 48), half((4, 6))
    predicted = simmim(images, mask)
    errors = []
    for b in range(2):
        for n in mask[b].nonzero().flatten().tolist():
            y, x = 8 * (n // 6), 8 * (n % 6)
            errors.append((predicted - images)[b, :, y : y + 8, x : x + 8].abs().double().flatten())
    torch.testing.assert_close(simmim.loss(images, mask).double(), torch.cat(errors).mean(), rtol=1e-5, atol=1e-6)


def test_each_place_of_the_last_map_predicts_its_own_square_row_by_row(simmim: SimMIM) -> None:
    images = noise(1, 3, 32, 48)
    tokens = simmim.encoder.forward_features(images).flatten(1, -2)[:, simmim.encoder.prefix_tokens :]
    stride, predicted = simmim.stride, simmim(images)
    square = simmim.predictor.head(tokens[0, 1]).view(stride, stride, 3).permute(2, 0, 1)
    torch.testing.assert_close(predicted[0, :, :stride, stride : 2 * stride], square)


def test_without_a_mask_the_encoder_is_an_ordinary_one(simmim: SimMIM) -> None:
    images = noise(2, 3, 32, 48)
    nothing = torch.zeros(2, 24, dtype=torch.bool)
    torch.testing.assert_close(simmim(images), simmim(images, nothing))


def test_images_of_any_size_are_predicted_whole(simmim: SimMIM) -> None:
    images = noise(1, 3, 21, 50)
    mask = simmim.new_mask(images)
    assert mask.shape == (1, 3 * 7)
    assert simmim(images, mask).shape == images.shape
    assert simmim.loss(images, mask).isfinite()


def test_every_parameter_learns(simmim: SimMIM) -> None:
    simmim.train()
    simmim.loss(noise(2, 3, 32, 48), half((4, 6))).backward()
    unused = {name for name, p in simmim.named_parameters() if p.grad is None or not p.grad.any()}
    assert unused == set()


def test_the_encoder_is_a_backbone_whose_weights_fit_a_classifier(simmim: SimMIM) -> None:
    name, options = next((n, o) for n, o in ENCODERS.items() if ("swin" in n) == hasattr(simmim.encoder, "layers"))
    classifier = build_model(name.removeprefix("simmim_"), num_classes=3, **options)
    _, fitted = fit_state(classifier, simmim.state_dict(), "a run", partial=False)
    ours = {f"backbone.{key.removeprefix('encoder.')}" for key in simmim.state_dict() if key.startswith("encoder.")}
    assert ours <= fitted.keys()


def test_at_published_shapes_a_place_predicts_32_pixels_of_three_colours() -> None:
    with torch.device("meta"):
        model = build_model("simmim_swin_b", image_size=192, window=6)
    assert model.predictor.head.out_features == 32 * 32 * 3
    assert model.predictor.mask_token.shape[-1] == 128
    assert {"simmim_swin_t", "simmim_vit_b16"} <= set(list_models())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_ratio": 1.0}, "mask_ratio must lie between 0 and 1"),
        ({"mask_unit": 30}, "mask_unit 30 is not made of whole patches of 4"),
        ({"image_size": 32}, "only 1x1 squares of mask_unit 32"),
    ],
)
def test_impossible_masks_are_refused(options: dict[str, object], message: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        build_model("simmim_swin_t", **options)


def test_a_mask_of_another_grid_is_refused(simmim: SimMIM) -> None:
    with pytest.raises(ConfigError, match=r"shape \(2, 24\), one value for each square of 8 pixels"):
        simmim(noise(2, 3, 32, 48), torch.zeros(2, 5, dtype=torch.bool))
