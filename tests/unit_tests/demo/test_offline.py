import json

import pytest

from langchain_prodpatterns.demo.offline import Script, Understudy
from langchain_prodpatterns.demo.options import DATA
from langchain_prodpatterns.testing import ScriptedChatModel
from langchain_prodpatterns.testing.scripting import ScriptedRequest


@pytest.fixture
def script() -> Script:
    return Script.read(DATA)


def _ask(understudy: Understudy, prompt: str) -> str:
    model = ScriptedChatModel(respond=understudy.respond)
    return model.invoke(prompt).text


def test_paraphrases_have_one_topic_and_near_misses_two(script: Script) -> None:
    for line in (DATA / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        topic = script.topic(row["question"])
        assert topic == row.get("same_as", row["id"])
        assert topic != row.get("differs_from")


def test_a_redacted_question_is_still_known(script: Script) -> None:
    question = script.question(
        "My card [CARD] was declined twice, please write to [EMAIL]. How long do you "
        "keep the goods reserved if I pay by bank transfer instead?"
    )

    assert question is not None
    assert question["id"] == "q20"


@pytest.mark.parametrize("text", ["bike?", "", "Why. "])
def test_the_end_of_a_question_is_another_question(script: Script, text: str) -> None:
    assert script.question(text) is None


def test_some_first_answers_lack_the_citations(script: Script) -> None:
    understudy = Understudy(script)
    prompt = "Extracts:\n\nQuestion: How many days do I have to return a bike?"

    assert "citations" not in json.loads(_ask(understudy, prompt))
    assert json.loads(_ask(understudy, prompt))["citations"] == ["returns.md"]


def test_an_unknown_question_is_answered_from_the_first_extract() -> None:
    understudy = Understudy(Script.read(None))
    prompt = "Extracts:\n[1] a.md: Title\nThe shop opens at nine.\n\nQuestion: When?"

    assert json.loads(_ask(understudy, prompt)) == {
        "answer": "The shop opens at nine.",
        "citations": ["a.md"],
    }


@pytest.mark.parametrize(
    ("extract", "answer"),
    [
        ("[1] a.txt: Expenses\nExpenses\n\nTaxis are paid.\n", "Taxis are paid."),
        ("[1] a.md: Expenses\n# Expenses\n## Taxis\nPaid.\n", "Paid."),
        ("[1] a.txt: Taxis are paid.\nTaxis are paid.\nOften.\n", "Taxis are paid."),
        ("[1] a.md: Top\n# Top\n\n[2] b.md: Other\nNot this.\n", "# Top"),
    ],
)
def test_a_heading_is_no_answer_where_there_is_a_text(
    extract: str, answer: str
) -> None:
    prompt = f"Extracts:\n{extract}\n\nQuestion: Taxis?"

    given = json.loads(_ask(Understudy(Script.read(None)), prompt))

    assert given["answer"] == answer


def test_a_sum_that_the_script_does_not_know_is_read(script: Script) -> None:
    tool = {"type": "function", "function": {"name": "calculator"}}
    params = {"tools": [tool], "tool_choice": tool}
    message = {"role": "user", "content": "What is 17% of 2340?"}

    reply = Understudy(script).respond(ScriptedRequest("m", (message,), params))

    (call,) = reply.tool_calls
    assert json.loads(call.arguments) == {"expression": "(17 / 100) * 2340"}


def test_without_an_extract_it_says_so() -> None:
    understudy = Understudy(Script.read(None))

    assert json.loads(_ask(understudy, "Question: When?"))["citations"] == []


def test_it_takes_a_request(script: Script) -> None:
    request = ScriptedRequest("m", ({"role": "user", "content": "x"},), {}, 1, False)

    assert Understudy(script).respond(request).content
