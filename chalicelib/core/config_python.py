"""DCP's `config.py`, read from its syntax tree as data. Nothing of it is ever executed.

Understood: assignments of text, numbers, True, False, None, lists, names assigned further up,
and `+ - * /` of these. Everything else is refused with its line.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chalicelib.errors import Problem

MOST_DEPTH = 100
MOST_ITEMS = 1000
MOST_NUMBER = 10**18

_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SIMPLE = "must be text, a number, True, False, a list, a name from above, or + - * / of these"
_REFUSED: dict[type[ast.AST], str] = {
    ast.Call: "a call is never made: write the value itself",
    ast.JoinedStr: "instead of an f-string write APP_NAME + 'Queue'",
    ast.Import: "nothing is imported: write the values themselves",
    ast.ImportFrom: "nothing is imported: write the values themselves",
    ast.If: "there are no conditions: keep a config for each case",
    ast.IfExp: "there are no conditions: keep a config for each case",
    ast.AugAssign: "write KEY = KEY + value",
    ast.FunctionDef: "nothing is executed: write the values themselves",
    ast.Dict: "no key takes a dictionary",
    ast.Subscript: "write the element itself",
    ast.Attribute: "write the value itself",
}


@dataclass
class PythonKeys:
    """What a config.py assigns. `unread`: names whose value couldn't be made out; `used`: names
    that other values were made from. With a `syntax_error` there is nothing else."""

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    syntax_error: Problem | None = None


class _RefusedError(Exception):
    """An expression that isn't read: where, and what to write instead."""

    def __init__(self, node: ast.expr, expected: str, hint: str = ""):
        super().__init__(expected)
        self.node, self.expected, self.hint = node, expected, hint


class _UnreadError(Exception):
    """An expression made from a name that couldn't be read: told once, where it was assigned."""


def read_python(text: str) -> PythonKeys:
    """Read a config.py, at most some 64 kB; the caller holds that limit."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in the user's text
            tree = ast.parse(text)
    except SyntaxError as error:
        return PythonKeys(syntax_error=_syntax_problem(error))
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or "too complex"
        problem = Problem(where="the file", expected=f"must be a list of KEY = value ({reason})")
        return PythonKeys(syntax_error=problem)
    reader = _Reader(text.splitlines())
    for statement in tree.body:
        reader.statement(statement)
    return reader.keys


def _syntax_problem(error: SyntaxError) -> Problem:
    return Problem(
        where=f"line {error.lineno or 1}",
        found=_short(error.text or ""),
        expected="must be KEY = value, as Python writes it",
        hint=error.msg,
    )


def _short(line: str) -> str:
    shown = ascii(line.strip())[1:-1] if not line.strip().isprintable() else line.strip()
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.keys = PythonKeys()
        self._lines = lines
        self._assigned_on: dict[str, int] = {}

    def statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Expr) and _is_text(statement.value):
            return  # a docstring, or text used as a comment
        names = _assigned(statement)
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if value is None or not names:
            # What it would have assigned isn't missing, only unread.
            self._forget(_would_assign(statement))
            self._refuse(statement, "must be KEY = value", _REFUSED.get(type(statement), ""))
            return
        try:
            result = self._value(value, 0)
        except _RefusedError as refused:
            self._forget(set(names))
            self._refuse(refused.node, refused.expected, refused.hint)
        except _UnreadError:
            self._forget(set(names))
        else:
            for name in names:
                self._assign(name, result, statement.lineno)

    def _assign(self, name: str, value: Any, line: int) -> None:
        if name in self._assigned_on:
            self.keys.warnings.append(
                f"{name} is assigned on line {self._assigned_on[name]} and again on line {line}; "
                "the last one counts."
            )
        self._assigned_on[name] = line
        self.keys.unread.discard(name)
        self.keys.values[name] = value

    def _forget(self, names: set[str]) -> None:
        self.keys.unread |= names
        for name in names:
            self.keys.values.pop(name, None)

    def _refuse(self, node: ast.stmt | ast.expr, expected: str, hint: str) -> None:
        line = self._lines[node.lineno - 1] if node.lineno <= len(self._lines) else ""
        self.keys.problems.append(
            Problem(where=f"line {node.lineno}", found=_short(line), expected=expected, hint=hint)
        )

    def _value(self, node: ast.expr, depth: int) -> Any:
        if depth > MOST_DEPTH:
            raise _RefusedError(node, f"must not be nested deeper than {MOST_DEPTH}")
        match node:
            case ast.Constant(value=value):
                return _constant(node, value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._list(node, items, depth)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = self._value(operand, depth + 1)
                if not _is_number(number):
                    raise _RefusedError(node, "must be a number after a sign")
                return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                first = self._value(left, depth + 1)
                return _operate(node, op, first, self._value(right, depth + 1))
        raise _RefusedError(node, _SIMPLE, _REFUSED.get(type(node), ""))

    def _name(self, node: ast.expr, name: str) -> Any:
        self.keys.used.add(name)
        if name in self.keys.unread:
            raise _UnreadError
        if name not in self.keys.values:
            raise _RefusedError(node, f"must use names assigned further up, and {name[:60]} isn't")
        return self.keys.values[name]

    def _list(self, node: ast.expr, items: list[ast.expr], depth: int) -> list[Any]:
        if len(items) > MOST_ITEMS:
            raise _RefusedError(node, f"must have at most {MOST_ITEMS} items")
        values = [self._value(item, depth + 1) for item in items]
        if any(isinstance(value, list) for value in values):
            raise _RefusedError(node, "must be a list of text and numbers, not of lists")
        return values


def _assigned(statement: ast.stmt) -> list[str]:
    """The names that a plain assignment gives a value to; [] for any other statement."""
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return names if len(names) == len(targets) else []


def _would_assign(statement: ast.stmt) -> set[str]:
    nodes = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in nodes if isinstance(node.ctx, ast.Store)}


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _constant(node: ast.expr, value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if _is_number(value):
        return _bounded(node, value)
    raise _RefusedError(node, _SIMPLE)


def _operate(node: ast.expr, op: ast.operator, left: Any, right: Any) -> Any:
    numbers = _is_number(left) and _is_number(right)
    joined = isinstance(op, ast.Add) and type(left) is type(right) and isinstance(left, str | list)
    if not numbers and not joined:
        raise _RefusedError(
            node, f"must not combine {_SPOKEN[type(left)]} and {_SPOKEN[type(right)]} like this"
        )
    if joined and len(left) + len(right) > MOST_ITEMS * 4:
        raise _RefusedError(node, f"must have at most {MOST_ITEMS * 4} characters or items")
    try:
        result = _OPERATORS[type(op)](left, right)
    except (ZeroDivisionError, OverflowError) as error:
        raise _RefusedError(node, "must be a number that can be computed", str(error)) from None
    return _bounded(node, result) if numbers else result


def _bounded(node: ast.expr, number: float) -> float:
    if not abs(number) <= MOST_NUMBER:  # also when it isn't a number at all
        raise _RefusedError(node, f"must be a number between -{MOST_NUMBER} and {MOST_NUMBER}")
    return number


_SPOKEN: dict[type, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "True or False",
    list: "a list",
    type(None): "None",
}
