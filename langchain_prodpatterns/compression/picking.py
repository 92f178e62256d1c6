"""Asking a judge which of the packed passages answer: by number, never in words.

A model that writes numbers cannot invent evidence, and a passage that says "select me"
can at worst get itself selected.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

from pydantic import Field, field_validator, model_validator

from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.compression.packer import Limits, pack
from langchain_prodpatterns.compression.quotes import Quotes
from langchain_prodpatterns.compression.vectors import without_surrogates
from langchain_prodpatterns.errors import BudgetSpent, ConfigurationError
from langchain_prodpatterns.judging import (
    BoundJudge,
    Judge,
    JudgeLike,
    Judgement,
    JudgeRequest,
    Verdict,
)
from langchain_prodpatterns.runnable import PatternRun

QUESTION = """Which of the numbered passages does a reader need to answer the question?
Set "ids" to their numbers. Choose a passage that holds a part of the answer, and one
that links such parts; leave out what is only about the same topic. Set "ids" to []
when nothing answers the question."""

NOTHING = "the judge found no passage that answers"
"""Why nothing is quoted after a judge was asked."""

CANDIDATES = 4
"""A judge is shown so many times the tokens of the result."""

_UNKNOWN = 0


@dataclass(frozen=True, slots=True)
class Candidates:
    """Numbered passages, as a judge reads them."""

    texts: tuple[str, ...]
    """The passages; the first one has the number 1."""
    titles: tuple[str, ...]
    """What each passage is about, as its document and its headings say."""

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        """Yield a line a passage, so that no text can pass for the next number."""
        last = ""
        for number, text in enumerate(self.texts, 1):
            title = self.titles[number - 1]
            if title != last:
                yield f"# {title}" if title else "#"
            last = title
            yield f"{number}. {_in_one_line(text)}"


class PickRequest(JudgeRequest):
    """What a judge of passages is asked."""

    question: str
    """What the documents were retrieved for."""
    passages: Candidates
    """The passages to choose from, those of the best document first."""


class PickVerdict(Verdict):
    """What a judge of passages answers. A callable may also return bare numbers."""

    ids: tuple[int, ...] = Field(description="the numbers of the passages, from 1")

    @field_validator("ids", mode="before")
    @classmethod
    def _count_what_is_no_number_as_unknown(cls, ids: Any) -> Any:
        # One odd item is no reason to lose what else was chosen.
        return [_number(item) for item in ids] if isinstance(ids, list | tuple) else ids

    @model_validator(mode="before")
    @classmethod
    def _take_bare_numbers(cls, answer: Any) -> Any:
        return {"ids": answer} if isinstance(answer, list | tuple) else answer


PassageJudge = BoundJudge[PickRequest, PickVerdict]


@dataclass(frozen=True, slots=True)
class Pick:
    """What came of asking."""

    chosen: frozenset[int] | None = None
    """The passages to quote; `None` where the scores decide."""
    unknown: int = 0
    """Numbers that were answered and are none of a passage."""
    failure: str = ""
    """Why there is no answer."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a judge can choose from."""

    question: str
    """The question."""
    passages: tuple[int, ...]
    """The passages, in the order of their numbers."""
    shown: Candidates
    """How they are shown."""
    tokens: int
    """Tokens of the question and of what is shown."""

    @property
    def request(self) -> PickRequest:
        """What the judge is asked."""
        return PickRequest(question=self.question, passages=self.shown)


def bind_judge(judge: JudgeLike, timeout: float | None) -> PassageJudge:
    """Bind what the user gave as `judge=`.

    Args:
        judge: A chat model, or a Runnable or callable from `PickRequest` to
            `PickVerdict` or to numbers.
        timeout: Seconds for a verdict.

    Returns:
        What to ask.

    Raises:
        ConfigurationError: When the judge or the timeout cannot work.
    """
    if isinstance(judge, Judge) and not issubclass(judge.verdict_type, PickVerdict):
        kind = judge.verdict_type.__name__
        msg = f"the verdict of a judge must be a PickVerdict, this Judge's is {kind}"
        raise ConfigurationError(msg)
    return BoundJudge(
        judge,
        question=QUESTION,
        verdict_type=PickVerdict,
        timeout=timeout,
        name="compression:judge",
    )


