"""A guard around a chain, with rules, stand-ins and detectors of its own."""

from collections.abc import Iterator
from typing import assert_type

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser

from langchain_prodpatterns import GuardBlocked, GuardRunnable
from langchain_prodpatterns.guard import (
    DEFAULT_DETECTORS,
    BoundedDetector,
    Canary,
    Detector,
    InjectionClassifier,
    InjectionRequest,
    InjectionVerdict,
    PatternDetector,
    PhoneDetector,
    Rule,
    Spotlight,
    Suspicion,
    Vault,
)
from langchain_prodpatterns.guard.detectors import (
    AsyncDetector,
    LlmDetector,
    NationalIdDetector,
    Place,
    PresidioDetector,
    resolve_detectors,
)


class Words:
    """Finds a code name."""

    name = "code_name"

    def find(self, text: str) -> list[Place]:
        at = text.find("Bluebird")
        return [] if at < 0 else [(at, at + len("Bluebird"))]


def harmless(request: InjectionRequest) -> InjectionVerdict:
    return InjectionVerdict(yes="ignore" in request.text)


def answer(llm: BaseChatModel) -> str:
    detectors: list[str | Detector] = [*DEFAULT_DETECTORS, Words(), PhoneDetector()]
    guard = GuardRunnable(
        detectors,
        policy=[
            Rule("block", "card"),
            Rule("pseudonymize", "email", direction="input"),
        ],
        judge=harmless,
        classifier=InjectionClassifier(),
        vault=Vault(ttl=600),
    )
    canary = Canary("session", key="a secret of the application")
    out = GuardRunnable([canary.detector], direction="output")
    chain = guard.wrap(llm | StrOutputParser(), output=out, race=True)
    try:
        return str(chain.invoke("My card is lost"))
    except GuardBlocked as error:
        places: tuple[tuple[int, int], ...] = error.offsets
        return f"{error.rule} {error.direction} {places}"


def streamed(llm: BaseChatModel, tokens: Iterator[str]) -> Iterator[str]:
    guard = GuardRunnable(direction="output")
    yield from guard.transform(tokens)
    yield from (GuardRunnable() | llm | StrOutputParser()).stream("Hello")
    assert_type(guard.invoke("Hello"), str)
    messages: list[BaseMessage] = [HumanMessage("Hello")]
    assert_type(guard.invoke(messages), list[BaseMessage])


def suspicious(embeddings: Embeddings, text: str) -> Suspicion:
    return InjectionClassifier(embeddings=embeddings).screen(text)


def found(llm: BaseChatModel) -> list[str]:
    pattern: BoundedDetector = PatternDetector("order", r"ORD-\d{6}")
    names: AsyncDetector = LlmDetector(llm, types=["name"], name="person")
    presidio = PresidioDetector(["PERSON"], timeout=1.0)
    chosen = resolve_detectors(
        ["email", pattern, NationalIdDetector(["de.idnr"]), presidio]
    )
    return [names.name, *(detector.name for detector in chosen)]


def marked(page: str) -> str:
    return str(Spotlight().invoke(page))
