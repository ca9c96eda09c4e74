"""Errors of this package. Each names the value, the limit and what to do."""

from agent.errors import GateError


class BiometricsError(GateError):
    """Root of every error that this package raises on purpose."""


class TemplateError(BiometricsError):
    """A template has the wrong length, is not finite, or is null where a direction is needed."""


class CalibrationError(BiometricsError):
    """A calibration record that this version cannot follow."""


class GalleryError(BiometricsError):
    """A set of people that cannot be searched as the calibration record says."""
