"""Write what an environment holds: a bill of materials and a list of licenses.

`python tools/sbom.py ENVIRONMENT_PYTHON FOLDER` writes `sbom.cdx.json` (CycloneDX),
`licenses.json` and `licenses.txt`. `make sbom` runs it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NAME = "langchain-prodpatterns"
PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def main(python: str, folder: str) -> None:
    """Write the three files.

    Args:
        python: The interpreter of the environment.
        folder: Where to write.
    """
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    bill = json.loads(_output("cyclonedx_py", *_BILL, str(PROJECT), python))
    _name_version(bill, _version(python))
    _write(out / "sbom.cdx.json", json.dumps(bill, indent=2))
    for form, suffix in (("json", "json"), ("plain-vertical", "txt")):
        more = ["--with-license-file", "--no-license-path"] if suffix == "txt" else []
        listed = _output("piplicenses", f"--python={python}", f"--format={form}", *more)
        _write(out / f"licenses.{suffix}", listed)


_BILL = ("environment", "--output-reproducible", "--pyproject")


def _output(module: str, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own tools
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


def _version(python: str) -> str:
    ask = f"from importlib.metadata import version; print(version({NAME!r}))"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [python, "-I", "-c", ask], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def _name_version(bill: dict[str, Any], version: str) -> None:
    """Complete the root, whose version is not in pyproject.toml."""
    root = bill["metadata"]["component"]
    root["version"] = version
    root["purl"] = f"pkg:pypi/{NAME}@{version}"


def _write(path: Path, text: str) -> None:
    path.write_text(text.rstrip("\n") + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
