/* The turnstile: what a host may order, what it is told, what outlives the power. PROTOCOL.md is the contract; the section that a part
 * follows stands beside it. What moves is in lane.c. */
#include "turnstile.h"

#include <stdarg.h>
#include <string.h>

#include "lane.h"

enum { /* section 12, ms */
    MIN_PULSE_MS = 100, MAX_PULSE_MS = 1000, MIN_WINDOW_MS = 500, MAX_WINDOW_MS = 10000, MAX_AHEAD_MS = 10000,
    HEARTBEAT_MS = 250, LEASE_MS = 2000, HEALTH_MS = 1000, MINUTE_MS = 60000, WRONG_BELIEFS = 3
};
enum { MAGIC = 0x31535447 }; /* "GTS1" */
enum { PROTOCOL_VERSION = 1, CAPABILITIES = 0x1FF, NO_MODE = 0xFF };
/* section 6 */
enum refusal {
    NONE, NOT_ARMED, LATE, TOO_FAR_AHEAD, GRANT_USED, BUSY, MINIMUM_GAP, TOO_MANY, LANE_OCCUPIED, IN_EMERGENCY, FAULT, NO_LEASE, STALE_STATE,
    UNSUPPORTED, BAD_VALUE, CANCELLED_BEFORE
};
enum result { ACCEPTED, DUPLICATE, NOT_RELEASED };
enum cancel_result { CANCEL_DONE, CANCEL_TOO_LATE, NEVER_RELEASED, ALREADY_OVER };

uint8_t turnstile_phase(const struct turnstile *t) { return lane_phase(t); }

static void say(struct turnstile *t, uint8_t type, const char *widths, ...) {
    struct message m = {.type = type};
    va_list values;
    va_start(values, widths);
    fill_from(&m, widths, values);
    va_end(values);
    hal_note(t->board, m.type, m.payload, m.bytes);
    wire_send(&t->wire, &m);
}

/* --- what a host may order (sections 7.4 to 7.6) --- */

static uint32_t lease_left(const struct turnstile *t) {
    return t->lease.on && !due(t->lease, t->now) ? (uint32_t)(t->lease.at - t->now) : 0;
}

static void disarm(struct turnstile *t) {
    t->armed = false;
    lane_settle(t);
}

static void advance_permission(struct turnstile *t) {
    while (t->recent_count > 0 && due(after(t->recent[t->recent_first], MINUTE_MS), t->now)) {
        t->recent_first = (uint8_t)((t->recent_first + 1) % RELEASES_PER_MINUTE_LIMIT);
        t->recent_count--;
    }
    if (!due(t->lease, t->now)) return;
    t->lease.on = t->heartbeat.on = false;
    if (t->opening.on && t->opening.cause == BY_GRANT && !t->body.on)
        lane_end(t, LEASE_LOST); /* one that somebody has begun to use goes on */
    if (t->armed) lane_set_fault(t, LEASE_FAULT, true);
    disarm(t);
}

static bool believes_rightly(const struct turnstile *t, uint8_t belief, uint64_t grant) {
    bool emergency = lane_phase(t) == EMERGENCY || lane_phase(t) == AWAITING_RESET;
    if (emergency || belief == EMERGENCY) return emergency && belief == EMERGENCY;
    return (belief == SECURED ? 0 : grant) == (t->opening.on ? t->opening.grant : 0);
}

static void heartbeat(struct turnstile *t, uint8_t belief, uint64_t grant) {
    if (t->heartbeat.on) {
        uint32_t beats = ((uint32_t)(t->now - t->heartbeat.at) + HEARTBEAT_MS / 2) / HEARTBEAT_MS;
        t->missed_heartbeats += beats > 1 ? beats - 1 : 0;
    }
    t->heartbeat = after(t->now, 0);
    t->lease = after(t->now, LEASE_MS);
    if (believes_rightly(t, belief, grant)) {
        t->wrong_beliefs = 0;
    } else {
        if (t->wrong_beliefs < WRONG_BELIEFS) t->wrong_beliefs++;
        if (t->wrong_beliefs == WRONG_BELIEFS && t->armed) {
            lane_set_fault(t, BELIEF_FAULT, true);
            disarm(t);
        }
    }
}

