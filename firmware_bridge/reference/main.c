/* The loop of a firmware: inputs, bytes and time into the turnstile, for ever. What stands in a board's own file is told in board.h. */
#include "boards/board.h"
#include "turnstile.h"

int main(void) {
    static struct turnstile turnstile;
    uint8_t data[64];
    const struct settings *settings = board_begin();
    uint16_t inputs = hal_inputs(NULL);
    turnstile_power_on(&turnstile, NULL, settings, inputs, hal_now_ms(NULL));
    for (;;) {
        size_t bytes;
        uint16_t seen;
        board_wait();
        bytes = hal_read(NULL, data, sizeof data);
        if (bytes > 0) turnstile_receive(&turnstile, data, bytes, hal_now_ms(NULL));
        else turnstile_tick(&turnstile, hal_now_ms(NULL));
        seen = hal_inputs(NULL);
        if (seen != inputs) turnstile_sense(&turnstile, inputs = seen, hal_now_ms(NULL));
    }
}
