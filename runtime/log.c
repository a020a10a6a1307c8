// SPDX-License-Identifier: Apache-2.0
//
// Formatting and the default sink, which writes warnings and errors to stderr in one piece. Any
// thread runs this; no lock of the runtime may be held, because the sink is the user's code.

#include "log.h"

#include <stdarg.h>
#include <stdio.h>

static void default_write(fkl_log_level level, const char *text)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    if (level >= FKL_LOG_WARN)
        fprintf(stderr, "forkless: %s: %s\n", levels[level], text);
}

void fkli_log(const fkli_log_sink *sink, fkl_log_level level, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (sink && sink->write)
        sink->write(level, text, sink->ctx);
    else
        default_write(level, text);
}
