"""The report of a ledger in a real browser."""

from pathlib import Path

from langchain_prodpatterns import SemanticJudgeCache, track
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from tests.integration_tests.reports.browser import dom_of


def test_a_browser_shows_the_report(tmp_path: Path) -> None:
    model = ScriptedChatModel(model="m", default="an answer")
    chain = SemanticJudgeCache(LexicalEmbeddings(), lambda _: True).wrap(model)
    with track(prices={"m": (1_000.0, 1_000.0)}) as ledger:
        chain.invoke("a private question")
        chain.invoke("a private question")
    path = tmp_path / "ledger with a space.html"
    ledger.to_html(path)

    shown = dom_of(path, tmp_path)

    assert "<h1>Ledger</h1>" in shown
    assert shown.count('role="img"') == 2
    assert "Saved, by minute" in shown
    assert "<rect " in shown
    assert "private" not in shown
