"""What re-asks and ladders are worth, when models fail by a plan over real HTTP.

Every run is one page with an order to read, by the real clients, from a provider on
loopback. The cheap model fails at first on every page, in turns by no JSON (or JSON
with a stray colon), a missing field, a status that is none, an answer that is cut off,
a refusal, HTTP 429 and HTTP 500. It fails again with a chance of 50% (a refusal is
final); the strong one fails on 15% of the pages. All of it is drawn from the seed
before anybody is asked, and is the same for every system: what a prompt says changes
nothing, but a model that is not shown the page has only the last answer to go by, and
one that is asked for a JSON Patch writes one, which fails by the same plan.
So scripted models measure control flow, and nothing of the quality of answers.

`right` is exactly the order on the page; `wrong` another one, such as one with lines
left out, taken for complete; `failed` an error. Every system has the same budget of
requests a page, retries of its client included: beyond that the provider answers with
HTTP 402. Requests, tokens and usd are those of the provider's own records. Nobody waits
between retries. `right, by the first failure` shows which failures are overcome.

With `--peers FOLDER`, `OutputFixingParser` of langchain-classic (the cheap model
writes, the one that is named fixes), instructor and trustcall run, too, each in an
environment of its own, which pip makes in that folder.

Then a cascade: recorded answers of Mixtral-8x7B and GPT-4 to questions of GSM8K, played
back to a ladder whose validator is a checker (`structured_cascade.py`).
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cache_peers import Peer, PeerError, made
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from structured_cascade import report_cascade
from structured_flow_order import CALLS, CHEAP, STRONG, TASK, Order
from structured_flow_script import KINDS, Data, Page, Script, draw_pages, is_right

from langchain_prodpatterns import Budget, Rung, StructuredRetryParser
from langchain_prodpatterns.structured import walk
from langchain_prodpatterns.testing import ScriptedProvider

PRICES = {CHEAP: (0.15, 0.60), STRONG: (2.50, 10.00)}
"""Made-up usd per million tokens, in and out."""
_WORKER = Path(__file__).with_name("structured_flow_worker.py")
_PEERS = (
    Peer("langchain-classic", ("langchain-classic", "langchain-openai"), embeds=False),
    Peer("instructor", ("instructor",), embeds=False),
    Peer("trustcall", ("trustcall", "langchain-openai"), embeds=False),
)
_CALLED = {"langchain-classic": "OutputFixingParser"}
_LOOPBACK = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

Read = Callable[[str], Data | None]
"""From a page to an order; `None` where there is none."""


@dataclass
class Tally:
    """What came of all pages, of one system."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """How many were right, wrong and failed."""
    kinds: Counter[str] = field(default_factory=Counter)
    """How many were right, by the first failure."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests to each model."""
    tokens: int = 0
    """Tokens of prompts and answers."""
    usd: float = 0.0
    """What they cost."""


def run(
    read: Read, pages: Sequence[Page], provider: ScriptedProvider, script: Script
) -> Tally:
    """Let a system read all pages."""
    tally = Tally()
    for page in pages:
        provider.reset()
        script.begin(page)
        value = read(page.text)
        provider.wait_idle()
        right = is_right(value, page)
        outcome = "right" if right else "failed" if value is None else "wrong"
        tally.outcomes[outcome] += 1
        tally.kinds[page.plans[CHEAP][0]] += right
        tally.asked.update(script.asked)
        for record in provider.requests:
            price_in, price_out = PRICES[record.model]
            tally.tokens += record.input_tokens + record.output_tokens
            tally.usd += record.input_tokens * price_in / 1e6
            tally.usd += record.output_tokens * price_out / 1e6
    return tally


def chain_of(runnable: Runnable[Any, Any], form: str = "") -> Read:
    """Make a chain with a prompt, in this process."""
    prompt = ChatPromptTemplate([("system", TASK + "{form}"), ("human", "{page}")])
    chain = prompt.partial(form=form) | runnable

    def read(page: str) -> Data | None:
        try:
            value: Order = chain.invoke({"page": page})
        except Exception:  # noqa: BLE001 - whatever it raises, it has no order
            return None
        return value.model_dump(mode="json")

    return read


def ours(provider: ScriptedProvider) -> dict[str, Read]:
    """`StructuredRetryParser`, whose ladder does all retries."""
    cheap = provider.chat_model(CHEAP, max_retries=0)
    strong = provider.chat_model(STRONG, max_retries=0)
    ramp = Rung(cheap, temperatures=(0, 0.7))

    def parser(*ladder: Any, **kwargs: Any) -> Read:
        budget = Budget(attempts=CALLS)
        return chain_of(StructuredRetryParser(Order, ladder, budget=budget, **kwargs))

    return {
        "StructuredRetryParser, ladder": parser(ramp, strong),
        "- asks for all again": parser(ramp, strong, repair="regenerate"),
        "- as a tool": parser(ramp, strong, mode="tool"),
        "- one try on the cheap": parser(cheap, strong),
        "- cheap only": parser(cheap),
        "- strong only": parser(strong),
    }


