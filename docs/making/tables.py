"""Tables of what a signature, a docstring or a command line says."""

import ast
import contextlib
import inspect
import io
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any
from unittest.mock import patch

from langchain_core.runnables import RunnableSerializable

from langchain_prodpatterns import errors as error_module
from langchain_prodpatterns import telemetry as telemetry_module
from langchain_prodpatterns.cli import main

PACKAGE = "langchain_prodpatterns"

_ARGUMENT = re.compile(r"^    (\*{0,2}\w+): (.*)$")
_STARS: Mapping[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_LONGEST_DEFAULT = 40
_COLUMNS = 88


def resolve(path: str) -> Any:
    """Return a public object by its path below the package.

    Args:
        path: Such as `cache.SemanticJudgeCache`.

    Returns:
        The object.
    """
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"{PACKAGE}.{module}" if module else PACKAGE), name)


def described(docstring: str) -> dict[str, str]:
    """Read the `Args:` of a Google docstring.

    Args:
        docstring: The docstring, without its indentation.

    Returns:
        What each argument means, in their order.
    """
    found: dict[str, str] = {}
    name = ""
    for line in docstring.partition("\nArgs:\n")[2].splitlines():
        match = _ARGUMENT.match(line)
        if match:
            name = match[1]
            found[name] = match[2]
        elif line.startswith("     ") and name:
            found[name] += f" {line.strip()}"
        elif line.strip():
            break
    return found


def knobs(*paths: str) -> str:
    """Return a table of what a class can be told, for each class.

    Args:
        *paths: The classes, below the package.

    Returns:
        The tables, each with a heading if there are several.
    """
    headed = len(paths) > 1
    return "\n\n".join(
        (f"### `{path.rpartition('.')[2]}`\n\n" if headed else "") + _knobs_of(path)
        for path in paths
    )


def _knobs_of(path: str) -> str:
    wanted = resolve(path)
    said = _said(wanted)
    rows = [
        f"| `{name}` | {_default(parameter)} | {_cell(said[name])} |"
        for name, parameter in parameters(wanted)
        if name in said
    ]
    return "\n".join(["| argument | default | what it does |", "|---|---|---|", *rows])


def parameters(wanted: Any) -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield the parameters of a constructor, with their stars.

    Args:
        wanted: The class.

    Yields:
        Each name, as in a docstring, and the parameter.
    """
    for name, parameter in inspect.signature(wanted).parameters.items():
        yield _STARS.get(parameter.kind, "") + name, parameter


def _said(wanted: Any) -> dict[str, str]:
    """Return what is said of each parameter, by `__init__` or below the fields."""
    written = wanted.__init__.__doc__ if "__init__" in vars(wanted) else None
    said = described(inspect.cleandoc(written)) if written else {}
    if not said:
        return attributes(wanted)
    return {**said, "name": "The name of its runs in traces."} | said


def methods(path: str, *left_out: str) -> str:
    """Return a table of what an object can do beside what every Runnable can.

    Args:
        path: The class, below the package.
        *left_out: Methods that are of no interest here.

    Returns:
        The table: a method, with its async twin, and the first sentence said of it.
    """
    wanted = resolve(path)
    shown = {*dir(RunnableSerializable), *left_out}
    own = [name for name in _own_methods(wanted) if name not in shown]
    rows = []
    for name in own:
        if name.startswith("a") and name[1:] in own:
            continue
        twin = f", `a{name}`" if f"a{name}" in own else ""
        doc = inspect.getdoc(getattr(wanted, name)) or ""
        rows.append(f"| `{name}`{twin} | {_cell(doc.partition(chr(10) * 2)[0])} |")
    return "\n".join(["| method | what it does |", "|---|---|", *rows])


def _own_methods(wanted: type[Any]) -> list[str]:
    """List the public methods that a class has from this package, bases first."""
    found: dict[str, None] = {}
    for base in reversed(wanted.__mro__):
        if base.__module__.startswith(PACKAGE):
            found |= dict.fromkeys(
                name
                for name, each in vars(base).items()
                if callable(each) or isinstance(each, classmethod)
            )
    return [name for name in found if not name.startswith(("_", "on_"))]


def attributes(wanted: type[Any]) -> dict[str, str]:
    """Read the docstrings below the attributes of a class.

    Args:
        wanted: The class.

    Returns:
        What each attribute means, in their order; bases come first.
    """
    found: dict[str, str] = {}
    for base in reversed(wanted.__mro__):
        if base.__module__.startswith(PACKAGE):
            found |= _attributes_of(base)
    return found


def _attributes_of(base: type[Any]) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for node, following in zip(body, [*body[1:], None], strict=True):
        name = _documented(node)
        text = _text_of(node if isinstance(node, ast.FunctionDef) else following)
        if name and text:
            found[name] = text
    return found


def _documented(node: ast.stmt) -> str | None:
    """Return the public name that a statement defines, if it is an attribute."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        name = node.target.id
    elif isinstance(node, ast.FunctionDef) and any(
        isinstance(mark, ast.Name) and mark.id == "property"
        for mark in node.decorator_list
    ):
        name = node.name
    else:
        return None
    return None if name.startswith("_") else name


def _text_of(node: ast.stmt | None) -> str | None:
    if isinstance(node, ast.FunctionDef):
        return (ast.get_docstring(node) or "").partition("\n\n")[0]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return inspect.cleandoc(str(node.value.value)).partition("\n\n")[0]
    return None


def fields(*paths: str) -> str:
    """Return a table of the attributes of a class, for each class.

    Args:
        *paths: The classes, below the package.

    Returns:
        The tables.
    """
    tables = []
    for path in paths:
        rows = [
            f"| `{name}` | {_cell(text)} |"
            for name, text in attributes(resolve(path)).items()
        ]
        tables.append("\n".join(["| attribute | what it is |", "|---|---|", *rows]))
    return "\n\n".join(tables)


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "" if parameter.kind in _STARS else "required"
    value = parameter.default
    if callable(value):
        return f"`{getattr(value, '__name__', type(value).__name__)}`"
    text = re.sub(r", \w+=None\b|\b\w+=None, ", "", repr(value))
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else f"`{text[:36]} ...`"


def _cell(text: str) -> str:
    """Bring a text onto one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def errors() -> str:
    """Return the tree of errors, as the module that defines them draws it."""
    tree = re.findall(r"```\n(.*?)```", error_module.__doc__ or "", re.DOTALL)[0]
    return f"```text\n{tree}```"


def metrics() -> str:
    """Return the table of metrics, as the telemetry's module has it."""
    lines = (telemetry_module.__doc__ or "").splitlines()
    return "\n".join(line for line in lines if line.startswith("|"))


def help_of(command: str) -> str:
    """Return what a command of `prodpatterns` says of itself.

    Args:
        command: The command, such as `cache stats`.

    Returns:
        A block with its help.
    """
    out = io.StringIO()
    width = {"COLUMNS": str(_COLUMNS)}
    with (
        patch.dict(os.environ, width),
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        main([*command.split(), "--help"])
    return f"```text\n{out.getvalue().strip()}\n```"


def commands(*names: str) -> str:
    """Return the help of several commands, each folded away under its name.

    Args:
        *names: The commands, such as `cache stats`.

    Returns:
        The foldable blocks.
    """
    blocks = []
    for name in names:
        block = "\n".join(f"    {line}".rstrip() for line in help_of(name).splitlines())
        blocks.append(f'??? note "`prodpatterns {name} --help`"\n\n{block}')
    return "\n\n".join(blocks)
