"""The offline provider's script: what the models of the demo answer without a key.

It plays the parts of a small and a large model: it answers the questions of the demo
from a file, sometimes with JSON that is broken, and it judges. Nothing in it measures
how good a model's answers are.
"""

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_prodpatterns.testing import Reply, ScriptedProvider, ScriptedRequest
from langchain_prodpatterns.testing import ToolCall

_NONCE = re.compile(r'"nonce" set to "(\w{8,64})"')
_SECTION = re.compile(r"<<(\w{8,64}) (\w+)>>\n(.*?)\n<<end \1 \2>>", re.DOTALL)
_QUESTION = re.compile(r"Question: (.*?)(?:\n|$)")
_EXTRACT = re.compile(r"^\[1\] ([^:\n]+)[^\n]*\n(.+?)$", re.MULTILINE)
_ATTACKS = ("ignore all previous", "ignore your rules", "disregard")
_SUM = re.compile(r"[\d.,]+(?:\s*(?:[+*/x-]|divided by)\s*[\d.,]+)+")


def start_provider(data: Path | None) -> ScriptedProvider:
    """Return the provider, not yet started.

    Args:
        data: The folder with `questions.jsonl` and `answers.jsonl`, or `None`: then
            every answer is the first extract of its prompt.

    Returns:
        A context manager.
    """
    return ScriptedProvider(respond=Understudy(data))
