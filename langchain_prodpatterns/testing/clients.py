"""HTTP clients that reach the provider whatever proxy the environment names."""

import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_OTHER_WAYS = ("openai_proxy", "http_socket_options")


def direct(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `ChatOpenAI` or `OpenAIEmbeddings` that pass every proxy by.

    A proxy cannot reach this machine's loopback interface, yet the clients would send
    it every request that `NO_PROXY` does not exempt.

    Args:
        given: The user's own arguments; those that exclude a client are let be.
    """
    import openai

    if any(given.get(name) for name in _OTHER_WAYS):
        return {}
    # No connection is kept: an idle one would be left open behind the provider, and
    # belongs to the event loop that opened it.
    settings: dict[str, Any] = {
        "trust_env": False,
        "verify": _certificates(),
        "headers": {"Connection": "close"},
    }
    return {
        "openai_proxy": None,
        "http_client": openai.DefaultHttpxClient(**settings),
        "http_async_client": openai.DefaultAsyncHttpxClient(**settings),
    }


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Read the certificates once: that takes longer than all else here."""
    return ssl.create_default_context()
