"""The rules of STYLE.md that a program can check.

Each takes a file's path below `src/` or the project, and its text, and returns its faults as sentences that begin with
`path:line`.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 60

_LAYERS = {"kernel": 0, "vocabulary": 1, "accounts": 1, "refusals": 1, "contexts": 2, "processes": 3, "apps": 4}
_BESIDE = {"simulators": {"kernel", "vocabulary", "simulators"}, "migrations": {"migrations"}}
_KINDS = {"contract", "views", "facade", "policies", "http", "gateway", "gateways", "inbox", "settings", "module"}
# Of other contexts, what a file of each kind may import; None stands for a pure file.
_OF_OTHERS: dict[str | None, set[str]] = {
    "contract": {"contract"},  # Its values only: an order is placed with the whole quote of pricing.
    None: set(),
    "views": {"contract"},
    "policies": {"contract"},
    "facade": {"contract", "facade"},
    "http": set(),
    "gateway": set(),
    "gateways": set(),
    "inbox": {"contract"},
    "settings": set(),
    "module": _KINDS,
}
_PURE_KERNEL = {"messages", "free_text", "decider", "ledger", "money", "ids", "private"}

_ARRAY = re.compile(r"(?<!any \()\b(?:array|array_agg|jsonb_agg|json_agg|string_agg)\s*\(", re.IGNORECASE)


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """All nodes of a file; kept, as each rule asks for those of every file."""
    return tuple(ast.walk(ast.parse(text)))


def faults_of_imports(path: str, text: str) -> list[str]:
    """Layers, what contexts see of each other, and what contracts and pure files see of the kernel."""
    parts = PurePosixPath(path).with_suffix("").parts  # pasar, contexts, inventory, hold
    faults = []
    for line, target in _imports(path, text):
        if problem := _import_problem(parts, target):
            faults.append(f"{path}:{line} imports {'.'.join(target)}: {problem}")
    return faults


def _imports(path: str, text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and full name of everything of ours that is imported, relative ones resolved."""
    package = PurePosixPath(path).parent.parts
    for node in nodes(text):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (name := tuple(alias.name.split(".")))[0] == "pasar":
                    yield node.lineno, name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            if module[:1] == ("pasar",):
                for alias in node.names:
                    yield node.lineno, (*module, alias.name)


def _import_problem(source: tuple[str, ...], target: tuple[str, ...]) -> str | None:
    layer, other = source[1] if len(source) > 1 else "", target[1] if len(target) > 1 else ""
    if layer in _BESIDE:
        return None if other in _BESIDE[layer] else f"{layer} stands beside the product"
    if other in _BESIDE:
        return (
            None
            if (layer in ("apps", "kernel") and other == "migrations") or layer == "apps"
            else f"only apps see {other}"
        )
    if layer not in _LAYERS or other not in _LAYERS:
        return None
    if _LAYERS[other] > _LAYERS[layer]:
        return f"{layer} is below {other}"
    if other == "contexts" and len(target) > 2:
        return _problem_across_contexts(source, target)
    pure = layer == "contexts" and _kind(source) in ("contract", None) and source[-1] != "__init__"
    if pure and other == "kernel" and len(target) > 2 and target[2] not in _PURE_KERNEL:
        return "contracts and pure files see only " + ", ".join(sorted(_PURE_KERNEL)) + " of the kernel"
    return None


def _kind(source: tuple[str, ...]) -> str | None:
    """What kind of file of a context this is. One that has grown may be split: `facade_parked` is a facade."""
    kinds = (part.partition("_")[0] for part in source[3:])
    return next((kind for kind in kinds if kind in _KINDS), None)


def _problem_across_contexts(source: tuple[str, ...], target: tuple[str, ...]) -> str | None:
    layer, its = source[1], target[3].partition("_")[0] if len(target) > 3 else ""
    if layer == "contexts" and source[2] == target[2]:
        return None
    if layer == "contexts":
        allowed = _OF_OTHERS[_kind(source)]
    elif layer == "processes":
        allowed = {"contract"}
    else:
        # The lab stands in for the world outside: what providers state is said in the words of the port.
        allowed = {"contract", "facade"} | {"wiring": {"module"}, "lab": {"gateway"}}.get(source[2], set())
    return None if its in allowed else f"of contexts, this file sees {', '.join(sorted(allowed)) or 'only its own'}"


_SECONDS = re.compile(r"\b\w+_s: float\b")


