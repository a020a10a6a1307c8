// SPDX-License-Identifier: Apache-2.0
//
// The event trace: what is kept, what is forgotten, and that the output is JSON whatever the names
// are.

#include "support/rig.h"
#include "support/text.h"

#include "trace.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>

// ---- a reader that accepts JSON and nothing else

static const char *skip_value(const char *at);

static const char *skip_space(const char *at)
{
    while (isspace((unsigned char)*at))
        ++at;
    return at;
}

static const char *skip_string(const char *at)
{
    if (*at != '"')
        return NULL;
    for (++at; *at != '"'; ++at) {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at == '\\' && !strchr("\"\\/bfnrtu", *++at))
            return NULL;
    }
    return at + 1;
}

static const char *skip_number(const char *at)
{
    char *end;
    strtod(at, &end);
    return end == at || !strchr("-0123456789", *at) ? NULL : end;
}

static const char *skip_members(const char *at, char close, bool keys)
{
    at = skip_space(at + 1);
    if (*at == close)
        return at + 1;
    for (;;) {
        if (keys) {
            at = skip_string(skip_space(at));
            if (!at || *at != ':')
                return NULL;
            ++at;
        }
        at = skip_value(at);
        if (!at)
            return NULL;
        at = skip_space(at);
        if (*at == close)
            return at + 1;
        if (*at++ != ',')
            return NULL;
    }
}

static const char *skip_value(const char *at)
{
    at = skip_space(at);
    if (*at == '{')
        return skip_members(at, '}', true);
    if (*at == '[')
        return skip_members(at, ']', false);
    return *at == '"' ? skip_string(at) : skip_number(at);
}

static bool is_json(const char *at)
{
    at = skip_value(at);
    return at && *skip_space(at) == '\0';
}

// ---- a tracer with the counting allocator

static rig_memory memory;
static fkl_allocator allocator;
static fkli_tracer tracer;

static void set_up(void)
{
    memset(&memory, 0, sizeof memory);
    allocator = rig_allocator(&memory);
    fkli_tracer_init(&tracer, &allocator);
}

static void tear_down(void)
{
    fkli_tracer_fini(&tracer);
    rig_assert_balanced(&memory);
}

TestSuite(trace, .init = set_up, .fini = tear_down);

static char *written(void)
{
    struct text out = {0};
    assert_ok(fkli_trace_write(&tracer, text_append, &out));
    cr_assert(is_json(out.bytes), "this is not JSON: %s", out.bytes);
    return out.bytes;
}

static void add(fkli_trace_kind kind, uint64_t thread, uint64_t number, const char *subject)
{
    fkli_trace_event event = {.kind = kind, .at = 1500, .until = 4000, .actor = 10, .other = 11};
    event.thread = thread;
    event.number = number;
    event.what = kind == FKLI_TRACE_WAIT ? "receive" : NULL;
    fkli_trace_name(&event.subject, subject);
    fkli_trace_name(&event.where, "worker");
    fkli_trace_add(&tracer, &event);
}

Test(trace, that_never_was_on_writes_an_empty_trace)
{
    add(FKLI_TRACE_SPAWN, 1, 0, "early");
    char *out = written();
    cr_assert_eq(text_count(out, "\"ph\":\"i\""), 0);
    free(out);
}

Test(trace, writes_each_kind_in_its_phase)
{
    assert_ok(fkli_trace_start(&tracer, 100));
    for (fkli_trace_kind kind = FKLI_TRACE_WAIT; kind <= FKLI_TRACE_DEAD_LETTER; ++kind)
        add(kind, 7, 3, "banker");
    char *out = written();
    cr_assert_eq(text_count(out, "\"ph\":\"X\""), 2, "a wait and a turn");
    cr_assert_eq(text_count(out, "\"ph\":\"i\""), 5, "five moments");
    cr_assert_eq(text_count(out, "\"ph\":\"s\""), 1);
    cr_assert_eq(text_count(out, "\"ph\":\"f\""), 1);
    cr_assert_eq(text_count(out, "\"thread_name\""), 1, "one thread, named once");
    cr_assert_eq(text_count(out, "\"ts\":1.500,\"dur\":2.500"), 2, "microseconds");
    cr_assert_eq(text_count(out, "\"name\":\"receive\",\"cat\":\"wait\""), 1);
    cr_assert_eq(text_count(out, "\"name\":\"banker\",\"cat\":\"turn\""), 1);
    free(out);
}

