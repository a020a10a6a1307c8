// SPDX-License-Identifier: Apache-2.0
//
// Counts lines, words and bytes of a file, as `wc` does, with several actors:
//
//      main -> boss -> a channel with few places -> workers -> the boss's mailbox
//
// The boss cuts the file into chunks and puts them into the channel. It waits whenever the workers
// are behind, so that memory stays small however long the file is. Each worker sends what it has
// counted as a msgpack message. The boss monitors the workers, so it learns how each one ended, and
// replaces one that failed; to show that, the first worker fails on purpose.
//
// Usage: word_count [FILE]
#include <forkless/forkless.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 3, CHUNK_BYTES = 1024, PLACES = 4 };

struct counts {
    int64_t lines, words, bytes;
};

// What the actors share. The boss alone writes to it, and main reads it when the boss has ended.
struct job {
    FILE *file;
    fkl_channel *chunks;
    fkl_actor *boss;
    struct counts total;
};

// Every function that can fail returns an fkl_err. A real program would do better than to exit.
static void check(fkl_err err, const char *doing)
{
    if (err != FKL_OK) {
        fprintf(stderr, "word_count: %s failed, because %s\n", doing, fkl_strerror(err));
        exit(1);
    }
}

// ---- the workers

static void count_chunk(const char *text, size_t len, struct counts *counts)
{
    for (size_t i = 0; i < len; i++) {
        bool first = i == 0 || isspace((unsigned char)text[i - 1]);
        counts->words += first && !isspace((unsigned char)text[i]);
        counts->lines += text[i] == '\n';
    }
    counts->bytes += (int64_t)len;
}

static void pack_pair(fkl_packer *packer, const char *key, int64_t value)
{
    fkl_pack_cstr(packer, key);
    fkl_pack_int(packer, value);
}

// A msgpack map, which a program in any language could read.
static fkl_msg *pack_counts(fkl_runtime *runtime, const struct counts *counts)
{
    fkl_packer *packer;
    fkl_msg *msg;
    check(fkl_packer_create(runtime, &packer), "making a packer");
    fkl_pack_map(packer, 3);
    pack_pair(packer, "lines", counts->lines);
    pack_pair(packer, "words", counts->words);
    pack_pair(packer, "bytes", counts->bytes);
    // The calls above need no checks of their own: the packer remembers the first failure.
    check(fkl_packer_finish(packer, &msg), "packing");
    fkl_packer_destroy(packer);
    return msg;
}

static void worker(fkl_actor *self, void *arg)
{
    struct job *job = arg;
    struct counts counts = {0};
    fkl_msg *chunk;
    if (strcmp(fkl_actor_name(self), "clumsy") == 0) {
        check(fkl_actor_set_exit(self, 3, NULL, 0), "setting the exit code");
        return;
    }
    // Until the channel is closed and empty, or somebody asks this actor to stop.
    while (fkl_channel_receive_until(job->chunks, FKL_FOREVER, &chunk) == FKL_OK) {
        count_chunk(fkl_msg_data(chunk), fkl_msg_len(chunk), &counts);
        fkl_msg_destroy(chunk); // who receives a message owns it
    }
    fkl_msg *result = pack_counts(fkl_actor_runtime(self), &counts);
    if (fkl_actor_send(job->boss, result) != FKL_OK)
        fkl_msg_destroy(result);
}

// ---- the boss

static void hire(struct job *job, const char *name)
{
    fkl_spawn_options options = {.name = name};
    fkl_actor *actor;
    fkl_monitor_ref ref;
    check(fkl_spawn(fkl_actor_runtime(job->boss), &options, worker, job, &actor), "spawning");
    // It may be dead by now; then the message comes at once.
    check(fkl_monitor(fkl_actor_get_id(actor), &ref), "monitoring");
    fkl_actor_release(actor); // we know it by its monitor from now on
}

