"""`pasar docs`: the pages and schemas that are made from the code, and whether the written ones are up to date."""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pasar
from pasar import accounts
from pasar.apps import context_map, wiring
from pasar.apps.demo import tour
from pasar.apps.event_schemas import avro_schema, import_everything, is_of_product, json_schema, stored_events
from pasar.kernel.ledger import Family
from pasar.kernel.messages import Event, refusal_types
from pasar.kernel.module import Module
from pasar.kernel.settings import load

MADE = "<!-- Made from the code by `make docs`; change the code, not this page. -->"
SOURCES = Path(next(iter(pasar.__path__)))


def write_docs(folder: Path, *, check: bool = False) -> int:
    """Write `docs/`, or only compare; the exit status: 1 when something differs."""
    pages = {folder / name: text for name, text in all_pages().items()}
    readme = folder.parent / "README.md"
    if readme.exists():
        pages[readme] = _with_tour(readme.read_text(encoding="utf-8"))
    old = {path for path in (folder / "events").rglob("*") if path.is_file()} - set(pages)
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if check:
        for path in sorted((*stale, *old)):
            print(f"{path.relative_to(folder.parent)} is not what the code says: run `make docs`", file=sys.stderr)
        return 1 if stale or old else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")
    for path in old:
        path.unlink()
    print(f"{len(pages)} files: {len(stale)} written, {len(old)} taken away.")
    return 0


def all_pages() -> dict[str, str]:
    """Every file below `docs/` that is made: its path and text."""
    import_everything()
    wiring.contexts()
    modules = wiring.modules(load({}))
    pages = {
        "errors.md": _errors(),
        "accounts.md": _accounts(),
        "context-map.md": f"{MADE}\n\n{context_map.page(SOURCES, modules)}",
    }
    by_context: dict[str, dict[str, type[Event]]] = defaultdict(dict)
    for name, kind in stored_events().items():
        by_context[name.partition(".")[0]][name] = kind
        pages[f"events/schemas/{name}.json"] = _json(json_schema(kind))
        pages[f"events/avro/{name}.avsc"] = _json(avro_schema(kind))
    for context, kinds in by_context.items():
        pages[f"events/{context}.md"] = _events(context, kinds, modules)
    return pages


def _with_tour(readme: str) -> str:
    """The README with the same tour that `make run` prints, at the default ports."""
    before, _, rest = readme.partition("<!-- tour -->\n")
    _, _, after = rest.partition("<!-- /tour -->")
    calls = tour("http://127.0.0.1:8000", "http://127.0.0.1:8001").partition("\n\n")[2].partition("\n\n")[0]
    return f"{before}<!-- tour -->\n```sh\n{calls}\n```\n<!-- /tour -->{after}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _events(context: str, kinds: dict[str, type[Event]], modules: tuple[Module, ...]) -> str:
    listeners = _listeners(modules)
    text = [MADE, "", f"# Events of {context}", ""]
    text += [
        "A field with a ? may be absent. `sealed` texts tell of a person and are readable while their key exists.",
        "",
    ]
    for name, kind in sorted(kinds.items()):
        text += [f"## {name}", "", *_docstring(kind)]
        text += [f"Streams: {', '.join(_streams(kind, modules)) or '–'}. Heard by: "
                 f"{', '.join(listeners.get(kind, ())) or 'nobody yet'}.", ""]  # fmt: skip
        text += [f"[JSON Schema](schemas/{name}.json) · [Avro](avro/{name}.avsc)", ""]
        text += ["| Field | Type |", "| --- | --- |"]
        schema = json_schema(kind)
        root = schema["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        for field, of_field in root.get("properties", {}).items():
            mark = "" if field in root.get("required", ()) else "?"
            text.append(f"| {field}{mark} | {_type_in_words(of_field)} |")
        text.append("")
    return "\n".join(text)


def _docstring(kind: type) -> list[str]:
    own = kind.__dict__.get("__doc__")
    return [" ".join(own.split()), ""] if own and not own.startswith(f"{kind.__name__}(") else []


def _streams(kind: type[Event], modules: tuple[Module, ...]) -> list[str]:
    return [f"`{decider.kind}`" for module in modules for decider in module.deciders if kind in decider.events]


def _listeners(modules: tuple[Module, ...]) -> dict[type[Event], list[str]]:
    found: dict[type[Event], list[str]] = defaultdict(list)
    for module in modules:
        for part in (*module.views, *module.policies, *module.reactions, *module.processes):
            for kind in part.on:
                found[kind].append(part.follower.replace(":", " "))
    return found


def _type_in_words(schema: dict[str, Any]) -> str:
    """A short name of a JSON Schema: what a reader of a table wants to know."""
    match schema:
        case {"$ref": str(ref)}:
            return ref.rpartition("/")[2]
        case {"anyOf": list(parts)}:
            return " or ".join(_type_in_words(part) for part in parts)
        case {"enum": list(symbols)}:
            return ", ".join(f"`{symbol}`" for symbol in symbols)
        case {"type": "array", "prefixItems": list(parts)}:
            return "(" + ", ".join(_type_in_words(part) for part in parts) + ")"
        case {"type": "array", "items": dict(items)}:
            return f"list of {_type_in_words(items)}"
        case {"description": "a sealed text"}:
            return "sealed"
        case {"type": str(kind), "format": str(form)}:
            return f"{kind} ({form})"
        case {"type": str(kind)}:
            return "map" if kind == "object" else kind
    return "anything"


def _errors() -> str:
    text = [MADE, "", "# Error catalogue", ""]
    text += [
        "Every refusal is a problem document (RFC 9457) with `code`, `name`, `detail` and, where fields are wrong,",
        "`errors`. Numbers and names never change.",
        "",
        "| Number | Name | Status | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for code, kind in refusal_types().items():
        if is_of_product(kind):
            meaning = " ".join((kind.__doc__ or "").split())
            text.append(f"| {code} | {kind.name} | {kind.status} | {meaning} |")
    return "\n".join((*text, ""))


def _accounts() -> str:
    text = [MADE, "", "# Chart of accounts", ""]
    text += [
        "All that is counted is the balance of an account: what came in less what went out. One with a floor never",
        "goes below it; the database refuses, and the refusal is the one named here.",
        "",
        "| Account | Unit | Floor | Refusal | Meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for family in _families():
        floor = "minus its limit" if family.limited else "–" if family.floor is None else str(family.floor)
        refusal = f"{family.refusal.code} {family.refusal.name}" if isinstance(family.refusal, type) else "–"
        unit = family.unit or "currency"
        text.append(f"| `{family.name}` | {unit} | {floor} | {refusal} | {family.meaning} |")
    return "\n".join((*text, ""))


def _families() -> list[Family]:
    return [value for value in vars(accounts).values() if isinstance(value, Family)]
