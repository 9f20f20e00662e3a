"""Rules of our own against dangerous constructs, in place of a rule set of semgrep, which is heavier than all this.

Each takes a file's path and text and returns its faults as sentences that begin with `path:line`.
"""

import ast
import re

from tidy.rules import nodes

_EVAL = {"eval", "exec", "compile", "__import__"}
_MODULES = {"pickle", "marshal", "shelve", "dill", "telnetlib", "ftplib", "xml", "lxml", "yaml", "jinja2.sandbox"}
_SQL = re.compile(
    r"\b(select|insert|update|delete|drop|alter|create|grant)\b.*\b(from|into|set|table|on|where)\b", re.I | re.S
)
_QUERIES = {"fetch", "fetchrow", "fetchval", "execute", "executemany", "prepare"}
_NAMES = {"table", "sql", "column", "_columns", "_row", "own", "name", "fields", "where", "order", "key", "statement"}


def faults_of_execution(path: str, text: str) -> list[str]:
    """No code made from text, no format that runs code when it is read, no shell."""
    faults = []
    for node in nodes(text):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in _EVAL:
                faults.append(f"{path}:{node.lineno} calls {node.func.id}")
            if any(k.arg == "shell" and not _is_false(k.value) for k in node.keywords):
                faults.append(f"{path}:{node.lineno} starts a shell")
            if isinstance(node.func, ast.Attribute) and _dotted(node.func) in ("os.system", "os.popen"):
                faults.append(f"{path}:{node.lineno} starts a shell")
        elif isinstance(node, ast.Import):
            faults += [f"{path}:{node.lineno} imports {a.name}" for a in node.names if a.name.split(".")[0] in _MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in _MODULES:
            faults.append(f"{path}:{node.lineno} imports {node.module}")
    return faults


def faults_of_trust(path: str, text: str) -> list[str]:
    """No certificate is left unchecked, no weak digest guards anything, secrets are compared in constant time."""
    faults = []
    tells = re.search(r"signature|mac", text, re.I)
    for node in nodes(text):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                unverified = keyword.arg in ("verify", "verify_ssl", "ssl", "check_hostname") and _is_false(
                    keyword.value
                )
                if unverified or (keyword.arg == "usedforsecurity" and not _is_false(keyword.value)):
                    faults.append(f"{path}:{node.lineno} says {keyword.arg}={ast.unparse(keyword.value)}")
            weak = _dotted(node.func).rpartition(".")[2] in ("md5", "sha1", "ECB", "ARC4", "DES")
            if weak and not any(k.arg == "usedforsecurity" for k in node.keywords):
                faults.append(f"{path}:{node.lineno} uses {_dotted(node.func)}")
        elif isinstance(node, ast.Attribute) and node.attr in ("CERT_NONE", "_create_unverified_context"):
            faults.append(f"{path}:{node.lineno} uses {node.attr}")
        elif tells and isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = " ".join(ast.unparse(side).lower() for side in (node.left, *node.comparators))
            if re.search(r"\b(\w*signature|hmac\w*|mac)\b", sides) and not re.search(r"['\"\d]|none|len\(", sides):
                faults.append(f"{path}:{node.lineno} compares {sides} in a time that tells")
    return faults


def faults_of_sql(path: str, text: str) -> list[str]:
    """Values go into statements as parameters: what is put together are names of our own, in capitals or listed."""
    faults = []
    for node in nodes(text):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _QUERIES:
            continue
        if not node.args:
            continue
        sql = node.args[0]
        if isinstance(sql, ast.JoinedStr) and _SQL.search(ast.unparse(sql)):
            for part in sql.values:
                if isinstance(part, ast.FormattedValue) and not _is_own_name(part.value):
                    faults.append(f"{path}:{node.lineno} puts {ast.unparse(part.value)} into a statement")
        elif isinstance(sql, ast.BinOp) and isinstance(sql.op, ast.Mod | ast.Add) and _SQL.search(ast.unparse(sql)):
            faults.append(f"{path}:{node.lineno} puts a statement together: {ast.unparse(sql)[:60]}")
        elif _formats(sql):
            faults.append(f"{path}:{node.lineno} formats a statement")
    return faults


def _formats(sql: ast.expr) -> bool:
    """Whether values are put into a text by `format`."""
    if not isinstance(sql, ast.Call) or not isinstance(sql.func, ast.Attribute) or sql.func.attr != "format":
        return False
    return not all(_is_own_name(value) for value in [*sql.args, *(k.value for k in sql.keywords)])


def _is_own_name(node: ast.expr) -> bool:
    """A constant (in capitals), or a variable that is called after what it names."""
    last = _dotted(node).rpartition(".")[2]
    return bool(last) and (last.isupper() or last.lstrip("_").isupper() or last in _NAMES)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (False, None)
