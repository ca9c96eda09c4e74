"""Errors of this package: wrong use, or an authority that cannot do what was asked."""

from agent.errors import GateError


class AuthorityError(GateError):
    """Something about the authority's own folder: missing, damaged, or too few keys."""


class RegisterError(AuthorityError):
    """A person is unknown, or the register is not what it should be."""


class PublishError(AuthorityError):
    """A release cannot be made or brought out."""


class PictureError(AuthorityError):
    """A file is no picture that can be read."""
