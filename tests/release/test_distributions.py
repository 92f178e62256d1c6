"""The wheel and the sdist hold what they should, and nothing else."""

import re
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath

from tests.release.conftest import Built
from tests.release.source import PACKAGE, ROOT

NEEDED = {
    f"{PACKAGE}/py.typed",
    f"{PACKAGE}/guard/injection_weights.npz",
    f"{PACKAGE}/demo/data/answers.jsonl",
    f"{PACKAGE}/demo/data/orders.csv",
    f"{PACKAGE}/demo/data/questions.jsonl",
    f"{PACKAGE}/demo/data/handbook/refunds.md",
}
REPOSITORY = "https://github.com/langchain-prodpatterns/langchain-prodpatterns"
BESIDE = {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
BESIDE |= {"CODE_OF_CONDUCT.md", "Makefile", "pyproject.toml"}
LEFTOVERS = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".git"}


def _in_wheel(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _in_sdist(path: Path) -> dict[str, bytes]:
    """The files, by their names below the folder that holds them all."""
    with tarfile.open(path) as archive:
        files = {each.name: archive.extractfile(each) for each in archive}
        return {
            name.partition("/")[2]: file.read()
            for name, file in files.items()
            if file is not None
        }


def _of_the_package() -> set[str]:
    files = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file())
    names = {path.relative_to(ROOT).as_posix() for path in files}
    return {name for name in names if "__pycache__" not in name}


def test_the_wheel_holds_the_package_and_what_describes_it(built: Built) -> None:
    names = set(_in_wheel(built.wheel))
    about = {name for name in names if name.partition("/")[0].endswith(".dist-info")}

    assert names - about == _of_the_package()
    assert {PurePosixPath(name).name for name in about} == {
        "METADATA",
        "WHEEL",
        "RECORD",
        "entry_points.txt",
        "LICENSE",
    }


def test_what_is_read_at_run_time_is_in_both(built: Built) -> None:
    assert NEEDED - set(_in_wheel(built.wheel)) == set()
    assert NEEDED - set(_in_sdist(built.sdist)) == set()


def test_the_sdist_holds_what_a_distributor_needs(built: Built) -> None:
    names = set(_in_sdist(built.sdist))

    assert (_of_the_package() | BESIDE) - names == set()
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert {"tests", "benchmarks", "cookbook", "tools"} <= folders


def test_nothing_is_left_over_from_work(built: Built) -> None:
    for names in (_in_wheel(built.wheel), _in_sdist(built.sdist)):
        for name in names:
            path = PurePosixPath(name)
            assert not path.is_absolute()
            assert not LEFTOVERS & set(path.parts)
            assert path.suffix not in {".pyc", ".sqlite", ".db", ".log"}


def test_no_path_of_this_machine_is_in_them(built: Built) -> None:
    here = {str(ROOT).encode(), str(Path(sys.prefix)).encode()}
    for files in (_in_wheel(built.wheel), _in_sdist(built.sdist)):
        telling = [name for name, text in files.items() if any(x in text for x in here)]
        assert telling == []
    # Tests may speak of a home; what is installed has no reason to.
    home = re.compile(rb"(?:/home/|/Users/|/root/|[A-Z]:\\\\Users)")
    for name, text in _in_wheel(built.wheel).items():
        assert not home.search(text), name


def test_the_description_can_be_read_where_only_the_package_is(built: Built) -> None:
    files = _in_wheel(built.wheel)
    about = next(name for name in files if name.endswith(".dist-info/METADATA"))
    metadata = message_from_bytes(files[about])
    content = metadata.get_payload(decode=True)
    assert isinstance(content, bytes)
    description = content.decode("utf-8")
    targets = re.findall(r"\]\(([^)\s]+)", description)
    targets += re.findall(r"(?:src|href)=[\"']([^\"']+)", description)

    assert metadata["Description-Content-Type"] == "text/markdown"
    assert description.startswith("# langchain-prodpatterns\n")
    assert len(targets) > 5
    assert [one for one in targets if not one.startswith(("https://", "#"))] == []
    in_repository = [
        one for one in targets if one.startswith(f"{REPOSITORY}/blob/main/")
    ]
    assert in_repository
    for address in in_repository:
        assert (ROOT / address.removeprefix(f"{REPOSITORY}/blob/main/")).is_file()
    # An index draws no diagrams: it would show their source.
    assert "```mermaid" not in description


def test_the_sdist_builds_the_same_wheel(built: Built) -> None:
    assert _in_wheel(built.wheel) == _in_wheel(built.direct)
    assert built.wheel.read_bytes() == built.direct.read_bytes()
