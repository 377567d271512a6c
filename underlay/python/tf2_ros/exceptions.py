"""Exceptions of tf2."""


class TransformException(Exception):
    """Base class of the others."""


class LookupException(TransformException):
    """A frame that has not been published."""


class ConnectivityException(TransformException):
    """The frames belong to separate trees."""


class ExtrapolationException(TransformException):
    """A time outside the received range."""


class InvalidArgumentException(TransformException):
    """An empty frame id, or a rotation that is not a unit quaternion."""
