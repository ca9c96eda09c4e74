"""authority.toml: the file that init writes says the defaults; words of schedules become weekly intervals."""

from pathlib import Path

import pytest

from agent.authority.plan import Plan, example, interval, load
from agent.core.identity import Interval
from agent.settings import ConfigError


def test_the_written_file_says_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "authority.toml"
    file.write_text(example())
    assert load(file) == Plan()
    file.write_text(example(site="bridge-1", pack='a "quoted" pack'))
    assert (load(file).site.name, load(file).people.pack) == ("bridge-1", 'a "quoted" pack')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mon-sun 00:00-24:00", Interval(0b1111111, 0, 1440)),
        ("mon-fri 06:00-22:00", Interval(0b0011111, 360, 1320)),
        ("sat,sun 22:00-02:00", Interval(0b1100000, 1320, 1560)),
        ("fri-mon 8:30-9:00", Interval(0b1110001, 510, 540)),
        ("wed 12:00-12:00", Interval(0b0000100, 720, 2160)),
    ],
)
def test_the_words_of_an_interval(text: str, expected: Interval) -> None:
    assert interval(text) == expected


@pytest.mark.parametrize("text", ["", "always", "mon 6-7", "mon 24:00-25:00", "mon 25:00-26:00", "mo 06:00-07:00", "mon- 06:00-07:00"])
def test_an_interval_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not understood"):
        interval(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[level]]\nname = 'x'\nroutes = ['park-a -> moon']\n[people]\nlevels = ['x']", "park-a -> moon"),
        ("[[level]]\nname = 'x'\nroutes = ['park-a']\n[people]\nlevels = ['x']", "write 'AREA -> AREA'"),
        ("[[level]]\nname = 'x'", "'people.levels' names 'always'"),
        ("[[level]]\n[[level]]", "two access levels have the same name"),
        ("[release]\nexpires_days = 1", "'release.expires_days' is shorter"),
        ("[release]\nexpires_hours = 1", "unknown key 'release.expires_hours'"),
        ("[site]\nutc_offset_minutes = 9999", "the greatest value is 1440"),
        ("= 1", "is not TOML"),
    ],
)
def test_a_wrong_plan_is_refused_naming_file_key_and_limit(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "authority.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert words in str(caught.value)
