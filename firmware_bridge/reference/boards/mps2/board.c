/* Arm's MPS2 board with a Cortex-M3 (AN385), as QEMU has it: UART 0 is the host's line; UART 1 brings the inputs, one byte for each change
 * (0x40 | inputs), and takes the notes; memory at 0x21000000 is a file and outlives the power. QEMU models neither baud rate nor overrun. */
#include "../board.h"

#include <string.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

enum { DATA = 0x0, STATE_REG = 0x4, CTRL = 0x8, INT_CLEAR = 0xC, BAUD_DIVIDER = 0x10 };               /* CMSDK APB UART */
enum { TX_FULL = 1, RX_FULL = 2, TX_ON = 1, RX_ON = 2, RX_INTERRUPT = 8 };
enum { TIMER_CTRL = 0x0, TIMER_VALUE = 0x4, TIMER_RELOAD = 0x8 };                                     /* CMSDK APB timer, counts down */
enum { TICKS_PER_MS = 25000, BAUD_TICKS = 25000000 / 115200 };
enum { NOTE_DRIVE = 0xF0, NOTE_INDICATE, NOTE_SENSED, INPUT_MARK = 0x40, INPUT_BITS = 0x3F };
#define UART0 0x40004000u
#define UART1 0x40005000u
#define TIMER0 0x40000000u
#define SYSTICK 0xE000E010u
#define NVIC_ENABLE 0xE000E100u
#define NVIC_CLEAR_PENDING 0xE000E280u
#define ICSR 0xE000ED04u
#define SLOT(n) ((volatile uint8_t *)(0x21000000u + (n) * 64u))

/* Put into the lasting memory by whoever builds the cabinet; here by the test. */
struct provision {
    struct settings settings;
    uint32_t clock_offset_ms;
    uint16_t inputs; /* what the sensors show when power comes on */
};
#define PROVISION ((const struct provision *)0x21000100u)

static uint32_t last_ticks, spare_ticks, now_ms;
static uint16_t inputs_now;
static bool sensed;

int main(void);
extern uint32_t data_start[], data_end[], data_source[], bss_start[], bss_end[], stack_top[];

void *memcpy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i]; /* volatile: the compiler must not make a memcpy of it */
    return to;
}

void *memset(void *at, int value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile uint8_t *)at)[i] = (uint8_t)value;
    return at;
}

int memcmp(const void *one, const void *other, size_t bytes)
{
    const uint8_t *a = one, *b = other;
    for (; bytes > 0; bytes--, a++, b++)
        if (*a != *b)
            return *a < *b ? -1 : 1;
    return 0;
}

static void send(uint32_t uart, const uint8_t *data, size_t bytes)
{
    for (; bytes > 0; bytes--) {
        while (REGISTER(uart + STATE_REG) & TX_FULL) {
        }
        REGISTER(uart + DATA) = *data++;
    }
}

const struct settings *board_begin(void)
{
    static const uint32_t uarts[] = {UART0, UART1};
    for (unsigned i = 0; i < 2; i++) {
        REGISTER(uarts[i] + BAUD_DIVIDER) = BAUD_TICKS;
        REGISTER(uarts[i] + CTRL) = TX_ON | RX_ON | RX_INTERRUPT;
    }
    REGISTER(TIMER0 + TIMER_RELOAD) = 0xFFFFFFFFu;
    REGISTER(TIMER0 + TIMER_VALUE) = 0xFFFFFFFFu;
    REGISTER(TIMER0 + TIMER_CTRL) = 1;
    last_ticks = 0xFFFFFFFFu;
    REGISTER(SYSTICK + 4) = TICKS_PER_MS - 1; /* only wakes the loop; time is the timer's */
    REGISTER(SYSTICK) = 7;
    REGISTER(NVIC_ENABLE) = 1u << 0 | 1u << 2; /* receive of both UARTs: to wake as well; interrupts stay masked */
    now_ms = PROVISION->clock_offset_ms;
    inputs_now = PROVISION->inputs;
    return &PROVISION->settings;
}

void board_wait(void)
{
    __asm__ volatile("wfi");
    REGISTER(UART0 + INT_CLEAR) = 3;
    REGISTER(UART1 + INT_CLEAR) = 3;
    REGISTER(NVIC_CLEAR_PENDING) = 1u << 0 | 1u << 2;
    REGISTER(ICSR) = 1u << 25;
}

uint32_t hal_now_ms(void *board)
{
    uint32_t ticks = REGISTER(TIMER0 + TIMER_VALUE), passed = last_ticks - ticks;
    (void)board;
    last_ticks = ticks;
    spare_ticks += passed % TICKS_PER_MS;
    now_ms += passed / TICKS_PER_MS + spare_ticks / TICKS_PER_MS;
    spare_ticks %= TICKS_PER_MS;
    return now_ms;
}

/* One change at a time, so that none is missed; that the turnstile has taken the last one is noted. */
uint16_t hal_inputs(void *board)
{
    if (sensed)
        hal_note(board, NOTE_SENSED, (const uint8_t[]){(uint8_t)inputs_now}, 1);
    sensed = REGISTER(UART1 + STATE_REG) & RX_FULL;
    if (sensed)
        inputs_now = REGISTER(UART1 + DATA) & INPUT_BITS;
    return inputs_now;
}

size_t hal_read(void *board, uint8_t *data, size_t room)
{
    size_t bytes = 0;
    (void)board;
    while (bytes < room && (REGISTER(UART0 + STATE_REG) & RX_FULL))
        data[bytes++] = (uint8_t)REGISTER(UART0 + DATA);
    return bytes;
}

void hal_write(void *board, const uint8_t *data, size_t bytes)
{
    (void)board;
    send(UART0, data, bytes);
}

void hal_note(void *board, uint8_t type, const uint8_t *payload, size_t bytes)
{
    (void)board;
    send(UART1, (const uint8_t[]){type, (uint8_t)bytes}, 2);
    send(UART1, payload, bytes);
}

void hal_drive(void *board, uint8_t drive) { hal_note(board, NOTE_DRIVE, &drive, 1); }

void hal_indicate(void *board, uint8_t lamp, uint8_t tone) { hal_note(board, NOTE_INDICATE, (const uint8_t[]){lamp, tone}, 2); }

void hal_load(void *board, unsigned slot, uint8_t raw[SLOT_BYTES])
{
    (void)board;
    for (unsigned i = 0; i < SLOT_BYTES; i++)
        raw[i] = SLOT(slot)[i];
}

void hal_keep(void *board, unsigned slot, const uint8_t raw[SLOT_BYTES])
{
    (void)board;
    for (unsigned i = 0; i < SLOT_BYTES; i++)
        SLOT(slot)[i] = raw[i];
}

void board_reset(void)
{
    __asm__ volatile("cpsid i");
    for (uint32_t *to = data_start, *from = data_source; to < data_end;)
        *to++ = *from++;
    for (uint32_t *at = bss_start; at < bss_end;)
        *at++ = 0;
    main();
}

static void halt(void)
{
    for (;;) { /* a fault of the processor: stand still, the watchdog of a real board starts it anew */
    }
}

union vector {
    uint32_t *stack;
    void (*run)(void);
};
__attribute__((section(".vectors"), used)) static const union vector vectors[16] = {
    {.stack = stack_top}, {.run = board_reset}, {.run = halt}, {.run = halt}, {.run = halt}, {.run = halt}, {.run = halt}, {.run = halt},
    {.run = halt}, {.run = halt}, {.run = halt}, {.run = halt}, {.run = halt}, {.run = halt}, {.run = halt}, {.run = halt}};
