"""Reading Python source by its syntax tree: imports, calls, dotted names, what runs when."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the root, with `/`, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    def at(self, node: ast.AST, offence: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 0)}: {offence}"


def sources() -> list[Source]:
    """Every Python file of the project."""
    files = [*ROOT.glob("*.py")]
    for folder in ROOT.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            files += folder.rglob("*.py")
    return [Source(f.relative_to(ROOT).as_posix(), f.read_text("utf-8")) for f in sorted(files)]


def imports(source: Source) -> Iterator[tuple[ast.stmt, str]]:
    """Each import as a full dotted name: `from . import x` in a/b.py is `a.x`."""
    package = source.path.rpartition("/")[0].replace("/", ".").split(".")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            for alias in node.names:
                yield node, ".".join([*base, *filter(None, [node.module]), alias.name])


def calls(source: Source) -> Iterator[tuple[ast.Call, str]]:
    """Each call, with the dotted name of what is called (aliases resolved, "" if unknown)."""
    names = origins(source.tree)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func, names)


def origins(tree: ast.Module) -> dict[str, str]:
    """What imported names stand for: `import boto3 as b` gives b -> boto3."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """`b.client` to `boto3.client`; "" for what isn't a plain dotted name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, names)
        return f"{base}.{node.attr}" if base else ""
    return ""


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is loaded: all but the bodies of functions."""
    yield node
    for field, value in ast.iter_fields(node):
        if field == "body" and isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from run_at_import(child)


def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING:`."""
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and dotted(node.test, {}).endswith("TYPE_CHECKING")
    ]
    return {inner for block in blocks for part in block.body for inner in ast.walk(part)}


def unevaluated_annotations(tree: ast.Module) -> set[ast.AST]:
    """With `from __future__ import annotations`, what stands in them is never run."""
    has_future = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )
    if not has_future:
        return set()
    annotations = [getattr(node, "annotation", None) for node in ast.walk(tree)]
    annotations += [getattr(node, "returns", None) for node in ast.walk(tree)]
    return {inner for annotation in annotations if annotation for inner in ast.walk(annotation)}
