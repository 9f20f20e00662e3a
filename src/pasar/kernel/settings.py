"""Settings: from defaults, a profile, a file and the environment, each over the one before, checked at start.

    [server]            # pasar.toml, or the file that PASAR_CONFIG names
    port = 8080

    PASAR_SERVER_PORT=8081 pasar run

A context adds a section of its own with `register("ordering", OrderingSettings)` and reads it with
`settings.section(OrderingSettings)`. The kernel's own sections are in `settings_kernel.py`.
"""

import difflib
import os
import re
import tomllib
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

PREFIX = "PASAR_"
CONFIG = "PASAR_CONFIG"
DEFAULT_FILE = "pasar.toml"
PROFILES = ("mall", "traceable", "smb-kr", "algorithms", "creator")
Profile = Literal["mall", "traceable", "smb-kr", "algorithms", "creator"]

# Read by the test suite, not by Pasar.
_NOT_OURS = "PASAR_TEST_"
_SECRET = re.compile(r"password|secret|token$|_key$")


def is_time_zone(name: str) -> bool:
    """Whether this machine knows the zone. Looks for the one, not for all there are: settings are read often."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of settings. Each field says in its `Meta(description=…)` what it does; units stand in names."""

    def problems(self) -> Iterable[str]:
        """Sentences about values that do not go together; each begins with the field's name."""
        return ()


class General(Section, frozen=True):
    """What concerns the whole: these stand at the top of the file, outside any section."""

    profile: Annotated[
        Profile, Meta(description="The kind of business: a named set of defaults for everything else.")
    ] = "mall"
    data_dir: Annotated[
        str, Meta(description="Folder of the embedded database, uploads, keys and mails.", min_length=1)
    ] = ".pasar"
    time_zone: Annotated[
        str, Meta(description="Whose days and hours count where a section does not say its own (IANA name).")
    ] = "UTC"
    replay: Annotated[
        bool, Meta(description="Whether the clock may be set, to replay a history. Never in production.")
    ] = False

    def problems(self) -> Iterable[str]:
        if not is_time_zone(self.time_zone):
            yield f"time_zone is {self.time_zone!r}, which is no name of a time zone; write for example Asia/Seoul"


COMMON = ("time_zone",)
"""Settings of the whole that sections with a field of the same name take as their default."""
_TIME_ZONES = {"traceable": "Asia/Shanghai", "smb-kr": "Asia/Seoul", "creator": "Asia/Shanghai"}
"""Profile → where such a business is at home."""


