# %% [markdown]
# # A router that asks a model only where it is not clear
#
# Most questions to an assistant are clear: "Where is my order?" needs one tool, and no
# other is close. A model call to find that out is a call too many. The rest is not
# clear, and a router that guesses sends a cancellation to the tool that ships.
# `ToolRouter` decides by distance where that is safe, says how safe it is, and leaves
# the rest to a model.
#
# 1. before it has learned: two plain bars
# 2. labels, and what they show
# 3. too few labels
# 4. in doubt: the fallback, around what was learned and saved
# 5. feedback
# 6. more than a decision: binding and calling
# 7. tools come and go
# 8. what the ledger says
#
# **Real:** the router, what it learns and certifies, the calls of tools, the ledger.
# **Scripted:** the labels, which a few lines make from phrasings and things, and what
# the models answer. The embeddings are `LexicalEmbeddings`, which know spelling and no
# meaning, so that every machine prints the same. So the shares are those of these
# sentences: `benchmarks/routing.py` has those of public question sets.
#
# No key, no network, no download: `pip install langchain-prodpatterns`. For your own
# provider, put your model, embeddings and labels in place of those of the next cells.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.tools import BaseTool, tool

from langchain_prodpatterns import Route, RouteDecision, ToolRouter, track
from langchain_prodpatterns.routing import RouteRequest
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    ScriptedChatModel,
    ScriptedRequest,
)


@tool
def track_order(question: str) -> str:  # noqa: ARG001 - there is one order
    """Tell where an order is and when it arrives."""
    return "It arrives on Friday."


@tool
def cancel_order(number: str, reason: str) -> str:
    """Cancel an order that has not been shipped."""
    return f"{number} is canceled: {reason}"


HANDBOOK = Route("handbook", "Rules and prices: refunds, returns, guarantees, repairs.")
EXAMPLES = {
    "track_order": ["Where is my order?", "When does my parcel arrive?"],
    "cancel_order": ["Cancel my order", "I do not want my order any more"],
    "handbook": ["How do I return something?", "What does a repair cost?"],
}
TOOLS: list[BaseTool | Route] = [track_order, cancel_order, HANDBOOK]
embeddings = LexicalEmbeddings()


def show(query: str, decision: RouteDecision) -> None:
    """Print a decision."""
    print(f"{query}\n    {decision.tool} by {decision.decided_by}")


# %% [markdown]
# ## 1. Before it has learned: two plain bars
#
# A tool is chosen when it is near (`threshold`) and no other is (`margin`). A threshold
# alone confuses tools that are alike; a margin alone trusts the least bad of several
# that do not fit. Where it is not clear nothing is chosen, and never the runner-up.

# %%
router = ToolRouter(TOOLS, embeddings, examples=EXAMPLES)
for query in (
    "When does my parcel arrive please?",
    "Where is my order? Cancel my order",
    "What is the weather like?",
):
    decision = router.invoke(query)
    show(query, decision)
    print(f"    {decision.reason}")

# %% [markdown]
# ## 2. Labels, and what they show
#
# The bars promise nothing: what is near differs from one embedder to the next. `fit`
# learns from labeled queries how likely the best tool is right, and sets the bar so
# that `precision` holds with a stated confidence, on queries like these. Among them are
# some that no tool fits (`None`), for such will come.

# %%
GOODS = (
    *("lamp", "chair", "table", "kettle", "mirror", "carpet", "pillow", "curtain"),
    *("candle", "basket"),
)
PHRASINGS: dict[str | None, tuple[str, ...]] = {
    "track_order": (
        "Where is the {} that I have ordered?",
        "When will my {} arrive?",
        "Has my order of a {} been shipped?",
        "Can you see where my parcel with the {} is?",
    ),
    "cancel_order": (
        "Please cancel my order of a {}",
        "I do not want the {} any more, cancel it",
        "Cancel the order of the {}, I found another",
        "Can I still cancel the {} that I ordered?",
    ),
    "handbook": (
        "How long is the guarantee on a {}?",
        "What does it cost to repair a {}?",
        "How do I return a {} that I do not like?",
        "Do I get a refund for a broken {}?",
    ),
    None: (
        "Which {} would look good in a small room?",
        "Write a poem about a {}",
        "Is a {} of oak better than one of pine?",
        "Tell me the history of the {}",
    ),
}
LABELS = [
    (phrasing.format(thing), name)
    for thing in GOODS
    for name, phrasings in PHRASINGS.items()
    for phrasing in phrasings
]
# Other things in the test than in the lessons.
TAUGHT, TEST = LABELS[:112], LABELS[112:]

report = router.fit(TAUGHT)
print(f"{report.labels} labels, {report.none_labels} of them none")
print(f"it decides alone: {report.bar is not None}")
print(f"at least {router.precision:g} is shown:", (report.certified or 0) >= 0.95)
for assumption in report.assumptions:
    print(f"- {assumption}")

# %% [markdown]
# On questions that it has not seen:

# %%
evaluation = router.evaluate(TEST)
print(
    f"{evaluation.labels} queries, more than half decided: {evaluation.coverage > 0.5}"
)
print(f"precision kept: {(evaluation.precision or 0) >= router.precision}")
print(f"confusions: {len(evaluation.confusions)}")
for query in ("Where is the stool that I have ordered?", "Write a poem about a stool"):
    show(query, router.invoke(query))

