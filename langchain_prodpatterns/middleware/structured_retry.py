"""`StructuredRetryMiddleware`: an agent's structured answer is valid, or it raises."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, cast

from langchain.agents.middleware.types import (
    AgentState,
    ContextT,
    ModelRequest,
    ModelResponse,
    ResponseT,
)
from langchain.agents.structured_output import (
    StructuredOutputError as UnreadableAnswerError,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding
from langgraph.errors import GraphBubbleUp

from langchain_prodpatterns.budget import Budget
from langchain_prodpatterns.errors import ConfigurationError, ProdPatternsError
from langchain_prodpatterns.middleware.calling import (
    acall_under,
    call_under,
)
from langchain_prodpatterns.middleware.naming import NamedMiddleware
from langchain_prodpatterns.middleware.structured_answers import (
    NO_ANSWER,
    AnswerForm,
    Given,
    read_form,
)
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.runnable import PatternRun, PatternRunnable
from langchain_prodpatterns.structured.answers import answer_in
from langchain_prodpatterns.structured.assessing import Validator, check_validators
from langchain_prodpatterns.structured.climb import Ask, Ladder, Request
from langchain_prodpatterns.structured.endings import Walked, decision, facts
from langchain_prodpatterns.structured.failures import failure
from langchain_prodpatterns.structured.ladder import Rung, as_rungs, plan
from langchain_prodpatterns.structured.settings import check_arguments
from langchain_prodpatterns.structured.walk import awalk, walk

_FORMS = {"tools", "tool_choice", "functions", "response_format"}


class StructuredRetryMiddleware(
    NamedMiddleware[AgentState[ResponseT], ContextT, ResponseT]
):
    """Asks for an agent's structured answer until it is valid, within a budget.

    ```python
    retry = StructuredRetryMiddleware(
        [Rung(cheap, temperatures=(0.3, 0.7)), strong], budget=Budget(attempts=4)
    )
    agent = create_agent(cheap, tools, response_format=Ticket, middleware=[retry])
    ```

    The agent's own model is asked first, as the agent is set up. An answer that does
    not fit is asked for again with what is wrong with it, as by a
    `StructuredRetryParser`: at the next temperature of the rung, then on the next rung
    of the ladder. So are errors of the provider: those that may pass are retried after
    a pause, all others climb at once. Where the first rung is the agent's own model, it
    is not asked one time more.

    It holds for `ToolStrategy`, `ProviderStrategy` and a bare schema, and here a JSON
    Schema dict is really validated. What can be read without a doubt, such as JSON in a
    fence, costs no attempt. A message that calls tools of the agent is no answer yet,
    and passes untouched. Without a `response_format` nothing is done at all.

    Only the valid answer reaches the history; failed ones are seen in traces, in the
    ledger and, token by token, in `stream_mode="messages"`, since a model streams
    before anybody can judge it.

    Where nothing is valid it raises a `StructuredOutputError` with every attempt, or
    one of its children, whatever `handle_errors` of a `ToolStrategy` says. Interrupts
    and errors of this package from inside, such as `GuardBlocked`, pass at once.

    What replaces or wraps the model, such as a `GuardMiddleware`, has to stand after
    this in the list of middleware, so that it also holds for the models of the ladder.
    """

    def __init__(
        self,
        ladder: Sequence[Any] = (),
        *,
        budget: Budget = Budget(attempts=3),  # noqa: B008 - frozen
        validators: Sequence[Validator] = (),
        reminder: str | None = None,
        name: str | None = None,
    ) -> None:
        """Set up the middleware.

        Args:
            ladder: `Rung(...)` and bare chat models, cheapest first, also with `bind`:
                who is asked after the agent's own model. Without one, the agent's model
                is asked again.
            budget: What one structured answer may cost: the call of the agent's model
                that gives it, and all that follow until it is valid. One attempt is
                kept for each rung above.
            validators: Functions of the validated value that return `None`, or say (or
                raise `ValueError`) what is wrong; the model is told.
            reminder: A sentence that every re-ask ends with.
            name: Its name in graphs and traces; two in one agent need two names.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        super().__init__(name)
        check_arguments({}, budget, (), {}, {"reminder": reminder})
        check_validators(validators)
        rungs = as_rungs(ladder)
        for rung in rungs:
            _taken_apart(rung.model)
        self.ladder = rungs
        """Who is asked after the agent's own model."""
        self.budget = budget
        """What one answer may cost."""
        self.validators: tuple[Validator, ...] = tuple(validators)
        """Further checks of a valid value."""
        self.reminder = reminder
        """What every re-ask ends with."""
        self._known: _Setup | None = None

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[ResponseT]],
    ) -> ModelResponse[ResponseT]:
        """Ask until the answer is valid, or is none yet."""
        if request.response_format is None:
            return handler(request)
        asking = _Asking(self._setup(request), self.budget, request, handler)
        response = _Answering(name=self.name).invoke(asking)
        return cast("ModelResponse[ResponseT]", response)

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[
            [ModelRequest[ContextT]], Awaitable[ModelResponse[ResponseT]]
        ],
    ) -> ModelResponse[ResponseT]:
        """Ask until the answer is valid, or is none yet, natively async."""
        if request.response_format is None:
            return await handler(request)
        asking = _Asking(self._setup(request), self.budget, request, handler)
        response = await _Answering(name=self.name).ainvoke(asking)
        return cast("ModelResponse[ResponseT]", response)

    def _setup(self, request: ModelRequest[ContextT]) -> "_Setup":
        """Return what walks have in common; it is made once an agent."""
        known = self._known
        if known is None or not known.is_for(request):
            known = self._known = self._set_up(request.model, request.response_format)
        return known

    def _set_up(self, model: BaseChatModel, response_format: Any) -> "_Setup":
        form = read_form(response_format)
        rungs = self.ladder
        if not rungs or _taken_apart(rungs[0].model)[0] is not model:
            rungs = (Rung(model), *rungs)
        without_limits = Budget(prices=self.budget.prices)
        ladder = Ladder(
            rungs=rungs,
            formed=rungs,
            plans=plan(rungs, endless=self.budget != without_limits),
            target=form.whole,
            judge=partial(form.assess, validators=self.validators),
            reminder=self.reminder,
        )
        return _Setup(model, response_format, form, ladder)


