import json

import pytest

from langchain_prodpatterns.demo.app import DATA
from langchain_prodpatterns.demo.offline import Script, Understudy
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


def test_without_an_extract_it_says_so() -> None:
    understudy = Understudy(Script.read(None))

    assert json.loads(_ask(understudy, "Question: When?"))["citations"] == []


def test_it_takes_a_request(script: Script) -> None:
    request = ScriptedRequest("m", ({"role": "user", "content": "x"},), {}, 1, False)

    assert Understudy(script).respond(request).content
