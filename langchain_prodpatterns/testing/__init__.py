"""Test a chain without a key, a network or a bill.

Three stand-ins that behave like the real thing as far as a chain can tell:

- `ScriptedChatModel`: a chat model in this process, for unit tests.
- `ScriptedProvider`: an OpenAI-compatible HTTP server on loopback, for the real
  `ChatOpenAI` and `OpenAIEmbeddings` (extra `testing`).
- `LexicalEmbeddings`: deterministic embeddings without a model or a download.

The first two are driven by the same rules, count tokens by the same rule and keep the
same records:

```python
from langchain_prodpatterns.testing import Fault, Reply, Rule, ScriptedProvider

rules = [
    Rule("refund", "Within 14 days."),
    Rule("weather", replies=[Fault.rate_limit(retry_after=0), Reply("Sunny.")]),
]
with ScriptedProvider(rules, default="I do not know.") as provider:
    model = provider.chat_model()
    for question in ("How do I get a refund?", "How is the weather?", "Why?"):
        print(model.invoke(question).content)
    print(provider.calls, "calls,", provider.faults, "fault")
    print(provider.input_tokens, "tokens in,", provider.output_tokens, "out")
# Within 14 days.
# Sunny.
# I do not know.
# 3 calls, 1 fault
# 14 tokens in, 11 out
```

A rule says which requests it answers (by model, by text, by call number, by any
function) and what it answers with. A `Reply` is an answer: it is complete, and paid
for, even where its content is cut off, refused, malformed or of the wrong types. A
`Fault` is a request without an answer: it is never paid for. A request that no rule
answers is refused with an error that names the prompt and the rules.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_prodpatterns.testing.chat_model import ScriptedChatModel
    from langchain_prodpatterns.testing.completion import count_tokens
    from langchain_prodpatterns.testing.embeddings import LexicalEmbeddings
    from langchain_prodpatterns.testing.journal import RequestRecord
    from langchain_prodpatterns.testing.provider import ScriptedProvider
    from langchain_prodpatterns.testing.replies import Fault, Reply, ToolCall
    from langchain_prodpatterns.testing.scripting import (
        Rule,
        ScriptedRequest,
        ScriptError,
        echo,
    )

_MODULES = {
    "Fault": "replies",
    "LexicalEmbeddings": "embeddings",
    "Reply": "replies",
    "RequestRecord": "journal",
    "Rule": "scripting",
    "ScriptError": "scripting",
    "ScriptedChatModel": "chat_model",
    "ScriptedProvider": "provider",
    "ScriptedRequest": "scripting",
    "ToolCall": "replies",
    "count_tokens": "completion",
    "echo": "scripting",
}

__all__ = [
    "Fault",
    "LexicalEmbeddings",
    "Reply",
    "RequestRecord",
    "Rule",
    "ScriptError",
    "ScriptedChatModel",
    "ScriptedProvider",
    "ScriptedRequest",
    "ToolCall",
    "count_tokens",
    "echo",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
