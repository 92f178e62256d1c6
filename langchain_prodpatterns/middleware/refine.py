"""`RefineMiddleware`: an agent's final answer is refined before the agent ends."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from langchain.agents.middleware.types import (
    AgentState,
    ContextT,
    ModelRequest,
    ModelResponse,
    ResponseT,
)
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.base import RunnableLike
from langchain_core.runnables.config import ensure_config
from langgraph.constants import TAG_NOSTREAM

from langchain_prodpatterns.budget import Budget
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.middleware.calling import (
    acall_under,
    call_under,
)
from langchain_prodpatterns.middleware.naming import NamedMiddleware
from langchain_prodpatterns.refine import RefineChain, RefineResult, RefineRound
from langchain_prodpatterns.refine.stopping import PATIENCE
from langchain_prodpatterns.usage import NO_USAGE

REFINE_KEY = "prodpatterns.refine"
"""Where the `response_metadata` of a refined message says what was done."""


class RefineMiddleware(NamedMiddleware[AgentState[ResponseT], ContextT, ResponseT]):
    """Refines the answer that an agent is about to end with.

    ```python
    refine = RefineMiddleware(
        critics=[Criteria("kind"), under_280_characters], max_rounds=2
    )
    agent = create_agent(model, tools, middleware=[refine])
    ```

    The final message, one that calls no tool, is the first draft of a `RefineChain`;
    the text of the user's last message is what it is for. The best draft takes the
    place of the message, under the same id, before it reaches the state: no other ever
    stands in the history. Its `response_metadata["prodpatterns.refine"]` tells the
    rounds, the score and why it stopped. Of a draft that stays the best nothing else
    changes.

    Messages that call tools, empty ones, and all of an agent with a `response_format`
    are left alone: a structured answer has its own `RefineChain`, around or behind the
    agent. After the draft nothing raises: a failing critic or reviser, or a spent
    budget, leaves the best so far. An interrupt is no failure: a critic may ask a
    person, and the agent goes on with the answer.

    **What is streamed.** With `stream_mode="messages"`, the answer comes as one message
    when it has been refined, and so does each message that calls tools: which one will
    be the last is not known before. What critics and the reviser say is never streamed.
    `stream_drafts=True` streams every token as the model makes it. What was streamed of
    the final message is then its first draft, and the refined one is in the state, in
    `updates` and in `values` only. Callbacks and `astream_events` see all calls.
    """

    def __init__(
        self,
        *,
        critics: Sequence[Any],
        reviser: RunnableLike[Any, Any] | None = None,
        accept: str = "verifier>pairwise>score",
        target_score: float | None = None,
        max_rounds: int = 3,
        patience: int = PATIENCE,
        candidates: int = 1,
        temperatures: Sequence[float | None] = (),
        failed_ideas: int = 0,
        budget: Budget | None = None,
        stream_drafts: bool = False,
        name: str | None = None,
    ) -> None:
        """Set up the middleware.

        Args:
            critics: As for `RefineChain`. A verifier with two arguments gets the user's
                text as the second.
            reviser: As for `RefineChain`; by default the agent's own model, which is
                also who judges criteria that name no model.
            accept: As for `RefineChain`.
            target_score: As for `RefineChain`.
            max_rounds: As for `RefineChain`.
            patience: As for `RefineChain`.
            candidates: As for `RefineChain`.
            temperatures: As for `RefineChain`.
            failed_ideas: As for `RefineChain`.
            budget: What refining one answer may cost, without the answer itself.
            stream_drafts: Whether the agent's model streams as it writes.
            name: Its name in graphs and traces; two in one agent need two names.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        super().__init__(name)
        if not isinstance(stream_drafts, bool):
            msg = f"stream_drafts must be True or False, got {stream_drafts!r}"
            raise ConfigurationError(msg)
        self._chain_of = partial(
            RefineChain,
            critics=critics,
            accept=accept,
            target_score=target_score,
            max_rounds=max_rounds,
            patience=patience,
            candidates=candidates,
            temperatures=temperatures,
            failed_ideas=failed_ideas,
            budget=budget,
            include_rounds=True,
            name=self._name,
        )
        self._reviser = reviser
        # What cannot work fails here, also where the agent's model is not known yet.
        stand_in = FakeListChatModel(responses=[""])
        chain = self._chain_of(reviser=stand_in if reviser is None else reviser)
        self._known: tuple[Any, RefineChain] = (None, chain)
        self.stream_drafts = stream_drafts
        """Whether the agent's model streams as it writes."""

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[ResponseT]],
    ) -> ModelResponse[ResponseT]:
        """Refine what the model says, if it is the end."""
        if request.response_format is not None:
            return handler(request)
        response = call_under(self._config(), partial(handler, request))
        draft = _final(response)
        if draft is None:
            return response
        chain, task = self._chain(request.model), _question(request.messages)
        result = chain.resume([_first(draft)], _unstreamed(), task=task)
        return _refined(response, draft, result)

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[
            [ModelRequest[ContextT]], Awaitable[ModelResponse[ResponseT]]
        ],
    ) -> ModelResponse[ResponseT]:
        """Refine what the model says, if it is the end, natively async."""
        if request.response_format is not None:
            return await handler(request)
        response = await acall_under(self._config(), partial(handler, request))
        draft = _final(response)
        if draft is None:
            return response
        chain, task = self._chain(request.model), _question(request.messages)
        result = await chain.aresume([_first(draft)], _unstreamed(), task=task)
        return _refined(response, draft, result)

    def _config(self) -> RunnableConfig:
        """Return the config for the agent's model."""
        return ensure_config() if self.stream_drafts else _unstreamed()

    def _chain(self, model: BaseChatModel) -> RefineChain:
        """Return the refinement, by the agent's model where no reviser is given."""
        if self._reviser is not None:
            return self._known[1]
        known, chain = self._known
        if known is not model:
            chain = self._chain_of(reviser=model)
            self._known = (model, chain)
        return chain


def _unstreamed() -> RunnableConfig:
    """Return the config of calls whose tokens LangGraph keeps to itself."""
    config = ensure_config()
    config["tags"] = [*(config.get("tags") or ()), TAG_NOSTREAM]
    return config


def _final(response: ModelResponse[Any]) -> AIMessage | None:
    """Return the message that ends the agent, if there is something to refine."""
    if len(response.result) != 1 or response.structured_response is not None:
        return None
    (message,) = response.result
    if not isinstance(message, AIMessage) or not str(message.text).strip():
        return None
    calls = message.tool_calls or message.invalid_tool_calls
    return None if calls else message


def _question(messages: Sequence[AnyMessage]) -> str:
    """Return what the user said last, which is what the answer is for."""
    asked = (each for each in reversed(messages) if isinstance(each, HumanMessage))
    return next((str(message.text) for message in asked), "")


def _first(draft: AIMessage) -> RefineRound:
    """Put down the draft as the round that there was."""
    return RefineRound(
        number=0,
        draft=draft,
        scores=(),
        feedback=(),
        accepted=True,
        reason="the agent's answer",
        usage=NO_USAGE,
        seconds=0.0,
    )


def _refined(
    response: ModelResponse[ResponseT], draft: AIMessage, result: RefineResult
) -> ModelResponse[ResponseT]:
    """Put the best draft in the place of the first one."""
    told = {
        "rounds": result.rounds[-1].number,
        "score": result.score,
        "stop_reason": result.stop_reason,
    }
    metadata = {**result.best.response_metadata, REFINE_KEY: told}
    update = {"id": draft.id, "response_metadata": metadata}
    return replace(response, result=[result.best.model_copy(update=update)])