@dataclass(frozen=True, slots=True)
class _Setup:
    """What the walks of one agent have in common."""

    model: BaseChatModel
    response_format: Any
    form: AnswerForm
    ladder: Ladder

    def is_for(self, request: ModelRequest[Any]) -> bool:
        """Whether a request is of the same model and asks for the same form."""
        same = self.model is request.model
        return same and self.response_format is request.response_format


@dataclass(frozen=True, slots=True)
class _Asking:
    """One call of the agent's model that may become several."""

    setup: _Setup
    budget: Budget
    request: ModelRequest[Any]
    handler: Callable[[ModelRequest[Any]], Any]
    given: list[Given] = field(default_factory=list)

    def asked(self, ask: Ask) -> ModelRequest[Any]:
        """Return the agent's request for one attempt."""
        model, settings = _taken_apart(ask.model)
        return self.request.override(
            model=model,
            model_settings={**self.request.model_settings, **settings},
            messages=list(ask.messages),  # type: ignore[arg-type]  # of BaseMessage
        )

    def note(self, given: Given) -> Given:
        """Keep what came of an attempt, for the response."""
        self.given.append(given)
        return given


class _Answering(PatternRunnable[_Asking, Any]):
    """The run of one answer, with its attempts as children."""

    pattern: ClassVar[str] = "structured"

    def _shown(self, value: _Asking) -> Any:
        return value.request.messages

    def _run(self, value: _Asking, run: PatternRun, **kwargs: Any) -> Any:
        def call(ask: Ask, probe: UsageProbe) -> Any:
            config = run.child(f"attempt:{ask.number}", probe)
            handle = partial(value.handler, value.asked(ask))
            try:
                response = call_under(config, handle)
            except Exception as error:  # noqa: BLE001 - sorted there
                return value.note(_answer_in(error))
            return value.note(_given(response))

        meter = value.budget.start()
        try:
            walked = walk(value.setup.ladder, _request(value), call, meter)
        except _Passing as passing:
            run.decide("passed on", f"{type(passing.error).__name__} from inside")
            raise passing.error from None
        run.decide(*_decision(walked), **facts(walked))
        return _concluded(value, walked)

    async def _arun(self, value: _Asking, run: PatternRun, **kwargs: Any) -> Any:
        async def call(ask: Ask, probe: UsageProbe) -> Any:
            config = run.child(f"attempt:{ask.number}", probe)
            handle = partial(value.handler, value.asked(ask))
            try:
                response = await acall_under(config, handle)
            except Exception as error:  # noqa: BLE001 - sorted there
                return value.note(_answer_in(error))
            return value.note(_given(response))

        meter = value.budget.start()
        try:
            walked = await awalk(value.setup.ladder, _request(value), call, meter)
        except _Passing as passing:
            await run.adecide(
                "passed on", f"{type(passing.error).__name__} from inside"
            )
            raise passing.error from None
        await run.adecide(*_decision(walked), **facts(walked))
        return _concluded(value, walked)


class _Passing(BaseException):
    """Carries what no retry is the answer to through the walk."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _answer_in(error: Exception) -> Given:
    """Return the answer that an error stands for, or raise what is one.

    Raises:
        Exception: The error, which is the provider's as far as the walk can tell.
    """
    if isinstance(error, UnreadableAnswerError):
        return Given(error.ai_message)
    message = answer_in(error)
    if message is not None:
        return Given(message)
    if isinstance(error, GraphBubbleUp | ProdPatternsError):
        raise _Passing(error)
    raise error


def _given(response: ModelResponse[Any]) -> Given:
    said = [each for each in response.result if isinstance(each, AIMessage)]
    return Given(said[0] if said else None, response)


def _request(asking: _Asking) -> Request:
    return Request(list(asking.request.messages))


def _decision(walked: Walked) -> tuple[str, str]:
    if walked.value is NO_ANSWER:
        return "no answer yet", "the model called tools"
    return decision(walked)


def _concluded(asking: _Asking, walked: Walked) -> ModelResponse[Any]:
    form = asking.setup.form
    if not walked.succeeded:
        raise failure(form.whole.name, walked.attempts, walked.cause) from walked.cause
    return form.response(asking.given[-1], walked.value)


def _taken_apart(model: Any) -> tuple[BaseChatModel, Mapping[str, Any]]:
    """Part a model from what is bound to it: an agent binds its tools itself.

    Raises:
        ConfigurationError: When it is no chat model, or more is around it than `bind`.
    """
    settings: dict[str, Any] = {}
    while isinstance(model, RunnableBinding) and not (
        model.config or model.config_factories
    ):
        settings = {**model.kwargs, **settings}
        model = model.bound
    chosen = sorted(_FORMS & settings.keys())
    if isinstance(model, BaseChatModel) and not chosen:
        return model, settings
    what = f"one with {chosen[0]} bound to it" if chosen else type(model).__name__
    msg = (
        "a rung of StructuredRetryMiddleware needs a chat model, at most with settings "
        f"that are bound by `bind`, got {what}: the agent binds its tools to it"
    )
    raise ConfigurationError(msg)