def offer(question: str, quotes: Quotes, limits: Limits) -> Offer:
    """Pack what the judge is shown, which is more than the result may hold.

    Args:
        question: The question.
        quotes: The passages with their scores.
        limits: The limits of the result.

    Returns:
        The best passages, those of one document together, as they stand in it.
    """
    wide = Limits(CANDIDATES * limits.tokens, min_score=limits.min_score)
    chosen = pack(quotes, wide).chosen
    documents = {quotes.passages[at].document: None for at in chosen}
    place = {document: rank for rank, document in enumerate(documents)}
    order = sorted(chosen, key=lambda at: (place[quotes.passages[at].document], at))
    shown = Candidates(
        tuple(_read_with_header(quotes, at) for at in order),
        tuple(_about(quotes, at) for at in order),
    )
    asked = without_surrogates(question)
    return Offer(asked, tuple(order), shown, quotes.count(f"{asked}\n{shown}"))


def ask(
    judge: PassageJudge, offered: Offer, run: PatternRun, meter: BudgetMeter
) -> Pick:
    """Ask for the numbers of the passages that answer.

    Args:
        judge: The judge.
        offered: What it can choose from.
        run: The run that it is asked in.
        meter: What may be spent.

    Returns:
        What it chose, or why it did not.
    """
    if not _affords(meter, offered):
        return Pick(failure="budget")
    try:
        with meter.call() as ticket:
            config = run.child("judge", ticket.probe, hidden=True)
            judgement = judge.ask(offered.request, config, may_repair=ticket.extend)
    except BudgetSpent:
        return Pick(failure="budget")
    return settle(offered, judgement)


async def aask(
    judge: PassageJudge, offered: Offer, run: PatternRun, meter: BudgetMeter
) -> Pick:
    """Ask for the numbers of the passages that answer, natively async."""
    if not _affords(meter, offered):
        return Pick(failure="budget")
    try:
        async with meter.acall() as ticket:
            config = run.child("judge", ticket.probe, hidden=True)
            judgement = await judge.aask(
                offered.request, config, may_repair=ticket.extend
            )
    except BudgetSpent:
        return Pick(failure="budget")
    return settle(offered, judgement)


def settle(offered: Offer, judgement: Judgement[PickVerdict]) -> Pick:
    """Take the judge's word for what was on offer. Pure.

    Args:
        offered: What it could choose from.
        judgement: What it answered.

    Returns:
        What it chose; numbers of nothing are counted and dropped.
    """
    if judgement.verdict is None:
        kind = judgement.failure.kind if judgement.failure else "no verdict"
        return Pick(failure=kind)
    asked_for = set(judgement.verdict.ids)
    known = {number for number in asked_for if 1 <= number <= len(offered.passages)}
    unknown = sum(number not in known for number in judgement.verdict.ids)
    if unknown and not known:
        return Pick(unknown=unknown, failure="unknown numbers only")
    return Pick(frozenset(offered.passages[number - 1] for number in known), unknown)


def chosen_by(pick: Pick, limits: Limits) -> Limits:
    """Limit the result to what a judge chose, if it did. Pure.

    Args:
        pick: What came of asking.
        limits: The limits of the result.

    Returns:
        The limits that hold now.
    """
    if pick.chosen is None:
        return limits
    refusal = "" if pick.chosen else NOTHING
    return replace(limits, among=pick.chosen, refusal=refusal)


def _affords(meter: BudgetMeter, offered: Offer) -> bool:
    """Whether the question alone would not spend more than there is."""
    tokens = meter.budget.tokens
    return tokens is None or offered.tokens <= tokens


def _number(item: Any) -> int:
    if isinstance(item, Integral) and not isinstance(item, bool):
        return int(item)
    text = item.strip() if isinstance(item, str) else ""
    # More digits than any number of passages has; `int` refuses thousands of them.
    is_short = text.isascii() and text.isdecimal() and len(text) <= 9  # noqa: PLR2004
    return int(text) if is_short else _UNKNOWN


def _read_with_header(quotes: Quotes, at: int) -> str:
    """The text of a passage; a row means what its table's header says."""
    passage = quotes.passages[at]
    if passage.header is None:
        return passage.text
    source = quotes.documents[passage.document].page_content
    return f"{source[slice(*passage.header)]} {passage.text}"


def _about(quotes: Quotes, at: int) -> str:
    passage = quotes.passages[at]
    title = quotes.titles[passage.document]
    return _in_one_line(" > ".join(filter(None, (title, passage.section))))


def _in_one_line(text: str) -> str:
    return " ".join(without_surrogates(text).split())
