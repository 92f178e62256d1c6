"""Tools come and go; what was learned is kept on disk."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.calibration_file import CalibrationFile, state_of
from langchain_prodpatterns.errors import ConfigurationError, StoreError
from langchain_prodpatterns.fingerprints import fingerprint_of
from langchain_prodpatterns.routing import Route, ToolRouter
from langchain_prodpatterns.routing.memory import LEARN_EVERY
from langchain_prodpatterns.testing import LexicalEmbeddings
from tests.unit_tests.routing.doubles import (
    CLUSTERS,
    ClusterEmbeddings,
    cluster_labels,
)

QUERIES = [query for query, _ in cluster_labels(21, start=5_000)]


def _router(tools: Any = CLUSTERS, **kwargs: Any) -> ToolRouter:
    return ToolRouter(tools, ClusterEmbeddings(), **kwargs)


def _embedded(router: ToolRouter) -> list[str]:
    embeddings = router.embeddings
    assert isinstance(embeddings, ClusterEmbeddings)
    return embeddings.documents


# Adding and removing.


def test_only_new_tools_are_embedded() -> None:
    router = _router(CLUSTERS[:5])
    router.invoke("a 1")
    before = len(_embedded(router))

    more = router.add([CLUSTERS[5]])
    more.invoke("f 9999")

    assert _embedded(router)[before:] == list(CLUSTERS[5].texts)
    assert list(more.tools_by_name) == list("abcdef")
    assert list(router.tools_by_name) == list("abcde")
    assert more.select("f 9999", 1) == [CLUSTERS[5]]


def test_a_router_that_was_never_used_embeds_all_when_it_is() -> None:
    more = _router(CLUSTERS[:5]).add([CLUSTERS[5]])
    assert _embedded(more) == []

    more.invoke("a 1")

    assert len(_embedded(more)) == sum(len(route.texts) for route in CLUSTERS)


def test_examples_come_with_a_tool() -> None:
    more = _router(CLUSTERS[:2], examples={"a": ["a 50"]}).add(
        [Route("z", "about z")], examples={"z": ["? 51"]}
    )

    assert more.select("? 51", 1) == [Route("z", "about z")]
    assert more.index.routes[0].examples[-1] == "a 50"


def test_examples_may_be_all_that_an_added_tool_says() -> None:
    def undescribed(text: str) -> str:
        return text

    more = _router().add([undescribed], examples={"undescribed": ["? 51"]})
    assert more.select("? 51", 1) == [undescribed]


def test_examples_of_a_tool_that_is_there_are_not_replaced() -> None:
    router = _router(CLUSTERS[:2], examples={"a": ["a 50"]})
    with pytest.raises(ConfigurationError, match="given for 'a', but the tools are"):
        router.add([Route("z", "about z")], examples={"a": ["a 51"]})


def test_a_tool_that_is_there_already_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tools are named 'a'"):
        _router().add([CLUSTERS[0]])


def test_an_added_tool_suspends_the_promise_until_the_next_fit() -> None:
    router = _router(CLUSTERS[:5])
    labels = [label for label in cluster_labels(350) if label[1] != "f"]
    router.fit(labels)
    assert router.invoke("a 9999").tool == "a"

    more = router.add([CLUSTERS[5]])

    decision = more.invoke("a 9999")
    assert (decision.tool, decision.decided_by) == (None, "none")
    assert "a tool was added" in decision.reason
    assert router.invoke("a 9999").tool == "a"
    more.fit(cluster_labels(350))
    assert more.invoke("f 9999").tool == "f"


def test_a_removed_tool_keeps_the_promise_and_embeds_nothing() -> None:
    router = _router()
    router.fit(cluster_labels(350))
    before = len(_embedded(router))

    fewer = router.remove(["f"])

    assert len(_embedded(router)) == before
    assert list(fewer.tools_by_name) == list("abcde")
    assert fewer.invoke("a 9999").tool == "a"
    assert fewer.invoke("f 9999").tool is None
    report = fewer._view().report(0.95)
    assert (report.labels, report.bar is None) == (350, False)
    assert router.invoke("f 9999").tool == "f"


def test_a_promise_that_is_suspended_stays_so() -> None:
    router = _router(CLUSTERS[:5])
    router.fit([label for label in cluster_labels(140) if label[1] != "f"])

    decision = router.add([CLUSTERS[5]]).remove("b").invoke("a 9999")

    assert "a tool was added" in decision.reason


def test_what_is_learned_does_not_bring_a_suspended_promise_back() -> None:
    router = _router(CLUSTERS[:5])
    router.fit([label for label in cluster_labels(350) if label[1] != "f"])
    more = router.add([CLUSTERS[5]])
    more.feedback("? 1", "f")

    more.index.knowledge.refresh()

    assert more._view().learned is not None
    assert "a tool was added" in more.invoke("a 9999").reason


def test_a_router_that_was_not_fitted_just_goes_on() -> None:
    fewer = _router(examples={"f": ["f 70"]}).remove({"f"})

    assert fewer.invoke("a 9999").tool == "a"


@pytest.mark.parametrize(
    ("names", "message"), [(["z"], "no tool 'z'"), (list("abcdef"), "tools is empty")]
)
def test_what_cannot_be_removed_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _router().remove(names)


def test_what_was_learned_of_a_tool_goes_with_it() -> None:
    router = _router()
    router.feedback("? 1", "a")
    router.feedback("? 2", "f")

    lesson = router.remove(["f"]).index.knowledge.memory.learned()

    assert lesson is not None
    assert [label.query for label in lesson.labels] == ["? 1"]


# Saving and loading.


def _learned(fallback: Any = None) -> ToolRouter:
    router = _router(
        fallback=lambda _: "b", learn=True, threshold=0.9, margin=0.1, top_k=6
    )
    for at in range(LEARN_EVERY):
        router.invoke(f"? {at}")
    return router


def _fitted(held_out: float) -> ToolRouter:
    router = _learned()
    router.fit(cluster_labels(280), held_out=held_out)
    return router


def _suspended() -> ToolRouter:
    router = _router(CLUSTERS[:5])
    router.fit([label for label in cluster_labels(140) if label[1] != "f"])
    return router.add([CLUSTERS[5]])


@pytest.mark.parametrize(
    "make",
    [_router, _learned, lambda: _fitted(0), lambda: _fitted(0.5), _suspended],
)
def test_a_loaded_router_decides_as_the_saved_one(
    tmp_path: Path, make: Callable[[], ToolRouter]
) -> None:
    router = make()
    router.feedback("a 17", "c")
    path = tmp_path / "router.npz"

    router.save(path)
    embeddings = ClusterEmbeddings()
    loaded = ToolRouter.load(
        path,
        CLUSTERS,
        embeddings,
        fallback=router.fallback,
        threshold=router.threshold,
        margin=router.margin,
        top_k=router.top_k,
    )

    for query in [*QUERIES, "a 17", "? 3"]:
        assert loaded.invoke(query) == router.invoke(query)
    assert loaded.select("a 9999", 3) == router.select("a 9999", 3)
    assert embeddings.documents == []


def _calibration(folder: Path, **settings: Any) -> Path:
    state = folder / "router.npz"
    _fitted(0.5).save(state)
    embedder = fingerprint_of(ClusterEmbeddings())
    found = {"precision": 0.95, "state": state_of(state), **settings}
    path = folder / "router.json"
    CalibrationFile("router", embedder, found).write(path)
    return path


def test_a_calibrated_router_decides_as_the_one_that_was_reported(
    tmp_path: Path,
) -> None:
    path = _calibration(tmp_path)
    embeddings = ClusterEmbeddings()

    router = ToolRouter.from_calibration(path, CLUSTERS, embeddings)

    saved = ToolRouter.load(tmp_path / "router.npz", CLUSTERS, ClusterEmbeddings())
    for query in QUERIES:
        assert router.invoke(query) == saved.invoke(query)
    assert embeddings.documents == []
    assert router.precision == 0.95
    assert (
        ToolRouter.from_calibration(
            path, CLUSTERS, embeddings, precision=0.9, top_k=2
        ).precision
        == 0.9
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": None}, "no 'precision'"),
        ({"state": None}, "calibrate with --save, or fit"),
    ],
)
def test_a_calibration_that_lacks_something_is_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ToolRouter.from_calibration(
            _calibration(tmp_path, **settings), CLUSTERS, ClusterEmbeddings()
        )


def test_a_calibration_is_for_its_tools_and_embeddings(tmp_path: Path) -> None:
    path = _calibration(tmp_path)

    with pytest.raises(StoreError, match="with other tools"):
        ToolRouter.from_calibration(path, CLUSTERS[:3], ClusterEmbeddings())
    with pytest.raises(ConfigurationError, match="calibrate with these"):
        ToolRouter.from_calibration(path, CLUSTERS, LexicalEmbeddings())


def test_a_loaded_router_goes_on_learning(tmp_path: Path) -> None:
    router = _fitted(0)
    router.save(tmp_path / "r")
    loaded = ToolRouter.load(tmp_path / "r", CLUSTERS, ClusterEmbeddings())

    loaded.index.knowledge.refresh()

    view = loaded._view()
    assert view.learned is not None
    assert len(view.learned.labels) == LEARN_EVERY
    assert view.report(0.95) == router._view().report(0.95)


def test_a_file_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "router.npz"
    router = _router()
    router.save(path)
    saved = path.read_bytes()

    def tear(file: Any, **_: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", tear)
    with pytest.raises(StoreError, match=r"cannot be saved to 'router.npz': No space"):
        router.save(path)

    assert path.read_bytes() == saved
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_put_in_its_place_only_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "router.npz"
    router = _router()
    router.save(path)
    saved = path.read_bytes()
    router.feedback("? 1", "a")

    def refuse(_: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        router.save(path)

    assert path.read_bytes() == saved
    assert list(tmp_path.iterdir()) == [path]


def _load(path: Path, tools: Any = CLUSTERS, embeddings: Any = None) -> ToolRouter:
    return ToolRouter.load(path, tools, embeddings or ClusterEmbeddings())


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read from 'gone'"):
        _load(tmp_path / "gone")
    with pytest.raises(StoreError, match="cannot be saved to 'x'"):
        _router().save(tmp_path / "nowhere" / "x")


@pytest.mark.parametrize("kept", [0, 10, 300, 0.5, 0.9])
def test_a_torn_file_is_an_error(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "router.npz"
    _fitted(0).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])

    with pytest.raises(StoreError, match=r"'router\.npz' is torn or no saved router"):
        _load(path)


def test_a_foreign_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, numbers=np.arange(3))

    with pytest.raises(StoreError, match="torn or no saved router"):
        _load(path)

    np.savez(path, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(StoreError, match="torn or no saved router"):
        _load(path)


def _change(path: Path, **changes: Any) -> None:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["header"])) | changes
    np.savez(path, **{**arrays, "header": np.array(json.dumps(header))})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "has version 2 of the format, this package reads 1"),
        ({"format": "x"}, "torn or no saved router"),
        ({"learned": [["q", "a"]] * 3}, "torn or no saved router"),
        ({"decisions": {"q": {"tool": 3}}}, "torn or no saved router"),
        (
            {"decisions": {"q": {"tool": "gone", "decided_by": "llm", "reason": ""}}},
            "torn or no saved router",
        ),
        ({"course": {"labels": []}}, "torn or no saved router"),
        ({"routes": None}, "torn or no saved router"),
    ],
)
def test_a_changed_header_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "router.npz"
    _learned().save(path)
    _change(path, **changes)

    with pytest.raises(StoreError, match=message):
        _load(path)


def test_another_embedding_model_is_an_error(tmp_path: Path) -> None:
    class Others(ClusterEmbeddings):
        model = "others"

    _router().save(tmp_path / "r")

    with pytest.raises(StoreError, match=r"saved with ClusterEmbeddings\(clusters\)"):
        _load(tmp_path / "r", embeddings=Others())


def test_other_tools_are_an_error(tmp_path: Path) -> None:
    _router().save(tmp_path / "r")

    with pytest.raises(StoreError, match="saved with other tools"):
        _load(tmp_path / "r", CLUSTERS[:3])


@pytest.mark.parametrize("name", ["weights", "mean", "scale", "coefficients", "scores"])
@pytest.mark.parametrize("cut", [True, False])
def test_numbers_that_cannot_decide_are_an_error(
    tmp_path: Path, name: str, cut: bool
) -> None:
    path = tmp_path / "router.npz"
    _fitted(0).save(path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {each: archive[each] for each in archive.files}
    arrays[name] = arrays[name][:2] if cut else arrays[name] * np.nan
    np.savez(path, **arrays)

    with pytest.raises(StoreError, match="torn or no saved router"):
        _load(path)


def test_feedback_still_counts_where_tools_come_and_go() -> None:
    router = _router()
    router.feedback("a 500", "b")
    router.feedback("a 501", "f")

    more = router.add([Route("g", "g is its purpose")])
    less = router.remove("f")

    assert more.invoke("a 500").tool == less.invoke("a 500").tool == "b"
    assert more.invoke("a 501").tool == "f"
    assert less.invoke("a 501").tool == "a"
