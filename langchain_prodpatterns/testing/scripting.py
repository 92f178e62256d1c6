"""Which request gets which answer: requests, rules and the script made of them.

Shared by `ScriptedProvider` and `ScriptedChatModel`, so that one script drives both.
Everything here is a frozen value; what has been used up is kept by the caller's
`Journal`.
"""

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, TypeVar

from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessage

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing.replies import (
    Answer,
    Content,
    Fault,
    FrozenValue,
    Reply,
    check_content,
)

_PROMPT_SHOWN = 200
_T = TypeVar("_T")


class ScriptError(ModelInvalidRequestError):
    """Raised when the script has no answer for a request.

    The provider answers with HTTP 400 instead, which clients do not retry.
    """


@dataclass(frozen=True)
class ScriptedRequest:
    """A chat request, as rules and functions see it."""

    model: str
    """The model that is asked."""
    messages: tuple[Mapping[str, Any], ...]
    """The messages in OpenAI's format."""
    params: Mapping[str, Any]
    """Everything else in the request, such as `temperature` or `tools`."""
    number: int = 1
    """How many chat requests there have been, this one included."""
    stream: bool = False
    """Whether the answer is to be streamed."""

    @property
    def user_text(self) -> str:
        """The text of the last user message, or an empty string."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return text_of(message.get("content"))
        return ""

    @property
    def prompt_text(self) -> str:
        """The text of all messages, one a line."""
        return "\n".join(text_of(message.get("content")) for message in self.messages)

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names of the tools that the model may call."""
        tools = self.params.get("tools") or ()
        return tuple(tool.get("function", {}).get("name", "") for tool in tools)

    @property
    def forced_tools(self) -> tuple[str, ...]:
        """The tools of which the request demands one, or none."""
        choice = self.params.get("tool_choice")
        if choice == "required":
            return self.tool_names
        if isinstance(choice, Mapping):
            return (choice.get("function", {}).get("name", ""),)
        return ()

    @property
    def response_format(self) -> str:
        """The type of the response format: `text`, `json_object`, `json_schema`."""
        given = self.params.get("response_format")
        return str(given.get("type", "text")) if isinstance(given, Mapping) else "text"


Respond: TypeAlias = Callable[[ScriptedRequest], Answer | Content | AIMessage | None]
"""A function from the request to an answer; `None` leaves it to the next rule.

It is a plain function: it may block, and cannot be async.
"""

Scripted: TypeAlias = Answer | Content | AIMessage | Respond
"""One answer in any of its forms.

An `AIMessage` answers with its text, tool calls, finish reason and usage.
"""


@dataclass(frozen=True)
class Rule(FrozenValue):
    """Which requests to answer, and with what.

    Every condition that is given must hold. The first rule in the list that fits
    answers.
    """

    contains: str | re.Pattern[str] | None = None
    """A substring, or a compiled pattern to search for, in the text of `within`."""
    reply: Scripted | None = None
    """The answer to every request that fits."""
    replies: Sequence[Scripted] | None = None
    """The answers to successive requests that fit; then the script has run out."""
    within: Literal["user", "prompt"] = "user"
    """Where to look: the last user text, or the texts of all messages."""
    model: str | re.Pattern[str] | None = None
    """The model's name, or a compiled pattern that matches all of it."""
    call: int | Collection[int] | None = None
    """Numbers of chat requests, counted from 1."""
    where: Callable[[ScriptedRequest], bool] | None = None
    """Any other condition."""
    cycle: bool = False
    """Start `replies` again when they have run out."""
    name: str | None = None
    """What records and errors call the rule; by default its conditions."""

    def __post_init__(self) -> None:
        if (self.reply is None) == (self.replies is None):
            msg = "a rule needs either `reply` or `replies`"
            raise ConfigurationError(msg)
        if self.replies is None:
            _check_answer(self.reply)
            return
        if isinstance(self.replies, str | Mapping):
            msg = f"`replies` must be a list of answers, got {self.replies!r}"
            raise ConfigurationError(msg)
        if not self.replies:
            msg = "`replies` is empty"
            raise ConfigurationError(msg)
        for answer in self.replies:
            _check_answer(answer)

    @property
    def label(self) -> str:
        """The rule's name, or its conditions in words."""
        return self.name or ", ".join(self._conditions()) or "any request"

    def _conditions(self) -> list[str]:
        found = []
        if self.contains is not None:
            found.append(f"{self.within} text has {_shown(self.contains)}")
        if self.model is not None:
            found.append(f"model is {_shown(self.model)}")
        if self.call is not None:
            found.append(f"call is {self.call!r}")
        if self.where is not None:
            found.append(f"where {getattr(self.where, '__name__', 'condition')}")
        return found

    def fits(self, request: ScriptedRequest) -> bool:
        """Whether every condition holds for the request."""
        return (
            self._fits_model(request.model)
            and self._fits_call(request.number)
            and self._fits_text(request)
            and (self.where is None or bool(_call(self.where, request)))
        )

    def _fits_model(self, model: str) -> bool:
        if isinstance(self.model, re.Pattern):
            return self.model.fullmatch(model) is not None
        return self.model is None or self.model == model

    def _fits_call(self, number: int) -> bool:
        if self.call is None:
            return True
        return (
            number == self.call if isinstance(self.call, int) else number in self.call
        )

    def _fits_text(self, request: ScriptedRequest) -> bool:
        if self.contains is None:
            return True
        text = request.user_text if self.within == "user" else request.prompt_text
        if isinstance(self.contains, re.Pattern):
            return self.contains.search(text) is not None
        return self.contains in text

    def pick(self, use: int) -> Scripted | None:
        """The answer to this rule's request number `use`, counted from 0."""
        if self.replies is None:
            return self.reply
        if use < len(self.replies):
            return self.replies[use]
        return self.replies[use % len(self.replies)] if self.cycle else None


