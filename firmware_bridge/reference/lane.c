/* The lane: its leaf, the bodies in its beams, its inputs and times. PROTOCOL.md is the contract; the section that a part follows stands beside it.
 * One rule is above all others here: lane_settle() never takes a way back while a body is in the beams. */
#include "lane.h"

#include <stdarg.h>
#include <string.h>

enum { EXIT_PULSE_MS = 500, MAX_FACTS = 32 }; /* more than any step has */

/* --- events (section 7.3) --- */

/* What happened is noted here and told at the end of the step. */
static void tell(struct turnstile *t, uint8_t type, const char *widths, ...) {
    struct message m = {.type = type};
    struct event *fact = &t->facts[t->fact_count++ % MAX_FACTS];
    va_list values;
    va_start(values, widths);
    fill_from(&m, widths, values);
    va_end(values);
    *fact = (struct event){.happened_ms = t->now, .type = type, .bytes = m.bytes};
    memcpy(fact->payload, m.payload, sizeof fact->payload);
}

bool lane_has_fault(const struct turnstile *t, enum fault fault) { return t->faults >> (fault - 1) & 1; }

void lane_set_fault(struct turnstile *t, enum fault fault, bool active) {
    if (lane_has_fault(t, fault) == active) return;
    t->faults ^= (uint16_t)(1u << (fault - 1));
    tell(t, FAULT_CHANGED, "11", fault, active);
}

static void tell_person(struct turnstile *t, uint8_t type, uint64_t grant, uint8_t direction, uint8_t cause) {
    uint32_t passages = t->store.passages[0] + t->store.passages[1];
    if (type == FORCED_OPEN) tell(t, type, "14", direction, passages);
    else if (type == PASSAGE_COMPLETED) tell(t, type, "8114", grant, direction, cause, passages);
    else tell(t, type, "814", grant, direction, passages);
}

/* --- the leaf (sections 8 and 9) --- */

static uint8_t rest(const struct turnstile *t) { return t->armed ? 0 : t->rest; }

bool lane_is_shut(const struct turnstile *t) { return (t->ways & ~rest(t)) == 0 && t->closing == 0; }

uint8_t lane_phase(const struct turnstile *t) {
    if (t->inputs & FIRE) return EMERGENCY;
    if (t->store.emergency) return AWAITING_RESET;
    if (t->opening.on) return t->body.on ? PASSING : RELEASED;
    return !lane_is_shut(t) || t->gap.on ? CLOSING : SECURED;
}

static uint64_t grant_to_blame(const struct turnstile *t) { return t->opening.on ? t->opening.grant : t->last.on ? t->last.grant : 0; }

static void tell_held(struct turnstile *t, bool held) {
    t->held = held;
    t->held_due.on = false;
    tell(t, HELD_OPEN, "81", grant_to_blame(t), held);
}

/* Brings the ways in line with what is wanted. With a body in the beams a way may be added, never taken back. */
void lane_settle(struct turnstile *t) {
    uint8_t wanted = rest(t), dropped;
    if (t->store.emergency) wanted = WAYS;
    else if (t->opening.on) wanted |= t->opening.direction; /* a direction and its way have the same bit */
    if (t->body.on) wanted |= t->ways | t->closing;
    dropped = t->ways & (uint8_t)~wanted;
    if (dropped) {
        t->closing |= dropped;
        t->closing_end = after(t->now, t->settings.leaf_travel_ms);
    }
    t->closing &= (uint8_t)~wanted;
    if (t->closing == 0) t->closing_end.on = false;
    t->ways = wanted;
    if (!t->body.on || t->ways == 0 || t->store.emergency) {
        t->held_due.on = false;
        if (t->held) tell_held(t, false);
    } else if (!t->held_due.on && !t->held) {
        t->held_due = after(t->now, t->settings.held_open_ms);
    }
    t->store.open_ways = t->ways | t->closing;
}

static void close_opening(struct turnstile *t, enum outcome outcome) {
    t->last = t->opening;
    t->opening.on = false;
    if (t->last.cause == BY_GRANT) t->store.last_outcome = (uint8_t)outcome;
}

void lane_end(struct turnstile *t, enum end reason) {
    static const uint8_t outcomes[] = {NO_OUTCOME, ENDED, CANCELLED, ENDED, REVERSED, ENDED, ENDED};
    if (!t->opening.on) return;
    tell(t, RELEASE_ENDED, "81", t->opening.grant, reason);
    close_opening(t, outcomes[reason]);
}

void lane_open(struct turnstile *t, uint64_t grant, uint8_t direction, enum cause cause, uint32_t window_ms, uint32_t pulse_ms) {
    t->opening = (struct opening){.on = true, .grant = grant, .direction = direction, .cause = (uint8_t)cause};
    t->opening.window = after(t->now, window_ms);
    t->opening.pulse = after(t->now, pulse_ms);
    t->opening.pulse.on = pulse_ms > 0;
}

/* --- bodies in the beams (section 9) --- */

static void count(struct turnstile *t, uint8_t direction) { t->store.passages[direction - 1]++; }

