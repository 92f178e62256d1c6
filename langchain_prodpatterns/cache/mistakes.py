"""What is wrong with how a cache was set up, and shows only when it is used."""

from langchain_prodpatterns.errors import ConfigurationError


class MistakeError(ConfigurationError):
    """Raised when a function or an embedder of the user's gives what it cannot.

    Its text names types and arguments, and holds nothing that a user wrote: so it may
    be logged, where of any other error only the type may.
    """
