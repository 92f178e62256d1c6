# %% [markdown]
# # From LangChain's own parts, line by line
#
# Five parts that LangChain ships, and what stands in their place here. Each pair runs
# side by side on the same inputs with the same model, so the counts can be compared:
#
# 1. `OutputFixingParser` to `StructuredRetryParser`
# 2. `ContextualCompressionRetriever` to `CompressingRetriever`
# 3. `RedisSemanticCache` to `SemanticJudgeCache`
# 4. `PIIMiddleware` to `GuardMiddleware`
# 5. `LLMToolSelectorMiddleware` to `ToolRouterMiddleware`
#
# **Real:** the parts on both sides, and the counts. One does not run: a
# `RedisSemanticCache` needs a Redis server, so a few lines stand for it that decide as
# it does. **Scripted:** what the models write. The embeddings are `LexicalEmbeddings`,
# which know spelling and no meaning. The inputs are few, and chosen to show where the
# two sides differ, so the counts say how they work and not how often that matters to
# you: the folder `benchmarks` has comparisons on public data.
#
# No key, no network, no download: `pip install langchain-prodpatterns
# langchain-classic`. The second one is where LangChain keeps the first two parts.

# %%
import json
import re
from collections.abc import Iterable
from typing import Any

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache, InMemoryCache
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool, tool
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel

from langchain_prodpatterns import (
    CompressingRetriever,
    ContextCompressor,
    SemanticJudgeCache,
    StructuredOutputError,
    StructuredRetryParser,
    ToolRouter,
)
from langchain_prodpatterns.cache import SameAnswerRequest
from langchain_prodpatterns.middleware import GuardMiddleware, ToolRouterMiddleware
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    Reply,
    ScriptedChatModel,
    ScriptedRequest,
    ToolCall,
)

embeddings = LexicalEmbeddings()


def table(heads: Iterable[str], *rows: Iterable[object]) -> None:
    """Print rows under their heads, the first column wide."""
    for first, *rest in (heads, *rows):
        print(f"{first!s:<32}" + "".join(f"{each!s:>11}" for each in rest))


# %% [markdown]
# ## 1. `OutputFixingParser` to `StructuredRetryParser`
#
# ```python
# parser = PydanticOutputParser(pydantic_object=Ticket)
# prompt | llm | OutputFixingParser.from_llm(parser=parser, llm=llm)    # before
# prompt | llm | StructuredRetryParser(Ticket, ladder=[llm])            # after
# prompt | StructuredRetryParser(Ticket, ladder=[llm])                  # better
# ```
#
# Seven completions, as models write them. The model that is asked to mend one writes
# what is right, if it is in what it was shown.


# %%
class Ticket(BaseModel):
    """A ticket for the workshop."""

    title: str
    hours: int


LAMP = json.dumps({"title": "lamp", "hours": 2})
COMPLETIONS = {
    "as it should be": LAMP,
    "in a fence, with words": f"Sure!\n```json\n{LAMP}\n```",
    "Python's quotes": "{'title': 'lamp', 'hours': 2}",
    "a comma too many": '{"title": "lamp", "hours": 2,}',
    "a number in words": '{"title": "lamp", "hours": "two"}',
    "prose": "The lamp is broken, which takes 2 hours.",
    "nothing to go by": "I cannot say.",
}


def mend(request: ScriptedRequest) -> str:
    """Mend what can be mended."""
    return LAMP if "lamp" in request.prompt_text else "I cannot say."


def fixing(llm: ScriptedChatModel) -> Runnable[Any, Any]:
    """Build LangChain's own."""
    from langchain_classic.output_parsers import OutputFixingParser  # noqa: PLC0415

    parser = PydanticOutputParser[Ticket](pydantic_object=Ticket)
    return OutputFixingParser.from_llm(parser=parser, llm=llm)


def outcome(parser: Runnable[Any, Any], completion: str) -> str:
    """Parse, and say what came of it."""
    try:
        ticket = parser.invoke(AIMessage(completion))
    except ValueError as error:
        return type(error).__name__.removesuffix("Exception").removesuffix("Error")
    return "right" if ticket == Ticket(title="lamp", hours=2) else "wrong"


