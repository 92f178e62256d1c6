"""Stand-ins to values and back."""

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from langchain_prodpatterns.guard import Vault
from langchain_prodpatterns.guard.vault import Scope
from langchain_prodpatterns.middleware.restoring import Restoring, put_back

MINE, OTHERS = Scope(session="mine"), Scope(session="others")
MAIL = "ada@example.org"


def _restoring() -> tuple[Restoring, str]:
    vault = Vault()
    return Restoring(vault, MINE), vault.stand_in(MAIL, "email", MINE)


def test_values_of_this_conversation_are_restored_and_no_others() -> None:
    restoring, stand_in = _restoring()
    assert restoring.text(f"to {stand_in} or [X_1_aaaaaaaaaa]") == (
        f"to {MAIL} or [X_1_aaaaaaaaaa]"
    )
    assert Restoring(restoring.vault, OTHERS).text(stand_in) == stand_in


def test_all_messages_in_a_state_are_restored() -> None:
    restoring, stand_in = _restoring()
    message = HumanMessage(stand_in)
    state: Any = {"node": {"messages": [message], "n": 1}, "pair": (message, "x")}
    restored = restoring.everywhere(state)
    assert restored["node"]["messages"][0].text == MAIL
    assert restored["pair"][0].text == MAIL
    assert restored["node"]["n"] == 1
    assert message.text == stand_in


def test_there_and_back() -> None:
    restoring, stand_in = _restoring()
    call: Any = {"name": "a", "args": {"x": [f"<{stand_in}>"]}, "id": "1"}
    asked = AIMessage(stand_in, tool_calls=[call])
    known = restoring.known([asked])
    assert known == {MAIL: stand_in}
    restored = restoring.everywhere(asked)
    assert restored.tool_calls[0]["args"] == {"x": [f"<{MAIL}>"]}
    assert put_back([restored], known) == [asked]


def test_the_longest_value_is_put_back_first() -> None:
    known = {"ada": "[A]", "ada lovelace": "[B]", "a.c": "[C]"}
    [message] = put_back([HumanMessage("ada lovelace, ada, abc, a.c")], known)
    assert message.text == "[B], [A], abc, [C]"


def test_without_a_vault_nothing_changes() -> None:
    _, stand_in = _restoring()
    restoring = Restoring(None, MINE)
    message = AIMessage(stand_in)
    assert restoring.everywhere(message) is message
    assert restoring.known([message]) == {}
    assert put_back([message], {}) == [message]
