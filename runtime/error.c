// SPDX-License-Identifier: Apache-2.0
//
// The texts and names of the error table. Any thread runs this; there is no state.

#include <forkless/error.h>

#define TEXT(name, text) text,
#define NAME(name, text) "FKL_" #name,

static const char *const texts[] = {FKL_ERRORS(TEXT)};
static const char *const names[] = {FKL_ERRORS(NAME)};

// The number comes from outside and may be anything, negative too.
static bool is_known(fkl_err err)
{
    return (unsigned int)err < (unsigned int)FKL_ERR_COUNT;
}

const char *fkl_strerror(fkl_err err)
{
    return is_known(err) ? texts[err] : "unknown error";
}

const char *fkl_err_name(fkl_err err)
{
    return is_known(err) ? names[err] : "unknown error";
}
