// SPDX-License-Identifier: Apache-2.0
//
// The log: the user's sink gets every line once with its level; text that is too long is cut, never
// overrun; without a sink warnings and errors go to stderr.
#include "support/rig.h"

#include "log.h"

#include <stdio.h>
#include <unistd.h>

struct seen {
    int count;
    fkl_log_level level;
    char text[2000];
};

static void remember(fkl_log_level level, const char *text, void *ctx)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->level = level;
    snprintf(seen->text, sizeof seen->text, "%s", text);
}

Test(log, the_sink_gets_the_formatted_line)
{
    struct seen seen = {0};
    fkli_log_sink sink = {remember, &seen};
    fkli_log(&sink, FKL_LOG_DEBUG, "%d %s", 7, "words");
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.level, FKL_LOG_DEBUG);
    cr_assert_str_eq(seen.text, "7 words");
}

Test(log, a_long_line_is_cut)
{
    struct seen seen = {0};
    fkli_log_sink sink = {remember, &seen};
    fkli_log(&sink, FKL_LOG_ERROR, "%*d", 1500, 1);
    cr_assert_geq(strlen(seen.text), 500);
    cr_assert_lt(strlen(seen.text), 1500);
    cr_assert_eq(seen.level, FKL_LOG_ERROR);
}

// What fkli_log() writes to stderr without a sink.
static size_t written(fkl_log_level level, char *text, size_t size)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    fkli_log(&(fkli_log_sink){NULL, NULL}, level, "the end of %s", "days");
    fkli_log(NULL, level, "and again");
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t len = read(ends[0], text, size - 1);
    close(ends[0]);
    cr_assert_geq(len, 0);
    text[len] = 0;
    return (size_t)len;
}

Test(log, warnings_and_errors_go_to_stderr_by_default)
{
    char text[2000];
    written(FKL_LOG_WARN, text, sizeof text);
    cr_assert_not_null(strstr(text, "the end of days\n"), "%s", text);
    cr_assert_not_null(strstr(text, "and again\n"));
    cr_assert_not_null(strstr(text, "warn"));
    written(FKL_LOG_ERROR, text, sizeof text);
    cr_assert_not_null(strstr(text, "error"), "%s", text);
}

Test(log, the_rest_is_silent_by_default)
{
    char text[2000];
    cr_assert_eq(written(FKL_LOG_DEBUG, text, sizeof text), 0, "%s", text);
    cr_assert_eq(written(FKL_LOG_INFO, text, sizeof text), 0, "%s", text);
}