static void somebody_passed(struct turnstile *t, struct body body) {
    uint8_t way = body.heading;
    count(t, way);
    if (t->opening.on && t->opening.direction == way) {
        close_opening(t, PASSED);
        tell_person(t, PASSAGE_COMPLETED, t->last.grant, way, t->last.cause);
        if (body.followers > 0) {
            count(t, way);
            tell_person(t, TAILGATING, t->last.grant, way, 0);
        }
    } else if (t->opening.on) {
        tell_person(t, REVERSE_PASSAGE, t->opening.grant, way, 0);
        lane_end(t, REVERSE);
    } else if (t->store.emergency || (way & rest(t))) {
        tell_person(t, PASSAGE_COMPLETED, 0, way, t->store.emergency ? FREE_IN_EMERGENCY : FREE_AT_REST);
    } else if (t->ways == 0) {
        tell_person(t, FORCED_OPEN, 0, way, 0);
    } else {
        tell_person(t, t->last.on && t->last.direction == way ? TAILGATING : REVERSE_PASSAGE, grant_to_blame(t), way, 0);
    }
}

static void watch_beams(struct turnstile *t, uint8_t broken) {
    struct body body = t->body;
    uint8_t near, far;
    bool both, mine;
    if (!body.on) {
        uint8_t tie = t->opening.on ? t->opening.direction : ENTRY;
        if (broken == 0) return;
        body = (struct body){.on = true, .heading = broken == BEAMS ? tie : broken, .broken = broken};
        t->stuck_due = after(t->now, t->settings.beam_stuck_ms);
    } else if (broken == body.broken) {
        return;
    }
    near = body.heading; /* a direction and its near beam have the same bit */
    far = BEAMS & (uint8_t)~near;
    both = body.both || (broken & far);
    mine = t->opening.on && t->opening.direction == body.heading;
    if (broken == 0) {
        t->body.on = false;
        if (body.broken != near) somebody_passed(t, body);
        else if (both && mine) lane_end(t, t->opening.cancelled ? BY_CANCEL : TURNED_BACK);
        else if (t->opening.on && t->opening.cancelled) lane_end(t, BY_CANCEL);
        t->stuck_due.on = false;
        lane_set_fault(t, BEAM_FAULT, false);
        return;
    }
    if (body.both && (broken & near) && !(body.broken & near) && (body.broken & far) && body.followers < UINT8_MAX) body.followers++;
    if (both && !body.both && mine) {
        tell(t, PASSAGE_STARTED, "81", t->opening.grant, body.heading);
    }
    body.both = both;
    body.broken = broken;
    t->body = body;
}

/* --- inputs and time (section 8) --- */

static void serve_exit(struct turnstile *t) {
    bool blocked_open = t->body.on && lane_phase(t) == CLOSING;
    if (t->store.emergency || (t->inputs & FIRE)) {
        t->exit_wanted = false; /* everything is free already */
    } else if (t->exit_wanted && !t->opening.on && (lane_is_shut(t) || blocked_open)) {
        t->exit_wanted = false;
        lane_open(t, 0, EXIT, BY_BUTTON, t->settings.exit_window_ms, EXIT_PULSE_MS);
    }
}

void lane_advance(struct turnstile *t) {
    if (due(t->opening.pulse, t->now)) t->opening.pulse.on = false;
    if (t->opening.on && !t->body.on && due(t->opening.window, t->now)) lane_end(t, WINDOW_PASSED);
    if (due(t->closing_end, t->now)) {
        t->closing = 0;
        t->closing_end.on = false;
        t->gap = after(t->now, t->settings.minimum_gap_ms);
    }
    if (due(t->gap, t->now)) t->gap.on = false;
    if (due(t->held_due, t->now)) tell_held(t, true);
    if (due(t->stuck_due, t->now)) {
        t->stuck_due.on = false;
        lane_set_fault(t, BEAM_FAULT, true);
    }
    serve_exit(t);
    lane_settle(t);
}

void lane_sense(struct turnstile *t, uint16_t inputs) {
    uint16_t rising = inputs & (uint16_t)~t->inputs, falling = t->inputs & (uint16_t)~inputs;
    t->inputs = inputs;
    if (rising & FIRE) {
        t->store.emergency = 1;
        t->armed = false;
        tell(t, EMERGENCY_CHANGED, "1", 1);
        if (!t->body.on) lane_end(t, BY_EMERGENCY);
    }
    if (falling & FIRE) {
        tell(t, EMERGENCY_CHANGED, "1", 0);
    }
    if ((rising & RESET_KEY) && t->store.emergency && !(inputs & FIRE)) {
        t->store.emergency = 0;
        tell(t, EMERGENCY_CHANGED, "1", 2);
    }
    if (rising & EXIT_BUTTON) {
        t->exit_wanted = true;
        tell(t, REQUEST_TO_EXIT, "");
    }
    if ((rising | falling) & CABINET_OPEN) {
        tell(t, TAMPER, "1", (inputs & CABINET_OPEN) != 0);
        lane_set_fault(t, TAMPER_FAULT, inputs & CABINET_OPEN);
    }
    watch_beams(t, inputs & BEAMS);
    lane_advance(t);
}
