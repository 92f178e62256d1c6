"""What a command line names by module and attribute: embeddings, judges, tools."""

import sys
from collections.abc import Sequence
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable

from langchain_prodpatterns.errors import ConfigurationError, MissingExtraError

FASTEMBED = "fastembed"
"""Names the embeddings of that extra, with the model after a colon."""


def load_embeddings(name: str) -> Embeddings:
    """Import embeddings, or what makes them.

    Args:
        name: `module:attribute`; the attribute may be dotted. Or `fastembed`, or
            `fastembed:model`.

    Raises:
        ConfigurationError: When there are none under that name.
        MissingExtraError: When they are fastembed's, which is not installed.
    """
    if name.partition(":")[0] == FASTEMBED:
        return _fastembed(name.partition(":")[2])
    made = _made("--embeddings", name, "an Embeddings", Embeddings)
    if isinstance(made, Embeddings):
        return made
    msg = f"--embeddings {name!r} must be an Embeddings, got {type(made).__name__}"
    raise ConfigurationError(msg)


def load_judge(name: str) -> Any:
    """Import a judge: a chat model, another Runnable, or a function.

    Args:
        name: `module:attribute`. A function that takes no argument makes the judge.

    Raises:
        ConfigurationError: When there is none under that name.
    """
    found = _found("--judge", name, "a judge")
    if isinstance(found, Runnable) or not callable(found):
        made = found
    else:
        made = _called("--judge", name, found) if _takes_nothing(found) else found
    if isinstance(made, Runnable) or callable(made):
        return made
    msg = (
        f"--judge {name!r} must be a chat model, a Runnable or a function, got "
        f"{type(made).__name__}"
    )
    raise ConfigurationError(msg)


def load_tools(name: str) -> Sequence[Any]:
    """Import the tools of a router.

    Args:
        name: `module:attribute`, a list or a function that returns one.

    Raises:
        ConfigurationError: When there is none under that name.
    """
    made = _made("--tools", name, "a list of tools", list)
    if isinstance(made, Sequence) and not isinstance(made, str) and made:
        return made
    msg = (
        f"--tools {name!r} must be a list of tools that is not empty, got "
        f"{type(made).__name__}"
    )
    raise ConfigurationError(msg)


def _made(option: str, name: str, what: str, kind: type) -> Any:
    """Import something, or call the function that makes it."""
    found = _found(option, name, what)
    if callable(found) and not isinstance(found, kind):
        return _called(option, name, found, what)
    return found


def _found(option: str, name: str, what: str) -> Any:
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        msg = f"{option} must be MODULE:ATTRIBUTE, got {name!r}"
        raise ConfigurationError(msg)
    # As `python -m` has it: a console script begins with its own folder.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return attrgetter(attribute)(import_module(module))
    except Exception as error:  # a module of the user's does anything
        raise _cannot(option, name, what, error) from error


def _called(option: str, name: str, found: Any, what: str = "a judge") -> Any:
    try:
        return found()
    except Exception as error:  # a function of the user's does anything
        raise _cannot(option, name, what, error) from error


def _cannot(option: str, name: str, what: str, error: Exception) -> ConfigurationError:
    msg = (
        f"{option} {name!r} cannot be had ({type(error).__name__}): name {what}, or a "
        "function without arguments that returns one"
    )
    return ConfigurationError(msg)


def _takes_nothing(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and not (code.co_argcount or code.co_posonlyargcount)


def _fastembed(model: str) -> Embeddings:
    """Load a model of fastembed's; it is downloaded if it is not on disk."""
    from langchain_prodpatterns.demo.embedding import (
        MODEL,
        FastEmbeddings,
        find_local_embeddings,
    )

    try:
        from fastembed import TextEmbedding
    except ImportError as error:
        feature = "--embeddings fastembed"
        raise MissingExtraError(feature, "fastembed") from error
    local = find_local_embeddings() if model in {"", MODEL} else None
    if local is not None:
        return local
    try:
        return FastEmbeddings(TextEmbedding(model or MODEL), model or MODEL)
    except Exception as error:  # fastembed raises whatever its hub client raises
        msg = (
            f"fastembed's {model or MODEL!r} cannot be had ({type(error).__name__}): "
            "name one of its models, and be online the first time"
        )
        raise ConfigurationError(msg) from error
