"""`RefineChain`: draft, criticize, revise, keep the best, stop for a stated reason."""

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, cast

from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableLike
from langchain_core.runnables.utils import (
    ConfigurableFieldSpec,
    get_unique_config_specs,
)
from langchain_core.utils.pydantic import TypeBaseModel
from pydantic import BaseModel

from langchain_prodpatterns.arguments import refuse_unknown
from langchain_prodpatterns.budget import Budget, BudgetMeter
from langchain_prodpatterns.callables import check_takes_one
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import is_language_model
from langchain_prodpatterns.refine.acceptance import AcceptTest, read_accept
from langchain_prodpatterns.refine.checking import (
    as_runnable,
    check_numbers,
    check_temperatures,
    check_warmth,
)
from langchain_prodpatterns.refine.checkpoints import (
    Checkpoint,
    Recorded,
    check_checkpoint,
    recorded_before,
)
from langchain_prodpatterns.refine.endings import decision, facts
from langchain_prodpatterns.refine.modes import (
    HELD_OUT,
    Inputs,
    Mode,
    check_mode,
    split,
)
from langchain_prodpatterns.refine.panel import Panel
from langchain_prodpatterns.refine.prompt_refinement import PromptRefinement
from langchain_prodpatterns.refine.prompt_results import (
    PromptRefineResult,
    PromptRound,
)
from langchain_prodpatterns.refine.refinement import Plan, Refinement
from langchain_prodpatterns.refine.results import RefineResult, RefineRound
from langchain_prodpatterns.refine.round_stream import RoundStream
from langchain_prodpatterns.refine.single_prompt import SinglePrompt
from langchain_prodpatterns.refine.steps import Steps, aperforming, performing
from langchain_prodpatterns.refine.stopping import PATIENCE
from langchain_prodpatterns.refine.writing import Writers
from langchain_prodpatterns.runnable import PatternRun

PromptLike = str | PromptTemplate | ChatPromptTemplate
"""What can be refined with `mode="prompt"`."""
DraftType = str | AIMessage | dict[str, Any] | BaseModel
"""What can be refined."""


