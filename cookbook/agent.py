# %% [markdown]
# # Six middleware on one agent with 40 tools
#
# `create_agent` gives a model tools and goes around until it has an answer. What teams
# add to that in production is what this package is about, and all of it goes into the
# list of middleware:
#
# 1. 40 tools, one agent, six middleware, and why they stand in this order
# 2. a question: 3 of 40 tools are bound, a page is quoted, an address is hidden, the
#    answer is refined
# 3. the same question in other words: no call of the agent's model, no tool
# 4. a ticket whose form is wrong twice: asked again, warmer, and then a larger model
# 5. what all this cost
#
# **Real:** the middleware, the agent's loop, the router with its embeddings (of words,
# not of meaning), the compressor, the cache, the guard, the ledger. **Scripted:** what
# the models write and what the judge says. So nothing here says how good an answer is.
#
# No key, no network, no download: `pip install langchain-prodpatterns`. For your own
# provider, put your model in place of those of the next cells.

# %%
import json
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_prodpatterns import (
    Budget,
    ContextCompressor,
    Ledger,
    Rung,
    SemanticJudgeCache,
    ToolRouter,
)
from langchain_prodpatterns.middleware import (
    CompressToolOutputMiddleware,
    GuardMiddleware,
    RefineMiddleware,
    SemanticCacheMiddleware,
    StructuredRetryMiddleware,
    ToolRouterMiddleware,
)
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    Reply,
    ScriptedChatModel,
    ScriptedRequest,
    ToolCall,
)

# %% [markdown]
# ## 1. 40 tools, one agent, six middleware
#
# One tool searches a handbook; the other 39 do things to orders, bills and the like.

# %%
PAGE = (
    "Our shop sells lamps of many kinds, by the river. " * 30
    + "Refunds are paid within fourteen days of the return. "
    + "The shop has a garden with a view. " * 10
)


@tool
def search_handbook(question: str) -> str:  # noqa: ARG001 - it has one page
    """Search the handbook of the shop: refunds, returns, days, rules."""
    return PAGE


def an_action(verb: str, thing: str) -> BaseTool:
    """Make a tool that does something."""

    def act(number: str) -> str:
        return f"{verb} {thing} {number}: done"

    about = f"{verb.capitalize()} one {thing}, by its number."
    return StructuredTool.from_function(act, name=f"{verb}_{thing}", description=about)


VERBS = ("cancel", "print", "archive")
THINGS = [
    "order",
    "bill",
    "parcel",
    "contract",
    "voucher",
    "meeting",
    "account",
    "password",
    "address",
    "subscription",
    "shift",
    "route",
    "label",
]
TOOLS = [search_handbook, *(an_action(v, t) for v in VERBS for t in THINGS)]
print(f"{len(TOOLS)} tools")

# %% [markdown]
# The scripts of the models. The small one looks things up and then says too much; asked
# for a ticket, it gets the form wrong, however warm it is. The large one does not.


# %%
class Ticket(BaseModel):
    """A ticket for the workshop."""

    title: str
    urgent: bool


def small(request: ScriptedRequest) -> Any:
    """Search, then answer; or write a ticket that is not valid."""
    if "Ticket" in request.tool_names:
        args = {"title": "lamp", "urgent": "perhaps"}
        return Reply(tool_calls=[ToolCall("Ticket", args)])
    if request.messages[-1]["role"] == "user":
        call = ToolCall("search_handbook", {"question": request.user_text})
        return Reply(tool_calls=[call])
    return (
        "Thank you for your question, which we were very happy to get! Refunds are "
        "paid within fourteen days of the return."
    )


def large(_: ScriptedRequest) -> Any:
    """Write a valid ticket."""
    args = {"title": "lamp", "urgent": True}
    return Reply(tool_calls=[ToolCall("Ticket", args)])


cheap = ScriptedChatModel(respond=small, model="small")
strong = ScriptedChatModel(respond=large, model="large")
editor = ScriptedChatModel(
    default=json.dumps({"revision": "Refunds are paid within fourteen days."}),
    model="editor",
)


def short(text: str) -> bool | str:
    """Check the length of an answer."""
    return len(text) <= 60 or "say it in 60 characters"


ledger = Ledger()


