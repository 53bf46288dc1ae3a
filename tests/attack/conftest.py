"""Settings of the attacks."""

from tests.support.curves import blank_curves

__all__ = ["blank_curves"]
