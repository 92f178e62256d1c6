# %% [markdown]
# # A semantic cache whose share of wrong answers is a number you set
#
# Users ask the same thing in different words. A cache that compares by meaning saves
# those calls, and now and then serves the answer to another question: to an embedding,
# "from Harbor to Skerry" is as good as "from Skerry to Harbor", and no threshold tells
# them apart. `SemanticJudgeCache` asks a judge where the distance is not sure, and
# remembers what it said. Without a judge it serves only where the verdicts so far show
# that this is safe.
#
# 1. behind a chat model
# 2. around a whole chain
# 3. tenants
# 4. calibration from labeled pairs
# 5. feedback
# 6. what a verdict may cost, and when it is given
# 7. after a document has changed
# 8. what the ledger says
#
# **Real:** the cache with its decisions and bounds, SQLite, the ledger. **Scripted:**
# what the models and the judge answer, and the prices. The embeddings are
# `LexicalEmbeddings`, which know spelling and no meaning, so that every machine prints
# the same. So nothing here says how good the answers of a model or of a judge are.
#
# No key, no network, no download: `pip install "langchain-prodpatterns[plots]"`. For
# your own provider, put your models and embeddings in place of those of the next cell.

# %%
import re
from itertools import combinations
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.documents import Document
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumps
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_prodpatterns import SemanticJudgeCache, track
from langchain_prodpatterns.cache import LabeledPair
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    ScriptedChatModel,
    ScriptedRequest,
    echo,
)

HANDBOOK = {
    "animals.md": "A dog travels free of charge on a lead.",
    "bikes.md": "A bike costs 4 euros.",
    "boats.md": "A kayak costs 9 euros and travels on the car deck.",
    "fares.md": "A ticket from Harbor to Skerry costs 12 euros.",
    "returns.md": "A ticket from Skerry to Harbor costs 10 euros.",
    "refunds.md": "A ticket can be given back until 24 hours before departure.",
    "weather.md": "The ferry runs in fog and stays in port in a storm.",
}
KEYWORDS = {
    *("bike", "dog", "fog", "greyhound", "kayak", "motorbike", "motorhome", "snowfall"),
    *("storm", "surfboard", "thunderstorm", "ticket", "trailer", "wheelchair"),
}


def topics(text: str) -> set[str]:
    """Return what a text is about: keywords, and where a journey begins."""
    said = re.findall(r"from \w+|\w+", text.casefold())
    return {word for word in said if word in KEYWORDS or word.startswith("from ")}


def write(request: ScriptedRequest) -> str:
    """Answer with the line of the prompt that is about the question."""
    asked = topics(request.user_text)
    lines = [line[2:] for line in request.prompt_text.splitlines() if line[:2] == "- "]
    return max(lines, key=lambda line: len(topics(line) & asked))


def judge_topics(request: ScriptedRequest) -> dict[str, object]:
    """Say yes to questions of one topic, in the form that every judge is asked for."""
    form = re.search(r'"nonce" set to "(\w+)"', request.prompt_text)
    texts = dict(
        re.findall(r"<<\w+ (\w+)>>\n(.*?)\n<<end", request.user_text, re.DOTALL)
    )
    yes = topics(texts["new_question"]) == topics(texts["stored_question"])
    return {"yes": yes, "nonce": form[1] if form else ""}


embeddings = LexicalEmbeddings()
large = ScriptedChatModel(model="ferry-large", respond=write)
small = ScriptedChatModel(model="ferry-small", respond=echo)
judge = ScriptedChatModel(model="ferry-small", respond=judge_topics)
PRICES = {"ferry-large": (2.50, 10.00), "ferry-small": (0.15, 0.60)}
folder = TemporaryDirectory()

# %% [markdown]
# ## 1. Behind a chat model
#
# `set_llm_cache` puts it before every chat model and LLM of the process; a model's own
# `cache=` before that model. A `path` keeps the answers in SQLite, for the next start
# and for other processes.

# %%
path = Path(folder.name, "answers.sqlite")
# By default a verdict that takes 5 seconds is none; a scripted judge is never late.
cache = SemanticJudgeCache(embeddings, judge, path=path, judge_timeout=None)
set_llm_cache(cache)

ROLE = "You answer for Northwater Ferries, by its handbook:\n"
ROLE += "\n".join(f"- {line}" for line in HANDBOOK.values())


def messages(question: str) -> list[BaseMessage]:
    return [SystemMessage(ROLE), HumanMessage(question)]