Test(trace, keeps_the_latest_events_of_each_thread)
{
    assert_ok(fkli_trace_start(&tracer, FKLI_TRACE_RINGS * 10));
    for (uint64_t n = 0; n < 1000; ++n)
        add(FKLI_TRACE_TURN, 5, n, "a");
    char *out = written();
    cr_assert_eq(text_count(out, "\"ph\":\"X\""), 11);
    cr_assert_eq(text_count(out, "\"messages\":999}"), 1, "the last one");
    cr_assert_eq(text_count(out, "\"messages\":989}"), 1, "the eleventh from behind");
    cr_assert_eq(text_count(out, "\"messages\":988}"), 0, "what was before");
    free(out);
}

Test(trace, names_that_are_no_json_do_no_harm)
{
    assert_ok(fkli_trace_start(&tracer, 100));
    add(FKLI_TRACE_TURN, 1, 0, "quote\" backslash\\ tab\t");
    add(FKLI_TRACE_EXIT, 1, 0, "a name that is longer than what there is room for");
    char *out = written();
    cr_assert_not_null(strstr(out, "quote\\\" backslash\\\\ t"));
    cr_assert_not_null(strstr(out, "\"a name that is longer t\""));
    free(out);
}

Test(trace, that_is_stopped_adds_nothing_and_keeps_what_it_has)
{
    assert_ok(fkli_trace_start(&tracer, 100));
    add(FKLI_TRACE_SPAWN, 1, 0, "kept");
    fkli_trace_stop(&tracer);
    add(FKLI_TRACE_SPAWN, 1, 0, "late");
    char *out = written();
    cr_assert_eq(text_count(out, "\"kept\""), 1);
    cr_assert_eq(text_count(out, "\"late\""), 0);
    free(out);
}

Test(trace, that_starts_again_has_forgotten)
{
    assert_ok(fkli_trace_start(&tracer, 100));
    add(FKLI_TRACE_SPAWN, 1, 0, "old");
    assert_ok(fkli_trace_start(&tracer, 50));
    char *out = written();
    cr_assert_eq(text_count(out, "\"old\""), 0);
    free(out);
}

// From now on the n-th allocation fails; 0: none.
static void fail_call(long n)
{
    atomic_store(&memory.calls, 0);
    atomic_store(&memory.fail_at, n);
}

Test(trace, without_memory_stays_off)
{
    for (long n = 1; n <= FKLI_TRACE_RINGS; ++n) {
        fail_call(n);
        assert_err(fkli_trace_start(&tracer, 100), FKL_ENOMEM);
        fail_call(0);
        cr_assert_not(fkli_trace_on(&tracer));
    }
    assert_ok(fkli_trace_start(&tracer, 100));
    add(FKLI_TRACE_SPAWN, 1, 0, "kept");
    struct text out = {0};
    fail_call(1);
    assert_err(fkli_trace_write(&tracer, text_append, &out), FKL_ENOMEM);
    fail_call(0);
    cr_assert(is_json(out.bytes), "cut, but whole");
    free(out.bytes);
    assert_err(fkli_trace_start(&tracer, SIZE_MAX), FKL_ENOMEM);
}

static void *add_many(void *arg)
{
    for (uint64_t n = 0; n < 2000; ++n)
        add(FKLI_TRACE_WAIT, *(uint64_t *)arg, n, "");
    return NULL;
}

Test(trace, takes_events_from_many_threads_while_it_is_written)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    uint64_t numbers[THREADS];
    assert_ok(fkli_trace_start(&tracer, FKLI_TRACE_RINGS * 4000));
    for (uint64_t i = 0; i < THREADS; ++i) {
        numbers[i] = i * 3;
        cr_assert_eq(pthread_create(&threads[i], NULL, add_many, &numbers[i]), 0);
    }
    free(written());
    for (int i = 0; i < THREADS; ++i)
        pthread_join(threads[i], NULL);
    char *out = written();
    cr_assert_eq(text_count(out, "\"cat\":\"wait\""), THREADS * 2000);
    free(out);
}
