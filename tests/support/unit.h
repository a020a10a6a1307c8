// SPDX-License-Identifier: Apache-2.0
//
// What a unit test includes. Normally this is Criterion, where each test is a process of its own.
//
// Criterion programs cannot start under ThreadSanitizer, so with FKL_PLAIN_MAIN defined this header
// brings its own main() instead: the tests of the file run one after another in one process. It
// knows Test(suite, name, .init, .fini, .timeout, .disabled), TestSuite with the same, and the
// assertions below, writes the same TAP file (--tap=PATH), and exits with 1 when a test failed. A
// test that needs a process to itself (.signal, .exit_code) is skipped. Include this header once
// per program.
#ifndef FKL_TESTS_SUPPORT_UNIT_H
#define FKL_TESTS_SUPPORT_UNIT_H

#ifndef FKL_PLAIN_MAIN

#include <criterion/criterion.h>

#ifdef __SANITIZE_ADDRESS__

#include <stdlib.h>

__attribute__((visibility("default"))) int __lsan_is_turned_off(void);

static int unit_is_criterion;

// Criterion gives the processes of the tests this variable and forgets it before they begin.
__attribute__((constructor)) static void unit_see_who_runs(void)
{
    unit_is_criterion = getenv("BXFI_MAP") == NULL;
}

// Asked by the leak checker at exit: the process that runs the tests leaks, and is not ours.
int __lsan_is_turned_off(void)
{
    return unit_is_criterion;
}

#endif

#else

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIT_DEFAULT_TIMEOUT_S 60

enum unit_outcome { UNIT_PASSED, UNIT_FAILED, UNIT_SKIPPED };

struct unit_test {
    const char *suite;
    const char *name;
    const char *description;
    void (*run)(void);
    void (*init)(void);
    void (*fini)(void);
    double timeout; // seconds
    bool disabled;
    int signal;
    int exit_code;
    struct unit_test *next;
};

static struct unit_test *unit_first, **unit_last = &unit_first;
static struct unit_test *unit_suites;
static struct unit_test *unit_current; // written by the main thread between tests
static pthread_t unit_main_thread;
static jmp_buf unit_end_of_test;
static int unit_failures; // of the current test; atomic
static bool unit_skipping;

// Ends the current test: at once from its own thread, by ending the program from another one.
static inline _Noreturn void unit_abort_test(void)
{
    if (!pthread_equal(pthread_self(), unit_main_thread)) {
        fprintf(stderr, "    fatal in another thread: the program ends\n");
        fflush(NULL);
        _exit(1);
    }
    longjmp(unit_end_of_test, 1);
}

__attribute__((format(printf, 6, 7))) // of what follows
static inline void
unit_check(bool ok, bool fatal, const char *file, int line, const char *what, const char *format,
           ...)
{
    if (ok) {
        return;
    }
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: %s::%s: failed: %s:", file, line, unit_current->suite,
            unit_current->name, what);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    __atomic_add_fetch(&unit_failures, 1, __ATOMIC_SEQ_CST);
    if (fatal) {
        unit_abort_test();
    }
}

#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_body(void);                                                     \
    static struct unit_test suite_##_##name_##_test = {                                            \
        .suite = #suite_, .name = #name_, .run = suite_##_##name_##_body, __VA_ARGS__};            \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)                          \
    {                                                                                              \
        *unit_last = &suite_##_##name_##_test;                                                     \
        unit_last = &suite_##_##name_##_test.next;                                                 \
    }                                                                                              \
    static void suite_##_##name_##_body(void)

// What the tests of a suite have in common, where they do not say.
#define TestSuite(suite_, ...)                                                                     \
    static struct unit_test suite_##_suite = {.suite = #suite_, __VA_ARGS__};                      \
    __attribute__((constructor)) static void suite_##_suite_add(void)                              \
    {                                                                                              \
        suite_##_suite.next = unit_suites;                                                         \
        unit_suites = &suite_##_suite;                                                             \
    }                                                                                              \
    struct unit_test

// Every assertion takes an optional printf format, a literal, and its arguments.
#define UNIT_CHECK(fatal, ok, what, ...)                                                           \
    unit_check((ok), (fatal), __FILE__, __LINE__, (what), " " __VA_ARGS__)

