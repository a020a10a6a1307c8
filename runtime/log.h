// SPDX-License-Identifier: Apache-2.0
//
// The library's own messages to its user.
#ifndef FKLI_LOG_H
#define FKLI_LOG_H

#include <forkless/runtime.h>

typedef struct fkli_log_sink {
    void (*write)(fkl_log_level level, const char *text, void *ctx); // NULL: the default
    void *ctx;
} fkli_log_sink;

// Formats and hands one line, without line end, to the sink; text beyond 500 bytes is cut.
__attribute__((format(printf, 3, 4))) void fkli_log(const fkli_log_sink *sink, fkl_log_level level,
                                                    const char *format, ...);

#endif
