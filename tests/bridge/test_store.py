"""What survives power loss, torn writes included; and time on a clock that wraps."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.emulator.store import SLOT_BYTES, STORE_BYTES, Slots, Store, read_slots
from firmware_bridge.ticks import reached, span_ms, wrap
from firmware_bridge.vocabulary import Outcome, Refusal

STORES = st.builds(
    Store,
    boot_count=st.integers(0, 2**32 - 1),
    last_grant=st.integers(0, 2**64 - 1),
    last_outcome=st.sampled_from(Outcome),
    last_refusal=st.sampled_from(Refusal),
    emergency=st.booleans(),
    open_ways=st.integers(0, 3),
    passages_entry=st.integers(0, 2**32 - 1),
    passages_exit=st.integers(0, 2**32 - 1),
)


def write(memory: bytearray, slots: Slots, store: Store, *, torn_at: int = SLOT_BYTES) -> Slots:
    slots, offset, slot = slots.write(store)
    if len(memory) < STORE_BYTES:
        memory.extend(bytes(STORE_BYTES - len(memory)))
    memory[offset : offset + torn_at] = slot[:torn_at]
    return slots


@given(st.lists(STORES, min_size=1, max_size=6))
def test_the_newest_store_comes_back(stores: list[Store]) -> None:
    memory, slots = bytearray(), Slots(0)
    for store in stores:
        slots = write(memory, slots, store)
        assert read_slots(bytes(memory)) == (slots, store)


@given(STORES, STORES, st.integers(0, SLOT_BYTES - 1))
def test_a_write_that_is_torn_leaves_the_one_before(before: Store, after: Store, torn_at: int) -> None:
    memory = bytearray()
    slots = write(memory, Slots(0), before)
    slots = write(memory, slots, before)
    write(memory, slots, after, torn_at=torn_at)
    found = read_slots(bytes(memory))[1]
    assert found in (before, after)
    if torn_at < SLOT_BYTES - 4:
        assert found == before


def test_new_memory_is_a_new_controller_and_damaged_memory_is_none() -> None:
    assert read_slots(b"") == (Slots(0), Store())
    assert read_slots(random.Random(1).randbytes(STORE_BYTES))[1] is None
    assert read_slots(bytes(STORE_BYTES))[1] is None


@given(STORES, st.binary(max_size=2 * STORE_BYTES))
def test_any_memory_gives_a_store_or_none(store: Store, memory: bytes) -> None:
    found = read_slots(memory)[1]
    assert found is None or isinstance(found, Store)
    whole = bytearray()
    write(whole, Slots(0), store)
    whole[:SLOT_BYTES] = bytes(SLOT_BYTES)
    assert read_slots(bytes(whole))[1] == store  # one slot is enough


@given(st.integers(0, 2**40), st.integers(-(2**31), 2**31 - 1))
def test_a_span_is_right_across_the_wrap(start_ms: int, span: int) -> None:
    assert span_ms(wrap(start_ms + span), wrap(start_ms)) == span
    assert reached(wrap(start_ms + span), wrap(start_ms)) is (span >= 0)


@pytest.mark.parametrize("now", [0, 2**31, 2**32 - 1])
def test_no_deadline_is_never_reached(now: int) -> None:
    assert not reached(now, None)
