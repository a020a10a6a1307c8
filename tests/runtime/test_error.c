// SPDX-License-Identifier: Apache-2.0
//
// The error table: every error has a name, a text and, in docs/errors.md, a line; numbers outside
// the table are answered as well.
#include "support/rig.h"

#include <stdio.h>

Test(error, every_error_has_its_own_name)
{
    for (int i = 0; i < FKL_ERR_COUNT; i++) {
        const char *name = fkl_err_name((fkl_err)i);
        cr_assert_not_null(name);
        cr_assert_eq(strncmp(name, "FKL_", 4), 0, "%s", name);
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(name, fkl_err_name((fkl_err)j));
        }
    }
    cr_assert_str_eq(fkl_err_name(FKL_OK), "FKL_OK");
    cr_assert_str_eq(fkl_err_name(FKL_EDEADLK), "FKL_EDEADLK");
    cr_assert_str_eq(fkl_err_name(FKL_EOS), "FKL_EOS");
}

Test(error, every_error_has_its_own_text)
{
    for (int i = 0; i < FKL_ERR_COUNT; i++) {
        cr_assert_not_null(fkl_strerror((fkl_err)i));
        cr_assert_str_neq(fkl_strerror((fkl_err)i), "unknown error");
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(fkl_strerror((fkl_err)i), fkl_strerror((fkl_err)j));
        }
    }
    cr_assert_str_eq(fkl_strerror(FKL_ENOMEM), "out of memory");
}

Test(error, success_is_zero_and_the_order_is_the_tables)
{
    cr_assert_eq(FKL_OK, 0);
#define CHECK(name, text)                                                                          \
    cr_assert_str_eq(fkl_err_name(FKL_##name), "FKL_" #name);                                      \
    cr_assert_str_eq(fkl_strerror(FKL_##name), text);
    FKL_ERRORS(CHECK)
#undef CHECK
}

Test(error, a_number_outside_the_table_is_an_unknown_error)
{
    int outside[] = {-1, FKL_ERR_COUNT, FKL_ERR_COUNT + 1, 1 << 30, INT32_MIN};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        cr_assert_str_eq(fkl_strerror((fkl_err)outside[i]), "unknown error");
        cr_assert_not_null(fkl_err_name((fkl_err)outside[i]));
        cr_assert_eq(strstr(fkl_err_name((fkl_err)outside[i]), "FKL_E"), NULL);
    }
}

// Tests run in the checkout. .ci/errors.sh writes the file anew.
Test(error, the_documentation_lists_exactly_the_table)
{
    FILE *file = fopen("docs/errors.md", "r");
    if (!file) {
        cr_skip_test("docs/errors.md is not below the working directory");
    }
    char line[512];
    int rows = 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "| `FKL_", 7) != 0) {
            continue;
        }
        char expected[512];
        cr_assert_lt(rows, FKL_ERR_COUNT, "docs/errors.md has a line too many: %s", line);
        fkl_err err = (fkl_err)rows;
        snprintf(expected, sizeof expected, "| `%s` | %d | %s |\n", fkl_err_name(err), rows,
                 fkl_strerror(err));
        cr_assert_str_eq(line, expected);
        rows++;
    }
    fclose(file);
    cr_assert_eq(rows, FKL_ERR_COUNT);
}
