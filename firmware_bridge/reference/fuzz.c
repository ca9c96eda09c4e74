/* libFuzzer's entry: any bytes are a script of steps for one controller, most of them bytes from the host. Build: make fuzz. */
#include "turnstile.h"

#include <string.h>

static uint8_t slots[SLOTS][SLOT_BYTES], driven;

void hal_load(void *board, unsigned slot, uint8_t raw[SLOT_BYTES])
{
    (void)board;
    memcpy(raw, slots[slot], SLOT_BYTES);
}

void hal_keep(void *board, unsigned slot, const uint8_t raw[SLOT_BYTES])
{
    (void)board;
    memcpy(slots[slot], raw, SLOT_BYTES);
}

void hal_drive(void *board, uint8_t drive)
{
    (void)board;
    driven = drive;
}

void hal_indicate(void *board, uint8_t lamp, uint8_t tone) { (void)board, (void)lamp, (void)tone; }

void hal_write(void *board, const uint8_t *data, size_t bytes) { (void)board, (void)data, (void)bytes; }

void hal_note(void *board, uint8_t type, const uint8_t *payload, size_t bytes) { (void)board, (void)type, (void)payload, (void)bytes; }

/* A frame as the host makes it, around any payload: what lies behind checksum and MAC is fuzzed as well. `key` NULL: without a MAC. */
static size_t host_frame(uint8_t *wire, const uint8_t *key, uint32_t sequence, const uint8_t *data, size_t bytes)
{
    uint8_t raw[MAX_FRAME_BYTES + 64], mac[HASH_BYTES], side = 'H';
    size_t n = 0, last = 1, at = 2;
    raw[n++] = bytes > 0 ? data[0] : 0;
    for (unsigned i = 0; i < 4; i++)
        raw[n++] = (uint8_t)(sequence >> 8 * i);
    for (size_t i = 1; i < bytes && i < 160; i++)
        raw[n++] = data[i];
    if (key != NULL) {
        struct hmac h;
        hmac_begin(&h, key);
        hmac_add(&h, &side, 1);
        hmac_add(&h, raw, n);
        hmac_end(&h, mac);
        memcpy(raw + n, mac, TAG_BYTES);
        n += TAG_BYTES;
    }
    for (uint32_t crc = crc32(raw, n), i = 0; i < 4; i++)
        raw[n++] = (uint8_t)(crc >> 8 * i);
    wire[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (raw[i] != 0) {
            wire[at++] = raw[i];
            continue;
        }
        wire[last] = (uint8_t)(at - last);
        last = at++;
    }
    wire[last] = (uint8_t)(at - last);
    wire[at++] = 0;
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct settings settings = {.key = {1}, .exit_window_ms = 5000, .leaf_travel_ms = 400, .minimum_gap_ms = 200,
                                             .releases_per_minute = 40, .held_open_ms = 1000, .beam_stuck_ms = 2000, .keyed = 1,
                                             .kind = REFERENCE_ON_PC, .mechanics = ONE_LEAF};
    static struct turnstile t;
    uint32_t now = 0xFFFFF000u, sequence = 0;
    uint8_t wire[MAX_FRAME_BYTES + 80];
    bool spoken = false;
    memset(slots, 0, sizeof slots);
    turnstile_power_on(&t, NULL, &settings, 0, now);
    while (bytes >= 2) {
        size_t most = data[1] < bytes - 2 ? data[1] : bytes - 2;
        switch (data[0] & 7) {
        case 0: turnstile_sense(&t, data[1] & 0x3F & ~FIRE, now); most = 0; break;
        case 1: turnstile_tick(&t, now += data[1] * 16u); most = 0; break;
        case 2: turnstile_power_on(&t, NULL, &settings, data[1] & 0x37, now); most = 0; break;
        case 3: turnstile_receive(&t, wire, host_frame(wire, NULL, 0, data + 2, most), now); break;
        case 4:
        case 5: {
            const struct link *link = t.wire.current.on && !t.wire.pending.on ? &t.wire.current : &t.wire.pending;
            spoken = spoken || link->on;
            turnstile_receive(&t, wire, host_frame(wire, link->key, ++sequence + link->taken, data + 2, most), now);
            break;
        }
        default: turnstile_receive(&t, data + 2, most, now); break;
        }
        if ((driven & (WAY_ENTRY | PULSE_ENTRY)) && !spoken)
            __builtin_trap(); /* the entry has opened, and nobody with the key has said a word */
        if (t.opening.on && !t.body.on && (uint32_t)(t.opening.window.at - now) > 10000)
            __builtin_trap(); /* a release without a bound */
        data += 2 + most;
        bytes -= 2 + most;
    }
    return 0;
}