def ask(
    runnable: Runnable[Any, Any], given: Any, config: RunnableConfig | None = None
) -> Any:
    """Ask, and print what the ledger has of it."""
    question = given["question"] if isinstance(given, dict) else given[-1].content
    with track(prices=PRICES) as ledger:
        output = runnable.invoke(given, config)
    found = next(row for row in ledger.to_records() if row.pattern == "cache")
    print(f"{question}\n    {found.decision}: {found.reason}")
    print(f"    calls: {ledger.summary().calls}, saved: {found.saved_calls}")
    return output


ask(large, messages("Can I take my dog on the ferry?"))
ask(large, messages("Can I take my dog on the ferry?"))
ask(large, messages("Can I take my dog on board the ferry?"))
ask(large, messages("Can I take my dog on board the ferry?"))
ask(large, messages("Can I take my bike on the ferry?"))

# %% [markdown]
# The first question went to the model. The same words are an *exact* hit. Other words
# are near, and nothing is known yet of how far that can be trusted, so the judge is
# asked; it said yes, and the same other words are an *alias* now, without a judge. The
# bike is nearly as near as the board was: the judge said no, and the model answered.
#
# `ainvoke`, `batch` and `abatch` do the same, natively async where they are.
#
# Only the last user text is compared by meaning. The system prompt, which holds the
# whole handbook here, has to be equal, and so have the history, tools and parameters.
#
# A served message says where it comes from:

# %%
message = large.invoke(messages("Can I take my dog on board the ferry?"))
print(message.content)
mark = message.response_metadata["prodpatterns.cache"]
print(mark["decision"], mark["saved_tokens"], "tokens saved")

# %% [markdown]
# `explain` says what a lookup would decide, and why; it serves and writes nothing.

# %%
ask(large, messages("How much is a ticket from Harbor to Skerry?"))


def request(question: str) -> tuple[str, str]:
    """Return what LangChain hands to a cache: the messages, and the model."""
    return dumps(messages(question)), large._get_llm_string()  # noqa: SLF001


decision = cache.explain(*request("How much is a ticket from Skerry to Harbor?"))
print(decision.decision, f"{decision.similarity:.2f}", decision.guards)
print(decision.reason)

# %% [markdown]
# The two directions are nearer to each other than most paraphrases. The guard `order`
# saw that the same words come in another order, so this pair will always be judged,
# whatever is learned. The other guards look for numbers, signs, negations and names.
#
# What is known survives a restart:

# %%
cache.close()
cache = SemanticJudgeCache(embeddings, judge, path=path, judge_timeout=None)
set_llm_cache(cache)
ask(large, messages("Can I take my dog on board the ferry?"))
set_llm_cache(None)

# %% [markdown]
# ## 2. Around a whole chain
#
# Behind a chat model, each call is looked up for itself. `wrap` keeps what a whole
# chain came to, here three calls and a search, under the `question` of its input.
# `scope` names what the cache cannot see, such as what is in the vector store.
# `metadata` names what an answer is made of, which section 7 needs.

# %%
pages = InMemoryVectorStore(embeddings)


def publish(page: str) -> None:
    pages.add_documents([Document(HANDBOOK[page], id=page, metadata={"page": page})])


for page in HANDBOOK:
    publish(page)


def step(instruction: str, model: ScriptedChatModel) -> Runnable[Any, Any]:
    prompt = ChatPromptTemplate([("system", instruction), ("user", "{question}")])
    return prompt | model | StrOutputParser()


def read(so_far: dict[str, Any]) -> str:
    return "\n".join(f"- {found.page_content}" for found in so_far["found"])


def sources(so_far: dict[str, Any]) -> list[str]:
    return [found.metadata["page"] for found in so_far["found"]]


search = itemgetter("query") | pages.as_retriever(search_kwargs={"k": 2})
chain = (
    RunnablePassthrough.assign(question=step("Correct the spelling.", small))
    | RunnablePassthrough.assign(query=step("Write a query for a search.", small))
    | RunnablePassthrough.assign(found=search)
    | RunnablePassthrough.assign(text=read, sources=sources)
    | RunnablePassthrough.assign(answer=step("Answer by these pages:\n{text}", large))
).pick(["answer", "sources"])

cached = cache.wrap(
    chain,
    scope="handbook of the winter",
    metadata=lambda output: {"sources": output["sources"]},
)
print(ask(cached, {"question": "What does a kayak cost?"}))
print(ask(cached, {"question": "What does a kayak cost me?"}))

# %% [markdown]
# One verdict stands in for three calls. A stream is kept as it came, and a hit streams
# it again:

