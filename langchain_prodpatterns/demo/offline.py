"""The offline provider's script: what the models of the demo answer without a key.

It plays a small and a large model: it answers the questions of the demo from a file,
now and then without the citations so that there is something to retry, and it judges
by what the file says. It shows the flow; it says nothing about how good a model is.
"""

import json
import re
import threading
from pathlib import Path
from typing import Any

from langchain_prodpatterns.demo.sums import to_expression
from langchain_prodpatterns.testing import (
    Reply,
    ScriptedProvider,
    ScriptedRequest,
    ToolCall,
)

_NONCE = re.compile(r'"nonce" set to "(\w{8,64})"')
_SECTION = re.compile(r"<<(\w{8,64}) (\w+)>>\n(.*?)\n<<end \1 \2>>", re.DOTALL)
_EXTRACT = re.compile(r"^\[1\] ([^:\n]+)(?:: )?([^\n]*)\n", re.MULTILINE)
_SECOND_EXTRACT = re.compile(r"^\[2\] |^Question: ", re.MULTILINE)
_ATTACKS = ("ignore all previous", "ignore your rules")
_NO_EXTRACT = {"answer": "The documents do not say.", "citations": []}


def start_provider(data: Path | None) -> ScriptedProvider:
    """Return the provider, not yet started.

    Args:
        data: The folder with `questions.jsonl` and `answers.jsonl`, or `None`: then
            every answer is the first extract of its prompt.

    Returns:
        A context manager.
    """
    return ScriptedProvider(respond=Understudy(Script.read(data)).respond)


class Script:
    """What there is to say to each question of the demo."""

    def __init__(
        self, questions: list[dict[str, Any]], answers: list[dict[str, Any]]
    ) -> None:
        self._questions = {row["question"]: row for row in questions}
        self._answers = {row["id"]: row for row in answers}

    @classmethod
    def read(cls, data: Path | None) -> "Script":
        """Read the demo's files; without a folder the script is empty."""
        if data is None:
            return cls([], [])
        return cls(
            *(_rows(data / f"{name}.jsonl") for name in ("questions", "answers"))
        )

    def question(self, text: str) -> dict[str, Any] | None:
        """Find the question that a text asks, also where a guard has redacted it."""
        if text in self._questions:
            return self._questions[text]
        # What a guard redacts comes before the question itself.
        asked = _last_sentence(text)
        rows = self._questions.items()
        return next((row for full, row in rows if _last_sentence(full) == asked), None)

    def topic(self, text: str) -> str:
        """Return what a text asks, the same for every way to ask it."""
        row = self.question(text)
        return text if row is None else str(row.get("same_as", row["id"]))

    def answer(self, text: str) -> dict[str, Any] | None:
        """Return the scripted answer to a text."""
        return self._answers.get(self.topic(text))

    def is_revised(self, draft: str) -> bool:
        """Whether a draft is one of the revised answers."""
        answer = json.loads(draft)
        return any(row["revised"] == answer for row in self._answers.values())


class Understudy:
    """Answers every request of the demo."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._begun: set[str] = set()
        self._lock = threading.Lock()

    def respond(self, request: ScriptedRequest) -> Reply:
        """Work out which part to play, and play it."""
        if request.forced_tools:
            return self._fill_in(request)
        sections = {name: text for _, name, text in _SECTION.findall(request.user_text)}
        nonce = _NONCE.search(request.prompt_text)
        if nonce is not None:
            verdict = self._judge(sections, _rules(request))
            return Reply({**verdict, "nonce": nonce.group(1)})
        if "draft" in sections:
            return self._revise(sections)
        return self._draft(request)

    def _judge(self, texts: dict[str, str], rules: str) -> dict[str, Any]:
        """Give the verdict that the form in the rules asks for."""
        if '"marks"' in rules:
            return self._mark(texts["draft"], rules)
        if '"better"' in rules:
            revised = [name for name in ("first", "second") if self._good(texts[name])]
            return {"better": revised[0] if len(revised) == 1 else "neither"}
        if '"choice"' in rules:
            return self._choose(texts)
        if '"quote"' in rules:
            return _suspect(texts["text"])
        topics = {self._script.topic(text) for text in _questions(texts)}
        return {"yes": len(topics) == 1, "reason": "as the script says"}

    def _good(self, draft: str) -> bool:
        return self._script.is_revised(draft)

    def _mark(self, draft: str, rules: str) -> dict[str, Any]:
        criteria = len(re.findall(r"^\d+\. ", rules, re.MULTILINE))
        if self._good(draft):
            return {"marks": [5] * criteria}
        return {"marks": [3] * criteria, "feedback": "Give units and a next step."}

    def _choose(self, texts: dict[str, str]) -> dict[str, Any]:
        row = self._script.question(texts["question"]) or {}
        return {"choice": row.get("tool", "handbook"), "reason": "as the script says"}

    def _fill_in(self, request: ScriptedRequest) -> Reply:
        row = self._script.question(request.user_text)
        default = {"expression": to_expression(request.user_text)}
        arguments = default if row is None else row["arguments"]
        return Reply(tool_calls=[ToolCall(request.forced_tools[0], arguments)])

    def _revise(self, texts: dict[str, str]) -> Reply:
        answer = self._script.answer(_asked(texts.get("task", "")))
        return Reply(texts["draft"] if answer is None else answer["revised"])

    def _draft(self, request: ScriptedRequest) -> Reply:
        question = _asked(request.prompt_text)
        answer = self._script.answer(question)
        if answer is None:
            return Reply(_first_extract(request.prompt_text))
        if answer.get("malformed_first") and self._first_time(question):
            return Reply({"answer": answer["draft"]["answer"]})  # no citations
        return Reply(answer["draft"])

    def _first_time(self, question: str) -> bool:
        with self._lock:
            first = question not in self._begun
            self._begun.add(question)
        return first


def _last_sentence(text: str) -> str:
    return text.rpartition(". ")[2].strip()


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _rules(request: ScriptedRequest) -> str:
    """Return what the developer wrote: the system message."""
    return str(request.messages[0]["content"])


def _asked(prompt: str) -> str:
    """Return the question in the assistant's prompt."""
    return prompt.rpartition("Question: ")[2].partition("\n")[0].strip()


def _questions(texts: dict[str, str]) -> list[str]:
    return [text for name, text in texts.items() if "question" in name]


def _suspect(text: str) -> dict[str, Any]:
    """Take a text for an attack when it holds one of a few phrases."""
    found = (text.lower().find(phrase) for phrase in _ATTACKS)
    at = max(found)
    quote = "" if at < 0 else text[at : at + 20]
    return {"yes": at >= 0, "reason": "speaks to the model", "quote": quote}


def _first_extract(prompt: str) -> dict[str, Any]:
    """Answer with the first line of the first extract that is no heading."""
    found = _EXTRACT.search(prompt)
    if found is None:
        return _NO_EXTRACT
    page, heading = found.groups()
    extract = _SECOND_EXTRACT.split(prompt[found.end() :], maxsplit=1)[0]
    lines = [line.strip() for line in extract.splitlines() if line.strip()]
    if not lines:
        return _NO_EXTRACT
    text = next((line for line in lines if not _is_heading(line, heading)), lines[-1])
    return {"answer": text[:280], "citations": [page]}


def _is_heading(line: str, heading: str) -> bool:
    """Whether a line is marked as a heading, or is the page's title in plain text."""
    return line.startswith("#") or (line == heading and line[-1] not in ".!?")
