"""`RefineChain`: draft, criticize, revise, keep the best, stop for a stated reason."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableLike, coerce_to_runnable
from langchain_core.runnables.utils import (
    ConfigurableFieldSpec,
    get_unique_config_specs,
)
from langchain_core.utils.pydantic import TypeBaseModel
from pydantic import BaseModel

from langchain_prodpatterns.arguments import check_count, is_number, refuse_unknown
from langchain_prodpatterns.budget import Budget, BudgetMeter
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import is_language_model
from langchain_prodpatterns.refine.acceptance import AcceptTest, read_accept
from langchain_prodpatterns.refine.panel import Panel
from langchain_prodpatterns.refine.refinement import Refinement
from langchain_prodpatterns.refine.results import RefineResult
from langchain_prodpatterns.refine.steps import aperform, perform
from langchain_prodpatterns.runnable import PatternRun, PatternRunnable

DraftType = str | AIMessage | dict[str, Any] | BaseModel
"""What can be refined."""


class RefineChain(PatternRunnable[Any, Any]):
    """Refines an answer until it is good enough, and never returns a worse one.

    ```python
    chain = prompt | RefineChain(
        llm, critics=[Criteria("engaging"), under_280_characters], max_rounds=3
    )
    prompt | llm | RefineChain(reviser=llm, critics=[Criteria("engaging")])
    ```

    One round is a revision of the best draft by the feedback on it, its critique, and
    the question whether it replaces the best. Verifiers are asked first; while one
    fails, the judged criteria of that draft are skipped. After the first draft nothing
    raises: a failing critic leaves a draft unscored, a failing reviser or a spent
    budget returns the best so far, and the reason says so. A critic that failed on the
    best is asked once more before that is revised.

    The output has the first draft's own type: `str`, `AIMessage`, pydantic object or
    dict. A revised message is a copy with a new id and the usage of its own call.
    `stream` yields the final answer once.
    """

    pattern: ClassVar[str] = "refine"

    generator: Runnable[Any, Any] | None = None
    """What makes the first draft; without one, the input is the draft."""
    critics: Sequence[Any]
    """`Criteria` and verifiers."""
    reviser: Runnable[Any, Any] | None = None
    """What revises: a chat model, or a runnable from `RevisionRequest` to a draft."""
    accept: str = "verifier>pairwise>score"
    """The tests a revision must stand against the best, in order."""
    target_score: float | None = None
    """The score, from 0 to 1, that is good enough."""
    max_rounds: int = 3
    """How many revisions to try at most."""
    budget: Budget | None = None
    """What one input may cost."""
    include_rounds: bool = False
    """Whether the output is a `RefineResult`."""

    def __init__(
        self,
        generator: RunnableLike[Any, Any] | None = None,
        *,
        critics: Sequence[Any],
        reviser: RunnableLike[Any, Any] | None = None,
        accept: str = "verifier>pairwise>score",
        target_score: float | None = None,
        max_rounds: int = 3,
        budget: Budget | None = None,
        include_rounds: bool = False,
        **kwargs: Any,
    ) -> None:
        """Set up a refinement.

        Args:
            generator: What makes the first draft from the input: a chat model or any
                runnable. Without it the input is the draft.
            critics: `Criteria(...)` for what a model judges; a Runnable, callable
                (sync or async) or pydantic model for what code verifies. A verifier
                gets the text of a draft, or the object where the draft is one. It
                returns `True` or `None` (passed), `False`, a number from 0 to 1 (1 is
                passed) or a text (what is wrong), or raises `ValueError` or
                `AssertionError`. An output parser passes what it can parse. Anything
                else leaves the draft unscored.
            reviser: A chat model, by default the generator if that is one; or a
                Runnable or callable from `RevisionRequest` to the revised draft.
            accept: `"verifier>pairwise>score"` or a part of it in that order. No
                verifier may get worse; a judge must prefer the revision in both
                orders; the score must be higher. The first test that decides, does.
            target_score: Stop when the best reaches this score, above 0 up to 1: the
                weighted mean of the criteria, or of the verifiers where there are no
                criteria.
            max_rounds: Revisions to try at most, at least 1.
            budget: What one input may cost. Drafts and revisions count as attempts.
                Asking a judge or a verifier that is a Runnable counts as a call; a
                plain callable as a verifier does not, but it is asked within the time.
            include_rounds: Return a `RefineResult` with every round.
            **kwargs: `name`, for traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        refuse_unknown("RefineChain", kwargs, "name")
        _check_numbers(target_score, max_rounds)
        if isinstance(critics, str) or not isinstance(critics, Sequence):
            msg = f"critics must be a list such as [Criteria('...')], got {critics!r}"
            raise ConfigurationError(msg)
        if not isinstance(budget, Budget | None):
            msg = f"budget must be a Budget(...) or None, got {budget!r}"
            raise ConfigurationError(msg)
        read_accept(accept)
        super().__init__(
            generator=_as_runnable("generator", generator),
            critics=tuple(critics),
            reviser=_as_runnable("reviser", reviser),
            accept=accept,
            target_score=target_score,
            max_rounds=max_rounds,
            budget=budget,
            include_rounds=include_rounds,
            **kwargs,
        )
        self._check_reviser()
        _ = self.panel  # what cannot work must fail here, not at the first call

    @cached_property
    def panel(self) -> Panel:
        """The critics with their judges."""
        return Panel(self.critics, self.accept_tests, self._model)

    @property
    def accept_tests(self) -> tuple[AcceptTest, ...]:
        """The acceptance tests."""
        return read_accept(self.accept)

    @property
    def _model(self) -> Runnable[Any, Any] | None:
        """The chat model that judges where the criteria name none."""
        candidates = (self.reviser, self.generator)
        return next((model for model in candidates if is_language_model(model)), None)

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The generator's input, or a draft."""
        return self.generator.InputType if self.generator else DraftType

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The draft's type, or `RefineResult`."""
        if self.include_rounds:
            return RefineResult
        return self.generator.OutputType if self.generator else DraftType

    def get_input_schema(self, config: RunnableConfig | None = None) -> TypeBaseModel:
        """Return the schema of the generator's input, or of a draft."""
        if self.generator is not None:
            return self.generator.get_input_schema(config)
        return super().get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> TypeBaseModel:
        """Return the schema of the generator's output, a draft or `RefineResult`."""
        if self.generator is not None and not self.include_rounds:
            return self.generator.get_output_schema(config)
        return super().get_output_schema(config)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What the runnables inside let a config set."""
        inner = [part for part in (self.generator, self.reviser) if part is not None]
        specs = [spec for part in inner for spec in part.config_specs]
        return get_unique_config_specs(specs)

    def _run(self, value: Any, run: PatternRun, **kwargs: Any) -> Any:
        meter = self._meter()
        story = self._refinement(value, meter, kwargs).story()
        try:
            result = perform(story, run, meter)
        except Exception:  # only the first draft may fail
            run.decide("failed", "the first draft could not be made")
            raise
        run.decide(result.stop_reason, _in_words(result), **_facts(result))
        return self._output(result)

    async def _arun(self, value: Any, run: PatternRun, **kwargs: Any) -> Any:
        meter = self._meter()
        story = self._refinement(value, meter, kwargs).story()
        try:
            result = await aperform(story, run, meter)
        except Exception:  # only the first draft may fail
            await run.adecide("failed", "the first draft could not be made")
            raise
        await run.adecide(result.stop_reason, _in_words(result), **_facts(result))
        return self._output(result)

    def _meter(self) -> BudgetMeter:
        return (self.budget or Budget()).start()

    def _refinement(
        self, value: Any, meter: BudgetMeter, kwargs: dict[str, Any]
    ) -> Refinement:
        if self.generator is None and kwargs:
            msg = f"without a generator nothing takes the argument {min(kwargs)!r}"
            raise TypeError(msg)
        return Refinement(
            value=value,
            generator=self.generator,
            generator_kwargs=kwargs,
            reviser=cast("Runnable[Any, Any]", self.reviser or self.generator),
            panel=self.panel,
            target_score=self.target_score,
            max_rounds=self.max_rounds,
            meter=meter,
        )

    def _output(self, result: RefineResult) -> Any:
        return result if self.include_rounds else result.best

    def _check_reviser(self) -> None:
        if self.reviser is not None or is_language_model(self.generator):
            return
        if self.generator is None:
            msg = "RefineChain without a generator needs a reviser: reviser=llm"
        else:
            kind = type(self.generator).__name__
            msg = (
                f"RefineChain cannot revise with a generator that is a {kind}: give it "
                "the chat model that revises drafts, reviser=llm"
            )
        raise ConfigurationError(msg)


def _as_runnable(
    argument: str, given: RunnableLike[Any, Any] | None
) -> Runnable[Any, Any] | None:
    try:
        return None if given is None else coerce_to_runnable(given)
    except TypeError:
        kind = type(given).__name__
        msg = f"{argument} must be a chat model, a Runnable or a callable, got {kind}"
        raise ConfigurationError(msg) from None


def _check_numbers(target_score: float | None, max_rounds: int) -> None:
    if target_score is not None and not (
        is_number(target_score) and 0.0 < target_score <= 1.0
    ):
        msg = f"target_score must be above 0 and at most 1, got {target_score!r}"
        raise ConfigurationError(msg)
    check_count("max_rounds", max_rounds, optional=False)


def _in_words(result: RefineResult) -> str:
    """Say which draft won, without any text of it."""
    best = [entry.number for entry in result.rounds if entry.accepted][-1]
    revisions = len(result.rounds) - 1
    won = f"revision {best}" if best else "the first draft"
    return f"{won} is the best after {revisions} revisions"


def _facts(result: RefineResult) -> dict[str, Any]:
    return {"rounds": len(result.rounds) - 1, "score": result.score}
