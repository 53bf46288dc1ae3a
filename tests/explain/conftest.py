from tests.visualize.conftest import classifier, images, mae

__all__ = ["classifier", "images", "mae"]
