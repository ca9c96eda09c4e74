/* The controller's end of the link: frames, MAC, sessions, numbered events (PROTOCOL.md sections 3 to 5, 7.7, 10). No clock and no hardware. */
#ifndef GATE_WIRE_H
#define GATE_WIRE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_BYTES = 32, NONCE_BYTES = 16, TAG_BYTES = 16, HELLO_BYTES = 27, HASH_BYTES = 32 };
enum { MAX_FRAME_BYTES = 200, MAX_PAYLOAD_BYTES = 112, EVENT_QUEUE = 64, EVENT_WINDOW = 8, OUT_BYTES = 3072 };
enum { EVENT_RESEND_MS = 200, NO_SESSION_MS = 250 };

enum message_type {
    HELLO = 0x01, STATE_REQUEST, ARM, DISARM, RELEASE, CANCEL, HEARTBEAT, INDICATE, EVENT_ACK,
    HELLO_REPLY = 0x81, HELLO_REFUSED, NO_SESSION, STATE, ARM_ACK, RELEASE_ACK, CANCEL_ACK, HEARTBEAT_ACK, HEALTH, REFUSED,
    PASSAGE_STARTED = 0x90, PASSAGE_COMPLETED, RELEASE_ENDED, REQUEST_TO_EXIT, EMERGENCY_CHANGED, FORCED_OPEN, HELD_OPEN, TAILGATING,
    REVERSE_PASSAGE, TAMPER, FAULT_CHANGED
};

/* Why a frame was not taken, in the order of PROTOCOL.md section 10. */
enum verdict {
    TAKEN, TOO_LONG, BAD_COBS, TOO_SHORT, BAD_CHECKSUM, UNKNOWN_TYPE, WRONG_DIRECTION, OUT_OF_SESSION, WRONG_LENGTH, WRONG_MAC,
    STALE_SEQUENCE, BAD_FIELD, UNEXPECTED
};

struct sha256 { uint32_t h[8]; uint8_t block[64]; uint32_t bytes; };
struct hmac { struct sha256 inner; uint8_t key[64]; };
void hmac_begin(struct hmac *h, const uint8_t key[KEY_BYTES]);
void hmac_add(struct hmac *h, const void *data, size_t bytes);
void hmac_end(struct hmac *h, uint8_t out[HASH_BYTES]);
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t bytes);
void sha256_end(struct sha256 *s, uint8_t out[HASH_BYTES]);

/* A moment on the 32-bit clock, or none. Right for spans below 24.8 days, over the wrap as well. */
struct timer { uint32_t at; bool on; };
struct timer after(uint32_t now, uint32_t ms);
bool due(struct timer timer, uint32_t now);

struct message { uint8_t type, bytes; uint8_t payload[MAX_PAYLOAD_BYTES]; };
/* Fields at the end of the payload, little-endian, each by its width: '1', '2', '4' (unsigned), '8' (uint64_t), 'b' (const uint8_t *, int). */
void fill(struct message *m, const char *widths, ...);
void fill_from(struct message *m, const char *widths, va_list values);
uint64_t get(const uint8_t *at, unsigned bytes);
uint32_t crc32(const uint8_t *data, size_t bytes);

struct event { uint32_t number, happened_ms; uint8_t type, bytes, payload[14]; };
struct link {
    bool on;
    uint8_t key[KEY_BYTES], hello[HELLO_BYTES], reply[MAX_FRAME_BYTES + 3];
    uint16_t reply_bytes;
    uint32_t sent, taken;
};
struct wire {
    uint8_t key[KEY_BYTES], mode;                                       /* link_mode; one that no HELLO can have: no session at all */
    uint32_t boot_count, hellos;
    uint8_t kept[MAX_FRAME_BYTES + 2], raw[MAX_FRAME_BYTES + 2];
    uint16_t kept_bytes, raw_bytes;
    bool skipping;
    struct link current, pending;
    struct event events[EVENT_QUEUE];
    uint8_t first, count, in_flight;
    uint32_t next_event;
    struct timer resend, no_session;
    uint32_t good_frames, checksum_errors, refused_frames, dropped_events;
    uint8_t out[OUT_BYTES];                                             /* for the host, once store and drive are done */
    uint16_t out_bytes;
};
struct arrival { enum verdict verdict; bool begins, greets; uint8_t nonce[NONCE_BYTES]; struct message message; };

void wire_begin(struct wire *w, const uint8_t key[KEY_BYTES], uint8_t mode, uint32_t boot_count);
bool wire_collect(struct wire *w, uint8_t byte);                        /* true: a frame, or what should have been one, is complete */
struct arrival wire_take(struct wire *w, uint32_t now, bool lease_lives); /* what it is; never more than one message */
void wire_answer_hello(struct wire *w, const struct arrival *hello, const struct message *reply);
void wire_say_no_session(struct wire *w);
void wire_send(struct wire *w, const struct message *m);                /* in the session; without one it is dropped */
void wire_advance(struct wire *w, uint32_t now);
bool wire_report(struct wire *w, struct event *event, uint32_t now);    /* numbers and keeps it; false: the oldest was given up for it */
struct message wire_event(const struct wire *w, const struct event *event);
uint32_t wire_oldest_event(const struct wire *w);

#endif
