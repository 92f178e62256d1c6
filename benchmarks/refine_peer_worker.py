"""A module of DSPy that writes stories, driven by JSON lines; run by its own Python.

Each line on standard input is a task, each on standard output the story that came of
it, or `null` where none did.
"""

import json
import sys
from importlib import import_module
from typing import Any

from refine_coverage import CALLS, coverage

dspy = import_module("dspy")


def reward(args: dict[str, Any], prediction: Any) -> float:
    """Return the share of the words that the story uses."""
    return coverage(args["task"], prediction.story)


def module_of(kind: str, url: str) -> Any:
    """Make a module that spends all calls, of which half of those of Refine advise."""
    model = dspy.LM(
        "openai/scripted-small", api_base=url, api_key="scripted", cache=False
    )
    dspy.configure(lm=model)
    attempts = (CALLS + 1) // 2 if kind == "Refine" else CALLS
    return getattr(dspy, kind)(
        module=dspy.Predict("task -> story"),
        N=attempts,
        reward_fn=reward,
        threshold=1.0,
    )


def answered(module: Any, task: str) -> str | None:
    """Have a story written."""
    try:
        return str(module(task=task).story)
    except Exception:  # noqa: BLE001 - whatever it raises, there is no story
        return None


def main() -> None:
    """Write stories until there are no more tasks."""
    # Whatever a library prints must not stand between the results.
    results, sys.stdout = sys.stdout, sys.stderr
    module = module_of(*sys.argv[1:])
    for line in sys.stdin:
        print(json.dumps(answered(module, json.loads(line))), file=results, flush=True)


if __name__ == "__main__":
    main()
