/* What turnstile.c asks of the lane. The lane knows grants, but no host. */
#ifndef GATE_LANE_H
#define GATE_LANE_H

#include "turnstile.h"

/* section 6 */
enum outcome { NO_OUTCOME, WAS_REFUSED, WAS_RELEASED, PASSED, ENDED, CANCELLED, REVERSED, INTERRUPTED };
enum end { WINDOW_PASSED = 1, BY_CANCEL, LEASE_LOST, REVERSE, BY_EMERGENCY, TURNED_BACK };
enum cause { BY_GRANT = 1, BY_BUTTON, FREE_IN_EMERGENCY, FREE_AT_REST };
enum fault { LEASE_FAULT = 1, BELIEF_FAULT, STORE_FAULT, BEAM_FAULT, EVENTS_FAULT, TAMPER_FAULT };

uint8_t lane_phase(const struct turnstile *t);
bool lane_is_shut(const struct turnstile *t); /* nothing is open that does not rest open, and nothing moves */
bool lane_has_fault(const struct turnstile *t, enum fault fault);
void lane_set_fault(struct turnstile *t, enum fault fault, bool active);
void lane_sense(struct turnstile *t, uint16_t inputs); /* all inputs, as they are now */
void lane_advance(struct turnstile *t);                /* whatever is due at t->now */
void lane_settle(struct turnstile *t);                 /* after any change of what is wanted */
void lane_open(struct turnstile *t, uint64_t grant, uint8_t direction, enum cause cause, uint32_t window_ms, uint32_t pulse_ms);
void lane_end(struct turnstile *t, enum end reason); /* the release is over without its passage */

#endif
