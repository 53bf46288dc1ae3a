import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from vitrail.errors import DataError
from vitrail.trust.unlike import fit_likeness, needed_images


def drawn(images: int, width: int, seed: int, mean: float = 0.0) -> np.ndarray:
    """Draw vectors that vary far more along some axes than along others."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(width, width)) * np.logspace(0, -2, width)
    return rng.normal(size=(images, width)) @ mixing.T + mean


def test_distances_are_those_of_the_inverse_covariance() -> None:
    vectors = drawn(300, 16, seed=2)
    found = fit_likeness(vectors)
    assert found is not None
    fitted = LedoitWolf().fit(vectors)
    for vector in drawn(5, 16, seed=3, mean=1.0):
        centred = vector - vectors.mean(axis=0)
        expected = np.sqrt(centred @ np.linalg.inv(fitted.covariance_) @ centred / 16)
        assert found.distances(vector[None])[0] == pytest.approx(expected, rel=1e-4)


def test_of_images_like_the_held_out_ones_about_one_in_a_hundred_is_called_unlike() -> None:
    flagged = []
    for seed in range(10, 30):
        found = fit_likeness(drawn(400, 24, seed))
        assert found is not None
        flagged.append((found.distances(drawn(2000, 24, seed + 100)) > found.limit).mean())
    assert np.mean(flagged) == pytest.approx(0.01, abs=0.004)


def test_what_lies_beside_the_held_out_images_is_told_from_them_with_fewer_images_than_numbers() -> None:
    found = fit_likeness(drawn(120, 192, seed=4))
    assert found is not None
    like, other = found.distances(drawn(200, 192, seed=5)), found.distances(drawn(200, 192, seed=6, mean=4.0))
    assert roc_auc_score([0] * 200 + [1] * 200, [*like, *other]) > 0.98
    assert (other > found.limit).mean() > 0.9


def test_too_few_images_give_no_limit_and_equal_ones_no_error() -> None:
    assert needed_images() == 99
    assert fit_likeness(drawn(98, 8, seed=7)) is None
    assert fit_likeness(drawn(99, 8, seed=7)) is not None
    same = fit_likeness(np.ones((100, 8)))
    assert same is not None
    assert np.isfinite(same.distances(np.zeros((1, 8)))).all()
    assert (same.distances(np.ones((1, 8))) <= same.limit).all()


def test_vectors_that_are_no_numbers_are_refused() -> None:
    vectors = drawn(100, 8, seed=8)
    vectors[3, 2] = np.nan
    with pytest.raises(DataError, match="no finite numbers"):
        fit_likeness(vectors)
