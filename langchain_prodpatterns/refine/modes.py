"""The modes of `RefineChain`, and what each of them needs. Pure."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import is_language_model

Mode = Literal["loop", "single_prompt", "prompt"]
"""How a refinement is done.

- `loop`: drafts, critiques and revisions, a call each.
- `single_prompt`: one call that drafts, marks itself by the criteria and refines.
- `prompt`: the prompt itself is refined, on a list of inputs.
"""

Inputs = Sequence[Mapping[str, Any]]
"""What a prompt is filled in with, one mapping a run."""

HELD_OUT = 0.3
"""The share of the inputs that is held out by default."""
_FEWEST = 2
_SEED = 0


@dataclass(frozen=True, slots=True)
class Split:
    """The inputs of a prompt in two parts."""

    train: Inputs = ()
    """Those that edits are made from."""
    held_out: Inputs = ()
    """Those that decide, and that no edit has seen."""


def split(inputs: Inputs, held_out: float | Inputs) -> Split:
    """Split inputs, or take two lists as they are.

    Args:
        inputs: All inputs, or those that edits are made from.
        held_out: The share to hold out, above 0 and below 1, or the held-out inputs.

    Returns:
        Both parts; a share is drawn with a fixed seed, so that it is always the same.

    Raises:
        ConfigurationError: When a part is too small, or something is no mapping.
    """
    _check_inputs("inputs", inputs)
    if not is_number(held_out):
        _check_inputs("held_out", held_out)
        found = Split(tuple(inputs), tuple(held_out))  # type: ignore[arg-type]  # no number, so inputs
    elif not 0 < held_out < 1:  # type: ignore[operator]  # a number
        msg = f"held_out must be a share above 0 and below 1, got {held_out!r}"
        raise ConfigurationError(msg)
    else:
        found = _drawn(inputs, held_out)  # type: ignore[arg-type]  # a number
    if len(found.train) < _FEWEST or not found.held_out:
        msg = (
            f"mode='prompt' needs at least {_FEWEST} inputs to make edits from and one "
            f"that is held out, got {len(found.train)} and {len(found.held_out)}: give "
            "it more inputs, such as ten"
        )
        raise ConfigurationError(msg)
    return found


def check_mode(
    mode: str,
    *,
    generator: Any,
    reviser: Any,
    inputs: Inputs | None,
    held_out: float | Inputs,
    candidates: int,
    failed_ideas: int,
) -> None:
    """Refuse what does not go together.

    Args:
        mode: The mode.
        generator: What drafts.
        reviser: What revises, if it is not the generator.
        inputs: The inputs of a prompt.
        held_out: Those of them that decide, or their share.
        candidates: How many are written at once.
        failed_ideas: How many failed revisions the reviser is told of.

    Raises:
        ConfigurationError: When something is missing, or has nothing to do.
    """
    problem = None
    if mode not in get_args(Mode):
        known = ", ".join(map(repr, get_args(Mode)))
        problem = f"mode must be one of {known}, got {mode!r}"
    elif mode != "prompt" and inputs is not None:
        problem = f"inputs are for mode='prompt', and mode is {mode!r}"
    elif mode != "prompt" and held_out != HELD_OUT:
        problem = f"held_out is for mode='prompt', and mode is {mode!r}"
    elif mode != "loop" and failed_ideas:
        problem = f"failed_ideas are for mode='loop', and mode is {mode!r}"
    elif mode == "prompt":
        problem = _prompt_problem(generator, reviser, inputs)
    elif mode == "single_prompt":
        problem = _single_problem(generator, reviser, candidates)
    if problem is not None:
        raise ConfigurationError(problem)


def _prompt_problem(generator: Any, reviser: Any, inputs: Inputs | None) -> str | None:
    if generator is None:
        return "mode='prompt' needs a generator, which is given the filled-in prompt"
    if inputs is None:
        return "mode='prompt' needs inputs=[{...}, ...] to run the prompt on"
    if not is_language_model(reviser if reviser is not None else generator):
        return "mode='prompt' needs a chat model that edits the prompt, reviser=llm"
    return None


def _single_problem(generator: Any, reviser: Any, candidates: int) -> str | None:
    if not is_language_model(generator):
        return (
            "mode='single_prompt' needs a chat model as its generator, got "
            f"{type(generator).__name__}"
        )
    if reviser is not None:
        return "mode='single_prompt' makes one call, so a reviser has nothing to do"
    if candidates != 1:
        return f"mode='single_prompt' makes one call, got candidates={candidates}"
    return None


def _check_inputs(name: str, inputs: Any) -> None:
    is_list = isinstance(inputs, Sequence) and not isinstance(inputs, str)
    if not is_list or not all(isinstance(each, Mapping) for each in inputs):
        msg = (
            f"{name} must be a list of mappings, [{{'text': ...}}], got {inputs!r:.80}"
        )
        raise ConfigurationError(msg)


def _drawn(inputs: Inputs, share: float) -> Split:
    order = list(range(len(inputs)))
    random.Random(_SEED).shuffle(order)  # noqa: S311 - a split, no secret
    size = max(1, round(len(inputs) * share)) if inputs else 0
    held = set(order[:size])
    return Split(
        tuple(each for at, each in enumerate(inputs) if at not in held),
        tuple(each for at, each in enumerate(inputs) if at in held),
    )