@dataclass(frozen=True)
class Script(FrozenValue):
    """An ordered list of rules."""

    rules: tuple[Rule, ...]
    """The rules; the first that fits answers."""

    @classmethod
    def build(
        cls,
        rules: Sequence[Rule] = (),
        *,
        replies: Sequence[Scripted] | None = None,
        respond: Respond | None = None,
        default: Scripted | None = None,
        cycle: bool = False,
    ) -> Self:
        """Put rules and the shorthands for catch-all rules in one list.

        Args:
            rules: Rules, asked first.
            replies: Answers to successive requests that no rule answered.
            respond: A function that answers those requests instead.
            default: The answer where neither a rule nor `respond` has one.
            cycle: Start `replies` again when they have run out.

        Raises:
            ConfigurationError: If `replies` is given with `respond` or `default`, which
                would never be asked, or `cycle` without `replies`, or something that is
                no list.
        """
        if not isinstance(rules, Sequence) or any(
            not isinstance(rule, Rule) for rule in rules
        ):
            msg = f"`rules` must be a list of Rule(...), got {rules!r}"
            raise ConfigurationError(msg)
        if replies is not None and (respond is not None or default is not None):
            msg = "`replies` leaves nothing to `respond` or `default`: give one of them"
            raise ConfigurationError(msg)
        if cycle and replies is None:
            msg = "`cycle` repeats `replies`, and there are none"
            raise ConfigurationError(msg)
        found = list(rules)
        if replies is not None:
            found.append(Rule(replies=replies, cycle=cycle, name="replies"))
        if respond is not None:
            found.append(Rule(reply=respond, name="respond"))
        if default is not None:
            found.append(Rule(reply=default, name="default"))
        return cls(tuple(found))

    def answer(
        self, request: ScriptedRequest, use: Callable[[int], int]
    ) -> tuple[Answer, Rule]:
        """Find the answer to a request.

        Args:
            request: The request.
            use: Counts a use of the rule at an index, and says how many came before.

        Returns:
            The answer, and the rule that gave it.

        Raises:
            ScriptError: If no rule answers, or the one that fits has run out.
        """
        for index, rule in enumerate(self.rules):
            if not rule.fits(request):
                continue
            picked = rule.pick(use(index))
            if picked is None:
                raise ScriptError(self._run_out(rule, request))
            answer = _resolve(picked, request)
            if answer is not None:
                return answer, rule
        raise ScriptError(self._unmatched(request))

    @staticmethod
    def _run_out(rule: Rule, request: ScriptedRequest) -> str:
        return (
            f"the {len(rule.replies or ())} scripted replies of rule '{rule.label}' "
            f"have run out at request {request.number}: {_prompt_shown(request)}"
        )

    def _unmatched(self, request: ScriptedRequest) -> str:
        rules = "; ".join(f"'{rule.label}'" for rule in self.rules) or "none"
        return (
            f"no scripted rule answers request {request.number} to model "
            f"'{request.model}': {_prompt_shown(request)}. Rules: {rules}"
        )


def echo(request: ScriptedRequest) -> Reply:
    """Answer with the last user text: `default=echo`."""
    return Reply(request.user_text)


def text_of(content: Any) -> str:
    """The text of a message's content, its other parts left out."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = (part for part in content if isinstance(part, Mapping))
    texts = (part.get("text") for part in parts if part.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def _check_answer(answer: Any) -> None:
    """Refuse at once what could only fail when its turn comes."""
    if not (callable(answer) or isinstance(answer, Reply | Fault | AIMessage)):
        check_content(answer)


def _resolve(picked: Scripted, request: ScriptedRequest) -> Answer | None:
    """Bring any form of an answer to a `Reply` or a `Fault`."""
    given = _call(picked, request) if callable(picked) else picked
    if given is None or isinstance(given, Reply | Fault):
        return given
    return Reply.of_message(given) if isinstance(given, AIMessage) else Reply(given)


def _call(function: Callable[[ScriptedRequest], _T], request: ScriptedRequest) -> _T:
    """Call a function of the script, which is asked by sync and async models alike."""
    given = function(request)
    if not inspect.isawaitable(given):
        return given
    if inspect.iscoroutine(given):
        given.close()
    name = getattr(function, "__name__", type(function).__name__)
    msg = f"'{name}' is async: a function of a script is written with `def`"
    raise ConfigurationError(msg)


def _shown(pattern: str | re.Pattern[str]) -> str:
    return repr(pattern) if isinstance(pattern, str) else f"/{pattern.pattern}/"


def _prompt_shown(request: ScriptedRequest) -> str:
    text = request.user_text or request.prompt_text
    return repr(text if len(text) <= _PROMPT_SHOWN else text[:_PROMPT_SHOWN] + "...")
