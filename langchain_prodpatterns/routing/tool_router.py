"""`ToolRouter`: embed, compare, decide; ask only where it is not clear."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.prompt_values import ChatPromptValueConcrete, StringPromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langchain_core.runnables.utils import ConfigurableFieldSpec

from langchain_prodpatterns.arguments import (
    check_count,
    check_range,
    check_seconds,
    refuse_unknown,
)
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fingerprints import check_embeddings
from langchain_prodpatterns.judging import Judge, JudgeLike, is_language_model
from langchain_prodpatterns.routing.base import MARGIN, THRESHOLD, Embedded
from langchain_prodpatterns.routing.binding import bind_tools
from langchain_prodpatterns.routing.calling import RoutedCall, acall, call
from langchain_prodpatterns.routing.comparing import Compared, not_compared
from langchain_prodpatterns.routing.decision import RouteDecision, Standing, decide
from langchain_prodpatterns.routing.fallback import RouteRequest, offer, settle
from langchain_prodpatterns.routing.index import RouteIndex
from langchain_prodpatterns.routing.keeping import KeptRouter
from langchain_prodpatterns.routing.labels import Label
from langchain_prodpatterns.routing.queries import query_text
from langchain_prodpatterns.routing.routes import Route, Tool, read_routes
from langchain_prodpatterns.runnable import PatternRun

_FAILED = "the query could not be compared with the tools"


class ToolRouter(KeptRouter):
    """Chooses a tool by distance where one is near and no other is, else asks.

    ```python
    router = ToolRouter(
        [calculator, Route("handbook", "Rules and prices of the shop.")],
        embeddings,
        examples={"calculator": ["What is 12% of 850?"]},
        fallback=llm,
    )
    router.invoke("What is 17% of 2340?")  # RouteDecision(tool="calculator", ...)

    {"question": RunnablePassthrough(), "route": router} | RunnableBranch(
        (lambda x: x["route"].tool == "calculator", itemgetter("question") | calculate),
        itemgetter("question") | answer_from_handbook,
    )
    ```

    After `fit` on labeled queries a tool is chosen by distance where the confidence in
    it reaches a bar that keeps `precision`: the probability, learned from the labels,
    that the likeliest tool is right, given how high its similarity, centroid, head,
    words (BM25) and neighbors are and how low those of all others. With too few labels
    nothing is decided by distance, and the reason says how many are missing.

    Before `fit` the similarity of a tool is the highest cosine of the query to its
    description and its examples. It is chosen when that is at least `threshold` and
    leads every other tool by at least `margin`: a threshold alone confuses tools that
    are alike, a margin alone trusts the least bad of several that do not fit. A router
    with one tool has no margin to go by. This promises nothing.

    Otherwise `fallback` picks among the `top_k` nearest, or says that none fits; its
    answer counts only when it is on offer. Without an answer no tool is chosen, never
    the runner-up. Its decisions are kept and served again where the distance is still
    not clear (`cache`); with `learn` they also become examples, and the bar is
    certified anew on the labels of the last `fit`, each time at the same confidence.
    `feedback` corrects them, and comes before everything else.

    The tools are embedded once, at the first call; of messages only the last human one
    is compared. A query that cannot be embedded leaves the choice, of all tools, to the
    fallback; without one the error is raised. Embeddings that never work (vectors of
    tools that are zero or not finite, unequal lengths) always are an error.

    !!! warning
        What cosine counts as near differs from one embedder to the next: nobody has
        calibrated the default `threshold` and `margin` for yours. With all-MiniLM-L6-v2
        they decide 29 to 40 of 100 queries of CLINC150, BANKING77 and MetaTool by
        distance, and 94 to 99 of 100 of these rightly (`benchmarks/routing.py`). Use
        `fit`: some hundred labels, among them queries that no tool fits, do more than
        any setting.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        embeddings: Embeddings,
        *,
        precision: float = 0.95,
        threshold: float = THRESHOLD,
        margin: float = MARGIN,
        fallback: JudgeLike | None = None,
        examples: Mapping[str, Sequence[str]] | None = None,
        top_k: int = 5,
        fallback_timeout: float | None = 5.0,
        learn: bool = False,
        max_learned: int = 50,
        max_cached: int = 1_000,
        **kwargs: Any,
    ) -> None:
        """Set up a router. Nothing is embedded yet.

        Args:
            tools: LangChain tools, functions with a docstring, and `Route`s. Of a
                docstring the part before `Args:` is used.
            embeddings: What embeds the tools and the queries.
            precision: The share (0.5 to 0.999) of decisions by distance that is right.
                It is promised once `fit` has certified it.
            threshold: Before `fit`: the least similarity (cosine, -1 to 1) of the
                nearest tool.
            margin: Before `fit`: the least lead (0 to 2) over the next tool.
            fallback: A chat model, or a Runnable or callable (sync or async) from
                `RouteRequest` to `RouteVerdict`, or to a bare number or name.
            examples: Utterances that belong to a tool, by its name. A few each help
                more than any setting.
            top_k: How many tools the fallback chooses from, at least 1.
            fallback_timeout: Seconds that the fallback has; `None` waits for ever.
            learn: Whether queries that the fallback decided become examples of what it
                chose. After every 50 of them the router is fitted again, which takes as
                long as `fit`.
            max_learned: How many each tool, and "no tool", may learn: beyond that the
                oldest go.
            max_cached: How many decisions of the fallback are kept: a query that comes
                again, whatever its case and blanks, is not asked about again.
            **kwargs: `name`, for traces. Copies also hand on their `index`.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        refuse_unknown("ToolRouter", kwargs, "name", "index")
        check_range("precision", precision, 0.5, 0.999)
        check_range("threshold", threshold, -1, 1)
        check_range("margin", margin, 0, 2)
        check_count("top_k", top_k, optional=False)
        check_seconds("fallback_timeout", fallback_timeout)
        check_count("max_learned", max_learned, optional=False)
        check_count("max_cached", max_cached, optional=False)
        check_embeddings(embeddings)
        found = read_routes(tools, examples)
        routes = [route for _, route in found.values()]
        index = kwargs.pop("index", None)
        if index is None or not index.fits(routes, embeddings):
            index = RouteIndex(routes, embeddings)
        super().__init__(
            tools=tuple(tool for tool, _ in found.values()),
            embeddings=embeddings,
            precision=precision,
            threshold=threshold,
            margin=margin,
            fallback=fallback,
            examples=examples,
            top_k=top_k,
            fallback_timeout=fallback_timeout,
            learn=learn,
            max_learned=max_learned,
            max_cached=max_cached,
            index=index,
            **kwargs,
        )
        _ = self.judge  # what cannot work must fail here, not at the first call

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What a chat model takes."""
        return str | StringPromptValue | ChatPromptValueConcrete | list[AnyMessage]

    @property
    def OutputType(self) -> type[RouteDecision]:  # noqa: N802 - LangChain's name
        """A `RouteDecision`."""
        return RouteDecision

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What a fallback that is a Runnable lets a config set."""
        return self.fallback.config_specs if isinstance(self.fallback, Runnable) else []

    def select(self, query: LanguageModelInput, k: int | None = None) -> list[Tool]:
        """Return the likeliest tools, such as to bind them to a model.

        By all measures, however unlikely they are.

        Args:
            query: As for `invoke`.
            k: How many, `top_k` by default.

        Returns:
            The tools as they were given, the nearest first.

        Raises:
            ValueError: When the query is empty, or `k` is less than 1.
        """
        text, count = _selection(query, self.top_k if k is None else k)
        return self._likeliest(self._embedded(text), text, count)

    async def aselect(
        self, query: LanguageModelInput, k: int | None = None
    ) -> list[Tool]:
        """Return the nearest tools, like `select`, natively async.

        Args:
            query: As for `invoke`.
            k: How many, `top_k` by default.

        Returns:
            The tools as they were given, the nearest first.

        Raises:
            ValueError: When the query is empty, or `k` is less than 1.
        """
        text, count = _selection(query, self.top_k if k is None else k)
        return self._likeliest(await self._aembedded(text), text, count)

    def _likeliest(self, embedded: Embedded, text: str, count: int) -> list[Tool]:
        ranked = embedded.view.rank(embedded.vector, text, count)
        return [self.tools_by_name[each.name] for each in ranked]

    def bind_tools(
        self, model: BaseChatModel, *, k: int | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind to a model, for each input, only the tools that it needs.

        The tool that is decided is bound alone; otherwise the `k` nearest are, and all
        tools where the input has no text, or where it cannot be embedded and the
        fallback has decided none. A `Route` is never bound; where one is decided, the
        model is called without tools.

        Args:
            model: A chat model that binds tools.
            k: How many tools where none is decided, `top_k` by default.
            **kwargs: As for the model's own `bind_tools`, such as `tool_choice`.

        Returns:
            A Runnable from the model's input to its answer, which streams too.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        return bind_tools(self, model, k, kwargs)

    def call(
        self,
        query: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        model: BaseChatModel | None = None,
    ) -> RoutedCall:
        """Run the tool that is decided; where nothing is, run nothing.

        A tool without arguments, or with a single one that is any text, runs at once,
        with what the user said. Otherwise a model fills in the arguments, with this one
        tool bound. What the tool raises passes through.

        Args:
            query: As for `invoke`.
            config: The config of all runs.
            model: What fills in arguments; by default `fallback`, if it is a chat
                model.

        Returns:
            The decision, and the messages of the call.

        Raises:
            ConfigurationError: When the model is no chat model.
        """
        return call(self, query, config, model)

    async def acall(
        self,
        query: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        model: BaseChatModel | None = None,
    ) -> RoutedCall:
        """Run the tool that is decided, like `call`, natively async.

        Args:
            query: As for `invoke`.
            config: The config of all runs.
            model: As for `call`.

        Returns:
            The decision, and the messages of the call.

        Raises:
            ConfigurationError: When the model is no chat model.
        """
        return await acall(self, query, config, model)

    def _run(
        self, value: LanguageModelInput, run: PatternRun, **kwargs: Any
    ) -> RouteDecision:
        query = _read_call(value, kwargs)
        decision = self.index.knowledge.memory.correction(query)
        if decision is None:
            try:
                found = self._compare(query, run)
            except Exception:
                run.decide("failed", _FAILED)
                raise
            decision = self._decide(found, query)
            if self.judge is not None and decision.decided_by == "none" and query:
                offered, request = self._offer(query, found.standing)
                judgement = self.judge.ask(request, run.child("fallback", hidden=True))
                decision = settle(decision, found.standing, offered, judgement)
                if self._keep(query, decision, found):
                    self.index.knowledge.refresh()
            self._leave_open(query, decision, found)
        run.decide(decision.decided_by, decision.reason, **self._facts(decision))
        return decision

    async def _arun(
        self, value: LanguageModelInput, run: PatternRun, **kwargs: Any
    ) -> RouteDecision:
        query = _read_call(value, kwargs)
        decision = self.index.knowledge.memory.correction(query)
        if decision is None:
            try:
                found = await self._acompare(query, run)
            except Exception:
                await run.adecide("failed", _FAILED)
                raise
            decision = self._decide(found, query)
            if self.judge is not None and decision.decided_by == "none" and query:
                offered, request = self._offer(query, found.standing)
                child = run.child("fallback", hidden=True)
                judgement = await self.judge.aask(request, child)
                decision = settle(decision, found.standing, offered, judgement)
                if self._keep(query, decision, found):
                    await run_in_executor(None, self.index.knowledge.refresh)
            self._leave_open(query, decision, found)
        await run.adecide(decision.decided_by, decision.reason, **self._facts(decision))
        return decision

    def _decide(self, found: Compared, query: str) -> RouteDecision:
        """Decide by the promise, if `fit` made one, else by threshold and margin.

        What they leave open the fallback may have decided before.
        """
        view = found.embedded.view if found.embedded else None
        promise = view.promise(self.precision) if view else None
        decision = decide(found.standing, self._policy, promise)
        if decision.tool is not None or self.judge is None:
            return decision
        return self.index.knowledge.memory.recall(query) or decision

    def _leave_open(self, query: str, decision: RouteDecision, found: Compared) -> None:
        """Keep the vector where the nearest tools may be asked for next."""
        if decision.tool is None and found.embedded is not None:
            self.index.undecided.keep(query, found.embedded.vector)

    def _keep(self, query: str, decision: RouteDecision, found: Compared) -> bool:
        """Keep what the fallback decided; return whether it is time to fit again."""
        if decision.decided_by != "llm":
            return False
        memory = self.index.knowledge.memory
        memory.remember(query, decision, self.max_cached)
        if self.learn and found.embedded is not None:
            row = found.embedded.row
            memory.learn(Label(query, decision.tool), row, self.max_learned)
        return memory.due

    def _compare(self, query: str, run: PatternRun) -> Compared:
        """Embed the query, and the tools once, and rank the tools."""
        if not query:
            return Compared(Standing((), "the query is empty"))
        try:
            matrix = self.index.matrix(partial(run.embed_documents, self.embeddings))
            vector = run.embed_query(self.embeddings, query)
            return self._rank(
                Embedded(self.index.knowledge.view(matrix), vector), query
            )
        except Exception as error:
            if not self._can_ask_about(error):
                raise
            return not_compared(error)

    async def _acompare(self, query: str, run: PatternRun) -> Compared:
        """Embed the query, and the tools once, and rank the tools."""
        if not query:
            return Compared(Standing((), "the query is empty"))
        try:
            embed = partial(run.aembed_documents, self.embeddings)
            matrix = await self.index.amatrix(embed)
            vector = await run.aembed_query(self.embeddings, query)
            return self._rank(
                Embedded(self.index.knowledge.view(matrix), vector), query
            )
        except Exception as error:
            if not self._can_ask_about(error):
                raise
            return not_compared(error)

    def _rank(self, embedded: Embedded, query: str) -> Compared:
        view, vector = embedded
        return Compared(view.standing(vector, query, self._ranked), embedded)

    @property
    def _asks_a_model(self) -> bool:
        """Whether the fallback surely costs a model call, unlike a rule or a human."""
        return isinstance(self.fallback, Judge) or is_language_model(self.fallback)

    @property
    def _ranked(self) -> int:
        """How many tools are ranked: what is offered, and at least a runner-up."""
        return max(self.top_k, 2)

    def _can_ask_about(self, error: Exception) -> bool:
        """Whether the fallback can stand in: not for embeddings that never work."""
        return self.judge is not None and not isinstance(error, ConfigurationError)

    def _offer(
        self, query: str, standing: Standing
    ) -> tuple[Sequence[str], RouteRequest]:
        """Offer the nearest tools; all of them where none is known to be near."""
        routes: dict[str, Route] = {route.name: route for route in self.index.routes}
        nearest = [each.name for each in standing.nearest[: self.top_k]]
        offered = nearest or list(routes)
        return offered, offer(query, [routes[name] for name in offered])

    def _facts(self, decision: RouteDecision) -> dict[str, Any]:
        """What ledgers and traces are told; nothing of the query is in it."""
        facts: dict[str, Any] = {
            "tool": decision.tool,
            "confidence": decision.confidence,
            "margin": decision.margin,
        }
        if decision.decided_by in ("distance", "cache") and self._asks_a_model:
            # What the call would have cost is not known, which is not the same as 0.
            facts |= {"saved_calls": 1, "saved_usd": None}
        return facts


def _read_call(value: LanguageModelInput, kwargs: dict[str, Any]) -> str:
    if kwargs:
        msg = f"a call of ToolRouter takes no argument {min(kwargs)!r}"
        raise TypeError(msg)
    return query_text(value)


def _selection(query: LanguageModelInput, k: int) -> tuple[str, int]:
    text = query_text(query)
    if not text:
        msg = "the query is empty: no tool is near to it"
        raise ValueError(msg)
    check_count("k", k, optional=False)
    return text, k
