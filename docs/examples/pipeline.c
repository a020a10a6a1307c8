// SPDX-License-Identifier: Apache-2.0
//
// The most frequent words of a text, by a pipeline that mixes both kinds of actors:
//
//      reader -> parsers -> counters -> writer
//
// The reader and the writer are thread actors, since they wait: for the disk, for the terminal. The
// parsers and counters are pooled: there can be as many as one likes, and they share the machine's
// cores. The parsers' mailboxes are bounded, so a reader that is faster than they are has to wait,
// and memory stays small however long the text is. Each word goes to the counter that its hash
// names, so no two counters share anything.
//
// The end goes down the pipe by draining: who drains an actor lets it finish what it has.
//
// Usage: pipeline [FILE]
#include <forkless/forkless.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARSERS = 8, COUNTERS = 4, PLACES = 16, LONGEST_WORD = 31, SHOWN = 5, TABLE_SIZE = 4096 };

struct entry {
    char word[LONGEST_WORD + 1];
    unsigned count;
};

// A counter's own: a hash table without deletion.
struct table {
    size_t used;
    struct entry entries[TABLE_SIZE];
};

struct pipeline {
    FILE *file;
    fkl_actor *parsers[PARSERS];
    fkl_actor *counters[COUNTERS];
    fkl_actor *writer;
};

// A real program would do better than to exit.
static void check(fkl_err err, const char *doing)
{
    if (err != FKL_OK) {
        fprintf(stderr, "pipeline: %s failed, because %s\n", doing, fkl_strerror(err));
        exit(1);
    }
}

static fkl_msg *message(const void *data, size_t len)
{
    fkl_msg *msg;
    check(fkl_msg_create_copy(fkl_actor_runtime(fkl_self()), FKL_CODEC_RAW, data, len, &msg),
          "making a message");
    return msg;
}

static unsigned hash(const char *word)
{
    unsigned value = 2166136261u; // FNV-1a
    for (; *word; word++)
        value = (value ^ (unsigned char)*word) * 16777619u;
    return value;
}

// ---- the reader, a thread

static void read_lines(fkl_actor *self, void *arg)
{
    (void)self;
    struct pipeline *pipe = arg;
    char line[1024];
    for (size_t n = 0; fgets(line, sizeof line, pipe->file); n++) {
        // Waits while the parser has PLACES lines before it: this is the back-pressure.
        check(fkl_actor_send_until(pipe->parsers[n % PARSERS], message(line, strlen(line)),
                                   FKL_FOREVER),
              "sending a line");
    }
}

// ---- the parsers, pooled

static void send_word(struct pipeline *pipe, const char *word)
{
    fkl_actor *counter = pipe->counters[hash(word) % COUNTERS];
    check(fkl_actor_send(counter, message(word, strlen(word) + 1)), "sending a word");
}

static fkl_turn parse(fkl_actor *self, fkl_msg *line, void *state)
{
    (void)self;
    const char *text = fkl_msg_data(line);
    char word[LONGEST_WORD + 1];
    size_t len = 0;
    for (size_t i = 0; i <= fkl_msg_len(line); i++) {
        unsigned char byte = i < fkl_msg_len(line) ? (unsigned char)text[i] : ' ';
        if (isalpha(byte) && len < LONGEST_WORD) {
            word[len++] = (char)tolower(byte);
        } else if (len > 0) {
            word[len] = '\0';
            send_word(state, word);
            len = 0;
        }
    }
    fkl_msg_destroy(line);
    return FKL_TURN_CONTINUE;
}

// ---- the counters, pooled

