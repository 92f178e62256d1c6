"""Loading FAISS, which some of its wheels cannot do where warnings are errors."""

import sys
import warnings


def load_faiss() -> None:
    """Import FAISS, so that who imports it from now on finds it loaded.

    Wheels made by an older SWIG have Python warn of their types while they load: they
    have no `__module__`. With warnings as errors, as in many a test suite, these wheels
    do not raise, but end the process.
    """
    if "faiss" in sys.modules:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import faiss  # noqa: F401 - to have been imported is all
