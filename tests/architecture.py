"""The rules that keep the rooms apart, as functions from one source file to its offences.

A rule takes a `Source` and gives lines like `chalicelib/core/plan.py:12: imports os`. What the
rooms are for is told in docs/; `test_architecture.py` runs every rule over every file, and over
bad snippets that it has to notice.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from tests.syntax import (
    Source,
    calls,
    dotted,
    for_types_only,
    imports,
    origins,
    run_at_import,
    unevaluated_annotations,
)

#: What a room may import beside the standard library. The longest prefix of a path decides;
#: `*` is anything. Rooms that are not named (tests, scripts, benchmarks, ...) are free.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "chalicelib/": (),
    "chalicelib/contract/": ("chalicelib.contract",),
    "chalicelib/errors.py": (),
    "chalicelib/settings.py": ("chalicelib.contract", "chalicelib.errors"),
    "chalicelib/core/": (
        "chalicelib.core", "chalicelib.contract", "chalicelib.errors", "chalicelib.settings",
        "pydantic", "pydantic_core", "ijson",
    ),
    "chalicelib/aws/": (
        "chalicelib.aws", "chalicelib.core", "chalicelib.contract", "chalicelib.errors",
        "chalicelib.settings", "aws_lambda_powertools", "boto3", "botocore", "mypy_boto3_*",
        "pydantic", "pydantic_core",
    ),
    "chalicelib/operations/": (
        "chalicelib.operations", "chalicelib.aws", "chalicelib.core", "chalicelib.contract",
        "chalicelib.errors", "chalicelib.settings", "aws_lambda_powertools", "pydantic",
    ),
    "chalicelib/handlers/": (
        "chalicelib.handlers", "chalicelib.operations", "chalicelib.aws", "chalicelib.core",
        "chalicelib.contract", "chalicelib.errors", "chalicelib.settings",
        "aws_lambda_powertools",
    ),
    "app.py": ("chalice", "chalicelib", "aws_lambda_powertools"),
    "worker/": (
        "worker", "chalicelib.contract", "boto3", "botocore", "mypy_boto3_*",
    ),
    # In the process, and the Python, of CellProfiler.
    "worker/warm_": (
        "worker.warm_image_sets", "bioformats", "cellprofiler", "cellprofiler_core", "h5py",
        "javabridge", "numpy",
    ),
}  # fmt: skip

#: Modules that few may import: who.
ONLY_IMPORTED_BY: dict[str, tuple[str, ...]] = {
    "chalicelib.handlers": ("app.py", "chalicelib/handlers/", "run.py", "tests/"),
    "local": ("local/", "run.py", "tests/", "benchmarks/", "examples/"),
}

#: What makes the core impure: files, clock, chance, environment, processes, network.
IMPURE_MODULES = {
    "asyncio", "glob", "http", "multiprocessing", "os", "pathlib", "random", "secrets", "shutil",
    "signal", "socket", "subprocess", "tempfile", "threading", "time",
}  # fmt: skip
IMPURE_CALLS = {
    "open", "input", "print", "sys.exit", "uuid.uuid1", "uuid.uuid4", "urllib.request.urlopen",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today",
    "datetime.date.today",
}  # fmt: skip

AWS_LIBRARIES = {"boto3", "botocore"}
#: Calls that replace something; their arguments say what.
PATCHERS = {"setattr", "delattr", "setitem", "patch", "object", "dict", "multiple", "spy", "stub"}

#: Names that Python 3.8 lacks and a parse alone doesn't notice.
SINCE_3_9_MODULES = {"graphlib", "tomllib", "zoneinfo"}
SINCE_3_9_NAMES = {
    "Annotated", "BooleanOptionalAction", "ExceptionGroup", "ParamSpec", "Self", "StrEnum", "UTC",
    "TypeAlias", "TypeGuard", "aclosing", "add_note", "assert_never", "batched", "bit_count",
    "chdir", "file_digest", "is_relative_to", "lcm", "pairwise", "randbytes",
    "removeprefix", "removesuffix", "to_thread", "waitstatus_to_exitcode", "with_stem",
}  # fmt: skip
SINCE_3_9_KEYWORDS = {
    "TemporaryDirectory": {"ignore_cleanup_errors", "delete"},
    "dataclass": {"kw_only", "slots"},
    "shutdown": {"cancel_futures"},
    "zip": {"strict"},
}
GENERIC_SINCE_3_9 = {"dict", "frozenset", "list", "set", "tuple", "type"}


def rooms(source: Source) -> Iterator[str]:
    """A room imports only what MAY_IMPORT gives it, and what is not kept for others."""
    room = max((r for r in MAY_IMPORT if source.path.startswith(r)), key=len, default=None)
    for_types = for_types_only(source.tree)
    for node, module in imports(source):
        top = module.partition(".")[0]
        is_library = top in sys.stdlib_module_names or top == "__future__"
        if room is not None and not is_library and not _any_within(module, MAY_IMPORT[room]):
            yield source.at(node, f"imports {module}, which {room} may not")
        if room is not None and module.startswith("mypy_boto3_") and node not in for_types:
            yield source.at(node, f"imports {module}: under TYPE_CHECKING only; it isn't deployed")
        for kept, users in ONLY_IMPORTED_BY.items():
            if _within(module, kept) and not source.path.startswith(users):
                yield source.at(node, f"imports {module}, which is for {', '.join(users)}")


def pure_core(source: Source) -> Iterator[str]:
    """The core, and the settings it reads, know no clock, chance, environment, files, network."""
    if not source.path.startswith(("chalicelib/core/", "chalicelib/settings.py")):
        return
    for node, module in imports(source):
        if module.partition(".")[0] in IMPURE_MODULES:
            yield source.at(node, f"imports {module}: the core is pure; take its result as a value")
    for call, name in calls(source):
        if name in IMPURE_CALLS:
            yield source.at(call, f"calls {name}: the core is pure; take its result as a value")


def no_client_at_import(source: Source) -> Iterator[str]:
    """Clients are made when first needed, never while a module loads."""
    names = origins(source.tree)
    for node in run_at_import(source.tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func, names)
            if name.partition(".")[0] in AWS_LIBRARIES and not name.endswith(".Config"):
                yield source.at(node, f"calls {name} at import; make it when it is needed")


def no_patching_of_aws(source: Source) -> Iterator[str]:
    """boto3 and botocore are never patched or stubbed: tests talk to an emulator."""
    names = origins(source.tree)
    for node, module in imports(source):
        if _within(module, "botocore.stub") or module.startswith("moto.mock_"):
            yield source.at(node, f"imports {module}, which patches botocore; use the emulator")
    for part in ast.walk(source.tree):
        if isinstance(part, ast.Call) and _is_patcher(part.func):
            touched = [_named_in(argument, names) for argument in part.args]
            if any(AWS_LIBRARIES & set(name.split(".")) for name in touched):
                yield source.at(part, "patches boto3 or botocore; use the emulator")
        for target in _assigned_attributes(part):
            if dotted(target, names).partition(".")[0] in AWS_LIBRARIES:
                yield source.at(part, f"assigns {dotted(target, names)}; use the emulator")


def python_3_8(source: Source) -> Iterator[str]:
    """The worker and the contract run on the Python 3.8 of CellProfiler's image."""
    if not source.path.startswith(("worker/", "chalicelib/contract/")):
        return
    try:
        ast.parse(source.text, source.path, feature_version=(3, 8))
    except SyntaxError as error:
        yield f"{source.path}:{error.lineno}: {error.msg}"
        return
    for node, module in imports(source):
        if module.partition(".")[0] in SINCE_3_9_MODULES or _last(module) in SINCE_3_9_NAMES:
            yield source.at(node, f"imports {module}, which Python 3.8 lacks")
    unevaluated = unevaluated_annotations(source.tree)
    for part in ast.walk(source.tree):
        if part not in unevaluated and (lacking := _lacking_in_3_8(part)):
            yield source.at(part, f"uses {lacking}, which Python 3.8 lacks")


