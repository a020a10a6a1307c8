// SPDX-License-Identifier: Apache-2.0
//
// A text that grows as something is written to it, and looking for what is in it.
#ifndef FKL_TESTS_SUPPORT_TEXT_H
#define FKL_TESTS_SUPPORT_TEXT_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// Zero-initialise; `bytes` is to be freed.
struct text {
    char *bytes; // terminated; NULL while nothing has been written
    size_t len;
    size_t capacity;
};

// Takes what the library writes; `ctx` is the text.
static inline void text_append(const char *bytes, size_t len, void *ctx)
{
    struct text *to = ctx;
    if (to->len + len + 1 > to->capacity) {
        to->capacity = 2 * (to->len + len + 1);
        to->bytes = realloc(to->bytes, to->capacity);
    }
    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
    to->bytes[to->len] = '\0';
}

// How often `what` is in the text.
static inline size_t text_count(const char *in, const char *what)
{
    size_t found = 0;
    while ((in = strstr(in, what))) {
        ++found;
        ++in;
    }
    return found;
}

#endif
