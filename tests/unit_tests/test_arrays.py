"""Files of arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.arrays import DAMAGED, write_arrays


def test_a_file_is_replaced_whole_or_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.npz"
    write_arrays(path, {"a": np.arange(3)})
    with np.load(path, allow_pickle=False) as found:
        assert found["a"].tolist() == [0, 1, 2]
    saved = path.read_bytes()

    def tear(file: Any, **_: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", tear)
    with pytest.raises(OSError, match="No space"):
        write_arrays(path, {"a": np.arange(4)})
    assert path.read_bytes() == saved
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0, 2, 40, 100, 200])
def test_what_a_torn_file_raises_is_known(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "some.npz"
    write_arrays(path, {"a": np.arange(30)})
    path.write_bytes(path.read_bytes()[:kept])
    with path.open("rb") as file, pytest.raises(DAMAGED):
        _ = np.load(file, allow_pickle=False)["a"]
