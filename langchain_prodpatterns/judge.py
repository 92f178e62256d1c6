"""`Judge`: asks a chat model for a verdict on texts that it must not obey."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Generic, Literal, TypeVar, cast, get_args, overload

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from langchain_core.runnables.config import ensure_config, merge_configs, patch_config
from pydantic import ConfigDict, PrivateAttr

from langchain_prodpatterns.arguments import check_seconds, refuse_unknown
from langchain_prodpatterns.deadlines import LateCalls, call_apart
from langchain_prodpatterns.errors import ConfigurationError, JudgeError
from langchain_prodpatterns.hearing import Hearing
from langchain_prodpatterns.models import is_language_model, is_sync_only
from langchain_prodpatterns.quiet_calls import (
    Leave,
    acall_quietly,
    always,
    call_quietly,
    until,
)
from langchain_prodpatterns.quotes import quoted_fields
from langchain_prodpatterns.runnable import HIDDEN
from langchain_prodpatterns.verdicts import (
    Judgement,
    JudgeRequest,
    V,
    Verdict,
    YesNoVerdict,
    stand_in,
)

T = TypeVar("T")

FailPolicy = Literal["closed", "raise"]
"""What a judge does without a verdict: answer no, or raise."""


class Judge(RunnableSerializable[JudgeRequest, Verdict], Generic[V]):
    """Asks a chat model a question about texts it must not obey.

    ```python
    judge = Judge(llm, "Do both questions ask for the same thing?", YesNoVerdict)
    judge.invoke(MyRequest(first="...", second="..."))  # YesNoVerdict(yes=..., ...)
    ```

    One repair is asked for when the answer is not the JSON that was asked for; both
    calls share one deadline.
    """

    model: Runnable[Any, Any]
    """The model that judges: a chat model, also with `bind`, retry or fallbacks."""
    question: str
    """What to decide, in the words of the developer: the only trusted text."""
    verdict_type: type[Verdict]
    """The type of the verdict."""
    timeout: float | None = 5.0
    """Seconds for the verdict, the repair included; `None` waits for ever."""
    on_failure: FailPolicy = "closed"
    """What `invoke` does without a verdict."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    _late: LateCalls = PrivateAttr(default_factory=LateCalls)

    @overload
    def __init__(
        self: "Judge[YesNoVerdict]",
        model: Runnable[Any, Any],
        question: str,
        *,
        timeout: float | None = 5.0,
        on_failure: FailPolicy = "closed",
        **kwargs: Any,
    ) -> None: ...

    @overload
    def __init__(
        self,
        model: Runnable[Any, Any],
        question: str,
        verdict_type: type[V],
        *,
        timeout: float | None = 5.0,
        on_failure: FailPolicy = "closed",
        **kwargs: Any,
    ) -> None: ...

    def __init__(
        self,
        model: Runnable[Any, Any],
        question: str,
        verdict_type: type[Verdict] = YesNoVerdict,
        *,
        timeout: float | None = 5.0,
        on_failure: FailPolicy = "closed",
        **kwargs: Any,
    ) -> None:
        """Set up a judge.

        Args:
            model: The model that judges.
            question: What to decide. Trusted: never build it from a user's text.
            verdict_type: The type of the verdict.
            timeout: Seconds for the verdict, the repair included; `None` waits for
                ever.
            on_failure: What `invoke` does without a verdict: `closed` answers no (and
                raises where the verdict is not yes or no), `raise` raises `JudgeError`.
            **kwargs: `name`, for traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        if not is_language_model(model):
            msg = (
                "Judge needs a chat model (also with bind, retry or fallbacks), got "
                f"{type(model).__name__}"
            )
            raise ConfigurationError(msg)
        if not isinstance(question, str) or not question.strip():
            msg = f"Judge needs a question to decide, got {question!r}"
            raise ConfigurationError(msg)
        if not (isinstance(verdict_type, type) and issubclass(verdict_type, Verdict)):
            msg = f"verdict_type must be a subclass of Verdict, got {verdict_type!r}"
            raise ConfigurationError(msg)
        if "nonce" in verdict_type.model_fields:
            msg = f"{verdict_type.__name__} cannot have a field 'nonce': the judge has"
            raise ConfigurationError(msg)
        quoted_fields(verdict_type)
        check_seconds("timeout", timeout)
        if on_failure not in get_args(FailPolicy):
            msg = f"on_failure must be 'closed' or 'raise', got {on_failure!r}"
            raise ConfigurationError(msg)
        refuse_unknown("Judge", kwargs, "name")
        kwargs.setdefault("name", "judge")
        super().__init__(
            model=model,
            question=question,
            verdict_type=verdict_type,
            timeout=timeout,
            on_failure=on_failure,
            **kwargs,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # `Judge[X]` is a class that pydantic makes on the fly: pickle cannot find it.
        kind = type(self).__pydantic_generic_metadata__["origin"] or type(self)
        return kind.__new__, (kind,), self.__getstate__()

    @property
    def OutputType(self) -> type[Verdict]:  # noqa: N802 - LangChain's name
        """The type of the verdict."""
        return self.verdict_type

    def invoke(
        self, input: JudgeRequest, config: RunnableConfig | None = None, **kwargs: Any
    ) -> V:
        """Ask for a verdict.

        Args:
            input: The texts to judge.
            config: The config of the run.
            **kwargs: Passed on to the model.

        Returns:
            The verdict; on a failure what `on_failure` says.

        Raises:
            JudgeError: On a failure that has no safe verdict.
            TypeError: When the input is no `JudgeRequest`, or has not the fields that
                the verdict quotes from.
        """
        return self._hold(input, config, self._settle, always, kwargs)

    async def ainvoke(
        self, input: JudgeRequest, config: RunnableConfig | None = None, **kwargs: Any
    ) -> V:
        """Ask for a verdict, natively async.

        Args:
            input: The texts to judge.
            config: The config of the run.
            **kwargs: Passed on to the model.

        Returns:
            The verdict; on a failure what `on_failure` says.

        Raises:
            JudgeError: On a failure that has no safe verdict.
            TypeError: When the input is no `JudgeRequest`.
        """
        return await self._ahold(input, config, self._settle, always, kwargs)

    def ask(
        self,
        request: JudgeRequest,
        config: RunnableConfig | None = None,
        *,
        may_repair: Leave = always,
        **kwargs: Any,
    ) -> Judgement[V]:
        """Ask for a verdict, and tell a failure from a no.

        Args:
            request: The texts to judge.
            config: The config of the run.
            may_repair: Asked before the repair, such as `Ticket.extend` of a budget.
            **kwargs: Passed on to the model.

        Returns:
            The verdict or the failure; only `KeyboardInterrupt` and its like raise.

        Raises:
            TypeError: When the request is no `JudgeRequest`.
        """
        return self._hold(request, config, _as_it_is, may_repair, kwargs)

    async def aask(
        self,
        request: JudgeRequest,
        config: RunnableConfig | None = None,
        *,
        may_repair: Leave = always,
        **kwargs: Any,
    ) -> Judgement[V]:
        """Ask for a verdict, and tell a failure from a no; natively async.

        Args:
            request: The texts to judge.
            config: The config of the run.
            may_repair: Asked before the repair, such as `Ticket.extend` of a budget.
            **kwargs: Passed on to the model.

        Returns:
            The verdict or the failure; only cancellation and its like raise.

        Raises:
            TypeError: When the request is no `JudgeRequest`.
        """
        return await self._ahold(request, config, _as_it_is, may_repair, kwargs)

    def _hold(
        self,
        request: JudgeRequest,
        config: RunnableConfig | None,
        finish: Callable[[Judgement[V]], T],
        may_repair: Leave,
        kwargs: dict[str, Any],
    ) -> T:
        """Hold a hearing as one run, which ends with what is made of the judgement."""
        _check_request(request, self.verdict_type)

        def work(
            _: JudgeRequest,
            run_manager: CallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> T:
            # Before the waiting begins: who is late must know it, and stop.
            may_go_on = until(self.timeout, may_repair)
            ask = partial(self._ask, request, run_manager, config, may_go_on, **kwargs)
            return finish(call_quietly(ask, self.timeout, self._late))

        giver = cast("Runnable[JudgeRequest, T]", self)
        return giver._call_with_config(work, request, hidden(config))  # noqa: SLF001 - it is self

    async def _ahold(
        self,
        request: JudgeRequest,
        config: RunnableConfig | None,
        finish: Callable[[Judgement[V]], T],
        may_repair: Leave,
        kwargs: dict[str, Any],
    ) -> T:
        _check_request(request, self.verdict_type)

        async def work(
            _: JudgeRequest,
            run_manager: AsyncCallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> T:
            ask = self._aask(request, run_manager, config, may_repair, **kwargs)
            return finish(await acall_quietly(ask, self.timeout))

        giver = cast("Runnable[JudgeRequest, T]", self)
        return await giver._acall_with_config(work, request, hidden(config))  # noqa: SLF001 - it is self

    def _ask(
        self,
        request: JudgeRequest,
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
        may_repair: Leave,
        **kwargs: Any,
    ) -> Judgement[V]:
        hearing: Hearing[V] = Hearing(self.question, self.verdict_type, request)
        for step, messages in hearing.turns(may_repair):
            child = patch_config(config, callbacks=run_manager.get_child(step))
            hearing.hear(self.model.invoke(messages, child, **kwargs))
        return hearing.judgement

    async def _aask(
        self,
        request: JudgeRequest,
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
        may_repair: Leave,
        **kwargs: Any,
    ) -> Judgement[V]:
        hearing: Hearing[V] = Hearing(self.question, self.verdict_type, request)
        for step, messages in hearing.turns(may_repair):
            if is_sync_only(self.model):
                # Not in a pool: a model that hangs would hold a thread of it.
                manager = run_manager.get_sync().get_child(step)
                child = patch_config(config, callbacks=manager)
                ask = partial(self.model.invoke, messages, child, **kwargs)
                hearing.hear(await call_apart(ask, self._late))
            else:
                child = patch_config(config, callbacks=run_manager.get_child(step))
                hearing.hear(await self.model.ainvoke(messages, child, **kwargs))
        return hearing.judgement

    def _settle(self, judgement: Judgement[V]) -> V:
        """Apply the fail policy."""
        if judgement.failure is None:
            return cast("V", judgement.verdict)
        if self.on_failure == "raise":
            raise JudgeError(judgement.failure.kind, judgement.failure.detail)
        return cast("V", stand_in(self.verdict_type, judgement.failure))


def _check_request(request: object, verdict_type: type[Verdict]) -> None:
    """Refuse what cannot be judged: a no in its place would hide the mistake."""
    if not isinstance(request, JudgeRequest):
        msg = (
            "a Judge takes a JudgeRequest, such as class Texts(JudgeRequest): text: str"
            f", got {type(request).__name__}"
        )
        raise TypeError(msg)
    missing = sorted(quoted_fields(verdict_type) - set(type(request).model_fields))
    if missing:
        msg = (
            f"{verdict_type.__name__} quotes from {missing[0]!r}, which "
            f"{type(request).__name__} does not have"
        )
        raise TypeError(msg)


def _as_it_is(judgement: Judgement[V]) -> Judgement[V]:
    return judgement


def hidden(config: RunnableConfig | None) -> RunnableConfig:
    """Return a config whose run is kept out of the view of the conversation."""
    return merge_configs(ensure_config(config), {"metadata": HIDDEN})
