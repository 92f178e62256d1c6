"""What choosing tools costs in a tool loop: a model's selector, and distance.

An agent with 40 tools answers a turn of the user in six model calls, on the offline
provider. Counted are requests, and tokens of prompts and of tool definitions. Nothing
is said about quality: the script plays both models and both choose the right tool.

    python benchmarks/routing_agents.py
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import LLMToolSelectorMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langchain_prodpatterns.middleware import ToolRouterMiddleware
from langchain_prodpatterns.routing import ToolRouter
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    ScriptedProvider,
    ScriptedRequest,
    count_tokens,
)

STEPS = 6
K = 5
TOPICS = (
    "weather forecast", "tax return", "train timetable", "flight booking",
    "hotel search", "stock price", "currency rate", "recipe finder", "song lyrics",
    "movie times", "news headlines", "sports scores", "dictionary entry",
    "text translation", "unit conversion", "calendar entry", "mail inbox",
    "address book", "parcel tracking", "restaurant table", "traffic jam",
    "parking garage", "bike rental", "museum hours", "library loan", "doctor visit",
    "pharmacy stock", "insurance claim", "bank balance", "card statement",
    "loan offer", "pension plan", "job listing", "house rent", "energy bill",
    "water meter", "phone contract", "internet outage", "garden advice",
    "horoscope reading",
)  # fmt: skip
CLEAR = "please give me the weather forecast"
UNCLEAR = "please give me the doctor visit or the museum hours"


@dataclass(frozen=True)
class Count:
    """What one turn of the user took."""

    model_calls: int
    """Requests of the agent's own model."""
    selector_calls: int
    """Requests that choose tools."""
    prompt_tokens: int
    """Tokens of all prompts."""
    definition_tokens: int
    """Tokens of the tool definitions in the requests of the agent's model."""


def tools() -> list[BaseTool]:
    """Forty tools of two arguments each."""
    return [_tool(topic) for topic in TOPICS]


def _tool(topic: str) -> BaseTool:
    def run(query: str, limit: int = 5) -> str:
        return f"{topic}: {query} ({limit})"

    description = f"Get the {topic} that the user asks for."
    name = topic.replace(" ", "_")
    return StructuredTool.from_function(run, name=name, description=description)


def respond(request: ScriptedRequest) -> Any:
    """Play the selector, the fallback and the agent's model."""
    wanted = "doctor_visit" if "doctor" in request.user_text else "weather_forecast"
    if not _is_own(request.params):
        return json.dumps({"tools": [wanted]})
    done = sum(message["role"] == "tool" for message in request.messages)
    if done == STEPS - 1:
        return "That is all."
    call = {"name": wanted, "args": {"query": f"part {done}"}, "id": f"call-{done}"}
    return AIMessage("", tool_calls=[call])


def peer(_tools: list[BaseTool]) -> list[Any]:
    """LangChain's selector: a model chooses."""
    return [LLMToolSelectorMiddleware(max_tools=K)]


def ours(listed: list[BaseTool]) -> list[Any]:
    """Distance first, and one decision a turn."""
    router = ToolRouter(listed, LexicalEmbeddings(), threshold=0.2, margin=0.15)
    return [ToolRouterMiddleware(router, k=K)]


def neither(_tools: list[BaseTool]) -> list[Any]:
    """All tools are bound."""
    return []


def measure(make: Callable[[list[BaseTool]], list[Any]], question: str) -> Count:
    """Run one turn and count."""
    listed = tools()
    with ScriptedProvider(respond=respond) as provider:
        agent = create_agent(provider.chat_model(), listed, middleware=make(listed))
        value: Any = {"messages": [{"role": "user", "content": question}]}
        agent.invoke(value)
        requests = provider.requests
        prompt_tokens = provider.input_tokens
    own = [each for each in requests if _is_own(each.params)]
    return Count(
        model_calls=len(own),
        selector_calls=len(requests) - len(own),
        prompt_tokens=prompt_tokens,
        definition_tokens=sum(
            count_tokens(json.dumps(each.params.get("tools", []))) for each in own
        ),
    )


def _is_own(params: Any) -> bool:
    names = [each["function"]["name"] for each in params.get("tools", ())]
    return "response_format" not in params and "ToolSelectionResponse" not in names


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(f"{len(TOPICS)} tools, a turn of {STEPS} model calls, k={K}; counts only")
    head = ("model calls", "selector calls", "prompt tokens", "definition tokens")
    print(f"{'':30}", *(f"{each:>18}" for each in head))
    ways = {"all tools": neither, "LLMToolSelector": peer, "ToolRouter": ours}
    for kind, question in (("clear", CLEAR), ("unclear", UNCLEAR)):
        for name, make in ways.items():
            count = measure(make, question)
            figures = (
                count.model_calls,
                count.selector_calls,
                count.prompt_tokens,
                count.definition_tokens,
            )
            print(f"{kind:8} {name:21}", *(f"{each:>18,}" for each in figures))


if __name__ == "__main__":
    main()