static fkl_turn count(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    struct table *table = state;
    const char *word = fkl_msg_data(msg);
    size_t at = hash(word) / COUNTERS % TABLE_SIZE;
    while (table->entries[at].count && strcmp(table->entries[at].word, word) != 0)
        at = (at + 1) % TABLE_SIZE;
    if (table->entries[at].count++ == 0) {
        memcpy(table->entries[at].word, word, strlen(word) + 1);
        table->used++;
    }
    fkl_msg_destroy(msg);
    // A real program would grow the table.
    return table->used < TABLE_SIZE / 2 ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

// Runs when a drained counter has nothing left to count.
static void report(fkl_actor *self, void *state)
{
    struct pipeline *pipe = fkl_actor_data(self);
    check(fkl_actor_send(pipe->writer, message(state, sizeof(struct table))), "reporting");
    free(state);
}

// ---- the writer, a thread

static int by_count(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    return a->count == b->count ? strcmp(a->word, b->word) : a->count < b->count ? 1 : -1;
}

static void write_result(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    struct entry best[2 * SHOWN] = {0}; // the best so far, and those of one more counter
    unsigned words = 0;
    size_t different = 0;
    for (int reports = 0; reports < COUNTERS; reports++) {
        fkl_msg *msg;
        check(fkl_receive_until(FKL_FOREVER, &msg), "receiving a report");
        struct table *table = fkl_msg_data(msg);
        for (size_t i = 0; i < TABLE_SIZE; i++)
            words += table->entries[i].count;
        different += table->used;
        qsort(table->entries, TABLE_SIZE, sizeof table->entries[0], by_count);
        memcpy(best + SHOWN, table->entries, SHOWN * sizeof best[0]);
        qsort(best, 2 * SHOWN, sizeof best[0], by_count);
        fkl_msg_destroy(msg);
    }
    printf("%u words, %zu different ones; the most frequent:\n", words, different);
    for (int i = 0; i < SHOWN && best[i].count; i++)
        printf("%6u %s\n", best[i].count, best[i].word);
}

// ---- main

static void start(fkl_runtime *runtime, struct pipeline *pipe)
{
    fkl_behaviour parser = {.receive = parse};
    fkl_behaviour counter = {.receive = count, .finish = report};
    check(fkl_spawn(runtime, &(fkl_spawn_options){.name = "writer"}, write_result, NULL,
                    &pipe->writer),
          "spawning the writer");
    for (int i = 0; i < COUNTERS; i++) {
        fkl_spawn_options options = {.name = "counter", .data = pipe};
        void *table = calloc(1, sizeof(struct table));
        check(table ? FKL_OK : FKL_ENOMEM, "making a table");
        check(fkl_spawn_pooled(runtime, &options, &counter, table, &pipe->counters[i]),
              "spawning a counter");
    }
    for (int i = 0; i < PARSERS; i++) {
        fkl_spawn_options options = {
            .name = "parser", .mailbox_capacity = PLACES, .mailbox_full = FKL_FULL_WAIT};
        check(fkl_spawn_pooled(runtime, &options, &parser, pipe, &pipe->parsers[i]),
              "spawning a parser");
    }
}

static void join(fkl_actor *actor)
{
    check(fkl_actor_join_thread_until(actor, FKL_FOREVER), "joining");
    fkl_actor_release(actor);
}

// Lets each of a stage finish, and waits until all have.
static void finish(fkl_actor *stage[], int count)
{
    for (int i = 0; i < count; i++)
        fkl_actor_drain(stage[i]);
    for (int i = 0; i < count; i++)
        join(stage[i]);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "LICENSE";
    struct pipeline pipe = {.file = fopen(path, "r")};
    if (!pipe.file) {
        perror(path);
        return 1;
    }
    fkl_runtime *runtime;
    fkl_actor *reader;
    check(fkl_runtime_create(NULL, &runtime), "making the runtime");
    start(runtime, &pipe);
    check(fkl_spawn(runtime, &(fkl_spawn_options){.name = "reader"}, read_lines, &pipe, &reader),
          "spawning the reader");
    join(reader);
    finish(pipe.parsers, PARSERS);
    finish(pipe.counters, COUNTERS);
    join(pipe.writer);
    fclose(pipe.file);
    check(fkl_runtime_shutdown(runtime, fkl_after_ms(10000)), "shutting down");
    check(fkl_runtime_destroy(runtime), "destroying the runtime");
    return 0;
}