static enum refusal arm(struct turnstile *t, uint32_t revision) {
    if (t->armed) return NONE;
    if (t->store.emergency) return IN_EMERGENCY;
    if (lane_has_fault(t, STORE_FAULT)) return FAULT;
    if (lease_left(t) == 0) return NO_LEASE;
    if (revision != t->revision) return STALE_STATE;
    t->armed = true;
    t->wrong_beliefs = 0;
    lane_set_fault(t, LEASE_FAULT, false);
    lane_set_fault(t, BELIEF_FAULT, false);
    lane_set_fault(t, EVENTS_FAULT, false);
    lane_settle(t);
    return NONE;
}

static enum refusal why_not(const struct turnstile *t, uint8_t direction, uint32_t window_ms, uint32_t not_after) {
    uint32_t ahead = not_after - t->now;
    if (lane_has_fault(t, STORE_FAULT) || lane_has_fault(t, BEAM_FAULT)) return FAULT;
    if (t->store.emergency) return IN_EMERGENCY;
    if (lease_left(t) == 0) return NO_LEASE;
    if (!t->armed) return NOT_ARMED;
    if (ahead >= 0x80000000u) return LATE;
    if (ahead > MAX_AHEAD_MS) return TOO_FAR_AHEAD;
    if (window_ms < MIN_WINDOW_MS) return BAD_VALUE;
    if (t->opening.on || !lane_is_shut(t)) return BUSY;
    if (lane_phase(t) != SECURED) return MINIMUM_GAP;
    if (t->recent_count >= t->settings.releases_per_minute) return TOO_MANY;
    if (t->body.on && (t->body.both || t->body.broken != direction)) return LANE_OCCUPIED;
    return NONE;
}

static void release(struct turnstile *t, uint64_t grant, const uint8_t *order) {
    uint32_t window = (uint32_t)get(order + 9, 2), pulse = (uint32_t)get(order + 11, 2);
    enum result result = NOT_RELEASED;
    uint8_t refusal, outcome = NO_OUTCOME;
    uint32_t asked_ms = window;
    window = window > MAX_WINDOW_MS ? MAX_WINDOW_MS : window;
    if (pulse > 0) pulse = pulse < MIN_PULSE_MS ? MIN_PULSE_MS : pulse > MAX_PULSE_MS ? MAX_PULSE_MS : pulse;
    if (lane_has_fault(t, STORE_FAULT)) {
        refusal = FAULT; /* no number can be marked as used */
    } else if (grant == 0) {
        refusal = BAD_VALUE;
    } else if (grant == t->store.last_grant) {
        result = DUPLICATE;
        refusal = t->store.last_refusal;
        outcome = t->store.last_outcome;
    } else if (grant < t->store.last_grant) {
        refusal = GRANT_USED;
    } else {
        refusal = (uint8_t)why_not(t, order[8], asked_ms, (uint32_t)get(order + 13, 4));
        result = refusal == NONE ? ACCEPTED : NOT_RELEASED;
        outcome = refusal == NONE ? WAS_RELEASED : WAS_REFUSED;
        t->store.last_grant = grant;
        t->store.last_outcome = outcome;
        t->store.last_refusal = refusal;
    }
    if (result == ACCEPTED) {
        t->recent[(t->recent_first + t->recent_count++) % RELEASES_PER_MINUTE_LIMIT] = t->now;
        lane_open(t, grant, order[8], BY_GRANT, window, pulse);
        lane_settle(t);
    }
    say(t, RELEASE_ACK, "8111224", grant, result, refusal, outcome, window, pulse, t->now);
}

static enum cancel_result cancel(struct turnstile *t, uint64_t grant) {
    if (t->opening.on && grant != 0 && t->opening.grant == grant) {
        if (t->body.on) {
            t->opening.cancelled = true; /* who goes back finds it closed */
            return CANCEL_TOO_LATE;
        }
        lane_end(t, BY_CANCEL);
        lane_settle(t);
        return CANCEL_DONE;
    }
    if (grant > t->store.last_grant && !lane_has_fault(t, STORE_FAULT)) {
        t->store.last_grant = grant;
        t->store.last_outcome = WAS_REFUSED;
        t->store.last_refusal = CANCELLED_BEFORE;
        return NEVER_RELEASED;
    }
    if (grant != t->store.last_grant) return ALREADY_OVER;
    switch (t->store.last_outcome) {
    case WAS_REFUSED: return NEVER_RELEASED;
    case PASSED: return CANCEL_TOO_LATE;
    case CANCELLED: return CANCEL_DONE;
    default: return ALREADY_OVER;
    }
}