before, after = ScriptedChatModel(respond=mend), ScriptedChatModel(respond=mend)
parsers = [fixing(before), StructuredRetryParser(Ticket, ladder=[after])]
rows = []
for name, completion in COMPLETIONS.items():
    made = before.calls, after.calls
    came = [outcome(parser, completion) for parser in parsers]
    row = [name, before.calls - made[0], after.calls - made[1]]
    rows.append([*row, "", *(each[:10] for each in came)])
total = ["calls", before.calls, after.calls]
table(["completion", "calls: old", "new", "", "old", "new"], *rows, total)
print(f"tokens in: {before.input_tokens} and {after.input_tokens}")

# %% [markdown]
# *What stays:* the place in the chain, and `OutputParserException` for what catches it:
# a `StructuredOutputError` is one. *What changes:* the form is read forgivingly before
# a model is asked, so notation costs no call. *What differs:* asking again goes on, up
# a ladder and within a budget, which is three attempts by default; where nothing can be
# mended that costs more than the one of before (`budget=Budget(attempts=1)` is that).
# The error tells of every attempt:

# %%
try:
    parsers[1].invoke(AIMessage(COMPLETIONS["nothing to go by"]))
except StructuredOutputError as error:
    print([(each.kind, f"{each.usage.calls} calls") for each in error.attempts])
asked = ChatPromptTemplate.from_template("What is to be done? {note}")
better = asked | StructuredRetryParser(Ticket, ladder=[after])
print(repr(better.invoke({"note": "The lamp."})))

# %% [markdown]
# The last form is better since the parser then knows the prompt: it can add the
# instructions by itself, and asks again with the task before the model's eyes.
#
# ## 2. `ContextualCompressionRetriever` to `CompressingRetriever`
#
# ```python
# ContextualCompressionRetriever(                                       # before
#     base_compressor=LLMChainExtractor.from_llm(llm), base_retriever=retriever
# )
# CompressingRetriever(retriever, embeddings=embeddings, token_budget=40)  # after
# ```
#
# Or change one argument and keep LangChain's retriever: a `ContextCompressor` is a
# compressor like any other. The scripted model quotes the sentence with "costs", and
# puts one page into its own words.

# %%
PAGES = {
    "dogs": "We like dogs. A dog costs 4 euros. It travels on a lead, near its owner.",
    "bikes": "The rack holds 40 bikes. A bike costs 3 euros. Trailers are welcome.",
    "kayaks": "A kayak costs 9 euros. The car deck has room for six of them. Dry it.",
    "storms": "In a storm we stay in port. We write a message to all who have booked.",
}
store = InMemoryVectorStore(embeddings)
store.add_documents([Document(text, id=page) for page, text in PAGES.items()])
library = store.as_retriever(search_kwargs={"k": 4})
PRICE = "What does a kayak cost, and what does a dog cost?"


def extract(request: ScriptedRequest) -> str:
    """Quote a sentence, or say it otherwise, or that there is none."""
    context = request.prompt_text.partition(">>>")[2]
    if "bike" in context:
        return "Bikes are three euros each."
    return next((s for s in re.findall(r"[^.>]+costs[^.]+\.", context)), "NO_OUTPUT")


def contextual(compressor: Any) -> Runnable[str, list[Document]]:
    """Build LangChain's own retriever around a compressor."""
    from langchain_classic.retrievers import (  # noqa: PLC0415
        ContextualCompressionRetriever,
    )

    return ContextualCompressionRetriever(
        base_compressor=compressor, base_retriever=library
    )


def extractor(llm: ScriptedChatModel) -> Any:
    """Build LangChain's compressor that asks a model."""
    from langchain_classic.retrievers.document_compressors import (  # noqa: PLC0415
        LLMChainExtractor,
    )

    return LLMChainExtractor.from_llm(llm)


def verbatim(found: list[Document]) -> str:
    """Count the lines that stand in a page, word for word."""
    lines = [line.strip() for each in found for line in each.page_content.split("\n")]
    kept = sum(any(line in page for page in PAGES.values()) for line in lines)
    return f"{kept} of {len(lines)}"


