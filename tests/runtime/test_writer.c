// SPDX-License-Identifier: Apache-2.0
//
// The writer: each call is one piece, which is cut when it is too long.
#include "support/text.h"
#include "support/unit.h"

#include "writer.h"

#include <string.h>

Test(writer, formats_one_piece_after_the_other)
{
    struct text out = {0};
    fkli_writer to = {text_append, &out};
    fkli_print(&to, "%d and ", 7);
    fkli_print(&to, "%s", "eight");
    cr_assert_str_eq(out.bytes, "7 and eight");
    free(out.bytes);
}

Test(writer, cuts_a_piece_that_is_too_long)
{
    struct text out = {0};
    fkli_writer to = {text_append, &out};
    fkli_print(&to, "%300d", 1);
    cr_assert_eq(out.len, 255);
    free(out.bytes);
}

Test(writer, is_not_called_for_nothing)
{
    struct text out = {0};
    fkli_writer to = {text_append, &out};
    fkli_print(&to, "%s", "");
    cr_assert_null(out.bytes);
}