#define cr_assert(c, ...) UNIT_CHECK(true, (c), #c, __VA_ARGS__)
#define cr_assert_not(c, ...) UNIT_CHECK(true, !(c), "!(" #c ")", __VA_ARGS__)
#define cr_assert_eq(a, b, ...) UNIT_CHECK(true, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) UNIT_CHECK(true, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) UNIT_CHECK(true, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) UNIT_CHECK(true, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) UNIT_CHECK(true, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) UNIT_CHECK(true, (a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_null(p, ...) UNIT_CHECK(true, (p) == NULL, #p " == NULL", __VA_ARGS__)
#define cr_assert_not_null(p, ...) UNIT_CHECK(true, (p) != NULL, #p " != NULL", __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)                                                                \
    UNIT_CHECK(true, strcmp((a), (b)) == 0, #a " == " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)                                                               \
    UNIT_CHECK(true, strcmp((a), (b)) != 0, #a " != " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...)                                                          \
    UNIT_CHECK(true, memcmp((a), (b), (size)) == 0, #a " == " #b, __VA_ARGS__)
#define cr_assert_fail(...) UNIT_CHECK(true, false, "cr_assert_fail", __VA_ARGS__)

#define cr_expect(c, ...) UNIT_CHECK(false, (c), #c, __VA_ARGS__)
#define cr_expect_not(c, ...) UNIT_CHECK(false, !(c), "!(" #c ")", __VA_ARGS__)
#define cr_expect_eq(a, b, ...) UNIT_CHECK(false, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) UNIT_CHECK(false, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) UNIT_CHECK(false, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) UNIT_CHECK(false, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) UNIT_CHECK(false, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) UNIT_CHECK(false, (a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_expect_null(p, ...) UNIT_CHECK(false, (p) == NULL, #p " == NULL", __VA_ARGS__)
#define cr_expect_not_null(p, ...) UNIT_CHECK(false, (p) != NULL, #p " != NULL", __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)                                                                \
    UNIT_CHECK(false, strcmp((a), (b)) == 0, #a " == " #b, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)                                                               \
    UNIT_CHECK(false, strcmp((a), (b)) != 0, #a " != " #b, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, size, ...)                                                          \
    UNIT_CHECK(false, memcmp((a), (b), (size)) == 0, #a " == " #b, __VA_ARGS__)
#define cr_expect_fail(...) UNIT_CHECK(false, false, "cr_expect_fail", __VA_ARGS__)

#define cr_log_info(...) (fprintf(stderr, "    " __VA_ARGS__), fputc('\n', stderr))

#define cr_skip_test(...)                                                                          \
    do {                                                                                           \
        fprintf(stderr, "    skipped: " __VA_ARGS__);                                              \
        fputc('\n', stderr);                                                                       \
        unit_skipping = true;                                                                      \
        unit_abort_test();                                                                         \
    } while (0)

static void unit_on_alarm(int number)
{
    (void)number;
    static const char text[] = ": timed out, the program ends\n";
    const char *parts[] = {unit_current->suite, "::", unit_current->name, text};
    for (size_t i = 0; i < 4; i++) {
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0) {
            break;
        }
    }
    abort();
}

// A function of its own, so that no local variable lives across the longjmp.
static void unit_call(void (*function)(void))
{
    if (function && setjmp(unit_end_of_test) == 0) {
        function();
    }
}

static void unit_inherit(struct unit_test *test)
{
    for (const struct unit_test *suite = unit_suites; suite; suite = suite->next) {
        if (strcmp(suite->suite, test->suite) == 0) {
            test->init = test->init ? test->init : suite->init;
            test->fini = test->fini ? test->fini : suite->fini;
            test->timeout = test->timeout > 0 ? test->timeout : suite->timeout;
            test->disabled |= suite->disabled;
        }
    }
}

static enum unit_outcome unit_run(struct unit_test *test)
{
    unit_current = test;
    unit_inherit(test);
    unit_skipping = test->disabled || test->signal != 0 || test->exit_code != 0;
    __atomic_store_n(&unit_failures, 0, __ATOMIC_SEQ_CST);
    if (unit_skipping) {
        return UNIT_SKIPPED;
    }

    unsigned seconds = test->timeout > 0 ? (unsigned)(test->timeout + 0.999) : 0;
    alarm(seconds ? seconds : UNIT_DEFAULT_TIMEOUT_S);
    unit_call(test->init);
    if (!unit_skipping && __atomic_load_n(&unit_failures, __ATOMIC_SEQ_CST) == 0) {
        unit_call(test->run);
    }
    unit_call(test->fini);
    alarm(0);
    if (__atomic_load_n(&unit_failures, __ATOMIC_SEQ_CST) != 0) {
        return UNIT_FAILED;
    }
    return unit_skipping ? UNIT_SKIPPED : UNIT_PASSED;
}

static void unit_report(FILE *to, enum unit_outcome outcome)
{
    static const char *const before[] = {"ok", "not ok", "ok"};
    static const char *const after[] = {"", "", " # SKIP"};
    fprintf(to, "%s - %s::%s%s\n", before[outcome], unit_current->suite, unit_current->name,
            after[outcome]);
    fflush(to); // what ran is known even when the next test takes the program down
}

int main(int argc, char **argv)
{
    static const char tap_option[] = "--tap=";
    FILE *tap = NULL;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], tap_option, strlen(tap_option)) == 0) {
            tap = fopen(argv[i] + strlen(tap_option), "w");
        }
    }
    unit_main_thread = pthread_self();
    signal(SIGALRM, unit_on_alarm);

    int total = 0, failed = 0;
    for (struct unit_test *test = unit_first; test; test = test->next) {
        total++;
    }
    if (tap) {
        fprintf(tap, "1..%d\n", total);
    }
    for (struct unit_test *test = unit_first; test; test = test->next) {
        enum unit_outcome outcome = unit_run(test);
        failed += outcome == UNIT_FAILED;
        unit_report(stderr, outcome);
        if (tap) {
            unit_report(tap, outcome);
        }
    }
    if (tap) {
        fclose(tap);
    }
    return failed ? 1 : 0;
}

#endif // FKL_PLAIN_MAIN

#endif