def has_both(found: list[Document]) -> bool:
    """Whether both prices are there."""
    text = " ".join(each.page_content for each in found)
    return "9 euros" in text and "4 euros" in text


reader = ScriptedChatModel(respond=extract)
ours = ContextCompressor(embeddings, token_budget=40)
retrievers = {
    "the old retriever, an extractor": contextual(extractor(reader)),
    "the old retriever, ours in it": contextual(ours),
    "CompressingRetriever": CompressingRetriever(library, ours),
}
rows = []
for name, retriever in retrievers.items():
    calls = reader.calls
    found = retriever.invoke(PRICE)
    cited = sum("prodpatterns.spans" in each.metadata for each in found)
    row = [name, reader.calls - calls, verbatim(found), has_both(found)]
    rows.append([*row, f"{cited} of {len(found)}"])
table(["", "calls", "verbatim", "answers", "offsets"], *rows)

# %% [markdown]
# *What stays:* a retriever with documents, metadata and ids. *What changes:* no call a
# document, one budget for all of them, and offsets for citations. *What differs:* the
# texts are quotes, always. A model that chooses is an argument, `judge=llm`, and costs
# one call for all documents.
#
# ## 3. `RedisSemanticCache` to `SemanticJudgeCache`
#
# ```python
# set_llm_cache(RedisSemanticCache(redis_url, embeddings, 0.2))         # before
# set_llm_cache(SemanticJudgeCache(embeddings, judge=small_llm))        # after
# SemanticJudgeCache(embeddings, small_llm, path="answers.sqlite")      # many processes
# SemanticJudgeCache(embeddings, small_llm, store=PostgresStore(url))   # many hosts
# ```
#
# `RedisSemanticCache` embeds all that LangChain hands over, which is the JSON of the
# whole conversation, and serves the nearest within a distance. `ByDistance` decides so:


# %%
class ByDistance(BaseCache):
    """Decide as `RedisSemanticCache` does, in memory."""

    def __init__(self, score_threshold: float = 0.2) -> None:
        """Set the distance up to which an answer is served."""
        self.score_threshold = score_threshold
        self.answers: dict[str, RETURN_VAL_TYPE] = {}
        self.store = InMemoryVectorStore(embeddings)

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Serve the nearest, if it is near."""
        for document, cosine in self.store.similarity_search_with_score(prompt, k=1):
            if 1 - cosine <= self.score_threshold:
                return self.answers[document.page_content]
        return None

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep an answer."""
        self.answers[prompt] = return_val
        self.store.add_texts([prompt])

    def clear(self, **kwargs: Any) -> None:
        """Forget all of them."""
        self.answers.clear()
        self.store = InMemoryVectorStore(embeddings)


# %% [markdown]
# Six questions under a system prompt. The model answers with the animal or thing that
# is asked for, so a wrong answer can be told.

# %%
ROLE = "You answer for Northwater Ferries. Be brief, be kind, give prices in euros. "
QUESTIONS = {
    "What does a dog cost?": "dog",
    "what does a dog cost": "dog",
    "What does a cat cost?": "cat",
    "What does a dog cost me?": "dog",
    "Is there a restaurant?": "restaurant",
    "What does a dog cost? ": "dog",
}


def about(request: ScriptedRequest) -> str:
    """Answer with what is asked for."""
    text = request.user_text
    return next(word for word in ("dog", "cat", "restaurant") if word in text)


def same_thing(request: SameAnswerRequest) -> bool:
    """Judge by a rule: it has to be about one thing."""
    asked = [
        {word for word in ("dog", "cat", "restaurant") if word in text}
        for text in (request.new_question, request.stored_question)
    ]
    return asked[0] == asked[1]


judging = SemanticJudgeCache(embeddings, same_thing, judge_timeout=None)
caches: dict[str, BaseCache] = {
    "InMemoryCache": InMemoryCache(),
    "decides as RedisSemanticCache": ByDistance(),
    "SemanticJudgeCache": judging,
}
rows = []
for name, cache in caches.items():
    desk = ScriptedChatModel(respond=about, cache=cache)
    answers = [
        desk.invoke([SystemMessage(ROLE * 4), HumanMessage(question)]).text
        for question in QUESTIONS
    ]
    right = sum(a == b for a, b in zip(answers, QUESTIONS.values(), strict=True))
    rows.append([name, desk.calls, len(answers) - desk.calls, len(answers) - right])