static enum refusal indicate(struct turnstile *t, const uint8_t *order) {
    if (t->store.emergency) return IN_EMERGENCY;
    if (lease_left(t) == 0) return NO_LEASE;
    t->lamp = order[0];
    t->tone = order[1];
    t->indicated = after(t->now, (uint32_t)get(order + 2, 2));
    t->indicated.on = get(order + 2, 2) > 0;
    return NONE;
}

/* --- telling --- */

static uint8_t drive_now(const struct turnstile *t) {
    return (uint8_t)(t->ways | (t->opening.on && t->opening.pulse.on ? t->opening.direction << 2 : 0));
}

static void tell_state(struct turnstile *t) {
    const struct store *store = &t->store;
    say(t, STATE, "4411212881444", t->revision, t->now, lane_phase(t), t->armed, t->inputs, drive_now(t), t->faults,
        t->opening.on ? t->opening.grant : 0, store->last_grant, store->last_outcome, store->passages[0], store->passages[1],
        t->wire.next_event - 1);
}

/* The events of this step, and the STATE where phase, armed or faults changed. */
static void publish(struct turnstile *t, bool always) {
    for (uint8_t i = 0; i < t->fact_count; i++) {
        bool kept = wire_report(&t->wire, &t->facts[i], t->now);
        struct message m = wire_event(&t->wire, &t->facts[i]);
        hal_note(t->board, m.type, m.payload, m.bytes);
        if (!kept) lane_set_fault(t, EVENTS_FAULT, true);
    }
    t->fact_count = 0;
    if (!t->told || t->told_phase != lane_phase(t) || t->told_armed != t->armed || t->told_faults != t->faults) {
        t->told = always = true;
        t->told_phase = lane_phase(t);
        t->told_armed = t->armed;
        t->told_faults = t->faults;
        t->revision++;
    }
    if (always) tell_state(t);
}

static void tell_health(struct turnstile *t) {
    uint32_t seconds = (uint32_t)(t->now - t->started) / 1000;
    t->uptime_s += seconds;
    t->started += seconds * 1000;
    say(t, HEALTH, "444244444b", t->now, t->store.boot_count, t->uptime_s, t->faults, t->wire.good_frames, t->wire.checksum_errors,
        t->wire.refused_frames, t->missed_heartbeats, t->wire.dropped_events, t->settings.firmware_digest, 8);
}

static void answer_hello(struct turnstile *t, const struct arrival *hello) {
    const struct settings *set = &t->settings;
    const struct store *store = &t->store;
    struct message m = {.type = HELLO_REPLY};
    fill(&m, "11111", PROTOCOL_VERSION, set->kind, set->mechanics, set->free_entry, set->free_exit);
    fill(&m, "4bbb", CAPABILITIES, set->controller_id, 16, set->firmware_digest, HASH_BYTES, hello->nonce, NONCE_BYTES);
    fill(&m, "44814", store->boot_count, t->now, store->last_grant, store->last_outcome, store->passages[0]);
    fill(&m, "44222", store->passages[1], wire_oldest_event(&t->wire), MAX_WINDOW_MS, MAX_PULSE_MS, LEASE_MS);
    wire_answer_hello(&t->wire, hello, &m);
    hal_note(t->board, hello->message.type, hello->message.payload, hello->message.bytes);
}

static void obey(struct turnstile *t, const struct message *order) {
    const uint8_t *at = order->payload;
    uint64_t grant = order->bytes >= 8 ? get(at, 8) : 0;
    uint32_t number = order->bytes >= 4 ? (uint32_t)get(at, 4) : 0;
    enum refusal refusal;
    hal_note(t->board, order->type, order->payload, order->bytes);
    switch (order->type) {
    case STATE_REQUEST: publish(t, true); break;
    case ARM: say(t, ARM_ACK, "14", arm(t, number), number); break;
    case DISARM:
        disarm(t);
        publish(t, true);
        break;
    case RELEASE: release(t, grant, at); break;
    case CANCEL: say(t, CANCEL_ACK, "81", grant, cancel(t, grant)); break;
    case HEARTBEAT:
        heartbeat(t, at[4], get(at + 5, 8));
        say(t, HEARTBEAT_ACK, "44211", number, t->now, lease_left(t), lane_phase(t), t->armed);
        break;
    case INDICATE:
        refusal = indicate(t, at);
        if (refusal != NONE) say(t, REFUSED, "11", INDICATE, refusal);
        break;
    default: break; /* EVENT_ACK: the wire has dealt with it */
    }
}

