// SPDX-License-Identifier: Apache-2.0
//
// Where an element of a growing array lies that must not move: chunk n holds FKLI_FIRST_CHUNK << n
// elements, so a directory of a fixed size reaches them all, and growing only adds a chunk.
#ifndef FKLI_CHUNKS_H
#define FKLI_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#define FKLI_FIRST_CHUNK 64u // 1 << FKLI_FIRST_CHUNK_BITS
#define FKLI_FIRST_CHUNK_BITS 6u
// As many as a 32-bit index reaches.
#define FKLI_CHUNKS 26

static inline size_t fkli_chunk_len(unsigned chunk)
{
    return (size_t)FKLI_FIRST_CHUNK << chunk;
}

// Elements in the first `count` chunks.
static inline size_t fkli_chunks_len(unsigned count)
{
    return fkli_chunk_len(count) - FKLI_FIRST_CHUNK;
}

// Which chunk an element is in, and where.
static inline unsigned fkli_chunk_of(uint64_t index, size_t *offset)
{
    uint64_t position = index + FKLI_FIRST_CHUNK;
    unsigned chunk = 63u - (unsigned)__builtin_clzll(position) - FKLI_FIRST_CHUNK_BITS;
    *offset = (size_t)(position - fkli_chunk_len(chunk));
    return chunk;
}

#endif
