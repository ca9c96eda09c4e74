/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104, FIPS 198-1) for keys of 32 bytes. Constant time: no branch and no index depends on the data. */
#include "wire.h"

#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static void absorb(struct sha256 *s) {
    uint32_t w[64], v[8];
    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 | (uint32_t)s->block[4 * i + 2] << 8 |
               s->block[4 * i + 3];
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    memcpy(v, s->h, sizeof v);
    for (unsigned i = 0; i < 64; i++) {
        uint32_t one = v[7] + (turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
        uint32_t two = (turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        for (unsigned k = 7; k > 0; k--) v[k] = v[k - 1];
        v[4] += one;
        v[0] = one + two;
    }
    for (unsigned i = 0; i < 8; i++) s->h[i] += v[i];
}

void sha256_begin(struct sha256 *s) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->h, start, sizeof start);
    s->bytes = 0;
}

void sha256_add(struct sha256 *s, const void *data, size_t bytes) {
    const uint8_t *at = data;
    for (; bytes > 0; bytes--) {
        s->block[s->bytes++ % 64] = *at++;
        if (s->bytes % 64 == 0) absorb(s);
    }
}

void sha256_end(struct sha256 *s, uint8_t out[HASH_BYTES]) {
    uint64_t bits = (uint64_t)s->bytes * 8;
    uint8_t byte = 0x80;
    for (sha256_add(s, &byte, 1), byte = 0; s->bytes % 64 != 56;) sha256_add(s, &byte, 1);
    for (int shift = 56; shift >= 0; shift -= 8) {
        byte = (uint8_t)(bits >> shift);
        sha256_add(s, &byte, 1);
    }
    for (unsigned i = 0; i < HASH_BYTES; i++) out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

static void begin_with(struct sha256 *s, const uint8_t key[64], uint8_t pad) {
    uint8_t block[64];
    for (unsigned i = 0; i < 64; i++) block[i] = key[i] ^ pad;
    sha256_begin(s);
    sha256_add(s, block, sizeof block);
}

void hmac_begin(struct hmac *h, const uint8_t key[KEY_BYTES]) {
    memset(h->key, 0, sizeof h->key);
    memcpy(h->key, key, KEY_BYTES);
    begin_with(&h->inner, h->key, 0x36);
}

void hmac_add(struct hmac *h, const void *data, size_t bytes) { sha256_add(&h->inner, data, bytes); }

void hmac_end(struct hmac *h, uint8_t out[HASH_BYTES]) {
    struct sha256 outer;
    sha256_end(&h->inner, out);
    begin_with(&outer, h->key, 0x5c);
    sha256_add(&outer, out, HASH_BYTES);
    sha256_end(&outer, out);
}