/* --- one step --- */

static void pack(const struct turnstile *t, uint32_t serial, uint8_t raw[SLOT_BYTES]) {
    const struct store *store = &t->store;
    struct message m = {0};
    fill(&m, "44481111", MAGIC, serial, store->boot_count, store->last_grant, store->last_outcome, store->last_refusal, store->emergency,
         store->open_ways);
    fill(&m, "44", store->passages[0], store->passages[1]);
    fill(&m, "4", crc32(m.payload, m.bytes));
    memcpy(raw, m.payload, SLOT_BYTES);
}

/* Two slots in turn, so a torn write leaves the value before (section 13). */
static void load(struct turnstile *t) {
    bool empty = true, found = false;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        uint8_t raw[SLOT_BYTES];
        hal_load(t->board, slot, raw);
        for (unsigned i = 0; i < SLOT_BYTES; i++) empty = empty && raw[i] == 0;
        if (get(raw, 4) != MAGIC || crc32(raw, SLOT_BYTES - 4) != get(raw + SLOT_BYTES - 4, 4)) continue;
        if (found && get(raw + 4, 4) <= t->slot_serial) continue;
        found = true;
        t->slot_serial = (uint32_t)get(raw + 4, 4);
        t->store = (struct store){.boot_count = (uint32_t)get(raw + 8, 4),
                                  .last_grant = get(raw + 12, 8),
                                  .last_outcome = raw[20],
                                  .last_refusal = raw[21],
                                  .emergency = raw[22] != 0,
                                  .open_ways = raw[23],
                                  .passages = {(uint32_t)get(raw + 24, 4), (uint32_t)get(raw + 28, 4)}};
    }
    t->damaged = !found && !empty;
}

/* In this order: keep, move, speak. A grant number is marked as used before anything moves. */
static void finish(struct turnstile *t) {
    uint8_t raw[SLOT_BYTES];
    pack(t, t->slot_serial, raw);
    if (!t->damaged && memcmp(raw, t->kept, SLOT_BYTES) != 0) {
        pack(t, ++t->slot_serial, t->kept);
        hal_keep(t->board, t->slot_serial % SLOTS, t->kept);
    }
    if (!t->driven || t->drive != drive_now(t)) {
        t->driven = true;
        t->drive = drive_now(t);
        hal_drive(t->board, t->drive);
    }
    if (lease_left(t) == 0 || t->store.emergency || due(t->indicated, t->now)) t->lamp = t->tone = t->indicated.on = 0;
    if (t->lamp != t->shown_lamp || t->tone != t->shown_tone) {
        t->shown_lamp = t->lamp;
        t->shown_tone = t->tone;
        hal_indicate(t->board, t->lamp, t->tone);
    }
    if (t->wire.out_bytes > 0) hal_write(t->board, t->wire.out, t->wire.out_bytes);
    t->wire.out_bytes = 0;
}

static void advance(struct turnstile *t, uint32_t now) {
    t->now = now;
    advance_permission(t);
    lane_advance(t);
    wire_advance(&t->wire, now);
    if (due(t->health, now)) {
        t->health = after(now, HEALTH_MS);
        tell_health(t);
    }
}

void turnstile_receive(struct turnstile *t, const uint8_t *data, size_t bytes, uint32_t now_ms) {
    advance(t, now_ms);
    for (; bytes > 0; bytes--) {
        struct arrival a;
        if (!wire_collect(&t->wire, *data++)) continue;
        a = wire_take(&t->wire, t->now, lease_left(t) > 0);
        if (a.begins) { /* another session: its host has to read the state and arm */
            t->wrong_beliefs = t->lamp = t->tone = t->indicated.on = 0;
            disarm(t);
            hal_note(t->board, NOTE_SESSION, NULL, 0);
        }
        if (a.verdict != TAKEN) hal_note(t->board, NOTE_REFUSED, &(uint8_t){(uint8_t)a.verdict}, 1);
        else if (a.greets) answer_hello(t, &a);
        else obey(t, &a.message);
        publish(t, false);
        finish(t);
    }
    publish(t, false);
    finish(t);
}

