"""`BoundJudge`: whatever the user gave as `judge=`, asked in one way."""

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isgeneratorfunction
from typing import Any, Generic, cast

from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableSequence,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.utils import (
    accepts_config,
    accepts_run_manager,
    is_async_callable,
)

from langchain_prodpatterns.arguments import check_seconds
from langchain_prodpatterns.callables import check_takes_one
from langchain_prodpatterns.deadlines import LateCalls, call_apart, run_coroutine
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judge import Judge, hidden
from langchain_prodpatterns.models import is_language_model
from langchain_prodpatterns.quiet_calls import (
    Leave,
    acall_quietly,
    always,
    call_quietly,
)
from langchain_prodpatterns.verdicts import (
    Judgement,
    Request,
    V,
    YesNoVerdict,
    weigh,
)

JudgeLike = Runnable[Any, Any] | Callable[[Any], Any] | Callable[[Any], Awaitable[Any]]
"""What `judge=` takes: a chat model, or a Runnable or callable from the component's
request type to its verdict type (or a bare `bool` where the verdict is yes or no)."""


class BoundJudge(Generic[Request, V]):
    """Any `judge=` argument behind one face: a request in, a `Judgement` out."""

    def __init__(
        self,
        judge: JudgeLike,
        *,
        question: str,
        verdict_type: type[V],
        timeout: float | None = 5.0,
        name: str = "judge",
    ) -> None:
        """Bind what the user gave to what the component asks.

        Args:
            judge: A chat model, a `Judge`, or a Runnable or callable from the request
                type to the verdict type.
            question: What a chat model is asked.
            verdict_type: The type of the verdict.
            timeout: Seconds for a verdict; a `Judge` keeps its own.
            name: The name in traces, `cache:judge`.

        Raises:
            ConfigurationError: When the judge is none of these, or cannot be called
                with the request alone.
        """
        check_seconds("timeout", timeout)
        self._verdict_type = verdict_type
        self._timeout = timeout
        self._name = name
        self._late = LateCalls()
        self._judge = self._resolve(judge, question)

    def ask(
        self,
        request: Request,
        config: RunnableConfig | None = None,
        *,
        may_repair: Leave = always,
    ) -> Judgement[V]:
        """Ask for a verdict. Never raises but for an interrupt.

        Args:
            request: The texts to judge.
            config: The config to run the judge with.
            may_repair: Asked before a chat model is asked to repair its answer.

        Returns:
            The verdict or the failure.
        """
        judge, config = self._judge, self._named(config)
        if isinstance(judge, Judge):
            return judge.ask(request, config, may_repair=may_repair)

        def work() -> Judgement[V]:
            if _is_async_only(judge):
                return run_coroutine(lambda: self.aask(request, config))
            return self._accept(judge.invoke(request, config), request)

        return call_quietly(work, self._timeout, self._late)

    async def aask(
        self,
        request: Request,
        config: RunnableConfig | None = None,
        *,
        may_repair: Leave = always,
    ) -> Judgement[V]:
        """Ask for a verdict, natively async. Never raises but for a cancellation.

        Args:
            request: The texts to judge.
            config: The config to run the judge with.
            may_repair: Asked before a chat model is asked to repair its answer.

        Returns:
            The verdict or the failure.
        """
        judge, config = self._judge, self._named(config)
        if isinstance(judge, Judge):
            return await judge.aask(request, config, may_repair=may_repair)

        async def work() -> Judgement[V]:
            return self._accept(await judge.ainvoke(request, config), request)

        return await acall_quietly(work(), self._timeout)

    def _resolve(self, judge: JudgeLike, question: str) -> Runnable[Any, Any]:
        if isinstance(judge, Judge):
            if not issubclass(judge.verdict_type, self._verdict_type):
                msg = (
                    f"this judge must answer with {self._verdict_type.__name__}, the "
                    f"given one answers with {judge.verdict_type.__name__}"
                )
                raise ConfigurationError(msg)
            return judge
        if is_language_model(judge):
            return Judge(
                cast("Runnable[Any, Any]", judge),
                question,
                self._verdict_type,
                timeout=self._timeout,
                name=self._name,
            )
        check_takes_one("a judge", judge, "the request")
        if isinstance(judge, Runnable):
            return judge
        if callable(judge):
            return _called(judge, self._name, self._late)
        msg = (
            "judge must be a chat model, or a Runnable or callable from the request to "
            f"the verdict, got {type(judge).__name__}"
        )
        raise ConfigurationError(msg)

    def _named(self, config: RunnableConfig | None) -> RunnableConfig:
        named = hidden(config)
        named.setdefault("run_name", self._name)
        return named

    def _accept(self, answer: Any, request: Request) -> Judgement[V]:
        """Take a verdict, what validates as one, or a bare bool."""
        if _is_bool(answer) and issubclass(self._verdict_type, YesNoVerdict):
            answer = {"yes": bool(answer)}
        return weigh(answer, self._verdict_type, request)


def _is_bool(answer: Any) -> bool:
    """Whether it is a `bool`, or numpy's, as a classifier's threshold gives."""
    # By name: to import numpy here would count against the deadline of a verdict.
    kind = type(answer)
    return kind is bool or (kind.__module__, kind.__name__) == ("numpy", "bool")


def _called(
    judge: Callable[[Any], Any], name: str, late: LateCalls
) -> Runnable[Any, Any]:
    """Make a callable of the user's a Runnable."""
    if is_async_callable(judge):
        return RunnableLambda(judge, name=name)
    plain = not (accepts_config(judge) or accepts_run_manager(judge))
    # What takes more than the request, or yields, is LangChain's to call.
    if plain and not isgeneratorfunction(judge):
        return RunnableLambda(judge, partial(_from_async, judge, late), name=name)
    return RunnableLambda(judge, name=name)


async def _from_async(
    judge: Callable[[Any], Any], late: LateCalls, request: Any
) -> Any:
    # Not in a pool: a judge that is late would hold a thread that others wait for.
    return await call_apart(lambda: judge(request), late)


def _is_async_only(judge: Runnable[Any, Any]) -> bool:
    """Whether it has no sync side, itself or a step of it."""
    while isinstance(judge, RunnableBindingBase):
        judge = judge.bound
    if isinstance(judge, RunnableSequence):
        return any(map(_is_async_only, judge.steps))
    return isinstance(judge, RunnableLambda) and not hasattr(judge, "func")
