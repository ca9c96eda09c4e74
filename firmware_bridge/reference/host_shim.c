/* The turnstile as a shared library: a board whose hardware is memory, for ctypes. All state is in the caller's `struct host`.
 * Built for tests only; nothing of it is in a firmware. */
#include "turnstile.h"

#include <string.h>

enum { NOTE_DRIVE = 0xF0, NOTE_INDICATE, NOTE_SENSED, NOTE_KEPT, NOTE_WRITTEN }; /* this board's own notes */

struct host {
    uint32_t out_bytes, note_bytes, keeps, overflows, next_ms;
    uint8_t drive, phase, armed, lamp, tone, damaged, reserved[2];
    uint64_t grant; /* of the opening under way */
    uint8_t slots[SLOTS][SLOT_BYTES];
    uint8_t out[1 << 16], notes[1 << 16]; /* a note: type, length, payload */
    struct turnstile turnstile;
};

size_t host_bytes(void) { return sizeof(struct host); }
size_t host_turnstile_bytes(void) { return sizeof(struct turnstile); }
size_t host_settings_bytes(void) { return sizeof(struct settings); }

void hal_load(void *board, unsigned slot, uint8_t raw[SLOT_BYTES]) { memcpy(raw, ((struct host *)board)->slots[slot], SLOT_BYTES); }

void hal_keep(void *board, unsigned slot, const uint8_t raw[SLOT_BYTES]) {
    struct host *h = board;
    memcpy(h->slots[slot], raw, SLOT_BYTES);
    h->keeps++;
    hal_note(board, NOTE_KEPT, NULL, 0);
}

void hal_drive(void *board, uint8_t drive) {
    ((struct host *)board)->drive = drive;
    hal_note(board, NOTE_DRIVE, &drive, 1);
}

void hal_indicate(void *board, uint8_t lamp, uint8_t tone) {
    struct host *h = board;
    h->lamp = lamp;
    h->tone = tone;
    hal_note(board, NOTE_INDICATE, (const uint8_t[]){lamp, tone}, 2);
}

void hal_write(void *board, const uint8_t *data, size_t bytes) {
    struct host *h = board;
    hal_note(board, NOTE_WRITTEN, NULL, 0);
    if (bytes > sizeof h->out - h->out_bytes) {
        h->overflows++;
        return;
    }
    memcpy(h->out + h->out_bytes, data, bytes);
    h->out_bytes += (uint32_t)bytes;
}

void hal_note(void *board, uint8_t type, const uint8_t *payload, size_t bytes) {
    struct host *h = board;
    uint8_t *at = h->notes + h->note_bytes;
    if (bytes + 2 > sizeof h->notes - h->note_bytes) {
        h->overflows++;
        return;
    }
    at[0] = type;
    at[1] = (uint8_t)bytes;
    if (bytes > 0) memcpy(at + 2, payload, bytes);
    h->note_bytes += (uint32_t)bytes + 2;
}

static void show(struct host *h) {
    h->phase = turnstile_phase(&h->turnstile);
    h->armed = h->turnstile.armed;
    h->damaged = h->turnstile.damaged;
    h->grant = h->turnstile.opening.on ? h->turnstile.opening.grant : 0;
    h->next_ms = turnstile_next_ms(&h->turnstile);
}

static void begin(struct host *h) { h->out_bytes = h->note_bytes = 0; }

void host_power_on(struct host *h, const struct settings *settings, uint16_t inputs, uint32_t now_ms) {
    begin(h);
    turnstile_power_on(&h->turnstile, h, settings, inputs, now_ms);
    show(h);
}

void host_receive(struct host *h, const uint8_t *data, size_t bytes, uint32_t now_ms) {
    begin(h);
    turnstile_receive(&h->turnstile, data, bytes, now_ms);
    show(h);
}

void host_sense(struct host *h, uint16_t inputs, uint32_t now_ms) {
    begin(h);
    turnstile_sense(&h->turnstile, inputs, now_ms);
    show(h);
}

void host_tick(struct host *h, uint32_t now_ms) {
    begin(h);
    turnstile_tick(&h->turnstile, now_ms);
    show(h);
}

/* --- for the published vectors --- */

void host_hmac(const uint8_t key[KEY_BYTES], const uint8_t *data, size_t bytes, uint8_t out[HASH_BYTES]) {
    struct hmac h;
    hmac_begin(&h, key);
    hmac_add(&h, data, bytes);
    hmac_end(&h, out);
}

void host_sha256(const uint8_t *data, size_t bytes, uint8_t out[HASH_BYTES]) {
    struct sha256 s;
    sha256_begin(&s);
    sha256_add(&s, data, bytes);
    sha256_end(&s, out);
}

uint32_t host_crc32(const uint8_t *data, size_t bytes) { return crc32(data, bytes); }

void host_session(struct host *h, const uint8_t key[KEY_BYTES], uint32_t sent, uint32_t taken) {
    struct link *link = &h->turnstile.wire.current;
    memset(link, 0, sizeof *link);
    memcpy(link->key, key, KEY_BYTES);
    link->on = true;
    link->sent = sent;
    link->taken = taken;
}

void host_say(struct host *h, uint8_t type, const uint8_t *payload, size_t bytes) {
    struct message m = {.type = type};
    begin(h);
    fill(&m, "b", payload, (int)bytes);
    wire_send(&h->turnstile.wire, &m);
    hal_write(h, h->turnstile.wire.out, h->turnstile.wire.out_bytes);
    h->turnstile.wire.out_bytes = 0;
}
