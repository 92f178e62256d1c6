"""Every public name, signature and attribute, as text; `make api` writes it down.

A line is a name and what it is. Longer ones go on in lines that are indented, one
parameter each, so that a change of one is a change of one line.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.release.source import (
    Definition,
    Function,
    bases,
    listed,
    public_modules,
    resolve,
)

RECORD = Path(__file__).with_name("public_api.txt")
HEADING = "# The public API. `make api` writes this file: a change of it is a decision."

_WIDTH = 88
_CALLED = {"__init__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__"}
_CALLED |= {"__iter__", "__len__", "__contains__", "__add__"}
"""Methods that a user calls, though not by their names."""
_FIELDS = {"dataclass", "NamedTuple"}
"""What makes a constructor of the fields, in their order."""


def public_api() -> dict[str, str]:
    """Every public symbol: `module name` to what it is."""
    homes: dict[tuple[str, str], str] = {}
    found: dict[str, str] = {}
    for module in public_modules():
        for name in listed(module):
            home = resolve(module, name)
            assert home is not None, f"{module}.{name} is of another package"
            known = homes.setdefault((home.module, home.name), module)
            if known != module:
                found[f"{module} {name}"] = f"the same as in {known}"
            else:
                found.update(_described(f"{module} {name}", home))
    return found


def rendered(api: Mapping[str, str]) -> str:
    """Write an API as the text of its record."""
    lines, around = [HEADING], ""
    for key, text in api.items():
        module, name = key.split(" ")
        if module != around:
            lines += ["", f"[{module}]"]
            around = module
        lines.append(f"{name}: {text}".rstrip())
    return "\n".join(lines) + "\n"


def recorded(text: str) -> dict[str, str]:
    """Read the text of a record."""
    found: dict[str, str] = {}
    module = key = ""
    for line in text.splitlines():
        if line.startswith("["):
            module = line.strip("[]")
        elif line.startswith(" "):
            found[key] += "\n" + line
        elif line and not line.startswith("#"):
            name, _, what = line.partition(":")
            key = f"{module} {name}"
            found[key] = what.strip()
    return found


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Say what changed, what breaks callers first; empty when nothing did."""
    removed = [f"  {key}" for key in before if key not in now]
    added = [f"  {key}: {text}" for key, text in now.items() if key not in before]
    changed = [
        f"  {key}\n    was {_flat(text)}\n    is  {_flat(now[key])}"
        for key, text in before.items()
        if key in now and _flat(now[key]) != _flat(text)
    ]
    parts = {
        "removed (breaking):": removed,
        "changed (breaking where a call of the old form fails):": changed,
        "added:": added,
    }
    return "\n".join(
        "\n".join([what, *lines]) for what, lines in parts.items() if lines
    )


def _flat(text: str) -> str:
    return " ".join(text.split())


def _described(key: str, home: Definition) -> Iterator[tuple[str, str]]:
    node = home.nodes[0]
    if isinstance(node, ast.ClassDef):
        members = dict(_members(home))
        yield key, _class(home)
        yield from ((f"{key}.{name}", text) for name, text in members.items())
    elif isinstance(node, Function):
        functions = [each for each in home.nodes if isinstance(each, Function)]
        yield key, _signatures(functions)
    elif home.name.startswith("__") or node is None:
        yield key, ""  # a version is a value of its own each time
    else:
        yield key, _wrapped(ast.unparse(node), "| ")


def _class(home: Definition) -> str:
    """What a class is made of in the eyes of a user: bases of other packages."""
    foreign = list(dict.fromkeys(_foreign(home)))
    node = home.nodes[0]
    assert isinstance(node, ast.ClassDef)
    marks = [f"@{ast.unparse(each)} " for each in node.decorator_list]
    return f"{''.join(marks)}class({', '.join(foreign)})"


def _foreign(home: Definition) -> Iterator[str]:
    for base in bases(home):
        if isinstance(base, str):
            yield base
        else:
            yield from _foreign(base)


