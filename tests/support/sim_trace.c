// SPDX-License-Identifier: Apache-2.0
//
// Traces of simulated runs (see sim_trace.h). Used by the thread that has the baton.

#include "support/sim_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LENGTH = 1 << 14, // steps; what comes before is forgotten
    PLACES = 1 << 12  // that differ
};

typedef struct entry {
    uint32_t thread;
    const void *caller;
} entry;

typedef struct place {
    const void *caller;
    char text[80];
} place;

static const char *program;
static entry *entries;
static place *places;
static uint32_t place_count;
static uint32_t noted;

bool sim_trace_enable(const char *of_program)
{
    program = of_program;
    entries = calloc(LENGTH, sizeof *entries);
    places = calloc(PLACES, sizeof *places);
    return entries && places;
}

bool sim_trace_is_enabled(void)
{
    return entries != NULL;
}

void sim_trace_clear(void)
{
    noted = 0;
}

void sim_trace_note(uint32_t thread, const void *caller)
{
    entries[noted++ % LENGTH] = (entry){thread, caller};
}

// As addr2line counts, in a program that may be loaded anywhere. The address is the one to which
// the call returns, so the call is before it.
static size_t position_of(const void *caller)
{
    extern const char __executable_start[];
    return (size_t)((const char *)caller - __executable_start) - 1;
}

static place *place_of(const void *caller)
{
    for (uint32_t i = 0; i < place_count; ++i) {
        if (places[i].caller == caller)
            return &places[i];
    }
    if (place_count == PLACES)
        return NULL;
    place *made = &places[place_count++];
    made->caller = caller;
    snprintf(made->text, sizeof made->text, "0x%zx", position_of(caller));
    return made;
}

// One line for each place, then one for each function that it is inlined into. The first that is
// not of atomic.h says where the step is.
static void name_places(FILE *answer)
{
    char line[512];
    uint32_t at = 0;
    bool found = true;
    while (fgets(line, sizeof line, answer)) {
        line[strcspn(line, "\n")] = '\0';
        char *note = strstr(line, " (discriminator");
        if (note)
            *note = '\0';
        const char *inlined = strstr(line, "(inlined by) ");
        if (!inlined) {
            if (at == place_count)
                return;
            ++at;
            found = false;
        }
        if (found || strstr(line, "atomic.h:") || strstr(line, "??"))
            continue;
        found = true;
        const char *text = inlined ? inlined + strlen("(inlined by) ") : line;
        snprintf(places[at - 1].text, sizeof places[at - 1].text, "%.79s", text);
    }
}

static void ask_addr2line(void)
{
    enum { MARGIN = 24 };
    size_t size = strlen(program) + 64 + (size_t)place_count * MARGIN;
    char *command = malloc(size);
    if (!command)
        return;
    int len = snprintf(command, size, "addr2line -i -p -s -f -e '%s'", program);
    for (uint32_t i = 0; i < place_count; ++i)
        len += snprintf(command + len, size - (size_t)len, " 0x%zx", position_of(places[i].caller));
    FILE *answer = popen(command, "r");
    free(command);
    if (!answer)
        return;
    name_places(answer);
    pclose(answer);
}

void sim_trace_print(void)
{
    uint32_t first = noted > LENGTH ? noted - LENGTH : 0;
    for (uint32_t i = first; i < noted; ++i)
        place_of(entries[i % LENGTH].caller);
    fflush(stdout);
    ask_addr2line();
    for (uint32_t i = first; i < noted; ++i) {
        const place *at = place_of(entries[i % LENGTH].caller);
        printf("# %6u  thread %-3u %s\n", i + 1, entries[i % LENGTH].thread, at ? at->text : "?");
    }
}