# %% [markdown]
# `print(evaluation)` shows all of it: the coverage, the precision, the pairs that are
# confused and a table of confidence against truth. It is left out here, since the last
# digits differ from one machine to the next.
#
# ## 3. Too few labels
#
# A promise takes evidence: even without an error, some forty decisions have to be right
# before 95% are shown with 90% confidence. With less the router does not decide alone,
# and says what is missing.

# %%
careful = ToolRouter(TOOLS, embeddings)
print(careful.fit(TAUGHT[:16]).obstacle.partition(":")[0])
show("Where is my order?", careful.invoke("Where is my order?"))

# %% [markdown]
# ## 4. In doubt: the fallback
#
# A chat model, or a function as here, gets the question and the nearest tools, and
# answers with a number or a name, "none" allowed. An answer that is not on offer does
# not count. What it decided is kept, so the same question is not asked about again.
#
# A router is taught once: `save` writes what it has learned, numbers and JSON, to one
# file, and `load` sets another one up with it, for any number of processes.

# %%
asked: list[str] = []


def receptionist(request: RouteRequest) -> str:
    """Choose by a word, as a model would by what is meant."""
    asked.append(request.question)
    return "cancel_order" if "rid of" in request.question else "none"


folder = TemporaryDirectory()
learned = Path(folder.name, "router.npz")
router.save(learned)
with_fallback = ToolRouter.load(
    learned,
    TOOLS,
    embeddings,
    examples=EXAMPLES,
    fallback=receptionist,
    fallback_timeout=None,
)
for query in (
    "Where is the stool that I have ordered?",
    "I want to get rid of it all",
    "i want to get rid of it all",
    "Sing me a song",
):
    show(query, with_fallback.invoke(query))
print(f"the fallback was asked {len(asked)} times")

# %% [markdown]
# With `learn=True` these decisions also become examples of what was chosen, so that
# questions like them are decided by distance some day.
#
# ## 5. Feedback
#
# A person says that it was wrong. That comes before everything else from then on.

# %%
QUERY = "Sing me a song"
with_fallback.feedback(QUERY, "handbook")
show(QUERY, with_fallback.invoke(QUERY))

# %% [markdown]
# ## 6. More than a decision: binding and calling
#
# `select` gives the likeliest tools. `bind_tools` binds to a model only what a question
# needs: the tool that is decided, else the nearest few. `call` runs the tool, without a
# model where a single argument can take the question as it is; where there are more, a
# model fills them in.


# %%
def fill_in(request: ScriptedRequest) -> dict[str, Any]:
    """Fill in the arguments of a tool."""
    assert request.tool_names  # noqa: S101 - a recipe shows what holds
    return {"number": "A-17", "reason": "it came too late"}


llm = ScriptedChatModel(respond=fill_in)
print(router.select("Where is my lamp?", 1) == [track_order])
bound = router.bind_tools(llm)
bound.invoke("Please cancel my order of a stool")
print("bound:", llm.requests[-1].params["tools"][0]["function"]["name"])

for query in ("When will my stool arrive?", "Please cancel my order of a stool"):
    calls = llm.calls
    done = router.call(query, model=llm)
    print(f"{done.messages[-1].content} ({llm.calls - calls} calls)")

# %% [markdown]
# ## 7. Tools come and go
#
# A tool more, and the promise is off until the next `fit`, for no label can name the
# new one. A tool less, and it holds: what belonged to that tool now belongs to none.

# %%
gift = Route("gifts", "Vouchers and gift cards.", ["Do you sell gift cards?"])
wider = router.add([gift])
narrower = router.remove(["handbook"])
query = "When will my stool arrive?"
show(query, wider.invoke(query))
show(query, narrower.invoke(query))

# %% [markdown]
# ## 8. What the ledger says
#
# With a chat model as the fallback each decision by distance is a call that was not
# needed. How many that are depends on your questions. Here are ten that are clear and
# two that are not:

# %%


def choose(request: ScriptedRequest) -> dict[str, Any]:
    """Say that no tool fits, in the form that every judge is asked for."""
    nonce = request.prompt_text.partition('"nonce" set to "')[2].partition('"')[0]
    return {"choice": "none", "nonce": nonce}


chooser = ScriptedChatModel(model="small", respond=choose)
counted = ToolRouter.load(
    learned,
    TOOLS,
    embeddings,
    examples=EXAMPLES,
    fallback=chooser,
    fallback_timeout=None,
)
day = [f"When will my {thing} arrive?" for thing in GOODS]
with track() as ledger:
    for query in (*day, "Sing me a song", "Tell me a joke"):
        counted.invoke(query)
for decided_by in ("distance", "llm"):
    rows = [row for row in ledger.to_records() if row.decision == decided_by]
    made = sum(row.calls for row in rows)
    spared = sum(row.saved_calls for row in rows)
    print(f"{decided_by:<9}{len(rows):>3} decisions, {made} calls, {spared} saved")

# %%
folder.cleanup()