class SettingsError(Exception):
    """One sentence for each setting that is wrong: its name, its source, its value, and what to change."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__("\n".join(self.sentences))


class Explained(msgspec.Struct, frozen=True):
    """One setting as it is: for `pasar settings` and the docs."""

    name: str
    value: object
    source: str
    environment: str
    description: str


class _Registered(msgspec.Struct, frozen=True):
    kind: type[Section]
    profiles: Mapping[str, Mapping[str, object]]
    aliases: Mapping[str, str]  # variable of the environment → field


_registered: dict[str, _Registered] = {}

S = TypeVar("S", bound=Section)
AnySection = TypeVar("AnySection", bound=type[Section])


def register(
    name: str,
    kind: AnySection,
    *,
    profiles: Mapping[str, Mapping[str, object]] | None = None,
    aliases: Mapping[str, str] | None = None,
) -> AnySection:
    """Add a section. `profiles` are its defaults by profile; `aliases` name variables such as DATABASE_URL.

    Its own defaults and those of its profiles are checked here, so that a mistake in them is found at import.
    """
    if not re.fullmatch(r"[a-z][a-z_]*", name):
        raise ValueError(f"a section is not called {name!r}")
    if name in _registered and _registered[name].kind is not kind:
        raise ValueError(f"there is a section {name} already")
    for profile, values in (profiles or {}).items():
        if profile not in PROFILES:
            raise ValueError(f"there is no profile {profile}")
        msgspec.convert({field: _plain(value) for field, value in values.items()}, kind, strict=False)
    kind()
    _registered[name] = _Registered(kind, profiles or {}, aliases or {})
    return kind


class Settings:
    """All settings of this process, unchangeable. `general` is the top of the file; the rest are sections."""

    def __init__(self, general: General, sections: Mapping[str, Section], explained: tuple[Explained, ...]) -> None:
        self.general = general
        self._sections = types.MappingProxyType(dict(sections))
        self._by_kind = {type(section): section for section in sections.values()}
        self._explained = explained

    @overload
    def section(self, which: type[S]) -> S: ...
    @overload
    def section(self, which: str) -> Any: ...
    def section(self, which: type[S] | str) -> S | Section:
        """The section by its name or, known to the type checker, by its class."""
        found = self._sections.get(which) if isinstance(which, str) else self._by_kind.get(which)
        if found is None:
            raise KeyError(f"no section {which} is registered")
        return found

    def explain(self) -> tuple[Explained, ...]:
        """Every setting with its value and source, secrets hidden."""
        return self._explained


class _Given(msgspec.Struct, frozen=True):
    value: object
    source: str


def load(
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read and check everything; all that is wrong is said at once.

    `overrides` (`{"server.port": 0}`) come from the command line and win over all else. Without `environment` the
    process's own is read; without `file`, the one that PASAR_CONFIG names, else `pasar.toml` where it exists.
    """
    environment = os.environ if environment is None else environment
    wrong: list[str] = []
    layers = [_from_file(environment, file, wrong), _from_environment(environment, wrong)]
    layers.append(_from_overrides(overrides or {}, wrong))
    given = {name: value for layer in layers for name, value in layer.items()}
    general, explained = _build("", General, _at_home(given), wrong)
    unsound = bool(wrong)  # What is wrong at the top is not said again of each section.
    sections: dict[str, Section] = {}
    for name, registered in _registered.items():
        profile = registered.profiles.get(general.profile, {})
        defaults = {
            f"{name}.{field}": _Given(_plain(value), f"profile {general.profile}") for field, value in profile.items()
        }
        common = {} if unsound else _common(name, registered.kind, general, explained)
        sections[name], rows = _build(name, registered.kind, common | defaults | given, wrong)
        explained += rows
    if wrong:
        raise SettingsError(wrong)
    return Settings(general, sections, tuple(explained))


def _at_home(given: Mapping[str, _Given]) -> Mapping[str, _Given]:
    """With the time zone of the profile, where nobody says another."""
    profile = given.get("profile")
    zone = _TIME_ZONES.get(str(profile.value)) if profile else None
    return given if zone is None else {"time_zone": _Given(zone, f"profile {profile and profile.value}"), **given}


def _common(section: str, kind: type[Section], general: General, explained: Iterable[Explained]) -> dict[str, _Given]:
    """What a section takes over from the whole, and where that comes from."""
    sources = {row.name: row.source for row in explained}
    return {
        _qualified(section, field): _Given(getattr(general, field), f"{field}, {sources[field]}")
        for field in COMMON
        if field in kind.__struct_fields__
    }