class RefineChain(RoundStream):
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
    dict. A revised message is a copy with a new id and the usage of its own call. Of an
    object only the fields that failed are asked for, as far as the critics name them;
    everything else stays as it is.

    `stream` yields the final answer once; with `include_rounds` it yields each
    `RefineRound` as it ends, then the `RefineResult` that `invoke` gives. The runs of a
    refinement are always named `refine:draft`, `refine:critique`, `refine:revision` and
    `refine:compare`; their metadata has the round (`prodpatterns.round`).
    """

    pattern: ClassVar[str] = "refine"

    mode: Mode = "loop"
    """How it is done."""
    inputs: Sequence[Any] | None = None
    """What a prompt is run on."""
    held_out: Any = HELD_OUT
    """The share of the inputs that decides, or the inputs that do."""
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
    patience: int = PATIENCE
    """Rounds in a row that may fail to better the best."""
    candidates: int = 1
    """Drafts, and revisions a round, that are written at once."""
    temperatures: Sequence[float | None] = ()
    """The temperature of each candidate; empty for the models' own."""
    failed_ideas: int = 0
    """How many failed revisions the reviser is told of."""
    checkpoint: Checkpoint | None = None
    """Who is given each round when it has ended."""
    budget: Budget | None = None
    """What one input may cost."""

    def __init__(
        self,
        generator: RunnableLike[Any, Any] | None = None,
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
        checkpoint: Checkpoint | None = None,
        mode: Mode = "loop",
        inputs: Inputs | None = None,
        held_out: float | Inputs = HELD_OUT,
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
                `AssertionError`. `(0.5, "2 of 4 tests fail")` is a number with words;
                `{"title": "too long"}` says what is wrong with fields of an object: the
                fewer, the better. An output parser passes what it can parse. Anything
                else leaves the draft unscored. A function of two arguments also gets
                what the draft was made from: the input, or the dict that a prompt was
                filled in with; one in a Runnable or a pipe gets the draft only.
                `Verifier(...)` gives a check a name and a weight.
            reviser: A chat model, by default the generator if that is one; or a
                Runnable or callable from `RevisionRequest` to the revised draft.
            accept: `"verifier>pairwise>score"` or a part of it in that order. No
                verifier may get worse; a judge must prefer the revision in both
                orders, and once more in both where the score is not higher too; the
                score must be higher. The first test that decides, does.
            target_score: Stop when the best reaches this score, above 0 up to 1: the
                weighted mean of the criteria, or of the verifiers where there are no
                criteria.
            max_rounds: Rounds of revision to try at most, at least 1.
            patience: Rounds in a row that may fail to better the best, at least 1.
            candidates: Drafts, and revisions a round, to write and criticize at once
                (as many as the config's `max_concurrency` allows). The best of them by
                verifiers and score is the one that may replace the best so far.
            temperatures: One a candidate, for what writes that is a chat model; `None`
                is the model's own.
            failed_ideas: How many of the latest failed revisions the reviser is told
                of, in a few words each, with `mode="loop"`. Its prompt does not grow
                with the rounds.
            checkpoint: A callable, sync or async, that is given each `RefineRound` when
                it has ended (a second time where a critic that failed was asked again),
                to keep it: `resume` goes on from there. What it raises is logged by its
                type only.
            mode: `"loop"`; `"single_prompt"`, one call of a chat model that drafts,
                marks itself by the criteria and refines: one revision, which stays
                unless a verifier gets worse, whatever `accept` says; or `"prompt"`,
                which takes a prompt and gives back a better one with the same
                variables, where the mean score decides instead of `accept`.
            inputs: For `mode="prompt"`: what to run the prompt on, such as ten dicts of
                its variables.
            held_out: For `mode="prompt"`: the share of the inputs that edits are not
                made from, but decided by, or a list of such inputs.
            budget: What one input may cost. Drafts and revisions count as attempts.
                Asking a judge or a verifier that is a Runnable counts as a call; a
                plain callable as a verifier does not, but it is asked within the time.
            include_rounds: Return a `RefineResult` with every round.
            **kwargs: `name`, for traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        refuse_unknown("RefineChain", kwargs, "name")
        check_numbers(target_score, max_rounds, patience, candidates, failed_ideas)
        check_temperatures(temperatures, candidates)
        check_checkpoint(checkpoint)
        if isinstance(critics, str) or not isinstance(critics, Sequence):
            msg = f"critics must be a list such as [Criteria('...')], got {critics!r}"
            raise ConfigurationError(msg)
        if not isinstance(budget, Budget | None):
            msg = f"budget must be a Budget(...) or None, got {budget!r}"
            raise ConfigurationError(msg)
        read_accept(accept)
        as_generator = as_runnable("generator", generator)
        check_takes_one("the reviser", reviser, "a RevisionRequest")
        as_reviser = as_runnable("reviser", reviser)
        check_mode(
            mode,
            generator=as_generator,
            reviser=as_reviser,
            inputs=inputs,
            held_out=held_out,
            candidates=candidates,
            failed_ideas=failed_ideas,
        )
        if inputs is not None:
            split(inputs, held_out)
        check_warmth(temperatures, as_generator, as_reviser)
        super().__init__(
            mode=mode,
            inputs=inputs if inputs is None else tuple(inputs),
            held_out=held_out,
            generator=as_generator,
            critics=tuple(critics),
            reviser=as_reviser,
            accept=accept,
            target_score=target_score,
            max_rounds=max_rounds,
            patience=patience,
            candidates=candidates,
            temperatures=tuple(temperatures),
            failed_ideas=failed_ideas,
            checkpoint=checkpoint,
            budget=budget,
            include_rounds=include_rounds,
            **kwargs,
        )
        self._check_reviser()
        _ = self.panel  # what cannot work must fail here, not at the first call

    @cached_property
    def panel(self) -> Panel:
        """The critics with their judges."""
        tests = self.accept_tests
        if self.mode != "loop":  # the other modes compare by what is known
            tests = ("verifier", "score")
        return Panel(self.critics, tests, self._model)

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
        """The generator's input, a draft, or a prompt."""
        if self.mode == "prompt":
            return PromptLike
        return self.generator.InputType if self.generator else DraftType

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The draft's type or `RefineResult`, and the like for a prompt."""
        if self.mode == "prompt":
            return PromptRefineResult if self.include_rounds else ChatPromptTemplate
        if self.include_rounds:
            return RefineResult
        return self.generator.OutputType if self.generator else DraftType

    def get_input_schema(self, config: RunnableConfig | None = None) -> TypeBaseModel:
        """Return the schema of the generator's input, or of a draft."""
        if self.generator is not None and self.mode != "prompt":
            return self.generator.get_input_schema(config)
        return super().get_input_schema(config)

    def get_output_schema(self, config: RunnableConfig | None = None) -> TypeBaseModel:
        """Return the schema of the generator's output, a draft or `RefineResult`."""
        its_own = self.include_rounds or self.mode == "prompt"
        if self.generator is not None and not its_own:
            return self.generator.get_output_schema(config)
        return super().get_output_schema(config)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What the runnables inside let a config set."""
        inner = [part for part in (self.generator, self.reviser) if part is not None]
        specs = [spec for part in inner for spec in part.config_specs]
        return get_unique_config_specs(specs)

    def resume(
        self,
        recorded: RefineResult | Sequence[RefineRound],
        config: RunnableConfig | None = None,
        *,
        task: Any = "",
    ) -> Any:
        """Go on from what was recorded, for up to `max_rounds` rounds more.

        Nothing that was recorded is asked for again, unless the critics are others now:
        then the best draft is criticized anew. The budget begins anew.

        Args:
            recorded: The result of a refinement, or the rounds that a checkpoint kept;
                of a round that is there twice, the last one counts.
            config: The config of the run.
            task: What the draft is for, as the generator was asked, where only rounds
                are given.

        Returns:
            What `invoke` returns, with all rounds and what they used.

        Raises:
            ValueError: When there is no accepted draft in what was recorded.
        """
        return self.invoke(self._recorded(recorded, task), config)

    async def aresume(
        self,
        recorded: RefineResult | Sequence[RefineRound],
        config: RunnableConfig | None = None,
        *,
        task: Any = "",
    ) -> Any:
        """Go on from what was recorded, like `resume`, natively async."""
        return await self.ainvoke(self._recorded(recorded, task), config)

    def _recorded(
        self, recorded: RefineResult | Sequence[RefineRound], task: Any
    ) -> Recorded:
        if self.mode != "loop":
            msg = f"resume goes on with mode='loop', and mode is {self.mode!r}"
            raise ConfigurationError(msg)
        return recorded_before(recorded, task)

    def _told(
        self, value: Any, run: PatternRun, kwargs: dict[str, Any]
    ) -> Iterator[Any]:
        """Yield the rounds as they end, and then the result, which is reported."""
        meter = self._meter()
        told: Any = None
        try:
            for told in performing(self._story(value, meter, kwargs), run, meter):
                if isinstance(told, RefineRound | PromptRound):
                    yield told
        except Exception:  # only the first draft may fail
            run.decide("failed", "the first draft could not be made")
            raise
        run.decide(*decision(told), **facts(told))
        yield told

    async def _atold(
        self, value: Any, run: PatternRun, kwargs: dict[str, Any]
    ) -> AsyncIterator[Any]:
        """Yield what `_told` does, natively async."""
        meter = self._meter()
        told: Any = None
        try:
            async for told in aperforming(
                self._story(value, meter, kwargs), run, meter
            ):
                if isinstance(told, RefineRound | PromptRound):
                    yield told
        except Exception:  # only the first draft may fail
            await run.adecide("failed", "the first draft could not be made")
            raise
        await run.adecide(*decision(told), **facts(told))
        yield told

    def _meter(self) -> BudgetMeter:
        return (self.budget or Budget()).start()

    def _story(
        self, value: Any, meter: BudgetMeter, kwargs: dict[str, Any]
    ) -> Steps[Any]:
        if self.generator is None and kwargs:
            msg = f"without a generator nothing takes the argument {min(kwargs)!r}"
            raise TypeError(msg)
        plan = self._plan(kwargs)
        if self.mode == "single_prompt":
            return SinglePrompt(plan=plan, value=value, meter=meter).story()
        if self.mode == "prompt":
            parts = split(self.inputs or (), self.held_out)
            return PromptRefinement(
                plan=plan,
                prompt=value,
                train=parts.train,
                held_out=parts.held_out,
                meter=meter,
            ).story()
        return Refinement(plan=plan, value=value, meter=meter).story()

    def _plan(self, kwargs: dict[str, Any]) -> Plan:
        writers = Writers(
            generator=self.generator,
            generator_kwargs=kwargs,
            reviser=cast("Runnable[Any, Any]", self.reviser or self.generator),
            criteria=self.panel.texts,
            candidates=self.candidates,
            temperatures=self.temperatures,
        )
        return Plan(
            writers=writers,
            panel=self.panel,
            target_score=self.target_score,
            max_rounds=self.max_rounds,
            patience=self.patience,
            failed_ideas=self.failed_ideas,
            checkpoint=self.checkpoint,
        )

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
