"""Teaching a router by labels: `fit`, `evaluate` and `feedback`."""

import asyncio
from collections.abc import Sequence

import numpy as np
from langchain_core.language_models import LanguageModelInput
from langchain_core.runnables.config import run_in_executor

from langchain_prodpatterns.arguments import check_range
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing.base import BaseRouter, Embedded
from langchain_prodpatterns.routing.decision import RouteDecision, decide
from langchain_prodpatterns.routing.knowledge import Course, View
from langchain_prodpatterns.routing.labels import (
    Label,
    LabelsLike,
    Lesson,
    check_tool,
    normal,
    read_labels,
)
from langchain_prodpatterns.routing.queries import query_text
from langchain_prodpatterns.routing.reports import (
    Evaluation,
    FitReport,
    Outcome,
    evaluate,
)

_AT_ONCE = 8
_SEED = 0


class TaughtRouter(BaseRouter):
    """A router that labels teach."""

    def fit(
        self, examples: LabelsLike, *, confidence: float = 0.9, held_out: float = 0
    ) -> FitReport:
        """Learn from labeled queries, and certify from when on to decide alone.

        The queries train a head and a selector beside the similarities, and become
        examples. Then the lowest bar is sought for which they show, with the stated
        confidence, that at least `precision` of the decisions is right: an exact
        binomial bound (Clopper and Pearson), over fixed bars tested in a fixed
        sequence, so that looking at many costs nothing (Learn then Test). No query is
        judged by a head or a selector that has learned from it. Labels that are
        examples of a tool already show nothing new, and are left out.

        The promise assumes that the labels are exchangeable with the traffic: the same
        topics in the same shares, with queries that no tool fits (`None`) among them.
        It is on average over the traffic, not for each tool. Without `held_out` each
        fifth of the labels is judged by what the other four teach, and the router that
        decides has learned from all five: it is assumed to be no worse than those. The
        five weights of the measures are fitted on all labels then, and the tests begin
        where the scores of the labels themselves promise most. With too few labels the
        router decides nothing alone, and says how many it needs.

        Copies of this router share what it learns; another `precision` of a copy is
        kept by a bar of its own. Everything computes in this thread: seconds for some
        thousand labels.

        Args:
            examples: Pairs of a query and the name of its tool, `None` where no tool
                fits; a mapping from queries to names, or from names to queries.
            confidence: How sure to be of the precision (0.5 to 0.999).
            held_out: The share of the labels (0 to 0.9) to keep for the certificate
                alone. More than 0 assumes nothing but exchangeability, and learns from
                so much less.

        Returns:
            What the labels showed.

        Raises:
            ConfigurationError: When an example or an argument cannot work.
        """
        labels = self._labels(examples, confidence, held_out)
        view = self._view()
        labels = _unseen(labels, view)
        queries = [label.query for label in labels]
        vectors = [self.embeddings.embed_query(query) for query in queries]
        return self._fit(view, labels, vectors, confidence, held_out)

    async def afit(
        self, examples: LabelsLike, *, confidence: float = 0.9, held_out: float = 0
    ) -> FitReport:
        """Learn from labeled queries, like `fit`; it computes in a thread.

        Args:
            examples: As for `fit`.
            confidence: As for `fit`.
            held_out: As for `fit`.

        Returns:
            What the labels showed.

        Raises:
            ConfigurationError: When an example or an argument cannot work.
        """
        labels = self._labels(examples, confidence, held_out)
        view = await self._aview()
        labels = _unseen(labels, view)
        vectors = await self._avectors([label.query for label in labels])
        return await run_in_executor(
            None, self._fit, view, labels, vectors, confidence, held_out
        )

    def evaluate(self, examples: LabelsLike) -> Evaluation:
        """Measure on labeled queries what is decided by distance, and how rightly.

        The fallback is not asked. Labels that the router was fitted on flatter it.

        Args:
            examples: As for `fit`.

        Returns:
            Coverage, precision, confusions and reliability.

        Raises:
            ConfigurationError: When an example cannot be used.
        """
        labels = read_labels(examples, self.tools_by_name)
        view = self._view()
        vectors = [self.embeddings.embed_query(label.query) for label in labels]
        return self._evaluate(view, labels, vectors)

    async def aevaluate(self, examples: LabelsLike) -> Evaluation:
        """Measure on labeled queries, like `evaluate`; it computes in a thread.

        Args:
            examples: As for `fit`.

        Returns:
            Coverage, precision, confusions and reliability.

        Raises:
            ConfigurationError: When an example cannot be used.
        """
        labels = read_labels(examples, self.tools_by_name)
        view = await self._aview()
        vectors = await self._avectors([label.query for label in labels])
        return await run_in_executor(None, self._evaluate, view, labels, vectors)

    def feedback(self, query: LanguageModelInput, tool: str | None) -> None:
        """Say where a query belongs.

        From now on that is its decision. What was learned wrongly from it is forgotten,
        and it becomes an example of the tool. It is no label for the certificate: those
        are a sample of the traffic, and corrections are not.

        Args:
            query: The query, as for `invoke`.
            tool: The name of the right tool; `None`: no tool fits.

        Raises:
            ConfigurationError: When there is no such tool.
            ValueError: When the query is empty, or cannot be compared.
        """
        label = self._correction(query, tool)
        if self._correct(label, self._embedded(label.query)):
            self.index.knowledge.refresh()

    async def afeedback(self, query: LanguageModelInput, tool: str | None) -> None:
        """Say where a query belongs, like `feedback`; it computes in a thread.

        Args:
            query: The query, as for `invoke`.
            tool: The name of the right tool; `None`: no tool fits.

        Raises:
            ConfigurationError: When there is no such tool.
            ValueError: When the query is empty, or cannot be compared.
        """
        label = self._correction(query, tool)
        if self._correct(label, await self._aembedded(label.query)):
            await run_in_executor(None, self.index.knowledge.refresh)

    def _labels(
        self, examples: LabelsLike, confidence: float, held_out: float
    ) -> tuple[Label, ...]:
        check_range("held_out", held_out, 0, 0.9)
        check_range("confidence", confidence, 0.5, 0.999)
        return read_labels(examples, self.tools_by_name)

    async def _avectors(self, queries: Sequence[str]) -> list[list[float]]:
        turn = asyncio.Semaphore(_AT_ONCE)

        async def embed(query: str) -> list[float]:
            async with turn:
                return await self.embeddings.aembed_query(query)

        return await asyncio.gather(*map(embed, queries))

    def _fit(
        self,
        view: View,
        labels: Sequence[Label],
        vectors: Sequence[list[float]],
        confidence: float,
        held_out: float,
    ) -> FitReport:
        # Users' labels often stand by tool: each fold needs a bit of every tool.
        order = np.random.default_rng(_SEED).permutation(len(labels))
        rows = np.array([view.matrix.unit(vectors[at]) for at in order])
        lesson = Lesson(tuple(labels[at] for at in order), rows)
        course = Course(lesson, confidence, held_out)
        taught = self.index.knowledge.teach(view.base, course)
        return taught.report(self.precision)

    def _evaluate(
        self, view: View, labels: Sequence[Label], vectors: Sequence[list[float]]
    ) -> Evaluation:
        promise = view.promise(self.precision)
        outcomes = []
        for label, vector in zip(labels, vectors, strict=True):
            standing = view.standing(vector, label.query, 2)
            decision = decide(standing, self._policy, promise)
            best = standing.nearest[0].name
            outcomes.append(Outcome(label.tool, best, decision))
        return evaluate(outcomes)

    def _correction(self, query: LanguageModelInput, tool: str | None) -> Label:
        check_tool("the query", tool, self.tools_by_name)
        text = query_text(query)
        if not text:
            msg = "the query is empty: there is nothing to learn from"
            raise ValueError(msg)
        return Label(text, tool)

    def _correct(self, label: Label, embedded: Embedded) -> bool:
        """Remember and learn; return whether it is time to fit again."""
        memory = self.index.knowledge.memory
        said = "no tool fits" if label.tool is None else f"it is {label.tool!r}"
        decision = RouteDecision(
            tool=label.tool, decided_by="cache", reason=f"feedback says that {said}"
        )
        memory.remember(label.query, decision, self.max_cached)
        wrong = memory.learn(label, embedded.row, self.max_learned)
        return wrong or memory.due


def _unseen(labels: Sequence[Label], view: View) -> tuple[Label, ...]:
    """Leave out labels whose query is an example, which would judge itself."""
    known = {normal(text) for text in view.base.known.texts}
    left = tuple(label for label in labels if normal(label.query) not in known)
    if not left:
        msg = (
            "every label is an example of a tool already: fit needs other queries, to "
            "see how the router does on what it does not know"
        )
        raise ConfigurationError(msg)
    return left
