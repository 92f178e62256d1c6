"""Long texts in windows, for detectors whose input must be bounded."""

from collections.abc import Iterator

from langchain_prodpatterns.errors import ConfigurationError


def windows(text: str, size: int, overlap: int) -> Iterator[tuple[int, str]]:
    """Cut a text into windows of which each begins inside the one before.

    Args:
        text: The text.
        size: Characters of a window.
        overlap: Characters that two neighbors share; a value that is not longer is
            whole in one of them.

    Yields:
        Where each window starts, and its text; nothing for an empty text.
    """
    for start in range(0, max(len(text) - overlap, min(len(text), 1)), size - overlap):
        yield start, text[start : start + size]


def check_window(size: object, overlap: int) -> None:
    """Refuse windows that would not get on.

    Args:
        size: Characters of a window.
        overlap: Characters that two neighbors share.

    Raises:
        ConfigurationError: When the size is no whole number above twice the overlap.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 2 * overlap:
        msg = f"window must be at least {2 * overlap} characters, got {size!r}"
        raise ConfigurationError(msg)
