// SPDX-License-Identifier: Apache-2.0
//
// A chat: rooms are groups, and what is said in a room is published to all who are in it. Whispers
// go to one person by name. Each person is a pooled actor with a transcript of what it heard; who
// quits, or falls out of the window, has left all rooms in the same moment.
//
// It reads a script of lines from a file, or plays one of its own:
//
//      anna enters                         anna joins garden
//      anna says garden hello, everybody   anna whispers bert psst
//      anna leaves garden                  anna quits
//
// Usage: chat [SCRIPT]
#include <forkless/forkless.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const own_script[] = {
    "anna enters",
    "bert enters",
    "carl enters",
    "anna joins garden",
    "bert joins garden",
    "bert joins kitchen",
    "carl joins kitchen",
    "anna says garden who is here?",
    "bert says garden I am",
    "bert says kitchen dinner is ready",
    "carl whispers anna come to the kitchen",
    "anna joins kitchen",
    "anna says kitchen here I am",
    "bert quits",
    "carl says kitchen where is bert?",
    "carl whispers bert where are you?",
    "anna leaves kitchen",
    "carl says kitchen and anna?",
    "anna quits",
    "carl quits",
};

enum { PERSONS = 16, TRANSCRIPT = 4096 };

struct person {
    char name[32];
    fkl_actor *actor;
    size_t len;
    char heard[TRANSCRIPT];
};

struct chat {
    fkl_runtime *runtime;
    struct person persons[PERSONS];
    int count;
};

// A real program would do better than to exit.
static void check(fkl_err err, const char *doing)
{
    if (err != FKL_OK) {
        fprintf(stderr, "chat: %s failed, because %s\n", doing, fkl_strerror(err));
        exit(1);
    }
}

static fkl_msg *text_message(fkl_runtime *runtime, const char *text)
{
    fkl_msg *msg;
    check(fkl_msg_create_copy(runtime, FKL_CODEC_RAW, text, strlen(text) + 1, &msg),
          "making a message");
    return msg;
}

static void note(struct person *person, const char *line)
{
    size_t room = sizeof person->heard - person->len;
    int written = snprintf(person->heard + person->len, room, "    %s\n", line);
    if (written > 0 && (size_t)written < room)
        person->len += (size_t)written;
}

// ---- a person, who does what it is asked to and hears what others send

static void say(fkl_actor *self, struct person *person, const char *room, const char *words)
{
    char line[256];
    size_t count = 0;
    snprintf(line, sizeof line, "[%s] %s: %s", room, person->name, words);
    fkl_runtime *runtime = fkl_actor_runtime(self);
    check(fkl_group_publish(runtime, room, text_message(runtime, line), FKL_PUBLISH_OTHERS, &count),
          "publishing");
    snprintf(line, sizeof line, "[%s] I: %s (%zu heard it)", room, words, count);
    note(person, line);
}

static void whisper(fkl_actor *self, struct person *person, const char *to, const char *words)
{
    char line[256];
    snprintf(line, sizeof line, "%s whispers: %s", person->name, words);
    fkl_runtime *runtime = fkl_actor_runtime(self);
    fkl_msg *msg = text_message(runtime, line);
    fkl_err err = fkl_send_named(runtime, to, msg);
    if (err)
        fkl_msg_destroy(msg); // a failed send leaves the message with its sender
    snprintf(line, sizeof line, "I whisper to %s: %s%s", to, words, err ? " (nobody there)" : "");
    note(person, line);
}

static void act(fkl_actor *self, struct person *person, char *command)
{
    char *verb = strtok(command, " ");
    char *object = strtok(NULL, " ");
    char *words = strtok(NULL, "");
    if (!verb || !object)
        note(person, "I do not understand that");
    else if (strcmp(verb, "joins") == 0)
        check(fkl_group_join(self, object), "joining a room");
    else if (strcmp(verb, "leaves") == 0)
        (void)fkl_group_leave(self, object);
    else if (strcmp(verb, "says") == 0 && words)
        say(self, person, object, words);
    else if (strcmp(verb, "whispers") == 0 && words)
        whisper(self, person, object, words);
    else
        note(person, "I do not understand that");
}

static fkl_turn live(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct person *person = state;
    if (fkl_msg_wants_reply(msg)) {
        act(self, person, fkl_msg_data(msg));
        fkl_msg *done = text_message(fkl_actor_runtime(self), "done");
        if (fkl_reply(msg, done) != FKL_OK)
            fkl_msg_destroy(done);
    } else {
        note(person, fkl_msg_data(msg)); // shared by all who heard it: to be read, not written
    }
    fkl_msg_destroy(msg);
    return FKL_TURN_CONTINUE;
}

// ---- the script

static void enter(struct chat *chat, const char *name)
{
    check(chat->count < PERSONS ? FKL_OK : FKL_ELIMIT, "entering");
    struct person *person = &chat->persons[chat->count];
    snprintf(person->name, sizeof person->name, "%s", name);
    fkl_behaviour behaviour = {.receive = live};
    fkl_spawn_options options = {.name = name, .register_as = name};
    fkl_err err = fkl_spawn_pooled(chat->runtime, &options, &behaviour, person, &person->actor);
    if (err == FKL_EEXIST)
        printf("there is a %s already\n", name);
    else
        check(err, "entering");
    chat->count += !err;
}

// The person hears what has been said, and nothing more; it has left all rooms when it has ended.
static void quit(struct chat *chat, const char *name)
{
    for (int i = chat->count - 1; i >= 0; i--) {
        if (strcmp(chat->persons[i].name, name) == 0) {
            fkl_actor_drain(chat->persons[i].actor);
            check(fkl_actor_join_until(chat->persons[i].actor, fkl_after_ms(60000), NULL),
                  "quitting");
            return;
        }
    }
    printf("there is no %s\n", name);
}

// Asks the person to do it, and waits until it has.
static void play(struct chat *chat, const char *script_line)
{
    char line[256];
    snprintf(line, sizeof line, "%s", script_line);
    char *name = strtok(line, " \n");
    char *command = strtok(NULL, "\n");
    if (!name || !command)
        return;
    if (strcmp(command, "enters") == 0) {
        enter(chat, name);
        return;
    }
    if (strcmp(command, "quits") == 0) {
        quit(chat, name);
        return;
    }
    fkl_actor_id id;
    fkl_msg *done = NULL;
    fkl_err err = fkl_whereis(chat->runtime, name, &id);
    if (!err)
        err = fkl_ask_until(chat->runtime, id, text_message(chat->runtime, command),
                            fkl_after_ms(60000), &done);
    fkl_msg_destroy(done);
    if (err)
        printf("%s does not hear: %s\n", name, fkl_strerror(err));
}

static void play_file(struct chat *chat, const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(1);
    }
    while (fgets(line, sizeof line, file))
        play(chat, line);
    fclose(file);
}

int main(int argc, char **argv)
{
    static struct chat chat;
    check(fkl_runtime_create(NULL, &chat.runtime), "making the runtime");
    if (argc > 1) {
        play_file(&chat, argv[1]);
    } else {
        for (size_t i = 0; i < sizeof own_script / sizeof own_script[0]; i++)
            play(&chat, own_script[i]);
    }
    // Those who have not quit are stopped.
    check(fkl_runtime_shutdown(chat.runtime, fkl_after_ms(10000)), "shutting down");
    for (int i = 0; i < chat.count; i++) {
        printf("%s heard and said:\n%s", chat.persons[i].name, chat.persons[i].heard);
        fkl_actor_release(chat.persons[i].actor);
    }
    check(fkl_runtime_destroy(chat.runtime), "destroying the runtime");
    return 0;
}
