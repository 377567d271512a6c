"""Why a transform cannot be had; the names are tf2's."""


class TransformException(Exception):
    """Base of all the others: what callers usually catch."""


class LookupException(TransformException):
    """A frame that nobody has published."""


class ConnectivityException(TransformException):
    """Two frames of separate trees."""


class ExtrapolationException(TransformException):
    """A time outside what has been received."""


class InvalidArgumentException(TransformException):
    """An empty frame id, or a rotation that is not a unit quaternion."""
