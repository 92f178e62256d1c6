"""`SemanticCacheMiddleware`: a turn that was answered before is served whole."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, NotRequired, TypedDict, cast

from langchain.agents.middleware.types import (
    AgentState,
    ContextT,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
    ResponseT,
)
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables.config import ensure_config
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.runtime import Runtime
from langgraph.types import Command

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.arguments import check_text
from langchain_prodpatterns.cache.inputs import NotCanonical
from langchain_prodpatterns.cache.workers import off_loop
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.middleware.cached_turns import (
    BEGUN,
    Note,
    OpenTurns,
    Turn,
    answer_id,
    begins_turn,
    read_turn,
    runs_only,
    spent_on,
    worth_keeping,
)
from langchain_prodpatterns.middleware.naming import NamedMiddleware, read_names

logger = logging.getLogger(__name__)


class SemanticCacheMiddleware(
    NamedMiddleware[AgentState[ResponseT], ContextT, ResponseT]
):
    """Serves a whole turn of an agent from a `SemanticJudgeCache`, judged as always.

    ```python
    cached = SemanticCacheMiddleware(
        SemanticJudgeCache(embeddings, judge=small), side_effect_free=["search"]
    )
    agent = create_agent(model, [search, book], middleware=[cached])
    ```

    When the user has spoken, the turn is looked up before the model is called. A hit is
    the answer: neither the model nor a tool runs, and the history has the question and
    an answer that says so in its `response_metadata["prodpatterns.cache"]`, with zero
    usage. On a miss the agent works as ever, and at its end the answer is stored.

    **What is compared.** The text of the user's last message, by meaning. The system
    prompt, the earlier turns, the tools, the model and its settings, the runtime
    context, the other fields of the agent's state and what `configurable` holds have to
    be equal, by the cache's own rules; `tenant` and `namespace` of `configurable` are
    the cache's namespace, and the ids of a thread do not count. A question with more in
    it than text, such as an image, is served to an equal one only.

    **What is stored.** The answer of a turn in which nothing ran but tools that are
    declared `side_effect_free`, without an error among their results. Not stored, and
    so never served, is a turn that was interrupted or resumed, that failed, in which
    somebody else spoke, or that ended otherwise than by what the model said last, such
    as by a limit. What is stored is what stands in the state at the end, after all that
    other middleware made of it. Turns of an agent with a `response_format` are neither
    stored nor served.

    What other middleware and the tools do with a question is not seen: two agents that
    differ in nothing else need a `scope` each. Stand it first in the list, so that a
    hit spares all others; behind one that changes the request, it sees the request as
    that has changed it, so a guard belongs before it. Callers who ask the same at once
    wait for each other where the cache was opened with `single_flight`.
    """

    def __init__(
        self,
        cache: SemanticJudgeCache,
        *,
        side_effect_free: Sequence[str] = (),
        scope: str | None = None,
        ignored_state: Sequence[str] = (),
        name: str | None = None,
    ) -> None:
        """Set up the middleware.

        Args:
            cache: The cache.
            side_effect_free: Names of tools that only look something up. A turn in
                which any other tool is called is never stored.
            scope: Partitions besides, such as the version of the documents that the
                tools search.
            ignored_state: Fields of the agent's state that do not reach the answer. All
                others have to be equal, but for counters and the like. Behind a
                `GuardMiddleware` that pseudonymizes nothing, `guard_session` is one:
                stand-ins mean something in their own session only.
            name: Its name in graphs and traces; two in one agent need two names.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        super().__init__(name)
        if not isinstance(cache, SemanticJudgeCache):
            msg = f"cache must be a SemanticJudgeCache, got {type(cache).__name__}"
            raise ConfigurationError(msg)
        check_text("scope", scope)
        self.cache = cache
        """The cache."""
        self.side_effect_free: frozenset[str] = read_names(
            "side_effect_free", side_effect_free
        )
        """The tools that only look something up."""
        self.scope = scope
        """What partitions besides."""
        self._key = f"cached_turn_{re.sub(r'[^a-zA-Z0-9]', '_', self._name)}"
        ignored = read_names("ignored_state", ignored_state, "guard_session")
        self._ignored = ignored | {self._key}
        self.state_schema: type[AgentState[ResponseT]] = _state_with(self._key)
        self._open = OpenTurns()

    def before_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any]:
        """Note that the agent begins: one that is resumed does not come by here."""
        return {self._key: BEGUN}

    async def abefore_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> dict[str, Any]:
        """Note that the agent begins, natively async."""
        return {self._key: BEGUN}

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[ResponseT]],
    ) -> ModelResponse[ResponseT] | ExtendedModelResponse[ResponseT]:
        """Serve the turn, or note what it is for the end of the agent."""
        turn = self._beginning(request)
        if turn is None:
            name = self._name_in(request.state)
        else:
            found = self._view(turn).lookup(turn.prompt, turn.llm_string)
            served = _served(found)
            if served is not None:
                return ModelResponse([served])
            name = self._open.open(turn)
        with self._letting_go(name):
            return self._noted(name, handler(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[
            [ModelRequest[ContextT]], Awaitable[ModelResponse[ResponseT]]
        ],
    ) -> ModelResponse[ResponseT] | ExtendedModelResponse[ResponseT]:
        """Serve the turn, or note what it is, natively async."""
        # Reading a request with images in it takes long.
        turn = await off_loop(partial(self._beginning, request))
        if turn is None:
            name = self._name_in(request.state)
        else:
            found = await self._view(turn).alookup(turn.prompt, turn.llm_string)
            served = _served(found)
            if served is not None:
                return ModelResponse([served])
            name = self._open.open(turn)
        with self._letting_go(name):
            return self._noted(name, await handler(request))

    def after_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> None:
        """Store the answer, if the turn allows it."""
        ended = self._ended(state)
        if ended is not None:
            turn, said = ended
            self._view(turn).update(
                turn.prompt, turn.llm_string, _answer(said), saved=spent_on(said)
            )

    async def aafter_agent(
        self, state: AgentState[ResponseT], runtime: Runtime[ContextT]
    ) -> None:
        """Store the answer, if the turn allows it, natively async."""
        ended = self._ended(state)
        if ended is not None:
            turn, said = ended
            await self._view(turn).aupdate(
                turn.prompt, turn.llm_string, _answer(said), saved=spent_on(said)
            )

    def _beginning(self, request: ModelRequest[ContextT]) -> Turn | None:
        """Return what begins with a request; `None` where nothing can be cached."""
        if request.state.get(self._key) != BEGUN or not begins_turn(request):
            return None
        if not runs_only(request.tools, self.side_effect_free):
            return None
        configurable = ensure_config().get("configurable") or {}
        try:
            return read_turn(
                request, configurable, scope=self.scope, ignored=self._ignored
            )
        except NotCanonical as reason:
            # The reason names a type, never a value.
            logger.info("a turn is not cached: %s", reason)
            return None

    def _name_in(self, state: Any) -> str | None:
        """Return the name of the turn that is open in a state."""
        note: Note | None = state.get(self._key)
        return (note["turn"] or None) if note else None

    @contextmanager
    def _letting_go(self, name: str | None) -> Iterator[None]:
        """Let nobody wait for the answer of a turn whose model call fails.

        The turn stays open: a middleware around this may call again.
        """
        try:
            yield
        except BaseException:
            self._abandon(self._open.find(name) if name else None)
            raise

    def _abandon(self, turn: Turn | None) -> None:
        if turn is not None:
            self._view(turn).abandon(turn.prompt, turn.llm_string)

    def _noted(
        self, name: str | None, response: ModelResponse[ResponseT]
    ) -> ModelResponse[ResponseT] | ExtendedModelResponse[ResponseT]:
        """Note the open turn in the state, or that it must not be stored."""
        if name is None:
            return response
        answer = answer_id(response, self.side_effect_free)
        note = None if answer is None else Note(turn=name, answer=answer)
        if note is None:
            self._abandon(self._open.close(name))
        return ExtendedModelResponse(response, Command(update={self._key: note}))

    def _ended(self, state: Any) -> tuple[Turn, list[AIMessage]] | None:
        """Return the turn that has ended, if it is worth keeping, and what was said."""
        note: Note | None = state.get(self._key)
        turn = self._open.close(note["turn"]) if note else None
        if note is None or turn is None:
            return None
        said = worth_keeping(
            state["messages"], turn, note["answer"], self.side_effect_free
        )
        if not said:
            self._abandon(turn)
            return None
        return turn, said

    def _view(self, turn: Turn) -> SemanticJudgeCache:
        """Return the cache as it is for the turn's tenant."""
        key = _no_text if turn.exact else None
        return self.cache.scoped(turn.namespace, key=key)


def _state_with(key: str) -> type[AgentState[Any]]:
    """Return a state with a note that no checkpoint keeps.

    So a turn that is resumed, by whatever was said to the interrupt, is not stored.
    """
    note = NotRequired[Annotated[Any, UntrackedValue, PrivateStateAttr]]
    state = TypedDict("CachedTurnState", {key: note})  # type: ignore[misc]  # by name
    return cast("type[AgentState[Any]]", state)


def _served(found: Sequence[Any] | None) -> AIMessage | None:
    """Return the answer of a hit."""
    one = found[0] if found else None
    message = one.message if isinstance(one, ChatGeneration) else None
    return message if isinstance(message, AIMessage) else None


def _answer(said: Sequence[AIMessage]) -> list[Generation]:
    return [ChatGeneration(message=said[-1])]


def _no_text(_: Any) -> None:
    """Name no semantic text: only an equal turn is served."""
