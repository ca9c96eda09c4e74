#include <stddef.h>
void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *at, int value, size_t bytes);
int memcmp(const void *one, const void *other, size_t bytes);
