"""Another project's way to an order, driven by JSON lines; run by its own Python.

Each line on standard input is a page, each on standard output what came of it.
"""

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from structured_flow_order import CALLS, CHEAP, TASK, Order

Read = Callable[[str], Any]


def model_of(url: str, name: str) -> Any:
    """Make a model whose client retries as it does by default."""
    openai = import_module("langchain_openai")
    return openai.ChatOpenAI(model=name, base_url=url, api_key="scripted")


def output_fixing(url: str, fixer: str) -> Read:
    """The cheap model writes, another call fixes what does not parse."""
    parsers = import_module("langchain_core.output_parsers")
    fixing = import_module("langchain_classic.output_parsers").OutputFixingParser
    prompts = import_module("langchain_core.prompts")
    parser = parsers.PydanticOutputParser(pydantic_object=Order)
    prompt = prompts.ChatPromptTemplate(
        [("system", TASK + "\n{form}"), ("human", "{page}")]
    ).partial(form=parser.get_format_instructions())
    fixed = fixing.from_llm(
        llm=model_of(url, fixer), parser=parser, max_retries=CALLS - 1
    )
    chain = prompt | model_of(url, CHEAP) | fixed
    return lambda page: chain.invoke({"page": page})


def instructor(url: str, model: str) -> Read:
    """A client that asks again with the error, on one model."""
    openai = import_module("openai").OpenAI(base_url=url, api_key="scripted")
    client = import_module("instructor").from_openai(openai)
    return lambda page: client.chat.completions.create(
        model=model,
        response_model=Order,
        max_retries=CALLS - 1,
        messages=[
            {"role": "system", "content": TASK},
            {"role": "user", "content": page},
        ],
    )


def trustcall(url: str, model: str) -> Read:
    """An extractor that asks for a JSON Patch of what does not validate."""
    extractor = import_module("trustcall").create_extractor(
        model_of(url, model), tools=[Order], tool_choice="Order"
    )

    def read(page: str) -> Any:
        found = extractor.invoke(
            {"messages": [("system", TASK), ("human", page)]},
            {"configurable": {"max_attempts": CALLS}},
        )
        return found["responses"][0]

    return read


KINDS: dict[str, Callable[[str, str], Read]] = {
    "langchain-classic": output_fixing,
    "instructor": instructor,
    "trustcall": trustcall,
}


def answered(read: Read, page: str) -> dict[str, Any]:
    """Read a page; say what came of it."""
    try:
        value = read(page)
    except Exception as error:  # noqa: BLE001 - whatever it raises, it has no order
        return {"value": None, "error": type(error).__name__}
    return {"value": value.model_dump(mode="json")}


def main() -> None:
    """Read pages until there are no more."""
    # Whatever a library prints must not stand between the results.
    results, sys.stdout = sys.stdout, sys.stderr
    kind, url, model = sys.argv[1:]
    read = KINDS[kind](url, model)
    for line in sys.stdin:
        print(json.dumps(answered(read, json.loads(line))), file=results, flush=True)


if __name__ == "__main__":
    main()