def faults_of_floats(path: str, text: str) -> list[str]:
    """Near money there is no float: no literal, no call, no annotation; seconds, `…_s: float`, are not money."""
    lines = text.splitlines()
    faults = []
    for node in nodes(text):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            fault = f"{path}:{node.lineno} has the float {node.value!r}"
        elif isinstance(node, ast.Name) and node.id == "float":
            fault = f"{path}:{node.lineno} uses float"
        else:
            continue
        if not _SECONDS.search(lines[node.lineno - 1]):
            faults.append(fault)
    return faults


_CHANCE_AND_TIME = {
    "datetime": {"now", "utcnow", "today", "fromtimestamp"},
    "date": {"today"},
    "time": {"time", "time_ns", "localtime", "gmtime"},
    "uuid": {"uuid1", "uuid4", "uuid6", "uuid7"},
    "os": {"urandom", "getrandom"},
    "random": {"*"},
    "secrets": {"*"},
}


def faults_of_chance_and_time(path: str, text: str) -> list[str]:
    """The clock and chance are passed in; only `kernel/clock.py` and `kernel/ids.py` ask the machine for them."""
    faults = []
    for node in nodes(text):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module in _CHANCE_AND_TIME:
            banned = _CHANCE_AND_TIME[node.module]
            for alias in node.names:
                if "*" in banned or (alias.name in banned and node.module != "datetime"):
                    faults.append(f"{path}:{node.lineno} imports {node.module}.{alias.name}")
        elif isinstance(node, ast.Attribute) and (name := _last_name(node.value)) in _CHANCE_AND_TIME:
            banned = _CHANCE_AND_TIME[name]
            # `datetime.fromtimestamp(x, UTC)` reads no clock.
            if ("*" in banned or node.attr in banned) and node.attr != "fromtimestamp":
                faults.append(f"{path}:{node.lineno} uses {name}.{node.attr}")
    return faults


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def faults_of_size(path: str, text: str) -> list[str]:
    """A file fits a sitting, a function a screen."""
    faults = []
    if (lines := len(text.splitlines())) > LINES_OF_A_FILE:
        faults.append(f"{path}:1 has {lines} lines, more than {LINES_OF_A_FILE}")
    if path.endswith(".py"):
        for node in nodes(text):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LINES_OF_A_FUNCTION:
                    faults.append(
                        f"{path}:{node.lineno} {node.name} has {length} lines, more than {LINES_OF_A_FUNCTION}"
                    )
    return faults


# Written in parts, so that this file does not find itself.
_MACHINE = re.compile(
    "|".join((r"/ho" r"me/\w", r"/ro" r"ot/\w", r"/Us" r"ers/\w", r"/wo" r"rk/\w", r"[A-Z]:\\" r"Users"))
)


def faults_of_order(path: str, text: str) -> list[str]:
    """An array that a view keeps has an order of its own, or a rebuilt view would not be the live one byte for byte.
    `any (array(…))` asks whether something is in it."""
    if not path.endswith("/views.py"):
        return []
    return [
        f"{path}:{text.count(chr(10), 0, found.start()) + 1} an array without an order"
        for found in _ARRAY.finditer(text)
        if "order by" not in _until_closed(text, found.end())
    ]


def _until_closed(text: str, begin: int) -> str:
    depth = 1
    for at in range(begin, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if not depth:
            return text[begin:at].lower()
    return text[begin:].lower()


def faults_of_machine_paths(path: str, text: str) -> list[str]:
    """Nothing in the repository knows the machine that it was written on."""
    return [
        f"{path}:{number} names {found.group()}…"
        for number, line in enumerate(text.splitlines(), 1)
        if (found := _MACHINE.search(line))
    ]


def faults_of_unfinished_work(path: str, text: str) -> list[str]:
    """What is not finished is left out; what is planned has a number."""
    mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b(?!\s*\(?#\d)")
    faults = [f"{path}:{n} {line.strip()}" for n, line in enumerate(text.splitlines(), 1) if mark.search(line)]
    if path.endswith(".py"):
        for node in nodes(text):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_stub(node):
                faults.append(f"{path}:{node.lineno} {node.name} is not implemented")
    return faults


def _is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if len(body) != 1 or not isinstance(raised := body[0], ast.Raise) or raised.exc is None:
        return False
    named = raised.exc.func if isinstance(raised.exc, ast.Call) else raised.exc
    return _last_name(named) == "NotImplementedError"