// Sends the file chunk by chunk, each cut behind white space so that no word is torn.
static void send_chunks(struct job *job)
{
    char text[CHUNK_BYTES];
    size_t len = 0;
    while ((len += fread(text + len, 1, sizeof text - len, job->file)) > 0) {
        size_t cut = len;
        while (cut > 0 && !feof(job->file) && !isspace((unsigned char)text[cut - 1]))
            cut--;
        cut = cut ? cut : len; // a single word longer than the chunk
        fkl_msg *chunk;
        check(fkl_msg_create_copy(fkl_actor_runtime(job->boss), FKL_CODEC_RAW, text, cut, &chunk),
              "making a message");
        // Blocks while all places are taken: this is the back-pressure.
        check(fkl_channel_send_until(job->chunks, chunk, FKL_FOREVER), "sending a chunk");
        memmove(text, text + cut, len - cut);
        len -= cut;
    }
}

static void add_result(fkl_msg *msg, struct counts *total)
{
    struct counts part;
    fkl_document *document;
    // Decoding checks the whole message before anything is read from it.
    check(fkl_decode(NULL, fkl_msg_data(msg), fkl_msg_len(msg), &document), "decoding");
    const fkl_value *map = fkl_document_root(document);
    check(fkl_value_int(fkl_value_get(map, "lines"), &part.lines), "reading lines");
    check(fkl_value_int(fkl_value_get(map, "words"), &part.words), "reading words");
    check(fkl_value_int(fkl_value_get(map, "bytes"), &part.bytes), "reading bytes");
    fkl_document_destroy(document);
    fkl_msg_destroy(msg);
    total->lines += part.lines;
    total->words += part.words;
    total->bytes += part.bytes;
}

// Reads the message that the runtime sent when a worker ended.
static bool replace_if_failed(struct job *job, fkl_msg *msg)
{
    fkl_monitor_ref ref;
    fkl_exit record;
    bool known;
    check(fkl_msg_down(msg, &ref, &record, &known), "reading an exit record");
    fkl_msg_destroy(msg);
    if (record.reason == FKL_EXIT_NORMAL)
        return false;
    printf("a worker failed with code %d and is replaced\n", (int)record.code);
    hire(job, "spare");
    return true;
}

static void boss(fkl_actor *self, void *arg)
{
    struct job *job = arg;
    job->boss = self;
    hire(job, "clumsy");
    for (int i = 1; i < WORKERS; i++)
        hire(job, "worker");
    send_chunks(job);
    fkl_channel_close(job->chunks); // the workers empty it, report, and end
    fkl_msg *msg;
    for (int at_work = WORKERS; at_work > 0;) {
        check(fkl_receive_until(FKL_FOREVER, &msg), "receiving");
        if (fkl_msg_get_kind(msg) == FKL_MSG_USER) {
            add_result(msg, &job->total);
        } else if (!replace_if_failed(job, msg)) {
            at_work--;
        }
    }
    // Messages about deaths pass those of users, so some results may still be waiting.
    while (fkl_try_receive(&msg) == FKL_OK)
        add_result(msg, &job->total);
}

// ---- main

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "LICENSE";
    struct job job = {.file = fopen(path, "rb")};
    if (!job.file) {
        perror(path);
        return 1;
    }
    fkl_runtime *runtime;
    fkl_actor *actor;
    fkl_exit record;
    check(fkl_runtime_create(NULL, &runtime), "making the runtime");
    check(fkl_channel_create(runtime, PLACES, &job.chunks), "making the channel");
    check(fkl_spawn(runtime, &(fkl_spawn_options){.name = "boss"}, boss, &job, &actor), "spawning");
    check(fkl_actor_join_until(actor, FKL_FOREVER, &record), "joining the boss");
    fkl_actor_release(actor);
    fkl_channel_release(job.chunks);
    fclose(job.file);
    // Nobody is left; were somebody stuck, fkl_runtime_running() would name him.
    check(fkl_runtime_shutdown(runtime, fkl_after_ms(10000)), "shutting down");
    check(fkl_runtime_destroy(runtime), "destroying the runtime");
    struct counts *total = &job.total;
    printf("%d lines, %d words, %d bytes\n", (int)total->lines, (int)total->words,
           (int)total->bytes);
    return 0;
}