# %% [markdown]
# The order matters. What wraps the model stands behind what calls other models, so the
# guard comes after the ladder: it guards the large model too. The cache comes after the
# guard, and so keeps no address. What answers, and whether by a form, is up to a small
# middleware of our own: the agent has a `response_format`, and uses it for tickets.


# %%
@wrap_model_call
def by_form_where_asked(
    request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse]
) -> ModelResponse:
    """Ask for the form where a ticket is wanted."""
    asked = [each for each in request.messages if isinstance(each, HumanMessage)]
    wanted = "ticket" in asked[-1].text
    return handler(request if wanted else request.override(response_format=None))


embeddings = LexicalEmbeddings()
cache = SemanticJudgeCache(embeddings, judge=lambda _: True)
guard = GuardMiddleware(policy={"email": "redact"})
middleware: list[Any] = [
    by_form_where_asked,
    StructuredRetryMiddleware(
        [Rung(cheap, temperatures=(None, 0.7)), strong], budget=Budget(attempts=3)
    ),
    guard,
    SemanticCacheMiddleware(
        cache,
        side_effect_free=["search_handbook"],
        # No stand-ins here, so one session's answers are good for all.
        ignored_state=["guard_session"],
    ),
    RefineMiddleware(critics=[short], reviser=editor, max_rounds=1),
    ToolRouterMiddleware(ToolRouter(TOOLS, embeddings), k=3),
    CompressToolOutputMiddleware(
        ContextCompressor(token_budget=40), tools=["search_handbook"]
    ),
]
made = create_agent(
    cheap,
    TOOLS,
    response_format=Ticket,
    middleware=middleware,
    checkpointer=InMemorySaver(),
)
# So that no checkpoint holds what the user wrote as it was.
agent = guard.wrap(made)

# %% [markdown]
# ## 2. A question
#
# Of 40 tools the model sees 3. Of a page of 1,900 characters it sees three sentences,
# the one that answers among them. It never sees who asks.


# %%
def ask(question: str, thread: str) -> dict[str, Any]:
    """Ask the agent, and print what is in its state then."""
    before = cheap.calls
    config: Any = {"configurable": {"thread_id": thread}, "callbacks": [ledger]}
    said = {"role": "user", "content": question}
    state: dict[str, Any] = agent.invoke({"messages": [said]}, config)
    for message in state["messages"]:
        calls = [c["name"] for c in getattr(message, "tool_calls", ())]
        print(f"{message.type:>6}: {message.text or calls}")
    print(f"calls of the small model: {cheap.calls - before}")
    return state


ask("In how many days are refunds paid? I am ada@example.org", "1")

# %%
for request in cheap.requests:
    offered = [each["function"]["name"] for each in request.params["tools"]]
    hidden = "ada@example.org" not in json.dumps(request.messages)
    print(f"{len(offered)} tools on offer, the address is hidden: {hidden}")
print(f"the page has {len(PAGE)} characters")

# %% [markdown]
# The model said more than that: what it said first is not in the state, and what the
# editor made of it has the same id.

# %% [markdown]
# ## 3. The same question in other words
#
# Somebody else asks, in another conversation. The cache finds the question, the judge
# says that it is the same, and that is all: no call of the model, no tool.

# %%
state = ask("In how many days are my refunds paid? I am bob@example.org", "2")
answer = state["messages"][-1]
mark = answer.response_metadata["prodpatterns.cache"]
print(f"{mark['decision']}, {mark['saved_calls']} calls saved")
print(f"usage: {answer.usage_metadata}")

# %% [markdown]
# ## 4. A ticket whose form is wrong twice
#
# The small model answers with `"urgent": "perhaps"`; it is told, and asked again at
# another temperature; then the large model is asked. In the history is the valid answer
# only.

# %%
state = ask("Please open a ticket: my lamp is broken", "3")
print(repr(state["structured_response"]))
print([request.params.get("temperature") for request in cheap.requests[-2:]])
print(cheap.requests[-1].messages[-1]["content"].splitlines()[0])

# %% [markdown]
# ## 5. What all this cost
#
# One ledger for all of it, with the calls that were made and those that were saved.
# What no pattern has asked for is the agent's own, under `model`.

# %%
print(f"{'pattern':>12}  calls  saved calls")
for pattern, used in sorted(ledger.summary().by_pattern.items()):
    print(f"{pattern:>12}  {used.calls:>5}  {used.saved_calls:>11}")
cache.close()
