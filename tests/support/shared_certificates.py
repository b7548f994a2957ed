"""certificates(): an authority and a leaf that the tests of a program share, made when the first of
them asks."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from wrap_peers import OWN_NAMES, Certificates


def scratch_folder():
    """Gone when the program is."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def certificates(names=OWN_NAMES, copy=0):
    """Made once: of an authority of its own for each set of names, and for each `copy`."""
    del copy
    return Certificates(scratch_folder(), names)
