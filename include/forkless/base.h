// SPDX-License-Identifier: Apache-2.0
//
// What every public header needs: visibility, compiler attributes, the version, and the C++ guards.
#ifndef FORKLESS_BASE_H
#define FORKLESS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FKL_VERSION_MAJOR 0
#define FKL_VERSION_MINOR 1
#define FKL_VERSION_PATCH 0
#define FKL_VERSION "0.1.0"

#ifdef __cplusplus
#define FKL_BEGIN_DECLS extern "C" {
#define FKL_END_DECLS }
#else
#define FKL_BEGIN_DECLS
#define FKL_END_DECLS
#endif

#if defined(__GNUC__)
#define FKL_API __attribute__((visibility("default")))
#define FKL_MUST_CHECK __attribute__((warn_unused_result))
#else
#define FKL_API
#define FKL_MUST_CHECK
#endif

#endif