table(["6 questions", "calls", "hits", "wrong"], *rows)
stats = judging.stats()
print(f"{stats.exact} exact, {stats.alias} alias, {stats.judged_hits} judged")
judging.close()

# %% [markdown]
# *What stays:* `set_llm_cache`, a model's `cache=`. *What changes:* a distance is no
# argument any more. You say which share of wrong answers you accept (`delta`) and who
# judges. *What differs:* only the last user text is compared, the rest has to be equal;
# a verdict costs a call of a small model, or of a rule as here, until enough of them
# show that it can be spared. An answer that was wrong is taken out by `feedback`.
#
# ## 4. `PIIMiddleware` to `GuardMiddleware`
#
# ```python
# middleware=[                                                          # before
#     PIIMiddleware(kind, apply_to_output=True, apply_to_tool_results=True)
#     for kind in ("email", "credit_card", "ip")
# ]
# middleware=[GuardMiddleware()]                                        # after
# ```
#
# Seven messages to an agent. Which private values does its model get to see?

# %%
MESSAGES = {
    "an address": ("Mail ann@example.com please", "ann@example.com"),
    "a card": ("Charge 4111 1111 1111 1111", "4111 1111 1111 1111"),
    "an IP address": ("I come from 93.184.216.34", "93.184.216.34"),
    "a phone number": ("Ring +44 20 7946 0958", "7946 0958"),
    "a bank account": ("Pay to DE89 3704 0044 0532 0130 00", "DE89 3704"),
    "an address, letters look alike": ("Mail \u0430nn@ex\u0430mple.com", "nn@ex"),
    "none: a version": ("Release 10.4.0.12 is out", ""),
}


def build_agent(model: ScriptedChatModel, middleware: list[Any]) -> Any:
    """Build an agent."""
    from langchain.agents import create_agent  # noqa: PLC0415

    return create_agent(model, middleware=middleware)


def pii() -> list[Any]:
    """Build LangChain's own."""
    from langchain.agents.middleware import PIIMiddleware  # noqa: PLC0415

    kinds = ("email", "credit_card", "ip")
    return [
        PIIMiddleware(kind, apply_to_output=True, apply_to_tool_results=True)
        for kind in kinds
    ]


def shown(text: str, middleware: list[Any]) -> str:
    """Return what the model of an agent gets to see of a message."""
    clerk = ScriptedChatModel(default="Done.")
    build_agent(clerk, middleware).invoke({"messages": [HumanMessage(text)]})
    return str(clerk.requests[-1].messages[-1]["content"])


def verdict(text: str, value: str, seen: str) -> str:
    """Say whether a value is hidden, or a text without one left alone."""
    if value:
        return "SEEN" if value in seen else "hidden"
    return "left" if seen == text else "CHANGED"


rows = []
for name, (text, value) in MESSAGES.items():
    ways = (pii(), [GuardMiddleware()])
    rows.append([name, *(verdict(text, value, shown(text, way)) for way in ways)])
table(["", "old", "new"], *rows)

# %% [markdown]
# *What stays:* the place in the list, and `redact`, `mask`, `hash` and `block` as
# strategies, here a `policy` a type. *What changes:* one middleware for all types.
# (Each further type takes a `detector` of your own there, and may take one here.) *What
# differs:* arguments of tools, streamed tokens and hidden letters are covered, there
# are stand-ins that come back (`pseudonymize`), and injection in tool results is looked
# for.
#
# An answer that streams shows it best. What does a user get to see of an address that
# the model writes, in pieces of four characters?


# %%
def streamed(middleware: list[Any]) -> str:
    """Stream an answer with an address in it; return all that was let go."""
    writer = ScriptedChatModel(default=Reply("Ask ann@example.com.", chunk_size=4))
    agent = build_agent(writer, middleware)
    asked = {"messages": [HumanMessage("Whom can I ask?")]}
    parts = agent.stream(asked, stream_mode="messages")
    return "|".join(message.text for message, _ in parts if message.text)


