"""`StructuredRetryParser`: ask, read, judge the fit; ask again, or climb."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, ClassVar, Literal

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage
from langchain_core.prompt_values import ChatPromptValueConcrete, StringPromptValue
from langchain_core.prompts import (
    BasePromptTemplate,
    ChatPromptTemplate,
    MessagesPlaceholder,
)
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.utils import (
    ConfigurableFieldSpec,
    get_unique_config_specs,
)
from langchain_core.utils.pydantic import TypeBaseModel

from langchain_prodpatterns.budget import Budget, BudgetMeter
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.runnable import PatternRun, PatternRunnable
from langchain_prodpatterns.structured.assessing import (
    Assessment,
    Validator,
    assess,
    check_validators,
)
from langchain_prodpatterns.structured.attempts import StructuredResult
from langchain_prodpatterns.structured.climb import Ask, Ladder, Request
from langchain_prodpatterns.structured.endings import Walked, decision, facts
from langchain_prodpatterns.structured.failures import failure
from langchain_prodpatterns.structured.ladder import as_rungs, plan
from langchain_prodpatterns.structured.learned_start import (
    LearnedStart,
    RungRecord,
    Start,
    Starter,
    make_starter,
)
from langchain_prodpatterns.structured.modes import (
    Explanation,
    Form,
    Mode,
    Way,
    bound_rungs,
    choose_way,
    make_form,
    unwrapped,
)
from langchain_prodpatterns.structured.prompts import (
    SchemaStyle,
    place,
    reask_unseen,
    write_instructions,
)
from langchain_prodpatterns.structured.redacting import (
    Redact,
    check_redact,
    loggable_cause,
    redacted,
)
from langchain_prodpatterns.structured.schema_parser import completed
from langchain_prodpatterns.structured.settings import (
    as_messages,
    check_arguments,
    rendered_examples,
)
from langchain_prodpatterns.structured.target import Target
from langchain_prodpatterns.structured.targets import make_target
from langchain_prodpatterns.structured.walk import awalk, judging, walk

Repair = Literal["patch", "regenerate"]
"""Whether only the fields that failed are asked for again, or the whole answer."""


class StructuredRetryParser(PatternRunnable[Any, Any]):
    """Gets an answer of a given type from a model, or tells the whole story.

    ```python
    ladder = [cheap, Rung(cheap, temperatures=(0.3, 0.7)), strong]
    chain = prompt | StructuredRetryParser(Ticket, ladder=ladder)
    chain.invoke({"text": "..."})  # Ticket(...)
    ```

    The format instructions are added to the system message. An answer that does not
    fit is asked for again, with what is wrong with it: at the next temperature of the
    rung, then on the next rung. A re-ask holds the original messages and the last
    failure only; where just some fields failed, it asks for these. A refusal and an
    error that no retry mends climb at once; an answer that is cut off at the token
    limit first doubles the limit, where one is set, and on the last rung is asked for
    once more, as short as possible. Errors that may pass are retried twice, after a
    growing pause or the one that the provider asks for (`Retry-After`, up to 30
    seconds).

    A single `AIMessage` is a completion to parse: `prompt | llm |
    StructuredRetryParser(Ticket, ladder=[llm])`. Where it does not fit, the ladder is
    asked to bring it into form, without the prompt, which is not known here; a refusal
    or an answer that is cut off is then the end. Without a ladder it only parses.

    Where nothing is valid, it raises a `StructuredOutputError` with every attempt:
    `ModelRefused` where all were refusals, `OutputTruncated` where the last answer was
    not all there, `BudgetExceeded` where a limit of `calls`, `tokens`, `usd` or
    `seconds` ended it. To run out of `attempts` is the normal end of a ladder: what is
    raised then depends on the answers. A request that the provider rejects because of
    its temperature, or of its tools or JSON Schema, is repeated without: it is a call
    but no attempt, and that model is never sent it again.

    `stream` yields the validated value once.
    """

    pattern: ClassVar[str] = "structured"

    response_model: Any
    """What the answer has to be."""
    ladder: Sequence[Any] = ()
    """The rungs, cheapest first."""
    budget: Budget
    """What one input may cost."""
    mode: Mode = "auto"
    """How the models are asked for the form."""
    schema_style: SchemaStyle = "typescript"
    """How instructions describe the type."""
    persona: str | None = None
    """Who answers."""
    examples: Sequence[Any] = ()
    """Valid answers that the instructions show."""
    reminder: str | None = None
    """What the instructions and every re-ask end with."""
    repair: Repair = "patch"
    """How an answer of which some fields failed is asked for again."""
    validators: Sequence[Any] = ()
    """Further checks of a valid value."""
    start: Any = "first"
    """Where a request begins on the ladder."""
    include_attempts: bool = False
    """Whether the output is a `StructuredResult`."""
    redact: Any = None
    """What is done to every text of a model in the records of attempts."""

    def __init__(
        self,
        response_model: Any,
        ladder: Sequence[Any] = (),
        *,
        budget: Budget = Budget(attempts=3),  # noqa: B008 - frozen
        mode: Mode = "auto",
        schema_style: SchemaStyle = "typescript",
        persona: str | None = None,
        examples: Sequence[Any] = (),
        reminder: str | None = None,
        repair: Repair = "patch",
        validators: Sequence[Validator] = (),
        start: Start | LearnedStart = "first",
        include_attempts: bool = False,
        redact: Redact | None = None,
        **kwargs: Any,
    ) -> None:
        """Set up a parser.

        Args:
            response_model: A pydantic model class, a JSON Schema dict (really
                validated), or another type that pydantic validates.
            ladder: `Rung(...)` and bare models, cheapest first. Without one, nothing
                is asked: the input is parsed.
            budget: What one input may cost. Every call is an attempt, also one that
                fails at the provider. One attempt is kept for each rung above, so with
                the three of the default each of three rungs is asked once.
            mode: `"native"` binds the provider's own JSON Schema to the models,
                `"tool"` a tool that they must call, `"prompt"` nothing; `"auto"` is the
                first of these that the `profile` of a model says it supports. The
                instructions are in the prompt whichever it is, and the answer is read
                in the same way.
            schema_style: `"typescript"` declares the type in about a quarter of the
                tokens of its JSON Schema (a schema that cannot be declared so is given
                as it is); `"json_schema"` gives the schema.
            persona: Who answers, as the first line of the instructions.
            examples: Values of the response model for the instructions to show.
            reminder: A sentence that the instructions and every re-ask end with.
            repair: `"patch"` asks for the fields that failed only, as a JSON Patch and
                without the instructions, where the answer is JSON, these fields are
                known and that saves tokens; after one patch that fails, the whole
                answer is asked for.
                `"regenerate"` always asks for the whole answer.
            validators: Functions of the validated value that return `None`, or say
                (or raise `ValueError`) what is wrong; the model is told. One that fails
                otherwise, such as by a `KeyError`, counts as an invalid answer, and is
                the cause of the error where that is the last one.
            start: `"learned"` begins on the rung that usually answers for this schema,
                by what it costs where the prices are known (`budget`), and now and then
                on one below, to notice a change; see `learned`. A `LearnedStart` shares
                what is learned between parsers. A rung that is skipped is not asked
                later on.
            include_attempts: Return a `StructuredResult` with every attempt.
            redact: A function of a text, for records that are logged: it is applied to
                `llm_output` and to the texts and errors of the attempts, of results and
                errors alike. The error then has no other cause than a spent budget, as
                the message of a provider may quote the prompt. Models and validators
                see everything.
            **kwargs: `name`, for traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        choices: dict[str, tuple[Any, Any]] = {
            "mode": (mode, Mode),
            "schema_style": (schema_style, SchemaStyle),
            "repair": (repair, Repair),
        }
        if not isinstance(start, LearnedStart):
            choices["start"] = (start, Start)
        texts = {"persona": persona, "reminder": reminder}
        check_arguments(kwargs, budget, examples, choices, texts)
        check_validators(validators)
        check_redact(redact)
        super().__init__(
            response_model=response_model,
            ladder=as_rungs(ladder),
            budget=budget,
            mode=mode,
            schema_style=schema_style,
            persona=persona,
            examples=tuple(examples),
            reminder=reminder,
            repair=repair,
            validators=tuple(validators),
            start=start,
            include_attempts=include_attempts,
            redact=redact,
            **kwargs,
        )
        # What cannot work must fail here, not at the first call; and two threads must
        # not make two memories.
        _ = (self.instructions, self._ladder, self._start)

    @cached_property
    def target(self) -> Target:
        """The response model as a validator, made once."""
        return make_target(self.response_model)

    @cached_property
    def instructions(self) -> str:
        """What is added to the system message."""
        return write_instructions(
            self.target,
            style=self.schema_style,
            persona=self.persona,
            examples=rendered_examples(self.target, self.examples),
            reminder=self.reminder,
        )

    @cached_property
    def _form(self) -> Form | None:
        """The form of the answer as providers take it."""
        return make_form(self.target)

    @cached_property
    def _ways(self) -> tuple[Way, ...]:
        """How each rung is asked for the form."""
        choose = partial(choose_way, self.mode, form=self._form)
        return tuple(choose(rung.model) for rung in self.ladder)

    @cached_property
    def _ladder(self) -> Ladder:
        """What all walks have in common."""
        without_limits = Budget(prices=self.budget.prices)
        return Ladder(
            rungs=tuple(self.ladder),
            formed=bound_rungs(self.ladder, self._ways, self._form),
            plans=plan(self.ladder, endless=self.budget != without_limits),
            target=self.target,
            judge=partial(
                _judged,
                form=self._form,
                target=self.target,
                validators=self.validators,
            ),
            reminder=self.reminder,
        )

    @cached_property
    def _start(self) -> Starter | None:
        """Where walks begin, if that is learned."""
        return make_starter(self.start, self.target.json_schema, self.ladder)

    @property
    def learned(self) -> tuple[RungRecord, ...]:
        """What each rung did for this schema; nothing where nothing is learned."""
        return self._start.records if self._start else ()

    def get_format_instructions(self) -> str:
        """Return the instructions that a ladder is given automatically."""
        return self.instructions

    def get_prompts(
        self, config: RunnableConfig | None = None
    ) -> list[BasePromptTemplate[Any]]:
        """Return the prompt that goes to the models: the instructions, placed."""
        placed = place([], self.instructions)
        messages = MessagesPlaceholder("messages")
        return [ChatPromptTemplate([*placed, messages])] if self.ladder else []

    def explain(self, value: LanguageModelInput | BaseMessage) -> Explanation:
        """Tell what would be asked first, and how; nothing is called.

        Args:
            value: A prompt.

        Returns:
            The messages with the instructions, and how each rung is asked for the form.
        """
        asks = bool(self.ladder) and not self._is_completion(value)
        messages = place(as_messages(value), self.instructions) if asks else []
        return Explanation(tuple(messages), self._ways)

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """A prompt, where there is a ladder; a completion to parse."""
        if not self.ladder:
            return str | AnyMessage
        return (
            StringPromptValue
            | ChatPromptValueConcrete
            | str
            | list[AnyMessage]
            | AIMessage
        )

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The type of the values, or `StructuredResult`."""
        if self.include_attempts:
            return StructuredResult
        return self.target.output_type

    def get_output_schema(self, config: RunnableConfig | None = None) -> TypeBaseModel:
        """Return the schema of the values, or of `StructuredResult`."""
        known = None if self.include_attempts else self.target.output_schema
        return known or super().get_output_schema(config)

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What the models inside let a config set."""
        specs = [spec for rung in self.ladder for spec in rung.model.config_specs]
        return get_unique_config_specs(specs)

    def _run(self, value: Any, run: PatternRun, **kwargs: Any) -> Any:
        def call(ask: Ask, probe: UsageProbe) -> Any:
            config = run.child(f"attempt:{ask.number}", probe)
            return ask.model.invoke(ask.messages, config, **kwargs)

        meter = self.budget.start()
        walked = self._parsed(value, kwargs)
        if walked is None or self._can_go_on(walked):
            request = self._request(value, walked)
            walked = walk(self._ladder, request, call, meter)
            if self._start and not request.given:  # to reshape is another task
                self._start.note(walked.attempts)
        run.decide(*decision(walked), **facts(walked))
        return self._conclude(walked, meter)

    async def _arun(self, value: Any, run: PatternRun, **kwargs: Any) -> Any:
        async def call(ask: Ask, probe: UsageProbe) -> Any:
            config = run.child(f"attempt:{ask.number}", probe)
            return await ask.model.ainvoke(ask.messages, config, **kwargs)

        meter = self.budget.start()
        parse = partial(self._parsed, value, kwargs)
        walked = await judging(value, parse) if self._is_completion(value) else None
        if walked is None or self._can_go_on(walked):
            request = self._request(value, walked)
            walked = await awalk(self._ladder, request, call, meter)
            if self._start and not request.given:  # to reshape is another task
                self._start.note(walked.attempts)
        await run.adecide(*decision(walked), **facts(walked))
        return self._conclude(walked, meter)

    def _parsed(self, value: Any, kwargs: dict[str, Any]) -> Walked | None:
        """Parse a completion; `None` where the input is a prompt."""
        if not self._is_completion(value):
            return None
        if kwargs and not self.ladder:
            msg = f"without a ladder nothing takes the argument {min(kwargs)!r}"
            raise TypeError(msg)
        assessment = self._ladder.judge(value)
        attempts = (completed(value, assessment),)
        return Walked(attempts, assessment.value, assessment.cause)

    def _is_completion(self, value: Any) -> bool:
        if isinstance(value, AIMessage):
            return True
        if self.ladder:
            return False
        if isinstance(value, str | BaseMessage):
            return True
        msg = (
            "without a ladder a StructuredRetryParser parses a text or a message, got "
            f"{type(value).__name__}: give it the models to ask, ladder=[llm]"
        )
        raise TypeError(msg)

    def _can_go_on(self, walked: Walked) -> bool:
        """Whether the ladder can bring a failed completion into form.

        A refusal, an empty answer or the beginning of one holds too little: what the
        ladder made of it would be invented.
        """
        last = walked.attempts[-1]
        has_content = last.kind in {"syntax", "schema"} and bool(last.text.strip())
        return bool(self.ladder) and has_content

    def _request(self, value: Any, parsed: Walked | None) -> Request:
        if parsed is None:
            messages = as_messages(value)
            told = place(messages, self.instructions)
            first = self._start.first() if self._start else 0
            return Request(told, bare=self._bare(messages), first=first)
        given = parsed.attempts
        text, errors = given[0].text, given[0].errors
        messages = reask_unseen(self.instructions, text, errors, self.reminder)
        return Request(messages, given=given)

    def _bare(self, messages: list[BaseMessage]) -> list[BaseMessage] | None:
        """The messages of a patch, which needs no instructions."""
        if self.repair != "patch":
            return None
        return place(messages, self.persona) if self.persona else messages

    def _conclude(self, walked: Walked, meter: BudgetMeter) -> Any:
        attempts = redacted(walked.attempts, self.redact)
        if not walked.succeeded:
            error = failure(self.target.name, attempts, walked.cause)
            raise error from loggable_cause(walked.cause, self.redact)
        if not self.include_attempts:
            return walked.value
        return StructuredResult(
            value=walked.value,
            attempts=attempts,
            usage=meter.usage,
            rung=walked.attempts[-1].rung,
        )


def _judged(
    answer: Any, form: Form | None, target: Target, validators: Sequence[Validator]
) -> Assessment:
    return assess(unwrapped(answer, form), target, validators=validators)