RULES = (rooms, pure_core, no_client_at_import, no_patching_of_aws, python_3_8)


def _is_patcher(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr in PATCHERS
    return isinstance(function, ast.Name) and function.id in {"setattr", "delattr", "patch"}


def _named_in(argument: ast.expr, names: dict[str, str]) -> str:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    return dotted(argument, names)


def _assigned_attributes(node: ast.AST) -> list[ast.expr]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target for target in targets if isinstance(target, ast.Attribute)]


def _lacking_in_3_8(node: ast.AST) -> str:
    """What Python 3.8 lacks in this node, or ""."""
    match node:
        case ast.Attribute(value=ast.Name(id="os"), attr="chdir"):
            return ""  # `contextlib` got one later
        case ast.Attribute(attr=name) if name in SINCE_3_9_NAMES:
            return name
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), keywords=keywords):
            newer = SINCE_3_9_KEYWORDS.get(name, set())
            return next((f"{name}({k.arg}=)" for k in keywords if k.arg in newer), "")
        case ast.Subscript(value=ast.Name(id=name)) if name in GENERIC_SINCE_3_9:
            return f"{name}[...]"
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return "`|`" if any(_is_dict_or_type(side) for side in (left, right)) else ""
        case ast.AugAssign(op=ast.BitOr(), value=value):
            return "`|=`" if _is_dict_or_type(value) else ""
        case _:
            return ""


def _is_dict_or_type(node: ast.expr) -> bool:
    match node:
        case ast.Dict() | ast.DictComp() | ast.Constant(value=None):
            return True
        case ast.Call(func=ast.Name(id="dict")):
            return True
        case ast.Name(id=name):
            return name in {"bool", "bytes", "dict", "float", "int", "list", "str", "tuple"}
        case _:
            return False


def _within(module: str, prefix: str) -> bool:
    if prefix.endswith("*"):
        return module.startswith(prefix[:-1])
    return module == prefix or module.startswith(f"{prefix}.")


def _any_within(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(_within(module, prefix) for prefix in prefixes)


def _last(module: str) -> str:
    return module.rpartition(".")[2]