def core(provider: ScriptedProvider) -> dict[str, Read]:
    """What langchain-core has: the same again, and another model after that."""
    parser: PydanticOutputParser[Any] = PydanticOutputParser(pydantic_object=Order)

    def retried(model: str, attempts: int) -> Runnable[Any, Any]:
        chain = provider.chat_model(model, max_retries=0) | parser
        return chain.with_retry(
            stop_after_attempt=attempts, wait_exponential_jitter=False
        )

    first, then = retried(CHEAP, CALLS // 2), retried(STRONG, CALLS - CALLS // 2)
    form = "\n" + parser.get_format_instructions()
    return {
        "with_retry, cheap": chain_of(retried(CHEAP, CALLS), form),
        "with_retry, strong": chain_of(retried(STRONG, CALLS), form),
        "with_retry, with_fallbacks": chain_of(first.with_fallbacks([then]), form),
    }


@contextmanager
def peer(python: Path, kind: str, url: str, model: str) -> Iterator[Read]:
    """Start another project's system in a process of its own.

    Raises:
        PeerError: When its process fails.
    """
    with subprocess.Popen(  # noqa: S603 - a script of ours
        [python, _WORKER, kind, url, model],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **_LOOPBACK},
    ) as process:
        pages, results = process.stdin, process.stdout
        assert pages is not None  # noqa: S101 - both are pipes
        assert results is not None  # noqa: S101 - as above

        def read(page: str) -> Data | None:
            try:
                print(json.dumps(page), file=pages, flush=True)
                value: Data | None = json.loads(results.readline())["value"]
            except (OSError, ValueError) as error:
                msg = f"{kind} failed"
                raise PeerError(msg) from error
            return value

        try:
            yield read
        finally:
            process.kill()


def peers(folder: Path, url: str, stack: ExitStack) -> Iterator[tuple[str, Read]]:
    """Start what pip can install; say what it cannot."""
    for one in _PEERS:
        try:
            python = made(one, folder)
        except PeerError as error:
            print(error, file=sys.stderr)
            continue
        for label, model in (("cheap", CHEAP), ("strong", STRONG)):
            read = stack.enter_context(peer(python, one.name, url, model))
            yield f"{_CALLED.get(one.name, one.name)}, {label}", read


def report(tallies: dict[str, Tally], pages: Sequence[Page]) -> None:
    """Print a line a system."""
    count = len(pages)
    head = f"{'right':>8}{'wrong':>7}{'failed':>8}{'requests':>10}{'strong':>8}"
    print(f"{'a page':<32}{head}{'tokens':>8}{'usd of 1000':>13}")
    for name, tally in tallies.items():
        found = tally.outcomes
        asked, strong = tally.asked.total() / count, tally.asked[STRONG] / count
        print(
            f"{name:<32}{found['right'] / count:>8.1%}{found['wrong']:>7}"
            f"{found['failed']:>8}{asked:>10.2f}{strong:>8.2f}"
            f"{tally.tokens / count:>8.0f}{1000 * tally.usd / count:>13.3f}"
        )
    first = Counter(page.plans[CHEAP][0] for page in pages)
    print(f"\n{'right, by the first failure':<32}" + "".join(f"{k:>10}" for k in KINDS))
    for name, tally in tallies.items():
        cells = "".join(
            f"{tally.kinds[kind] / max(1, first[kind]):>10.0%}" for kind in KINDS
        )
        print(f"{name:<32}{cells}")
    print("\nscripted models measure control flow, not the quality of answers")


def report_flow(runs: int, seed: int, folder: Path | None) -> None:
    """Run every system over the same pages, and print what came of it."""
    pages = draw_pages(runs, seed)
    script = Script()
    # The ladder waits before it asks again because of an error of the provider.
    walk.sleep = lambda _: None
    tallies = {}
    with ScriptedProvider(respond=script) as provider, ExitStack() as stack:
        systems = {**ours(provider), **core(provider)}
        if folder is not None:
            systems |= dict(peers(folder, provider.base_url, stack))
        for name, read in systems.items():
            try:
                tallies[name] = run(read, pages, provider, script)
            except PeerError as error:
                print(error, file=sys.stderr)
    print(f"{runs} runs, seed {seed}, at most {CALLS} requests each\n")
    report(tallies, pages)
    if folder is None:
        print("OutputFixingParser, instructor and trustcall run with --peers FOLDER")


def main() -> None:
    """Print both tables."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--runs", type=int, default=500)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--peers", type=Path, metavar="FOLDER")
    given = arguments.parse_args()
    report_flow(given.runs, given.seed, given.peers)
    report_cascade(given.seed)


if __name__ == "__main__":
    main()
