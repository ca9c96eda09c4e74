/* The controller's end of the link. PROTOCOL.md is the contract; the section that a part follows stands beside it. */
#include "wire.h"

#include <string.h>

enum { HEAD_BYTES = 5, CRC_BYTES = 4, CONTROLLER_BIT = 0x80, VERSION = 1 };
enum refusal_of_hello { OTHER_VERSION = 1, OTHER_LINK_MODE, OTHER_HOST };

/* --- time and fields (sections 12 and 3) --- */

struct timer after(uint32_t now, uint32_t ms) { return (struct timer){now + ms, true}; }

bool due(struct timer timer, uint32_t now) { return timer.on && (uint32_t)(now - timer.at) < 0x80000000u; }

static void put(struct message *m, uint64_t value, int bytes) {
    for (; bytes > 0 && m->bytes < MAX_PAYLOAD_BYTES; bytes--, value >>= 8) m->payload[m->bytes++] = (uint8_t)value;
}

void fill_from(struct message *m, const char *widths, va_list values) {
    for (; *widths != 0; widths++) {
        if (*widths == 'b') {
            const uint8_t *data = va_arg(values, const uint8_t *);
            for (int bytes = va_arg(values, int); bytes > 0; bytes--) put(m, *data++, 1);
        } else {
            put(m, *widths == '8' ? va_arg(values, uint64_t) : va_arg(values, unsigned), *widths - '0');
        }
    }
}

void fill(struct message *m, const char *widths, ...) {
    va_list values;
    va_start(values, widths);
    fill_from(m, widths, values);
    va_end(values);
}

uint64_t get(const uint8_t *at, unsigned bytes) {
    uint64_t value = 0;
    while (bytes > 0) value = value << 8 | at[--bytes];
    return value;
}

