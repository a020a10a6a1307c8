// SPDX-License-Identifier: Apache-2.0
//
// Formatted text in pieces, to a function of the user's.
#ifndef FKLI_WRITER_H
#define FKLI_WRITER_H

#include <stddef.h>

typedef struct fkli_writer {
    void (*write)(const char *text, size_t len, void *ctx);
    void *ctx;
} fkli_writer;

// Writes one piece, cut to 255 bytes.
__attribute__((format(printf, 2, 3))) void fkli_print(const fkli_writer *to, const char *format,
                                                      ...);

#endif