# %%
for _ in range(2):
    calls = large.calls
    chunks = list(cached.stream({"question": "What does a bike cost?"}))
    print(f"calls of the large model: {large.calls - calls}, chunks: {len(chunks)}")
print(chunks[:4])

# %% [markdown]
# Who asks at the same time as another waits for that answer: eight equal inputs run the
# chain once.

# %%
with track() as ledger:
    cached.batch([{"question": "Do you run in fog?"}] * 8)
print(f"calls: {ledger.summary().calls}, saved: {ledger.summary().saved_calls}")

stats = cache.stats()
print(f"{stats.lookups} lookups, {stats.hit_rate:.0%} of them hits:")
print(f"{stats.exact} exact, {stats.alias} alias, {stats.judged_hits} judged")
print(f"{stats.entries} entries, {stats.errors} errors")

# %% [markdown]
# ## 3. Tenants
#
# Nothing is shared between namespaces. The cache has one by default; a run names its
# own as `tenant`, `namespace` or both in `config["configurable"]`.

# %%
school: RunnableConfig = {"configurable": {"tenant": "the island school"}}
ask(cached, {"question": "What does a kayak cost?"})
ask(cached, {"question": "What does a kayak cost?"}, school)
print(cache.invalidate(namespace="the island school"), "removed")

# %% [markdown]
# ## 4. Calibration
#
# The promise is `delta`: of the near hits that are served, at most that share is wrong.
# It is learned from verdicts and feedback with an upper confidence bound; labeled pairs
# of questions give it a start, and show how often the judge errs.
#
# The pairs here are made by a rule: the same question in several phrasings has one
# answer, the same phrasing about another thing has not. Label near hits of your own
# traffic in their place, and say `as_traffic=True` of such pairs only: then they are
# evidence for what may be served unjudged. Other pairs measure the judge, and hint.

# %%
THINGS = {
    "Where on the ferry to Skerry do I find the place for my {}?": (
        "greyhound motorbike surfboard wheelchair"
    ),
    "How early do I have to be at the port with a {} on Sunday?": (
        "motorhome surfboard trailer wheelchair"
    ),
    "Will the morning ferry to Skerry run if there is {}?": (
        "drizzle fog snowfall thunderstorm"
    ),
    "How long before departure can I still cancel my {}?": (
        "cabin couchette motorhome ticket"
    ),
    "Can I pay for a {} with my phone when I am on board?": (
        "couchette motorbike ticket wheelchair"
    ),
    "How much does it cost to bring my {} over to Skerry?": (
        "greyhound motorhome surfboard trailer"
    ),
}
PHRASINGS = ["{}", "Hi, {}", "So, {}", "{} Thx!", "Hey, {}", "{} Bye"]


def labeled_pairs() -> list[LabeledPair]:
    pairs = []
    for question, things in THINGS.items():
        asked = [question.format(thing) for thing in things.split()]
        for one, other in combinations(asked, 2):
            pairs.append(LabeledPair(one, other, same_answer=False))
        for text in asked:
            for one, other in combinations([p.format(text) for p in PHRASINGS], 2):
                pairs.append(LabeledPair(one, other, same_answer=True))
    return pairs


learned = SemanticJudgeCache(embeddings, judge, delta=0.05, judge_timeout=None)
calibration = learned.calibrate(labeled_pairs(), as_traffic=True)
print(calibration)
calibration.plot(Path(folder.name, "calibration.png"))

# %% [markdown]
# The judge took a cabin for a couchette: that is its measured error, and it counts in
# what is promised. `band` is the pairs' own answer: from its second cosine on they show
# that no more than `delta` is wrong. What the cache itself has learned is stricter, for
# it keeps half of `delta` back for what a test on past questions cannot see:

# %%
print(learned.stats().promise.reason)

desk = ScriptedChatModel(model="ferry-large", respond=write, cache=learned)
questions = [
    text.format(thing) for text, things in THINGS.items() for thing in things.split()
]
for question in questions:
    desk.invoke(messages(question))
for question in questions:
    desk.invoke(messages(f"{question} Ok?"))
unjudged = learned.stats().served
print("more than half are served without a verdict:", unjudged > len(questions) / 2)

# %% [markdown]
# One in twenty is judged all the same, drawn by the request: an audit, which notices
# when the questions change. That is why no exact number is printed here.
#
# Where there is no judge at all, give the band. It is applied as it stands, and what is
# promised is then no more than reported:

