/* What a board's file has beside the functions of hal.h. */
#ifndef GATE_BOARD_H
#define GATE_BOARD_H

#include "../turnstile.h"

const struct settings *board_begin(void); /* clocks and ports on; the settings that were put into this board */
void board_wait(void);                    /* until something has come or a millisecond is over */

#endif
