"""A scripted model that drafts, judges, compares and revises by four small functions."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import Runnable
from pydantic import BaseModel

from langchain_prodpatterns.refine import RefineChain, RefineResult
from langchain_prodpatterns.refine.drafts import read_answer, read_draft, read_reply
from langchain_prodpatterns.testing import Fault, ScriptedChatModel, ScriptedRequest

_SECTION = re.compile(r"<<\w+ (\w+)>>\n(.*?)\n<<end \w+ \1>>", re.DOTALL)
_NONCE = re.compile(r'"nonce" set to "(\w+)"')


def sections(request: ScriptedRequest) -> dict[str, str]:
    """The data between the delimiters, by name."""
    return dict(_SECTION.findall(request.prompt_text))


def nonce(request: ScriptedRequest) -> str:
    found = _NONCE.search(request.prompt_text)
    assert found is not None
    return found.group(1)


def kind(request: ScriptedRequest) -> str:
    """What the model is asked to do."""
    prompt = request.prompt_text
    if "Which of two drafts" in prompt:
        return "compare"
    if "Judge how well" in prompt:
        return "judge"
    return "revise" if "Revise the draft" in prompt else "draft"


def a_draft(_: ScriptedRequest) -> str:
    return "draft 0"


def next_number(texts: dict[str, str]) -> Any:
    """Revise `draft 3` to `draft 4`."""
    return {"revision": f"draft {number_in(texts['draft']) + 1}"}


def always_new() -> Callable[[dict[str, str]], Any]:
    """Revise to another number every time, whatever the draft is."""
    numbers = itertools.count(1)
    return lambda _: {"revision": f"draft {next(numbers)}"}


def number_in(text: str) -> int:
    found = re.search(r"\d+", text)
    assert found is not None
    return int(found.group())


def middling(_: str) -> list[int]:
    return [3]


def the_second(_first: str, _second: str) -> str:
    return "second"


@dataclass
class Cast:
    """Who says what. Every function may also return a `Fault` or a raw text."""

    draft: Callable[[ScriptedRequest], Any] = a_draft
    revise: Callable[[dict[str, str]], Any] = next_number
    marks: Callable[[str], Any] = middling
    better: Callable[[str, str], Any] = the_second
    asked: list[str] = field(default_factory=list)
    """What was asked for, in order."""

    def model(self) -> ScriptedChatModel:
        return ScriptedChatModel(respond=self.respond)

    def respond(self, request: ScriptedRequest) -> Any:
        asked = kind(request)
        self.asked.append(asked)
        texts = sections(request)
        if asked == "draft":
            return self.draft(request)
        if asked == "revise":
            return self.revise(texts)
        if asked == "compare":
            better = self.better(texts["first"], texts["second"])
            return _verdict(request, better, {"better": better})
        marks = self.marks(texts["draft"])
        return _verdict(request, marks, {"marks": marks, "feedback": "go on"})


def _verdict(request: ScriptedRequest, raw: Any, verdict: dict[str, Any]) -> Any:
    if isinstance(raw, Fault) or (isinstance(raw, str) and raw not in _PLACES):
        return raw
    return {"nonce": nonce(request), **verdict}


_PLACES = ("first", "second", "neither")


class Product(BaseModel):
    """A typed draft."""

    title: str
    price: float
    tags: list[str] = []


def revised(value: BaseModel, **changes: Any) -> Any:
    """The object after a reviser changed some keys of the JSON it was shown."""
    draft = read_draft(value)
    shown = json.loads(draft.text)
    reply = json.dumps(shown | changes)
    new = read_reply(draft, reply)
    assert read_answer(draft, shown | changes).value == new.value
    assert type(new.value) is type(value)
    return new.value


def refine(chain: RefineChain, value: Any = "write") -> RefineResult:
    """Invoke a chain that includes rounds."""
    result = chain.invoke(value)
    assert isinstance(result, RefineResult)
    return result


def chain_of(model: Runnable[Any, Any], *critics: Any, **kwargs: Any) -> RefineChain:
    """A chain that drafts and includes rounds, judged by score unless said."""
    kwargs.setdefault("accept", "verifier>score")
    return RefineChain(model, critics=critics, include_rounds=True, **kwargs)
