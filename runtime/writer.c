// SPDX-License-Identifier: Apache-2.0
//
// Formatting for a writer (see writer.h). Any thread runs this; there is no state.

#include "writer.h"

#include <stdarg.h>
#include <stdio.h>

void fkli_print(const fkli_writer *to, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len > 0)
        to->write(text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1, to->ctx);
}
