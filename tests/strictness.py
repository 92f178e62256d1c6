"""Scripts run as the tests do: a warning is an error."""

STRICT = (
    "-W",
    "error",
    # Python 3.14, where langsmith is imported.
    "-W",
    "ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning",
)
"""Arguments of Python."""