print("old:", streamed(pii()))
print("new:", streamed([GuardMiddleware()]))

# %% [markdown]
# `PIIMiddleware` changes the message when it is complete, which is too late for the
# tokens of `stream_mode="messages"`. (In the newer `stream_events(version="v3")` it
# holds back the last characters, too.)
#
# ## 5. `LLMToolSelectorMiddleware` to `ToolRouterMiddleware`
#
# ```python
# LLMToolSelectorMiddleware(model=small_llm, max_tools=3)               # before
# ToolRouterMiddleware(ToolRouter(tools, embeddings), k=3)              # after
# ```
#
# An agent with 24 tools looks two things up, one after the other, and answers: three
# calls of its model. How many more does it take to choose the tools, and how many
# definitions are sent along?

# %%
THINGS = (
    "order",
    "bill",
    "parcel",
    "contract",
    "voucher",
    "meeting",
    "account",
    "shift",
)


def an_action(verb: str, thing: str) -> BaseTool:
    """Make a tool that does something."""

    def act(number: str) -> str:
        return f"{verb} {thing} {number}: done"

    about = f"{verb.capitalize()} one {thing}, by its number."
    return StructuredTool.from_function(act, name=f"{verb}_{thing}", description=about)


@tool
def opening_hours(day: str) -> str:
    """Tell the opening hours of the desk on a day."""
    return f"{day}: 8 to 18"


TOOLS = [opening_hours]
TOOLS += [an_action(verb, t) for verb in ("cancel", "print", "archive") for t in THINGS]


def clerk_at_work(request: ScriptedRequest) -> Any:
    """Look two days up, then answer."""
    results = sum(message["role"] == "tool" for message in request.messages)
    if results < 2:
        day = ("Saturday", "Sunday")[results]
        return Reply(tool_calls=[ToolCall("opening_hours", {"day": day})])
    return "From 8 to 18 on both days."


def choose(_: ScriptedRequest) -> dict[str, list[str]]:
    """Choose three tools."""
    return {"tools": ["opening_hours", "print_shift", "cancel_shift"]}


def choosing(selector: ScriptedChatModel) -> dict[str, list[Any]]:
    """Return what chooses the tools, both ways and not at all."""
    from langchain.agents.middleware import (  # noqa: PLC0415
        LLMToolSelectorMiddleware,
    )

    return {
        "all tools": [],
        "LLMToolSelectorMiddleware": [
            LLMToolSelectorMiddleware(model=selector, max_tools=3)
        ],
        "ToolRouterMiddleware": [
            ToolRouterMiddleware(ToolRouter(TOOLS, embeddings), k=3)
        ],
    }


def run_agent(middleware: list[Any]) -> tuple[ScriptedChatModel, str]:
    """Ask an agent with all the tools; return its model and the answer."""
    from langchain.agents import create_agent  # noqa: PLC0415

    worker = ScriptedChatModel(respond=clerk_at_work)
    agent = create_agent(worker, TOOLS, middleware=middleware)
    question = "Tell me the opening hours of the desk on the weekend"
    state = agent.invoke({"messages": [HumanMessage(question)]})
    return worker, state["messages"][-1].text


selector = ScriptedChatModel(respond=choose)
rows = []
for name, middleware in choosing(selector).items():
    calls = selector.calls
    worker, said = run_agent(middleware)
    sent = sum(len(request.params["tools"]) for request in worker.requests)
    rows.append([name, worker.calls, selector.calls - calls, sent, "both" in said])
table(["", "agent", "choosing", "tools sent", "answered"], *rows)

# %% [markdown]
# *What stays:* the agent and its tools. *What changes:* tools are chosen by embeddings,
# once a turn; a `fallback` model is asked only where that is not clear. *What differs:*
# a call a step is saved, and a tool that was not chosen cannot run, even if the model
# calls it all the same. Before you rely on it, `fit` the router on labeled questions:
# then `precision` is a promise (see [tool_router.py](tool_router.py)).
