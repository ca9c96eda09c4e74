/* What a board gives to the turnstile. Nothing else of the hardware is known above this line.
 * `board` is whatever the board gave to turnstile_power_on; a board that has only one turnstile may ignore it. */
#ifndef GATE_HAL_H
#define GATE_HAL_H

#include <stddef.h>
#include <stdint.h>

enum { SLOT_BYTES = 36, SLOTS = 2 };
enum { NOTE_REFUSED = 0xE0, NOTE_SESSION }; /* types of notes beside those of messages: a frame refused (verdict), a session begins */

/* The lasting store. A slot that was never written reads as zeros. keep() returns when the bytes would outlive a power cut. */
void hal_load(void *board, unsigned slot, uint8_t raw[SLOT_BYTES]);
void hal_keep(void *board, unsigned slot, const uint8_t raw[SLOT_BYTES]);
void hal_drive(void *board, uint8_t drive);                                             /* PROTOCOL.md section 6, "drive" */
void hal_indicate(void *board, uint8_t lamp, uint8_t tone);
void hal_write(void *board, const uint8_t *data, size_t bytes);                         /* to the host; never blocks for long */
void hal_note(void *board, uint8_t type, const uint8_t *payload, size_t bytes);         /* the controller's own account; may do nothing */

/* For the loop of a firmware (main.c) only. */
uint32_t hal_now_ms(void *board);                                                       /* wraps at 2^32 */
uint16_t hal_inputs(void *board);                                                       /* filtered, PROTOCOL.md section 6, "inputs" */
size_t hal_read(void *board, uint8_t *data, size_t room);                               /* from the host, what has arrived */

#endif
