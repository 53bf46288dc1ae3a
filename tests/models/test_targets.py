import pytest
import torch
from sklearn.decomposition import PCA

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.layers.masking import random_mask, split
from vitrail.layers.patches import patchify, take
from vitrail.models.mae import MAE
from vitrail.models.targets import Coefficients, Tokens, patch_statistics
from vitrail.models.tokenizers import KMeansTokenizer, Tokenizer

SMALL = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 1, "decoder_width": 32, "decoder_depth": 1}


def mae(**options: object) -> MAE:
    torch.manual_seed(0)
    return build_model("mae_vit_ti16", **SMALL, **options)  # type: ignore[return-value]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def patches() -> torch.Tensor:
    mixing = torch.randn(192, 192, generator=torch.Generator().manual_seed(2)) * torch.linspace(2, 0.01, 192)
    return torch.randn(600, 192, generator=torch.Generator().manual_seed(3)) @ mixing.T + 0.5


def test_coefficients_are_those_of_scikit_learn(images: torch.Tensor, patches: torch.Tensor) -> None:
    target = Coefficients(8, 3, 20)
    target.fit(patches)
    expected = PCA(20, svd_solver="full").fit(patches.double().numpy()).transform(patchify(images, 8).flatten(0, 1))
    torch.testing.assert_close(target(images).flatten(0, 1), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-4)


def test_all_coefficients_together_are_the_patch(images: torch.Tensor, patches: torch.Tensor) -> None:
    target = Coefficients(8, 3, 1000)
    assert target.size == 192, "there are no more components than numbers in a patch"
    target.fit(patches)
    torch.testing.assert_close(target.to_patches(target(images)), patchify(images, 8), rtol=1e-3, atol=1e-3)


def test_tokens_are_the_nearest_centres(images: torch.Tensor, patches: torch.Tensor) -> None:
    tokenizer = KMeansTokenizer(8, 3, 10)
    assert isinstance(tokenizer, Tokenizer)
    tokenizer.fit(patches)
    naive = torch.cdist(patchify(images, 8).double(), tokenizer.centres.double()).argmin(dim=-1)
    assert torch.equal(tokenizer(images), naive)
    assert naive.unique().numel() > 1


def test_fitting_is_the_same_every_time(patches: torch.Tensor) -> None:
    twice = [KMeansTokenizer(8, 3, 10), KMeansTokenizer(8, 3, 10)]
    for tokenizer in twice:
        tokenizer.fit(patches)
    assert torch.equal(twice[0].centres, twice[1].centres)


@pytest.mark.parametrize("target", [Coefficients(8, 3, 20), Tokens(KMeansTokenizer(8, 3, 20), 20)])
def test_too_few_patches_are_one_sentence(target: Coefficients | Tokens) -> None:
    assert not target.fitted
    with pytest.raises(ConfigError, match="as many patches"):
        target.fit(torch.randn(19, 192))


@pytest.mark.parametrize("kind", ["normalized", "pixels", "pca", "tokens"])
def test_the_loss_is_that_of_a_naive_loop_over_hidden_patches(
    kind: str, images: torch.Tensor, patches: torch.Tensor
) -> None:
    model = mae(target=kind, components=12, vocabulary=9)
    if kind in ("pca", "tokens"):
        model.decoder.target.fit(patches)  # type: ignore[union-attr]
    mask = random_mask(16, 0.75, 4)
    out = model(images, mask)
    target = model.target(images).double()
    losses = []
    for b, n in mask.nonzero().tolist():
        predicted = out.predicted[b, n].double()
        if kind == "tokens":
            losses.append(-predicted.log_softmax(dim=0)[int(target[b, n])])
        else:
            losses.append((predicted - target[b, n]).square().mean())
    naive = torch.stack(losses).mean().item()
    assert out.loss.item() == pytest.approx(naive, rel=1e-5)
    assert model.loss(images, mask).item() == pytest.approx(naive, rel=1e-5)


@pytest.mark.parametrize("kind", ["normalized", "pixels", "pca", "tokens"])
def test_targets_of_some_places_are_those_of_all_gathered(
    kind: str, images: torch.Tensor, patches: torch.Tensor
) -> None:
    model = mae(target=kind, components=12, vocabulary=9)
    if kind in ("pca", "tokens"):
        model.decoder.target.fit(patches)  # type: ignore[union-attr]
    hidden = split(random_mask(16, 0.75, 4)).hidden
    torch.testing.assert_close(model.target(images, hidden), take(model.target(images), hidden))


def test_normalised_patches_have_no_mean_and_unit_deviation(images: torch.Tensor) -> None:
    mean, deviation = patch_statistics(mae().target(images))
    assert mean.abs().max() < 1e-5
    torch.testing.assert_close(deviation, torch.ones_like(deviation), rtol=1e-4, atol=1e-4)


class TwoTokens(torch.nn.Module):
    """A user's own: dark or bright, with a weight of its own."""

    vocabulary = 2

    def __init__(self) -> None:
        super().__init__()
        self.threshold = torch.nn.Parameter(torch.zeros(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (patchify(images, 8).mean(dim=-1) > self.threshold).long()


def test_a_users_tokenizer_is_stored_and_never_learns(images: torch.Tensor) -> None:
    model = mae(target="tokens", vocabulary=2, tokenizer="mine:TwoTokens")
    model.decoder.target.use(TwoTokens())  # type: ignore[union-attr]
    assert model.train().decoder.target.tokenizer.training is False  # type: ignore[union-attr]
    model.loss(images).backward()
    assert "decoder.target.tokenizer.threshold" in model.state_dict()
    assert not any(parameter.requires_grad for parameter in model.decoder.target.parameters())


def test_a_tokenizer_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 tokens, and 512"):
        mae(target="tokens", tokenizer="own").decoder.target.use(TwoTokens())  # type: ignore[union-attr]


def test_the_short_option_for_two_targets_still_works() -> None:
    assert mae(normalize_target=True).config.target == "normalized"
    assert mae(normalize_target=False).config.target == "pixels"
    with pytest.raises(ConfigError, match="contradict"):
        mae(normalize_target=True, target="pca")
    with pytest.raises(ConfigError, match="did you mean 'pixels'"):
        mae(target="pixel")
