"""Reading runs as LangSmith exports them: one run a line, as JSON.

What is used of a run, all else is passed by:

| field | what for |
|---|---|
| `inputs` | the question: of `question`, `query`, `input`, `text`, `prompt` the first that is a text, else the last human message of `messages` |
| `outputs` | the answer: of `answer`, `output`, `text`, `content` the first that is a text, else the last message of `messages` or `generations` |
| `error` | a run that failed is left out |
| `feedback_stats` | the mean of all scores, weighed by their counts: below a half the answer was wrong, and the run is left out |
| `start_time` | the day |
| `extra.metadata` or `outputs` | of a `ToolRouter`: `tool` and `decided_by` |
"""  # noqa: E501 - a table

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.commands.calibrate_rows import BadRow, LeftOut

_QUESTIONS = ("question", "query", "input", "text", "prompt")
_ANSWERS = ("answer", "output", "text", "content")
_HUMAN = {"human", "user"}
_DEEPEST = 5
_RIGHT = 0.5


def is_run(fields: Mapping[str, Any]) -> bool:
    """Whether a row is a run of LangSmith's."""
    return "inputs" in fields and ("run_type" in fields or "outputs" in fields)


def check_run(fields: Mapping[str, Any]) -> None:
    """Leave out a run that failed, or that people found wrong.

    Raises:
        LeftOut: When it is one of these.
    """
    if fields.get("error"):
        msg = "the run failed"
        raise LeftOut(msg)
    score = feedback_of(fields)
    if score is not None and score < _RIGHT:
        msg = "feedback says that it was wrong"
        raise LeftOut(msg)


def question_of(fields: Mapping[str, Any]) -> str:
    """Return the question of a run.

    Raises:
        BadRow: When there is none.
    """
    found = _text(fields.get("inputs"), _QUESTIONS, human=True)
    if not found:
        msg = "no question in 'inputs'"
        raise BadRow(msg)
    return found


def answer_of(fields: Mapping[str, Any]) -> str:
    """Return the answer of a run; empty if there is none."""
    return _text(fields.get("outputs"), _ANSWERS, human=False)


def feedback_of(fields: Mapping[str, Any]) -> float | None:
    """Return the mean of all feedback on a run, if there is any."""
    stats = fields.get("feedback_stats")
    pairs = list(_scores(stats)) if isinstance(stats, Mapping) else []
    total = sum(count for _, count in pairs)
    return sum(score * count for score, count in pairs) / total if total else None


def route_of(fields: Mapping[str, Any]) -> str:
    """Return the tool that a router's run came to, if people or a model stand for it.

    What was decided by distance alone would only repeat what the router knows.

    Raises:
        LeftOut: When there is none, or nobody stands for it.
    """
    facts = dict(_facts(fields))
    tool, by = facts.get("tool"), facts.get("decided_by") or facts.get("decision")
    if not isinstance(tool, str) or not tool:
        msg = "no tool was chosen"
        raise LeftOut(msg)
    if by != "llm" and feedback_of(fields) is None:
        msg = "decided by distance, without feedback"
        raise LeftOut(msg)
    return tool


def _scores(stats: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    for entry in stats.values():
        if isinstance(entry, Mapping):
            score: Any = entry.get("avg")
            count: Any = entry.get("n")
            if is_number(score) and is_number(count) and count > 0:
                yield float(score), float(count)


def _facts(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a run's metadata, and then its output, say of a decision."""
    extra = fields.get("extra")
    metadata = extra.get("metadata") if isinstance(extra, Mapping) else None
    if isinstance(metadata, Mapping):
        for name, value in metadata.items():
            if name.startswith("prodpatterns."):
                yield name.removeprefix("prodpatterns."), value
    outputs = fields.get("outputs")
    for found in (
        outputs,
        outputs.get("output") if isinstance(outputs, Mapping) else 0,
    ):
        if isinstance(found, Mapping) and "tool" in found:
            yield from found.items()


def _text(found: Any, names: Sequence[str], *, human: bool, depth: int = 0) -> str:
    """Look for a text where LangChain's runs have it."""
    if isinstance(found, str):
        return found.strip()
    if depth > _DEEPEST:
        return ""
    if isinstance(found, Mapping):
        for name in names:
            if name in found:
                text = _text(found[name], names, human=human, depth=depth + 1)
                if text:
                    return text
        for name in ("messages", "generations"):
            if name in found:
                return _last(found[name], human=human, depth=depth + 1)
        return _content(found) if _role(found) else ""
    return _last(found, human=human, depth=depth + 1)


def _last(found: Any, *, human: bool, depth: int) -> str:
    """Return the text of the last message that is of a human, or is not."""
    if not isinstance(found, list) or depth > _DEEPEST:
        return ""
    for entry in reversed(found):
        if isinstance(entry, list):
            text = _last(entry, human=human, depth=depth + 1)
        elif isinstance(entry, Mapping):
            message = entry.get("message", entry)
            fits = (_role(message) in _HUMAN) == human
            text = _content(message) if fits else ""
        else:
            text = ""
        if text:
            return text
    return ""


def _role(message: Any) -> str:
    """Return who wrote a message: as a dict, or as LangChain serializes it."""
    if not isinstance(message, Mapping):
        return ""
    inner = message.get("kwargs", message)
    role = inner.get("type") or inner.get("role") if isinstance(inner, Mapping) else ""
    if not isinstance(role, str) or role in {"", "constructor"}:
        path = message.get("id")
        role = str(path[-1]) if isinstance(path, list) and path else ""
        role = role.removesuffix("MessageChunk").removesuffix("Message")
    return role.casefold()


def _content(message: Any) -> str:
    inner = message.get("kwargs", message) if isinstance(message, Mapping) else {}
    if not isinstance(inner, Mapping):
        return ""
    content = inner.get("content", inner.get("text"))
    if isinstance(content, str):
        return content.strip()
    blocks = content if isinstance(content, list) else []
    texts = (b.get("text") for b in blocks if isinstance(b, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str)).strip()