def _members(home: Definition) -> Iterator[tuple[str, str]]:
    """The public members of a class, its bases in this package included."""
    node = home.nodes[0]
    assert isinstance(node, ast.ClassDef)
    seen: dict[str, str] = {}
    maker = _maker(home)
    if maker:
        seen["__init__"] = maker
    for name, text in _own(node):
        seen.setdefault(name, text)
    for base in bases(home):
        if isinstance(base, Definition):
            for name, text in _members(base):
                seen.setdefault(name, text)
    yield from seen.items()


def _maker(home: Definition) -> str:
    """The constructor that a dataclass or a named tuple gets."""
    node = home.nodes[0]
    assert isinstance(node, ast.ClassDef)
    words = [*map(ast.unparse, node.decorator_list), *_foreign(home)]
    if not any(word.partition("(")[0] in _FIELDS for word in words):
        return ""
    fields = _fields(home)
    return _wrapped(f"({', '.join(fields.values())})", ", ")


def _fields(home: Definition) -> dict[str, str]:
    node = home.nodes[0]
    assert isinstance(node, ast.ClassDef)
    found: dict[str, str] = {}
    for base in bases(home):
        if isinstance(base, Definition):
            found.update(_fields(base))
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and "ClassVar" not in ast.unparse(each):
            found[ast.unparse(each.target)] = ast.unparse(each)
    return found


def _own(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    functions: dict[str, list[Function]] = {}
    for each in node.body:
        if isinstance(each, Function) and _is_public(each.name):
            functions.setdefault(each.name, []).append(each)
        elif isinstance(each, ast.AnnAssign) and _is_public(ast.unparse(each.target)):
            name, _, what = ast.unparse(each).partition(":")
            yield name, _wrapped(what.strip(), "| ")
        elif isinstance(each, ast.Assign):
            for target in map(ast.unparse, each.targets):
                if _is_public(target) and target != "model_config":
                    yield target, f"= {ast.unparse(each.value)}"
    for name, forms in functions.items():
        yield name, _signatures(forms)
    for made in functions.get("__init__", []):
        yield from _attributes(made)


def _attributes(made: Function) -> Iterator[tuple[str, str]]:
    """What a constructor sets on the object."""
    given = {arg.arg: arg.annotation for arg in _arguments(made)}
    for node in ast.walk(made):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            text = ast.unparse(target)
            name = text.removeprefix("self.")
            if isinstance(target, ast.Attribute) and name != text and _is_public(name):
                yield name, _type_of(node, given)


def _type_of(node: ast.AST, given: Mapping[str, ast.expr | None]) -> str:
    kind = getattr(node, "annotation", None)
    value = getattr(node, "value", None)
    if kind is None and isinstance(value, ast.Name):
        kind = given.get(value.id)
    return ast.unparse(kind) if kind is not None else ""


def _arguments(made: Function) -> list[ast.arg]:
    return [*made.args.posonlyargs, *made.args.args, *made.args.kwonlyargs]


def _signatures(forms: list[Function]) -> str:
    overloads = [each for each in forms if "overload" in _decorators(each)]
    return "\n    or ".join(_signature(each) for each in overloads or forms[:1])


def _signature(node: Function) -> str:
    marks = [each for each in _decorators(node) if each not in {"overload", "override"}]
    before = "".join(f"@{each} " for each in marks)
    before += "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return _wrapped(f"{before}({ast.unparse(node.args)}){returns}", ", ")


def _decorators(node: Function) -> list[str]:
    return [ast.unparse(each) for each in node.decorator_list]


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in _CALLED


def _wrapped(text: str, mark: str) -> str:
    """Break a long text at its outermost marks."""
    if len(text) <= _WIDTH:
        return text
    parts, depth, start = [], 0, 0
    outer = 1 if mark == ", " else 0
    for at, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == outer and text.startswith(mark, at):
            parts.append(text[start:at].rstrip())
            start = at + len(mark)
    parts.append(text[start:])
    return f"{mark.rstrip() if outer else ''}\n    {'' if outer else mark}".join(parts)


if __name__ == "__main__":
    RECORD.write_text(rendered(public_api()), "utf-8")
    sys.stdout.write(f"{RECORD.name} has {len(public_api())} symbols\n")
