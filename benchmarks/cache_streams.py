"""Questions sent through a cache one after the other, and what became of them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import faiss
import numpy as np
from cache_data import PromptPairs, Traffic, Vectors, answer, prompt_of
from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage

from langchain_prodpatterns.cache.questions import SameAnswerRequest


@dataclass
class Judge:
    """A scripted judge that knows which questions have the same answer."""

    groups: Mapping[str, int]
    """The number of the answer, a question."""
    error: float = 0.0
    """The share of verdicts that are wrong, drawn for each pair."""
    seed: int = 0
    """What they are drawn by."""
    labels: Mapping[tuple[str, str], bool] | None = None
    """What it knows besides, of a new and a stored question."""
    asked: int = 0
    """How often it was asked."""

    def __call__(self, request: SameAnswerRequest) -> bool:
        """Judge."""
        self.asked += 1
        new, stored = request.new_question, request.stored_question
        same = new in self.groups and self.groups[new] == self.groups.get(stored)
        if self.labels and (new, stored) in self.labels:
            same = self.labels[new, stored]
        errs = self.error and Random(f"{self.seed}{new}{stored}").random() < self.error
        return same != bool(errs)


@dataclass(frozen=True)
class System:
    """One cache under test."""

    name: str
    """What it is called in the table."""
    make: Callable[[Judge], BaseCache]
    """Makes one."""
    judged: bool = False
    """Whether it asks the judge."""
    long: bool = False
    """Whether its prompts take so long to embed that it is sent fewer."""

    @contextmanager
    def opened(self, groups: Mapping[str, int]) -> Iterator[tuple[BaseCache, Judge]]:
        """Lend a new cache, and the judge it asks."""
        judge = Judge(groups)
        with ExitStack() as stack:
            cache = self.make(judge)
            if isinstance(cache, AbstractContextManager):
                stack.enter_context(cache)
            yield cache, judge


class NaiveCache(BaseCache):
    """Embeds the prompt as LangChain hands it over, and serves above a threshold."""

    def __init__(self, embeddings: Embeddings, threshold: float) -> None:
        self._embeddings = embeddings
        self._threshold = threshold
        self._answers: dict[str, list[Any]] = defaultdict(list)
        self._indexes: dict[str, Any] = {}

    def lookup(self, prompt: str, llm_string: str) -> Any:
        """Serve the nearest prompt's answer."""
        index = self._indexes.get(llm_string)
        if index is None:
            return None
        scores, rows = index.search(self._embed(prompt), 1)
        near = scores[0, 0] >= self._threshold
        return self._answers[llm_string][rows[0, 0]] if near else None

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        """Store an answer."""
        vector = self._embed(prompt)
        if llm_string not in self._indexes:
            self._indexes[llm_string] = faiss.IndexFlatIP(vector.shape[1])
        self._indexes[llm_string].add(vector)
        self._answers[llm_string].append(return_val)

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer."""
        self._indexes.clear()
        self._answers.clear()

    def _embed(self, prompt: str) -> Vectors:
        vector = np.asarray([self._embeddings.embed_query(prompt)], np.float32)
        faiss.normalize_L2(vector)
        return vector


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one question."""

    repeated: bool
    """Whether its answer was given before."""
    served: bool
    """Whether it was served."""
    right: bool
    """Whether what was served is right."""
    judged: bool = False
    """Whether the judge was asked."""


@dataclass(frozen=True)
class Outcomes:
    """What became of all."""

    each: Sequence[Outcome]
    """In the order they were asked."""

    @property
    def served(self) -> float:
        """The share that was served."""
        return _share(one.served for one in self.each)

    @property
    def judged(self) -> float:
        """The share that the judge was asked about."""
        return _share(one.judged for one in self.each)

    @property
    def wrong(self) -> float:
        """Of what was served, the share that is wrong."""
        return _share(not one.right for one in self.each if one.served)

    @property
    def recall(self) -> float:
        """Of what had an answer already, the share that was served rightly."""
        return _share(one.right for one in self.each if one.repeated)


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found) if found else 0.0


def streamed(
    cache: BaseCache, judge: Judge, traffic: Traffic, order: Sequence[str]
) -> Outcomes:
    """Send questions through a cache; store the answers to those it does not serve."""
    seen: set[int] = set()
    each = []
    for text in order:
        group, before = traffic.groups[text], judge.asked
        prompt, llm_string = prompt_of(HumanMessage(text)), traffic.llm_string(text)
        hit = cache.lookup(prompt, llm_string)
        judged = judge.asked > before
        if hit is None:
            cache.update(prompt, llm_string, answer(text))
        right = hit is not None and traffic.groups[hit[0].text] == group
        each.append(Outcome(group in seen, hit is not None, right, judged))
        seen.add(group)
    return Outcomes(each)


def served_share(cache: BaseCache, pairs: PromptPairs) -> float:
    """Store the first of each pair; return how many of the second are served."""
    served = 0
    for number, (stored, asked) in enumerate(pairs):
        llm_string = f"[('model', 'pair {number}')]"
        cache.update(stored, llm_string, answer("stored"))
        served += cache.lookup(asked, llm_string) is not None
    return served / len(pairs)
