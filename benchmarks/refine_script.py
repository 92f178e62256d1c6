"""What the scripted models of the refinement benchmarks find in their prompts."""

import re
from typing import Any

_NONCE = re.compile(r'"nonce" set to "(\w+)"')


def is_critique(prompt: str) -> bool:
    """Whether it asks for marks."""
    return "Judge how well" in prompt


def is_comparison(prompt: str) -> bool:
    """Whether it asks which of two drafts is better."""
    return "Which of two drafts" in prompt


def section(prompt: str, name: str) -> str:
    """Return the text between the delimiters of a name."""
    pattern = rf"<<\w+ {name}>>\n(.*?)\n<<end \w+ {name}>>"
    found = re.search(pattern, prompt, re.DOTALL)
    assert found is not None  # noqa: S101 - the prompt is our own
    return found.group(1)


def verdict(prompt: str, **fields: Any) -> dict[str, Any]:
    """Answer a judge's question."""
    found = _NONCE.search(prompt)
    assert found is not None  # noqa: S101 - the prompt is our own
    return {"nonce": found.group(1), **fields}


def as_asked(prompt: str, text: str) -> Any:
    """Answer with a draft: as JSON where a typed revision is asked for."""
    return {"revision": text} if '"revision"' in prompt else text
