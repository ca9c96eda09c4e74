"""The tests of the firmware are themselves tested: each named mistake, put into the C source, is found by the test beside it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from firmware_bridge.vocabulary import Drive, FailMode, Refusal
from tests.bridge import test_controller as rules
from tests.bridge.firmware import SOURCE, Firmware, compile_library, load
from tests.bridge.world import Peer


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: `old` becomes `new` in `file`; `killer` (with `given`) must fail with it, and must pass without."""

    name: str
    file: str
    old: str
    new: str
    killer: Callable[..., None]
    given: tuple[Any, ...] = ()


_T: Final = "turnstile.c"
_L: Final = "lane.c"
_W: Final = "wire.c"
MUTANTS: Final = (
    # rule 1: bounds
    Mutant(
        "window bound removed",
        _T,
        "window = window > MAX_WINDOW_MS ? MAX_WINDOW_MS : window;",
        "",
        rules.test_a_window_beyond_ten_seconds_is_cut,
    ),
    Mutant(
        "pulse bound removed",
        _T,
        "pulse > MAX_PULSE_MS ? MAX_PULSE_MS : pulse",
        "pulse",
        rules.test_a_pulse_is_timed_and_cut_in_the_device,
        (65_535, 1_000),
    ),
    Mutant("pulse never ends", _L, "t->opening.pulse.on = false;", ";", rules.test_a_pulse_is_timed_and_cut_in_the_device, (500, 500)),
    Mutant(
        "wrap taken for the past",
        _W,
        "(uint32_t)(now - timer.at) < 0x80000000u",
        "now >= timer.at",
        rules.test_a_window_across_the_wrap_of_the_clock_has_its_full_length_and_no_more,
        (500,),
    ),
    Mutant(
        "opens per minute off",
        _T,
        "if (t->recent_count >= t->settings.releases_per_minute) return TOO_MANY;",
        "",
        rules.test_more_releases_in_a_minute_than_the_lane_can_do_are_refused,
    ),
    Mutant(
        "gap off",
        _L,
        "t->gap = after(t->now, t->settings.minimum_gap_ms);",
        "",
        rules.test_a_release_too_soon_is_refused,
        (400, Refusal.MINIMUM_GAP),
    ),
    Mutant(
        "interlock off",
        _T,
        "if (t->opening.on || !lane_is_shut(t)) return BUSY;",
        "",
        rules.test_a_release_too_soon_is_refused,
        (100, Refusal.BUSY),
    ),
    # rule 2: once, and in time
    Mutant(
        "grant number reused", _T, "grant == t->store.last_grant", "false", rules.test_a_repeated_release_is_acknowledged_and_does_nothing
    ),
    Mutant("lower grant number taken", _T, "grant < t->store.last_grant", "false", rules.test_a_lower_grant_number_is_refused),
    Mutant(
        "late release taken",
        _T,
        "uint32_t ahead = not_after - t->now;",
        "uint32_t ahead = not_after - t->now >= 0x80000000u ? 0 : not_after - t->now;",
        rules.test_a_late_release_is_refused,
    ),
    Mutant(
        "far release taken", _T, "if (ahead > MAX_AHEAD_MS) return TOO_FAR_AHEAD;", "", rules.test_a_deadline_too_far_ahead_is_a_mistake
    ),
    Mutant(
        "two persons on one grant",
        _L,
        "close_opening(t, PASSED);",
        "t->last = t->opening;",
        rules.test_the_lane_closes_behind_one_person_before_its_window_is_over,
    ),
    Mutant("cancel ignored", _T, "lane_end(t, BY_CANCEL);\n        lane_settle(t);", "", rules.test_a_cancel_closes_an_unused_release),
    Mutant(
        "cancel in the middle ends the release",
        _T,
        "if (t->body.on) {\n            t->opening.cancelled",
        "if (false) {\n            t->opening.cancelled",
        rules.test_a_cancel_while_somebody_is_between_the_beams_is_too_late_and_closes_on_nobody,
    ),
    Mutant(
        "number not kept",
        _T,
        "hal_keep(t->board, t->slot_serial % SLOTS, t->kept);",
        "",
        rules.test_a_used_number_stays_used_over_reconnect_and_reboot,
    ),
    # rule 3: lease, belief, nobody struck
    Mutant(
        "lease ignored", _T, "if (!due(t->lease, t->now)) return;", "return;", rules.test_a_lost_lease_ends_permission_and_raises_a_fault
    ),
    Mutant("lease twice as long", _T, "LEASE_MS = 2000", "LEASE_MS = 4000", rules.test_the_lease_holds_exactly_two_seconds),
    Mutant(
        "belief ignored",
        _T,
        "t->wrong_beliefs == WRONG_BELIEFS",
        "false",
        rules.test_a_belief_that_is_wrong_three_times_costs_the_permission,
    ),
    Mutant(
        "leaf closes on a broken beam",
        _L,
        "if (t->body.on) wanted |= t->ways | t->closing;",
        "",
        rules.test_the_end_of_an_emergency_closes_on_nobody,
    ),
    Mutant(
        "closing leaf strikes",
        _L,
        "wanted |= t->ways | t->closing;",
        "wanted |= t->ways;",
        rules.test_a_closing_leaf_opens_again_for_whoever_steps_in,
    ),
    Mutant(
        "restart closes on a body",
        _T,
        "inputs & BEAMS ? t->store.open_ways & WAYS : t->rest",
        "t->rest",
        rules.test_a_reboot_with_somebody_between_keeps_the_way_open_until_they_are_out,
        (0,),
    ),
    # rule 4: exit and emergency
    Mutant(
        "exit needs a host",
        _L,
        "t->exit_wanted && !t->opening.on",
        "t->exit_wanted && t->wire.current.on",
        rules.test_a_request_to_exit_needs_no_host,
    ),
    Mutant("fire ignored", _L, "if (rising & FIRE)", "if (false)", rules.test_an_emergency_frees_both_ways_at_once, ("armed",)),
    Mutant(
        "emergency ends by itself",
        _L,
        "if ((rising & RESET_KEY) && t->store.emergency",
        "if ((falling & FIRE) && t->store.emergency",
        rules.test_after_an_emergency_only_a_person_on_site_ends_it_and_the_host_arms_after_that,
    ),
    Mutant(
        "reset during fire",
        _L,
        "t->store.emergency && !(inputs & FIRE)",
        "t->store.emergency",
        rules.test_the_reset_key_does_nothing_while_the_fire_input_is_on,
    ),
    Mutant(
        "emergency not kept",
        _T,
        "store->last_refusal, store->emergency,",
        "store->last_refusal, 0,",
        rules.test_an_emergency_outlives_a_power_cut,
    ),
    # rule 5: rest, and arming
    Mutant(
        "fail mode ignored",
        _T,
        "t->settings.free_exit * WAY_EXIT",
        "0",
        rules.test_each_direction_rests_in_its_own_fail_mode,
        (FailMode.SECURE, FailMode.FREE, Drive.EXIT),
    ),
    Mutant("arms itself", _T, "if (!t->armed) return NOT_ARMED;", "", rules.test_nothing_is_released_without_arm),
    Mutant("arms on an old state", _T, "if (revision != t->revision) return STALE_STATE;", "", rules.test_arm_on_an_older_state_is_refused),
    Mutant(
        "arms without a lease",
        _T,
        "if (lease_left(t) == 0) return NO_LEASE;\n    if (revision",
        "if (revision",
        rules.test_arm_without_a_heartbeat_is_refused,
    ),
    Mutant(
        "stays armed over sessions",
        _T,
        "disarm(t);\n            hal_note(t->board, NOTE_SESSION",
        "hal_note(t->board, NOTE_SESSION",
        rules.test_another_session_has_to_arm_again,
    ),
    Mutant(
        "damaged store trusted",
        _T,
        "lane_set_fault(t, STORE_FAULT, t->damaged);",
        "",
        rules.test_a_damaged_store_takes_no_release_and_keeps_nothing,
    ),
    # rule 6: who went through
    Mutant(
        "counter not stored",
        _T,
        'fill(&m, "44", store->passages[0], store->passages[1]);',
        'fill(&m, "44", 0, 0);',
        rules.test_the_counters_survive_power_loss,
    ),
    Mutant(
        "forced not told",
        _L,
        "t->ways == 0) {\n        tell_person(t, FORCED_OPEN, 0, way, 0);",
        "t->ways == 0) {",
        rules.test_whoever_passes_a_closed_leaf_forced_it,
    ),
    Mutant("tailgating not seen", _L, "body.followers++;", ";", rules.test_a_second_person_close_behind_is_tailgating),
    Mutant(
        "reverse passage taken for the granted one",
        _L,
        "t->opening.on && t->opening.direction == way",
        "t->opening.on",
        rules.test_a_person_from_the_other_side_ends_the_release_without_its_passage,
    ),
    Mutant(
        "held open not told",
        _L,
        "if (due(t->held_due, t->now)) tell_held(t, true);",
        "",
        rules.test_a_body_that_stays_is_held_open_until_it_goes,
    ),
    Mutant(
        "tamper ignored",
        _L,
        "if ((rising | falling) & CABINET_OPEN)",
        "if (false)",
        rules.test_tamper_is_told_and_is_a_fault_while_it_lasts,
    ),
    Mutant(
        "beam stuck ignored",
        _L,
        "lane_set_fault(t, BEAM_FAULT, true);",
        "",
        rules.test_a_beam_that_stays_broken_stops_host_releases_and_heals,
    ),
    # rule 8: who speaks
    Mutant(
        "MAC not checked",
        _W,
        "if (!same(mac, w->raw + w->raw_bytes - TAG_BYTES, TAG_BYTES)) return WRONG_MAC;",
        "",
        rules.test_a_release_forged_without_the_key_opens_nothing,
    ),
    Mutant(
        "sequence not checked",
        _W,
        "if (sequence <= link->taken) return STALE_SEQUENCE;",
        "",
        rules.test_a_recorded_message_of_this_very_session_changes_nothing,
    ),
    Mutant(
        "nonce repeats after a restart",
        _W,
        "w->boot_count, ++w->hellos",
        "0, ++w->hellos",
        rules.test_a_session_of_another_boot_has_another_key,
    ),
    Mutant("another host may take over", _W, "reason = OTHER_HOST;", ";", rules.test_the_hello_of_another_host_does_not_end_a_live_session),
    Mutant("keyless answered with a key", _W, "a->message.payload[2] != w->mode", "false", rules.test_a_keyless_link_needs_both_sides),
    # and a lamp that lies
    Mutant(
        "lamp outlives its host",
        _T,
        "if (lease_left(t) == 0 || t->store.emergency ||",
        "if (t->store.emergency ||",
        rules.test_a_lamp_goes_out_with_the_lease_of_its_host,
    ),
)
QUICK: Final = ("window bound removed", "late release taken", "MAC not checked", "leaf closes on a broken beam", "fire ignored")


def mutated(mutant: Mutant, into: Path) -> Path:
    source = into / "source"
    shutil.copytree(SOURCE, source)
    file = source / mutant.file
    text = file.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.name}: the text to change stands {text.count(mutant.old)} times in {mutant.file}"
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return compile_library(into, source=source, flags=("-Wno-unused", "-Wno-empty-body"))


def dies(mutant: Mutant) -> bool:
    try:
        mutant.killer(*mutant.given)
    except Exception:  # noqa: BLE001  however it fails, it has been seen
        return True
    return False


@pytest.mark.parametrize("mutant", [pytest.param(m, id=m.name, marks=() if m.name in QUICK else (pytest.mark.slow,)) for m in MUTANTS])
def test_a_mutant_is_killed_by_its_test_and_the_firmware_is_not(
    mutant: Mutant, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Peer, "machine", partial(Firmware, load(library)))
    assert not dies(mutant), "the test fails without the mistake as well"
    monkeypatch.setattr(Peer, "machine", partial(Firmware, load(mutated(mutant, tmp_path))))
    assert dies(mutant), f"nobody notices: {mutant.name}"


def test_the_mutants_have_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert set(QUICK) <= {mutant.name for mutant in MUTANTS}