# %%
banded = SemanticJudgeCache(embeddings, band=calibration.band)
desk = ScriptedChatModel(model="ferry-large", respond=write, cache=banded)
ask(desk, messages("Can I take my dog on the ferry?"))
ask(desk, messages("Can I take my dog on board the ferry?"))

# %% [markdown]
# ## 5. Feedback
#
# The judge's blind spot reaches a user, who complains. That answer is never served to
# that question again, and the complaint counts against the judge: it is believed less,
# until labeled pairs or further verdicts show how seldom it errs.

# %%
cache = SemanticJudgeCache(embeddings, judge, judge_timeout=None)
desk = ScriptedChatModel(model="ferry-large", respond=write, cache=cache)
ask(desk, messages("Until when can I still cancel the booking of my cabin?"))
served = ask(
    desk, messages("Until when can I still cancel the booking of my couchette?")
)
cache.feedback(served.response_metadata["prodpatterns.cache"]["hit_id"], correct=False)
ask(desk, messages("Until when can I still cancel the booking of my couchette?"))
print("pairs known to have two answers:", cache.stats().rejected)

# %% [markdown]
# ## 6. What a verdict may cost, and when it is given
#
# The judge is asked where the chance of a yes times the price of the answer exceeds the
# price of the verdict. Where no prices are known, an answer is taken to cost three
# verdicts; `cost` sets both, here in usd. First a verdict that is cheap beside the
# answer, so that even a faint chance is worth it; then one that costs more than that.

# %%
for cost in [(0.02, 0.0005), (0.001, 0.004)]:
    weighed = SemanticJudgeCache(embeddings, judge, cost=cost, judge_timeout=None)
    desk = ScriptedChatModel(model="ferry-large", respond=write, cache=weighed)
    desk.invoke(messages("Can I take my dog on the ferry?"))
    ask(desk, messages("Can a dog come on the ferry?"))

# %% [markdown]
# With `judge_mode="async"` nobody waits for a verdict. The near question is a miss,
# which the model answers; meanwhile the judge is asked, and what it says is evidence
# for what may be served unjudged later. `drain` waits for what is still being judged,
# and so does `close`.

# %%
later = SemanticJudgeCache(embeddings, judge, judge_mode="async", judge_timeout=None)
desk = ScriptedChatModel(model="ferry-large", respond=write, cache=later)
desk.invoke(messages("Can I take my dog on the ferry?"))
desk.invoke(messages("Can I take my dog on board the ferry?"))
later.drain()
stats = later.stats()
print(f"misses: {stats.misses}, of them judged afterwards: {stats.deferred}")
print(f"verdicts to learn from: {stats.promise.evidence}")

# %% [markdown]
# ## 7. After a document has changed
#
# The page about boats is written anew. What was answered by it is stale; the rest is
# not. `metadata` has noted by which pages each answer was given:

# %%
HANDBOOK["boats.md"] = "A kayak costs 11 euros."
publish("boats.md")
print(ask(cached, {"question": "What does a kayak cost?"})["answer"])
removed = cached.cache.invalidate(where=lambda of: "boats.md" in of.get("sources", []))
print(removed, "removed")
print(ask(cached, {"question": "What does a kayak cost?"})["answer"])

# %% [markdown]
# The second was the answer about the bike: the search had found that page for it, too.
#
# `invalidate` also takes a `query`, a `hit_id`, a `partition`, a `namespace` and
# `older_than`; `ttl` lets answers expire by themselves.
#
# ## 8. What the ledger says
#
# One record a decision, and every model call booked to one of them: the table is the
# provider's bill, with what the cache saved beside it.

# %%
for model in (large, small, judge):
    model.reset()
with track(prices=PRICES) as ledger:
    for question in [
        "Is a dog free of charge?",
        "Is my dog free of charge?",
        "What does a kayak cost?",
        "Does the ferry run in a storm?",
        "Does the ferry run in a bad storm?",
        "Does the ferry run in a bad storm?",
    ]:
        cached.invoke({"question": question})
for row in ledger.to_records():
    said = f"{row.pattern} {row.decision}"
    print(f"{said:<17} calls: {row.calls}, saved: {row.saved_calls}")
# The seconds are those of this machine.
print(re.sub(r"\b\d+\.\d\d\b", "-.--", ledger.table()))
counted = [(model.calls, model.input_tokens) for model in (large, small, judge)]
calls, tokens = map(sum, zip(*counted, strict=True))
print(f"counted by the models themselves: {calls} calls, {tokens} tokens in")

# %%
for opened in (cached.cache, learned, banded, cache, later):
    opened.close()
folder.cleanup()
