"""Microsoft Presidio's recognizers as one more detector, on a leash."""

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from langchain_prodpatterns.arguments import check_seconds
from langchain_prodpatterns.deadlines import (
    LateCalls,
    call_apart,
    call_with_deadline,
)
from langchain_prodpatterns.errors import ConfigurationError, MissingExtraError
from langchain_prodpatterns.guard.detectors.base import Place, check_name
from langchain_prodpatterns.guard.detectors.windows import check_window, windows

OVERLAP = 200
"""Characters that two windows of a long text share."""


class PresidioDetector:
    """Finds what a Presidio `AnalyzerEngine` recognizes, such as names by its NER.

    ```python
    people = PresidioDetector(["PERSON", "LOCATION"], analyzer=AnalyzerEngine())
    GuardRunnable([*DEFAULT_DETECTORS, people])
    ```

    Some of its patterns take longer than anyone waits on crafted texts, and where one
    runs into its own limit Presidio goes on without it. So each text has a deadline,
    and one that is missed is a failure and never a clean text; what is handed over is
    cut into windows. It is unbounded: a stream waits for its end.
    """

    def __init__(
        self,
        entities: Sequence[str] | None = None,
        *,
        language: str = "en",
        analyzer: Any = None,
        name: str = "presidio",
        timeout: float | None = 5.0,
        score: float = 0.5,
        window: int = 4_000,
    ) -> None:
        """Set the analyzer and what it looks for.

        Args:
            entities: What to look for, in Presidio's words; `None` for all it knows.
            language: The language of the texts.
            analyzer: An `AnalyzerEngine`. By default one without a model for the
                language: it knows patterns, but neither names nor places, and nothing
                is downloaded.
            name: The type of the values, as the policy names it.
            timeout: Seconds for one text; `None` waits for ever.
            score: The lowest score, from 0 to 1, that counts.
            window: Characters that are handed over in one go.

        Raises:
            ConfigurationError: When an argument is of no use.
            MissingExtraError: When Presidio is not installed and no analyzer is given.
        """
        if isinstance(entities, str) or (entities is not None and not entities):
            msg = f"entities must be a list such as ['PERSON'], got {entities!r}"
            raise ConfigurationError(msg)
        if not 0 <= score <= 1:
            msg = f"score must be from 0 to 1, got {score!r}"
            raise ConfigurationError(msg)
        check_seconds("timeout", timeout)
        check_window(window, OVERLAP)
        self._name = check_name(name)
        self._entities = None if entities is None else list(entities)
        self._language = language
        self._analyzer = blank_analyzer(language) if analyzer is None else analyzer
        self._timeout = timeout
        self._score = score
        self._window = window
        self._late = LateCalls()

    @property
    def name(self) -> str:
        """The type of the values."""
        return self._name

    def find(self, text: str) -> list[Place]:
        """Find the values.

        Args:
            text: The text.

        Returns:
            Where they are.

        Raises:
            TimeoutError: When it takes too long, or too many that did still go on.
        """
        return call_with_deadline(lambda: self._places(text), self._timeout, self._late)

    async def afind(self, text: str) -> list[Place]:
        """Find the values in a thread, so that the event loop is free.

        Args:
            text: The text.

        Returns:
            Where they are.

        Raises:
            TimeoutError: When it takes too long, or too many that did still go on.
        """
        async with asyncio.timeout(self._timeout):
            return await call_apart(lambda: self._places(text), self._late)

    def _places(self, text: str) -> list[Place]:
        return [
            (start + found.start, start + found.end)
            for start, part in windows(text, self._window, OVERLAP)
            for found in self._analyzer.analyze(
                text=part,
                language=self._language,
                entities=self._entities,
                score_threshold=self._score,
            )
        ]


def blank_analyzer(language: str) -> Any:
    """Return an `AnalyzerEngine` on an empty spaCy pipeline: no model, no download.

    Args:
        language: The language of the texts.

    Raises:
        ConfigurationError: When the language is not known.
        MissingExtraError: When Presidio is not installed.
    """
    try:
        spacy = import_module("spacy")
        presidio = import_module("presidio_analyzer")
        engines = import_module("presidio_analyzer.nlp_engine")
    except ModuleNotFoundError as error:
        feature = "PresidioDetector without an analyzer"
        raise MissingExtraError(feature, "presidio") from error
    try:
        pipeline = spacy.blank(language)
    except ImportError:
        msg = f"spaCy knows no language {language!r}: give an analyzer of your own"
        raise ConfigurationError(msg) from None
    engine = engines.SpacyNlpEngine(
        models=[{"lang_code": language, "model_name": "blank"}]
    )
    engine.nlp = {language: pipeline}
    return presidio.AnalyzerEngine(nlp_engine=engine, supported_languages=[language])
