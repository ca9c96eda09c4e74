/* The turnstile: one machine, driven by bytes, inputs and time. It never allocates, never waits and holds no global. */
#ifndef GATE_TURNSTILE_H
#define GATE_TURNSTILE_H

#include "hal.h"
#include "wire.h"

enum direction { ENTRY = 1, EXIT = 2 };
enum input { BEAM_ENTRY = 1, BEAM_EXIT = 2, BEAMS = 3, EXIT_BUTTON = 4, FIRE = 8, RESET_KEY = 16, CABINET_OPEN = 32 };
enum drive { WAY_ENTRY = 1, WAY_EXIT = 2, WAYS = 3, PULSE_ENTRY = 4, PULSE_EXIT = 8 };
enum phase { SECURED, RELEASED, PASSING, CLOSING, EMERGENCY, AWAITING_RESET };
enum kind { REAL = 1, EMULATOR, REFERENCE_ON_PC };
enum mechanics { ROTOR = 1, ONE_LEAF };
enum { RELEASES_PER_MINUTE_LIMIT = 120 };

/* What is set at one controller; times in ms. Only numbers of 1 and 4 bytes, in this order: the same in every compiler's memory. */
struct settings {
    uint8_t key[KEY_BYTES], controller_id[16], firmware_digest[HASH_BYTES];
    uint32_t exit_window_ms, leaf_travel_ms, minimum_gap_ms, releases_per_minute, held_open_ms, beam_stuck_ms;
    uint8_t keyed, kind, mechanics, free_entry, free_exit, reserved[3];
};

struct store { /* kept over power loss, section 13 */
    uint64_t last_grant;
    uint32_t boot_count, passages[2];
    uint8_t last_outcome, last_refusal, emergency, open_ways;
};

struct opening { /* one release under way, by a host's grant or by a request to exit (grant 0) */
    bool on, cancelled;
    uint64_t grant;
    uint8_t direction, cause;
    struct timer window, pulse;
};

struct body { /* somebody in the beams */
    bool on, both;
    uint8_t heading, broken, followers;
};

struct turnstile {
    void *board;
    struct settings settings;
    struct wire wire;
    struct store store;
    uint8_t kept[SLOT_BYTES];
    uint32_t slot_serial;
    uint32_t now, started, uptime_s, revision, missed_heartbeats;
    uint32_t recent[RELEASES_PER_MINUTE_LIMIT]; /* times of the host releases of the last minute, a ring */
    uint8_t recent_first, recent_count, wrong_beliefs;
    struct timer lease, heartbeat, health, closing_end, gap, held_due, stuck_due, indicated;
    uint16_t inputs, faults, told_faults;
    uint8_t rest, ways, closing, drive, told_phase, told_armed, lamp, tone, shown_lamp, shown_tone;
    bool damaged, armed, exit_wanted, held, told, driven;
    struct opening opening, last;
    struct body body;
    struct event facts[32]; /* of this step, not yet told */
    uint8_t fact_count;
};

/* Settings that do not fit give a controller without sessions and releases; requests to exit and fire work all the same. */
void turnstile_power_on(struct turnstile *t, void *board, const struct settings *settings, uint16_t inputs, uint32_t now_ms);
void turnstile_receive(struct turnstile *t, const uint8_t *data, size_t bytes, uint32_t now_ms);
void turnstile_sense(struct turnstile *t, uint16_t inputs, uint32_t now_ms); /* all inputs, as they are now */
void turnstile_tick(struct turnstile *t, uint32_t now_ms);
uint32_t turnstile_next_ms(const struct turnstile *t); /* in how many ms a tick is due; 0: now */
uint8_t turnstile_phase(const struct turnstile *t);

#endif