@cache
def _fields(kind: type[Section]) -> dict[str, Any]:
    """Field → annotated type."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in msgspec.structs.fields(kind)}


def _kinds() -> Iterator[tuple[str, type[Section]]]:
    yield "", General
    for name, registered in _registered.items():
        yield name, registered.kind


def _qualified(section: str, field: str) -> str:
    return f"{section}.{field}" if section else field


def _variable(setting: str) -> str:
    return PREFIX + setting.replace(".", "_").upper()


def _known() -> dict[str, Any]:
    """Setting → annotated type."""
    return {_qualified(name, field): hint for name, kind in _kinds() for field, hint in _fields(kind).items()}


def _from_file(environment: Mapping[str, str], file: Path | None, wrong: list[str]) -> dict[str, _Given]:
    chosen = file or (Path(environment[CONFIG]) if environment.get(CONFIG) else None)
    path = chosen or Path(DEFAULT_FILE)
    if chosen is None and not path.exists():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        wrong.append(f"The settings file {path} cannot be read: {error}. Correct {CONFIG}, or the file's modes.")
        return {}
    except tomllib.TOMLDecodeError as error:
        wrong.append(f"The settings file {path} is not TOML: {error}.")
        return {}
    names = dict(_kinds())
    given: dict[str, _Given] = {}
    for key, value in content.items():
        if key in names and isinstance(value, dict):
            given |= {_qualified(key, field): _Given(inner, f"file {path}") for field, inner in value.items()}
        elif key in names:
            wrong.append(f"{key} in file {path} is a section: write it as [{key}].")
        else:
            given[key] = _Given(value, f"file {path}")
    return _refuse_unknown(given, wrong)


def _from_environment(environment: Mapping[str, str], wrong: list[str]) -> dict[str, _Given]:
    known = _known()
    variables = {_variable(name): name for name in known}
    aliases = {
        variable: _qualified(name, field)
        for name, registered in _registered.items()
        for variable, field in registered.aliases.items()
    }
    given: dict[str, _Given] = {}
    for variable, text in environment.items():
        name = aliases.get(variable) or variables.get(variable)
        if name is not None and not (variable in aliases and environment.get(_variable(name))):
            given[name] = _Given(_from_text(text, known[name]), f"environment {variable}")
        elif name is None and variable.startswith(PREFIX) and variable != CONFIG and not variable.startswith(_NOT_OURS):
            wrong.append(
                f"There is no setting {variable} (environment).{_meant(variable, variables)} Unset or rename it."
            )
    return given


def _from_overrides(overrides: Mapping[str, object], wrong: list[str]) -> dict[str, _Given]:
    known = _known()
    given = {
        name: _Given(_from_text(value, known.get(name)) if isinstance(value, str) else _plain(value), "command line")
        for name, value in overrides.items()
    }
    return _refuse_unknown(given, wrong)


def _refuse_unknown(given: dict[str, _Given], wrong: list[str]) -> dict[str, _Given]:
    known = _known()
    for name, found in given.items():
        if name not in known:
            wrong.append(f"There is no setting {name} ({found.source}).{_meant(name, known)} Remove or rename it.")
    return {name: found for name, found in given.items() if name in known}


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f" Did you mean {close[0]}?" if close else ""


def _from_text(text: str, hint: Any) -> object:
    """The environment knows only text: lists are written with commas, an empty one stands for nothing."""
    kind = _without_meta(hint)
    if get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind) and text == "":
        return None
    if get_origin(kind) in (tuple, list, frozenset):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _without_meta(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else msgspec.to_builtins(value)


def _build(section: str, kind: type[S], given: Mapping[str, _Given], wrong: list[str]) -> tuple[S, list[Explained]]:
    """The section of the values given; what is wrong is added to `wrong`, and its default stands in."""
    values: dict[str, Any] = {}
    found_wrong = len(wrong)
    for field, hint in _fields(kind).items():
        name = _qualified(section, field)
        if name in given:
            try:
                values[field] = msgspec.convert(given[name].value, hint, strict=False)
            except msgspec.ValidationError as error:
                wrong.append(_sentence(name, hint, given[name], str(error)))
    built = kind(**values)
    if len(wrong) == found_wrong:
        for problem in built.problems():
            name = _qualified(section, problem.split(" ", 1)[0])
            source = given[name].source if name in given else f"default; {_variable(name)} changes it"
            wrong.append(f"{_qualified(section, problem)} ({source}).")
    return built, [_explain(section, field, hint, built, given) for field, hint in _fields(kind).items()]


def _sentence(name: str, hint: Any, given: _Given, error: str) -> str:
    shown = _shown(name, given.value)
    reason = re.sub(r" - at `\$.*`$", "", error)
    if get_origin(choices := _without_meta(hint)) is Literal:
        reason = "Expected one of " + ", ".join(map(str, get_args(choices)))
    return f"{name} ({given.source}) is {shown!r}. {reason}: change it there."


def _explain(section: str, field: str, hint: Any, built: Section, given: Mapping[str, _Given]) -> Explained:
    name = _qualified(section, field)
    notes = [note.description for note in getattr(hint, "__metadata__", ()) if isinstance(note, Meta)]
    source = given[name].source if name in given else "default"
    return Explained(name, _shown(name, getattr(built, field)), source, _variable(name), (notes or [None])[0] or "")


def _shown(name: str, value: object) -> object:
    """The value, unless it is a secret or an address with a password."""
    if value and _SECRET.search(name):
        return "…"
    return re.sub(r"(://[^/@:]*:)[^/@]*(@)", r"\1…\2", value) if isinstance(value, str) else value