void turnstile_sense(struct turnstile *t, uint16_t inputs, uint32_t now_ms) {
    advance(t, now_ms);
    lane_sense(t, inputs);
    publish(t, false);
    finish(t);
}

void turnstile_tick(struct turnstile *t, uint32_t now_ms) {
    advance(t, now_ms);
    publish(t, false);
    finish(t);
}

static bool settings_fit(const struct settings *s) {
    uint8_t any = 0;
    for (unsigned i = 0; i < KEY_BYTES; i++) any |= s->key[i];
    return s->keyed <= 1 && (any != 0) == (s->keyed == 1) && s->mechanics >= ROTOR && s->mechanics <= ONE_LEAF && s->free_entry <= 1 &&
           s->free_exit <= 1 && s->exit_window_ms >= MIN_WINDOW_MS && s->exit_window_ms <= MAX_WINDOW_MS && s->leaf_travel_ms <= 5000 &&
           s->minimum_gap_ms <= 5000 && s->releases_per_minute >= 1 && s->releases_per_minute <= RELEASES_PER_MINUTE_LIMIT &&
           s->held_open_ms >= 1000 && s->held_open_ms <= 600000 && s->beam_stuck_ms >= 1000 && s->beam_stuck_ms <= 600000;
}

void turnstile_power_on(struct turnstile *t, void *board, const struct settings *settings, uint16_t inputs, uint32_t now_ms) {
    static const struct settings fallback = {.exit_window_ms = 5000,
                                             .leaf_travel_ms = 400,
                                             .minimum_gap_ms = 200,
                                             .releases_per_minute = 1,
                                             .held_open_ms = 15000,
                                             .beam_stuck_ms = 60000,
                                             .keyed = NO_MODE,
                                             .mechanics = ONE_LEAF};
    bool fit = settings_fit(settings);
    memset(t, 0, sizeof *t);
    t->board = board;
    t->settings = fit ? *settings : fallback;
    t->now = t->started = now_ms;
    t->health = after(now_ms, HEALTH_MS);
    load(t);
    t->store.boot_count++;
    if (t->store.last_outcome == WAS_RELEASED) t->store.last_outcome = INTERRUPTED;
    wire_begin(&t->wire, t->settings.key, t->settings.keyed, t->store.boot_count);
    t->rest = (uint8_t)(t->settings.free_entry * WAY_ENTRY | t->settings.free_exit * WAY_EXIT);
    t->ways = inputs & BEAMS ? t->store.open_ways & WAYS : t->rest; /* a restart must not close on a body that stands there */
    t->closing = t->store.open_ways & WAYS & (uint8_t)~t->ways;
    if (t->closing) t->closing_end = after(now_ms, t->settings.leaf_travel_ms);
    lane_sense(t, inputs);
    t->damaged = t->damaged || !fit;
    lane_set_fault(t, STORE_FAULT, t->damaged);
    turnstile_tick(t, now_ms);
}

/* --- when the next step is due --- */

uint32_t turnstile_next_ms(const struct turnstile *t) {
    const struct timer none = {0}, window = t->opening.on && !t->body.on ? t->opening.window : none;
    const struct timer pulse = t->opening.on ? t->opening.pulse : none;
    const struct timer minute = t->recent_count > 0 ? after(t->recent[t->recent_first], MINUTE_MS) : none;
    const struct timer all[] = {window,      pulse,        minute,   t->closing_end, t->gap,
                                t->held_due, t->stuck_due, t->lease, t->wire.resend, t->indicated};
    uint32_t least = due(t->health, t->now) ? 0 : (uint32_t)(t->health.at - t->now);
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i].on && due(all[i], t->now)) return 0;
        if (all[i].on && (uint32_t)(all[i].at - t->now) < least) least = (uint32_t)(all[i].at - t->now);
    }
    return least;
}