uint32_t crc32(const uint8_t *data, size_t bytes) {
    uint32_t crc = 0xFFFFFFFFu;
    for (; bytes > 0; bytes--) {
        crc ^= *data++;
        for (unsigned bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return ~crc;
}

/* --- frames out (sections 3 and 5) --- */

static void tag(const struct link *link, uint8_t side, const uint8_t *raw, size_t bytes, uint8_t out[HASH_BYTES]) {
    struct hmac h;
    hmac_begin(&h, link->key);
    hmac_add(&h, &side, 1);
    hmac_add(&h, raw, bytes); /* type, sequence, payload: as they stand in the frame */
    hmac_end(&h, out);
}

static void emit(struct wire *w, const uint8_t *wire, size_t bytes) {
    if (w->out_bytes + bytes > OUT_BYTES)
        return; /* cannot be: the most that one step says fits. If it were, a lost frame is the least harm */
    memcpy(w->out + w->out_bytes, wire, bytes);
    w->out_bytes = (uint16_t)(w->out_bytes + bytes);
}

/* Seals under `link`, or without a MAC where it is NULL; stuffs; gives the bytes that went out. */
static size_t frame(struct wire *w, const struct link *link, const struct message *m, uint32_t sequence,
                    uint8_t wire[MAX_FRAME_BYTES + 3]) {
    uint8_t raw[MAX_FRAME_BYTES], mac[HASH_BYTES];
    size_t n = 0, last, at = 1;
    raw[n++] = m->type;
    for (unsigned i = 0; i < 4; i++) raw[n++] = (uint8_t)(sequence >> 8 * i);
    memcpy(raw + n, m->payload, m->bytes);
    n += m->bytes;
    if (link != NULL) {
        tag(link, 'C', raw, n, mac);
        memcpy(raw + n, mac, TAG_BYTES);
        n += TAG_BYTES;
    }
    for (uint32_t crc = crc32(raw, n), i = 0; i < CRC_BYTES; i++) raw[n++] = (uint8_t)(crc >> 8 * i);
    wire[0] = 0;
    last = at++;
    for (size_t i = 0; i < n; i++) {
        if (raw[i] == 0) {
            wire[last] = (uint8_t)(at - last);
            last = at++;
        } else {
            wire[at++] = raw[i];
        }
    }
    wire[last] = (uint8_t)(at - last);
    wire[at++] = 0;
    emit(w, wire, at);
    return at;
}

void wire_send(struct wire *w, const struct message *m) {
    uint8_t wire[MAX_FRAME_BYTES + 3];
    if (!w->current.on) return;
    if (w->current.sent == UINT32_MAX) { /* the numbers are used up: the session is over */
        w->current.on = false;
        return;
    }
    frame(w, &w->current, m, ++w->current.sent, wire);
}

void wire_say_no_session(struct wire *w) {
    struct message m = {.type = NO_SESSION};
    uint8_t wire[MAX_FRAME_BYTES + 3];
    fill(&m, "4", w->boot_count);
    frame(w, NULL, &m, 0, wire);
}

/* --- frames in (sections 3 and 10) --- */

static enum verdict unstuff(struct wire *w) {
    size_t n = 0;
    if (w->kept_bytes > MAX_FRAME_BYTES + 1) return TOO_LONG;
    for (size_t at = 0; at < w->kept_bytes;) {
        size_t code = w->kept[at], end = at + code;
        if (end > w->kept_bytes) return BAD_COBS;
        for (at++; at < end; at++) w->raw[n++] = w->kept[at];
        if (at < w->kept_bytes) w->raw[n++] = 0;
    }
    if (n < HEAD_BYTES + CRC_BYTES) return TOO_SHORT;
    w->raw_bytes = (uint16_t)(n - CRC_BYTES);
    return crc32(w->raw, w->raw_bytes) == get(w->raw + w->raw_bytes, CRC_BYTES) ? TAKEN : BAD_CHECKSUM;
}

bool wire_collect(struct wire *w, uint8_t byte) {
    if (byte == 0) {
        bool whole = w->kept_bytes > 0 && !w->skipping;
        if (!whole) w->kept_bytes = 0;
        w->skipping = false;
        return whole;
    }
    if (w->skipping) return false;
    w->kept[w->kept_bytes++] = byte;
    w->skipping = w->kept_bytes > MAX_FRAME_BYTES + 1;
    return w->skipping;
}

static bool known(uint8_t type) {
    return (type >= HELLO && type <= EVENT_ACK) || (type >= HELLO_REPLY && type <= REFUSED) ||
           (type >= PASSAGE_STARTED && type <= FAULT_CHANGED);
}

/* The payload of a message of the host: its length, and the numbers of section 6 in it. */
static enum verdict decode(uint8_t type, const uint8_t *payload, size_t bytes, struct message *m) {
    static const uint8_t length[] = {0, HELLO_BYTES, 0, 4, 0, 17, 8, 13, 4, 4};
    if (bytes != length[type]) return WRONG_LENGTH;
    if ((type == HELLO && payload[2] > 1) || (type == RELEASE && (payload[8] < 1 || payload[8] > 2)) ||
        (type == HEARTBEAT && (payload[4] > 4 || payload[4] == 3)) || (type == INDICATE && (payload[0] > 3 || payload[1] > 3)))
        return BAD_FIELD;
    m->type = type;
    m->bytes = (uint8_t)bytes;
    memcpy(m->payload, payload, bytes);
    return TAKEN;
}

static bool same(const uint8_t *one, const uint8_t *other, size_t bytes) {
    uint8_t difference = 0;
    for (size_t i = 0; i < bytes; i++) difference |= one[i] ^ other[i];
    return difference == 0;
}

static enum verdict open_sealed(const struct wire *w, struct link *link, struct message *m) {
    uint8_t mac[HASH_BYTES];
    uint32_t sequence = (uint32_t)get(w->raw + 1, 4);
    if (w->raw_bytes < HEAD_BYTES + TAG_BYTES) return WRONG_LENGTH;
    tag(link, 'H', w->raw, (size_t)w->raw_bytes - TAG_BYTES, mac);
    if (!same(mac, w->raw + w->raw_bytes - TAG_BYTES, TAG_BYTES)) return WRONG_MAC;
    if (sequence <= link->taken) return STALE_SEQUENCE;
    link->taken = sequence;
    return decode(w->raw[0], w->raw + HEAD_BYTES, (size_t)w->raw_bytes - HEAD_BYTES - TAG_BYTES, m);
}

/* --- sessions (section 4) --- */

static void hello_nonce(struct wire *w, uint8_t nonce[NONCE_BYTES]) {
    static const char text[] = "gate-native-1 nonce";
    struct message m = {0};
    struct hmac h;
    uint8_t hash[HASH_BYTES];
    fill(&m, "44", w->boot_count, ++w->hellos);
    hmac_begin(&h, w->key);
    hmac_add(&h, text, sizeof text - 1);
    hmac_add(&h, m.payload, m.bytes);
    hmac_end(&h, hash);
    memcpy(nonce, hash, NONCE_BYTES);
}

static enum verdict greet(struct wire *w, bool lease_lives, struct arrival *a) {
    struct message refused = {.type = HELLO_REFUSED};
    uint8_t wire[MAX_FRAME_BYTES + 3];
    const struct link *links[] = {&w->pending, &w->current};
    enum verdict verdict;
    int reason = 0;
    if (get(w->raw + 1, 4) != 0) return STALE_SEQUENCE;
    verdict = decode(HELLO, w->raw + HEAD_BYTES, (size_t)w->raw_bytes - HEAD_BYTES, &a->message);
    if (verdict != TAKEN) return verdict;
    for (unsigned i = 0; i < 2; i++) {
        if (links[i]->on && memcmp(links[i]->hello, a->message.payload, HELLO_BYTES) == 0) {
            emit(w, links[i]->reply, links[i]->reply_bytes); /* asked again: the same answer, and nothing changes */
            return UNEXPECTED;
        }
    }
    if (a->message.payload[0] > VERSION || a->message.payload[1] < VERSION) reason = OTHER_VERSION;
    else if (a->message.payload[2] != w->mode) reason = OTHER_LINK_MODE;
    else if (lease_lives && w->current.on && memcmp(w->current.hello + 3, a->message.payload + 3, 8) != 0) reason = OTHER_HOST;
    if (reason != 0) {
        fill(&refused, "111b", reason, VERSION, VERSION, a->message.payload + 11, NONCE_BYTES);
        frame(w, NULL, &refused, 0, wire);
        return UNEXPECTED;
    }
    hello_nonce(w, a->nonce);
    a->greets = true;
    return TAKEN;
}

void wire_answer_hello(struct wire *w, const struct arrival *hello, const struct message *reply) {
    static const char text[] = "gate-native-1 session";
    struct link *link = &w->pending;
    struct hmac h;
    memset(link, 0, sizeof *link);
    memcpy(link->hello, hello->message.payload, HELLO_BYTES);
    hmac_begin(&h, w->key);
    hmac_add(&h, text, sizeof text - 1);
    hmac_add(&h, link->hello, HELLO_BYTES);
    hmac_add(&h, hello->nonce, NONCE_BYTES);
    hmac_end(&h, link->key);
    link->reply_bytes = (uint16_t)frame(w, link, reply, 0, link->reply);
    link->on = true;
}

static enum verdict judge(struct wire *w, uint32_t now, bool lease_lives, struct arrival *a) {
    enum verdict verdict = unstuff(w);
    uint8_t type = w->raw[0];
    if (verdict != TAKEN) return verdict;
    if (!known(type)) return UNKNOWN_TYPE;
    if (type & CONTROLLER_BIT) return WRONG_DIRECTION;
    if (type == HELLO) return greet(w, lease_lives, a);
    verdict = OUT_OF_SESSION;
    if (w->current.on) verdict = open_sealed(w, &w->current, &a->message);
    if (w->pending.on && (verdict == WRONG_MAC || verdict == OUT_OF_SESSION)) {
        verdict = open_sealed(w, &w->pending, &a->message);
        if (verdict == TAKEN) {
            w->current = w->pending;
            w->pending.on = false;
            w->in_flight = 0;
            w->resend = after(now, 0); /* this host may know none of the events yet */
            a->begins = true;
        }
    } else if (!w->current.on && !w->no_session.on) {
        w->no_session = after(now, NO_SESSION_MS);
        wire_say_no_session(w);
    }
    return verdict;
}

static void acknowledged(struct wire *w, uint32_t number, uint32_t now);

struct arrival wire_take(struct wire *w, uint32_t now, bool lease_lives) {
    struct arrival a = {0};
    a.verdict = judge(w, now, lease_lives, &a);
    w->kept_bytes = 0;
    if (a.verdict == TAKEN) w->good_frames++;
    else if (a.verdict <= BAD_CHECKSUM) w->checksum_errors++;
    else w->refused_frames++;
    if (a.verdict == TAKEN && a.message.type == EVENT_ACK) acknowledged(w, (uint32_t)get(a.message.payload, 4), now);
    return a;
}

void wire_begin(struct wire *w, const uint8_t key[KEY_BYTES], uint8_t mode, uint32_t boot_count) {
    memset(w, 0, sizeof *w);
    memcpy(w->key, key, KEY_BYTES);
    w->mode = mode;
    w->boot_count = boot_count;
    w->next_event = 1;
    wire_say_no_session(w); /* a host that still believes in the session before need not wait for its patience to end */
}

/* --- events (section 7.7) --- */

uint32_t wire_oldest_event(const struct wire *w) { return w->count > 0 ? w->events[w->first].number : w->next_event; }

struct message wire_event(const struct wire *w, const struct event *event) {
    struct message m = {.type = event->type};
    fill(&m, "444b", event->number, wire_oldest_event(w), event->happened_ms, event->payload, event->bytes);
    return m;
}

static void send_fresh(struct wire *w, uint32_t now) {
    while (w->current.on && w->in_flight < w->count && w->in_flight < EVENT_WINDOW) {
        struct message m = wire_event(w, &w->events[(w->first + w->in_flight++) % EVENT_QUEUE]);
        wire_send(w, &m);
        w->resend = after(now, EVENT_RESEND_MS);
    }
}

static void drop_oldest(struct wire *w) {
    w->first = (uint8_t)((w->first + 1) % EVENT_QUEUE);
    w->count--;
    if (w->in_flight > 0) w->in_flight--;
}

bool wire_report(struct wire *w, struct event *event, uint32_t now) {
    bool full = w->count == EVENT_QUEUE;
    if (full) {
        drop_oldest(w);
        w->dropped_events++;
    }
    event->number = w->next_event++;
    w->events[(w->first + w->count++) % EVENT_QUEUE] = *event;
    send_fresh(w, now);
    return !full;
}

static void acknowledged(struct wire *w, uint32_t number, uint32_t now) {
    while (w->count > 0 && w->events[w->first].number <= number) drop_oldest(w);
    w->resend = after(now, EVENT_RESEND_MS);
    w->resend.on = w->in_flight > 0;
    send_fresh(w, now);
}

void wire_advance(struct wire *w, uint32_t now) {
    if (due(w->no_session, now)) w->no_session.on = false;
    if (due(w->resend, now)) {
        w->resend.on = false;
        w->in_flight = 0; /* go back to the oldest */
        send_fresh(w, now);
    }
}
