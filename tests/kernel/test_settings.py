"""Settings: which source wins, what is refused and in which words."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from pasar.kernel import settings as settings_module
from pasar.kernel.settings import Section, SettingsError, load, register
from pasar.kernel.settings_kernel import CommitSettings, DatabaseSettings, ServerSettings, TokensSettings


class ToySettings(Section, frozen=True):
    holds: Annotated[int, Meta(ge=1, le=10, description="How many.")] = 3
    wait: timedelta = timedelta(minutes=15)
    words: tuple[str, ...] = ()
    limit: int | None = None
    api_key: str = ""


@pytest.fixture
def toy() -> Iterator[None]:
    register("toy", ToySettings, profiles={"smb-kr": {"holds": 7}})
    yield
    del settings_module._registered["toy"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pasar.toml"


def refusals(
    environment: dict[str, str] | None = None, file: Path | None = None, **overrides: object
) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environment or {}, file, {name.replace("__", "."): value for name, value in overrides.items()})
    return caught.value.sentences


def test_without_anything_the_defaults_hold() -> None:
    settings = load({})
    assert settings.general.profile == "mall"
    assert settings.section(TokensSettings) == TokensSettings(access_min=15, refresh_days=30)
    assert settings.section("server") is settings.section(ServerSettings)


def test_a_default_yields_to_the_profile_the_profile_to_the_file_and_the_file_to_the_environment(
    file: Path, toy: None
) -> None:
    seen = []
    for text, environment in (
        ("", {}),
        ('profile = "smb-kr"', {}),
        ('profile = "smb-kr"\n[toy]\nholds = 8', {}),
        ('profile = "smb-kr"\n[toy]\nholds = 8', {"PASAR_TOY_HOLDS": "9"}),
    ):
        file.write_text(text)
        settings = load(environment, file)
        source = next(row.source for row in settings.explain() if row.name == "toy.holds")
        seen.append((settings.section("toy").holds, source))
    assert seen == [
        (3, "default"),
        (7, "profile smb-kr"),
        (8, f"file {file}"),
        (9, "environment PASAR_TOY_HOLDS"),
    ]
    assert load({"PASAR_TOY_HOLDS": "9"}, file, {"toy.holds": 10}).section("toy").holds == 10


def test_the_profile_itself_may_come_from_the_environment() -> None:
    assert load({"PASAR_PROFILE": "traceable"}).section(ServerSettings).idempotency_on_every_write
    assert not load({"PASAR_PROFILE": "mall"}).section(ServerSettings).idempotency_on_every_write
    assert refusals({"PASAR_PROFILE": "shop"}) == (
        "profile (environment PASAR_PROFILE) is 'shop'. Expected one of mall, traceable, smb-kr, algorithms, creator:"
        " change it there.",
    )


class ClockedSettings(Section, frozen=True):
    time_zone: Annotated[str, Meta(description="Whose days count.")] = "UTC"


@pytest.fixture
def clocked() -> Iterator[None]:
    register("clocked", ClockedSettings)
    yield
    del settings_module._registered["clocked"]


@pytest.mark.parametrize(
    ("environment", "whole", "section", "source"),
    [
        ({}, "UTC", "UTC", "time_zone, default"),
        ({"PASAR_PROFILE": "smb-kr"}, "Asia/Seoul", "Asia/Seoul", "time_zone, profile smb-kr"),
        (
            {"PASAR_PROFILE": "smb-kr", "PASAR_TIME_ZONE": "Europe/London"},
            *("Europe/London", "Europe/London", "time_zone, environment PASAR_TIME_ZONE"),
        ),
        (
            {"PASAR_TIME_ZONE": "Europe/London", "PASAR_CLOCKED_TIME_ZONE": "Asia/Seoul"},
            *("Europe/London", "Asia/Seoul", "environment PASAR_CLOCKED_TIME_ZONE"),
        ),
    ],
)
def test_a_section_takes_the_time_zone_of_the_whole_unless_it_says_its_own(
    environment: dict[str, str], whole: str, section: str, source: str, clocked: None
) -> None:
    settings = load(environment)
    assert (settings.general.time_zone, settings.section(ClockedSettings).time_zone) == (whole, section)
    assert {row.name: row.source for row in settings.explain()}["clocked.time_zone"] == source


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    (sentence,) = refusals({"PASAR_TIME_ZONE": "Seoul"})
    assert sentence.startswith("time_zone is 'Seoul', which is no name of a time zone")


def test_the_environment_names_the_file(file: Path) -> None:
    file.write_text("[server]\nport = 81")
    assert load({"PASAR_CONFIG": str(file)}).section(ServerSettings).port == 81
    assert "cannot be read" in refusals({"PASAR_CONFIG": str(file) + "x"})[0]
    file.write_text("[server\n")
    assert "is not TOML" in refusals({}, file)[0]


def test_text_of_the_environment_becomes_what_the_field_is(toy: None) -> None:
    environment = {"PASAR_TOY_WORDS": "a, b", "PASAR_TOY_WAIT": "PT5M", "PASAR_TOY_LIMIT": "", "PASAR_REPLAY": "true"}
    settings = load(environment)
    assert settings.section(ToySettings).words == ("a", "b")
    assert settings.section(ToySettings).wait == timedelta(minutes=5)
    assert settings.section(ToySettings).limit is None
    assert settings.general.replay is True


def test_a_wrong_value_is_refused_with_name_source_value_and_remedy(file: Path) -> None:
    file.write_text("[tokens]\naccess_min = 0\n[commit]\nlanes = 2.5")
    said = refusals({"PASAR_SERVER_PORT": "abc", "PASAR_LOG_LEVEL": "loud"}, file)
    assert len(said) == 4, said
    for sentence, words in zip(
        sorted(said),
        (
            ("commit.lanes", f"file {file}", "2.5", "int"),
            ("log.level", "environment PASAR_LOG_LEVEL", "'loud'", "debug, info"),
            ("server.port", "environment PASAR_SERVER_PORT", "'abc'", "int"),
            ("tokens.access_min", f"file {file}", " 0", ">= 1"),
        ),
        strict=True,
    ):
        assert all(word in sentence for word in words), sentence


def test_unknown_keys_are_refused_with_a_guess(file: Path) -> None:
    file.write_text("profil = 'mall'\n[server]\nprt = 1\n[nowhere]\na = 1")
    said = "\n".join(refusals({"PASAR_SERVER_PROT": "1"}, file))
    assert "no setting PASAR_SERVER_PROT (environment). Did you mean PASAR_SERVER_PORT?" in said
    assert "no setting server.prt" in said
    assert "no setting profil " in said
    assert "no setting nowhere" in said
    assert "no setting a.b (command line)" in "\n".join(refusals(a__b=1))


def test_variables_of_others_are_not_looked_at() -> None:
    load({"PATH": "x", "PASAR_TEST_DATABASE_URL": "x", "SERVER_PORT": "x"})


def test_a_well_known_variable_counts_unless_our_own_is_given() -> None:
    url = {"DATABASE_URL": "postgresql://a@b/c"}
    assert load(url).section(DatabaseSettings).url == "postgresql://a@b/c"
    both = url | {"PASAR_DATABASE_URL": "postgresql://d@e/f"}
    assert load(both).section(DatabaseSettings).url == "postgresql://d@e/f"
    assert load(dict(reversed(both.items()))).section(DatabaseSettings).url == "postgresql://d@e/f"


def test_values_that_do_not_go_together_are_refused() -> None:
    said = refusals({"PASAR_COMMIT_QUEUE": "10"})
    assert said == (
        "commit.queue is 10, less than a group of 128: raise it, or lower commit.group"
        " (environment PASAR_COMMIT_QUEUE).",
    )
    assert "database.url must begin with postgresql://" in refusals({"DATABASE_URL": "mysql://x"})[0]


def test_secrets_are_not_shown(toy: None) -> None:
    settings = load({"PASAR_TOY_API_KEY": "k3y", "DATABASE_URL": "postgresql://u:pa55@h/d"})
    shown = {row.name: row.value for row in settings.explain()}
    assert shown["toy.api_key"] == "…"
    assert shown["database.url"] == "postgresql://u:…@h/d"
    assert "pa55" not in refusals({"DATABASE_URL": "postgresql://u:pa55@h/d", "PASAR_COMMIT_QUEUE": "0"})[0]


def test_every_setting_is_described_and_can_be_set_by_a_variable_of_its_own() -> None:
    rows = load({}).explain()
    assert len({row.environment for row in rows}) == len(rows) > 30
    assert [row.name for row in rows if not row.description] == []
    assert {"profile", "data_dir", "replay", "server.host", "followers.lease_s"} <= {row.name for row in rows}


def test_settings_cannot_be_changed() -> None:
    settings = load({})
    with pytest.raises(AttributeError):
        settings.section(CommitSettings).lanes = 4  # pyright: ignore


def test_a_section_with_wrong_defaults_is_found_when_it_is_registered() -> None:
    with pytest.raises(ValueError, match="no profile shop"):
        register("other", ToySettings, profiles={"shop": {}})
    with pytest.raises(ValueError, match="<= 10"):
        register("other", ToySettings, profiles={"mall": {"holds": 11}})
    with pytest.raises(ValueError, match="already"):
        register("server", ToySettings)
