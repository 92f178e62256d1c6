"""What tells one function from another: its name, and the values it holds."""

import sys
from collections.abc import Iterator
from functools import partial
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
)
from typing import Any, TypeAlias, TypeGuard

Function: TypeAlias = (
    FunctionType
    | MethodType
    | BuiltinFunctionType
    | MethodDescriptorType
    | partial[Any]
)
"""What is called, and tells more of itself than that it is another one."""

_LAMBDA = "<lambda>"
# A script is `__mp_main__` in the processes that it starts.
_SAME_MODULE = {"__mp_main__": "__main__"}


def is_function(value: Any) -> TypeGuard[Function]:
    """Whether a value is a function, a method, or a partial call of either."""
    kinds = FunctionType | MethodType | BuiltinFunctionType | MethodDescriptorType
    return isinstance(value, kinds | partial)


def name_of(function: Any) -> list[Any]:
    """Return a function's name as JSON; of a lambda, which has none, also the code."""
    if isinstance(function, partial):
        return ["partial"]
    module = str(getattr(function, "__module__", None))
    name = [_SAME_MODULE.get(module, module), function.__qualname__]
    if getattr(function, "__name__", None) == _LAMBDA and hasattr(function, "__code__"):
        # LangChain shows the source, unless a line has two lambdas.
        return [*name, _written(function.__code__)]
    return name


def held_by(function: Function) -> list[Any]:
    """Return the values that a function holds: what it closes over, and arguments.

    Args:
        function: The function. Of a partial call, the function called comes first; of
            a method, whose method it is.

    Returns:
        The values, in an order that is the same for functions of the same code.
    """
    if isinstance(function, partial):
        return [function.func, function.args, function.keywords]
    if isinstance(function, MethodType):
        return [function.__self__, function.__func__]
    if isinstance(function, FunctionType):
        defaults = [function.__defaults__, function.__kwdefaults__]
        return [*defaults, *_closed_over(function)]
    # `", ".join` is a method of a text, `len` is one of a module.
    return [getattr(function, "__self__", None)]


def is_importable(value: Any) -> bool:
    """Whether the module of a function, or of the like, has it under its name."""
    found: Any = sys.modules.get(str(getattr(value, "__module__", None)))
    name = getattr(value, "__qualname__", None)
    if found is None or not isinstance(name, str):
        return False
    for step in name.split("."):
        # `vars`, since `getattr` may run a module's own `__getattr__`.
        found = getattr(found, "__dict__", {}).get(step)
    # A class has its static and class methods wrapped.
    return value is found or value is getattr(found, "__func__", found)


def _closed_over(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            # Not set yet, as the name of a function that is being decorated.
            yield None


def _written(code: CodeType) -> list[Any]:
    """Return code as JSON, without the line it is on."""
    constants = [_constant(value) for value in code.co_consts]
    names = [*code.co_names, *code.co_varnames, *code.co_freevars]
    return [code.co_code.hex(), constants, names]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _written(value)
    # The order of a set is another one in another process.
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)
