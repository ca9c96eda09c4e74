"""person.toml: what enrolment takes, a release takes too."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.authority.person_file import FILE, load_person
from agent.authority.plan import Plan, SitePlan
from agent.errors import UsageError
from agent.roster.document import TIME_MAX_S
from agent.roster.errors import RosterError
from agent.roster.fields import integer, label
from agent.settings import toml_value
from tests.authority.conftest import NOW_S

days = st.one_of(
    st.dates().map(lambda day: day.strftime("%Y-%m-%d").zfill(10)), st.sampled_from(["9999-12-31", "0001-01-01", "1969-12-31", "2026-2-3"])
)


@given(
    first=st.one_of(st.none(), days),
    last=st.one_of(st.none(), days),
    group=st.one_of(st.none(), st.text(max_size=70)),
    offset=st.sampled_from([-1440, -60, 0, 480, 1440]),
)
def test_what_is_taken_from_a_persons_file_can_be_released(
    tmp_path_factory: pytest.TempPathFactory, first: str | None, last: str | None, group: str | None, offset: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    keys = {"valid_from": first, "valid_until": last, "group": group}
    text = "".join(f"{key} = {toml_value(value)}\n" for key, value in keys.items() if value is not None)
    (folder / FILE).write_text(text, encoding="utf-8", errors="replace")
    try:
        plan = load_person(folder, Plan(site=SitePlan(utc_offset_minutes=offset)), now_s=NOW_S)
    except UsageError:
        return
    try:  # as roster.people_reader reads them
        integer(plan.not_before_s, low=0, high=TIME_MAX_S, place="from")
        integer(plan.not_after_s, low=plan.not_before_s, high=TIME_MAX_S, place="until")
        if plan.group is not None:
            label(plan.group, place="group")
    except RosterError as error:
        pytest.fail(f"{text!r} was taken, and then: {error}")


@pytest.mark.parametrize("content", [b"levels = " + b"[" * 5_000, b"x = " + b"9" * 6_000, b"# " + b"x" * 2**17])
def test_a_file_that_breaks_the_parser_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UsageError, match=FILE):
        load_person(tmp_path, Plan(), now_s=NOW_S)
