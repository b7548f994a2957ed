"""Wrap: a `ktls-bridge wrap` that a test starts, watches through its log, and ends."""

from watched import Watched


class Wrap(Watched):
    """In front of the service at `to`."""

    def __init__(self, *arguments, to, **options):
        super().__init__(("wrap", "--to", to), *arguments, **options)
