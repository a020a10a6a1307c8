// SPDX-License-Identifier: Apache-2.0
//
// A key-value server on a TCP socket that survives the failure of its store:
//
//      supervisor "kv" ── store            a pooled actor with the name "store"
//                     └── clients          a supervisor: one thread actor for each connection
//
// A connection reads lines (SET key value, GET key, DEL key, FAIL, QUIT) and asks the store. FAIL
// makes the store fail with requests in flight: they fail too, at once, and are reported to the
// client; the supervisor starts the store again, empty, under the same name.
//
// Usage: kv_server PORT     serves on 127.0.0.1 until it is interrupted
//        kv_server          talks to itself on some free port, and shows what was said
#include <forkless/forkless.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEYS = 256, LINE = 256 };

static void check(fkl_err err, const char *doing)
{
    if (err != FKL_OK) {
        fprintf(stderr, "kv_server: %s failed, because %s\n", doing, fkl_strerror(err));
        exit(1);
    }
}

static void check_os(int result, const char *doing)
{
    if (result < 0) {
        perror(doing);
        exit(1);
    }
}

static fkl_msg *text_message(const char *text)
{
    fkl_msg *msg;
    fkl_runtime *runtime = fkl_actor_runtime(fkl_self());
    check(fkl_msg_create_copy(runtime, FKL_CODEC_RAW, text, strlen(text) + 1, &msg),
          "making a message");
    return msg;
}

// ---- the store

struct pair {
    char key[LINE];
    char value[LINE];
};

struct store {
    size_t count;
    struct pair pairs[KEYS];
};

// Each incarnation begins with a table of its own.
static fkl_err make_store(void *arg, void **state)
{
    (void)arg;
    *state = calloc(1, sizeof(struct store));
    return *state ? FKL_OK : FKL_ENOMEM;
}

static void discard_store(void *arg, void *state)
{
    (void)arg;
    free(state);
}

static void free_store(fkl_actor *self, void *state)
{
    (void)self;
    free(state);
}

static struct pair *find(struct store *store, const char *key)
{
    for (size_t i = 0; i < store->count; i++) {
        if (strcmp(store->pairs[i].key, key) == 0)
            return &store->pairs[i];
    }
    return NULL;
}

static const char *set(struct store *store, const char *key, const char *value)
{
    struct pair *pair = find(store, key);
    if (!pair && store->count == KEYS)
        return "ERR the store is full";
    if (!pair)
        pair = &store->pairs[store->count++];
    snprintf(pair->key, sizeof pair->key, "%s", key);
    snprintf(pair->value, sizeof pair->value, "%s", value);
    return "OK";
}

static const char *delete (struct store *store, const char *key)
{
    struct pair *pair = find(store, key);
    if (!pair)
        return "NONE";
    *pair = store->pairs[--store->count];
    return "OK";
}

static const char *answer(struct store *store, char *line)
{
    char *rest;
    const char *verb = strtok_r(line, " ", &rest);
    const char *key = strtok_r(NULL, " ", &rest);
    const char *value = strtok_r(NULL, "", &rest);
    if (verb && key && value && strcmp(verb, "SET") == 0)
        return set(store, key, value);
    if (verb && key && strcmp(verb, "GET") == 0) {
        const struct pair *pair = find(store, key);
        return pair ? pair->value : "NONE";
    }
    if (verb && key && strcmp(verb, "DEL") == 0)
        return delete (store, key);
    return "ERR what?";
}

static fkl_turn serve_store(fkl_actor *self, fkl_msg *msg, void *state)
{
    char *line = fkl_msg_data(msg);
    bool fails = strcmp(line, "FAIL") == 0;
    if (fails) {
        fkl_failure failure = {.type = "asked_to_fail", .message = line};
        check(fkl_actor_fail(self, &failure), "failing");
    } else {
        fkl_msg *reply = text_message(answer(state, line));
        if (fkl_reply(msg, reply) != FKL_OK)
            fkl_msg_destroy(reply); // who asked has gone
    }
    fkl_msg_destroy(msg); // without an answer its asker gets FKL_ENOREPLY
    return fails ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

// ---- connections

static void ask_store(char *line, FILE *socket)
{
    fkl_runtime *runtime = fkl_actor_runtime(fkl_self());
    fkl_actor_id store;
    fkl_msg *reply = NULL;
    fkl_err err = fkl_whereis(runtime, "store", &store);
    if (!err)
        err = fkl_ask_until(runtime, store, text_message(line), fkl_after_ms(60000), &reply);
    fprintf(socket, "%s%s\n", err ? "ERR " : "",
            err ? fkl_strerror(err) : (char *)fkl_msg_data(reply));
    fflush(socket);
    fkl_msg_destroy(reply);
}

static void serve_connection(fkl_actor *self, void *arg)
{
    (void)self;
    char line[LINE];
    FILE *socket = fdopen((int)(intptr_t)arg, "r+");
    if (!socket)
        return;
    while (fgets(line, sizeof line, socket)) {
        line[strcspn(line, "\r\n")] = '\0';
        fflush(socket); // from reading to writing
        if (strcmp(line, "QUIT") == 0)
            break;
        ask_store(line, socket);
    }
    fclose(socket);
}

static void accept_connection(fkl_actor *clients, int connection)
{
    fkl_child_spec spec = {
        .spawn = {.name = "connection", .data = (void *)(intptr_t)connection},
        .fn = serve_connection,
        .arg = (void *)(intptr_t)connection,
        .restart = FKL_RESTART_TEMPORARY,
    };
    fkl_err err = fkl_supervisor_add_until(clients, &spec, fkl_after_ms(60000), NULL);
    if (err) {
        fprintf(stderr, "kv_server: a connection is refused: %s\n", fkl_strerror(err));
        close(connection);
    }
}

// Connections wait in the system, which knows nothing of requests to stop: this ends their reading.
static void hang_up(fkl_actor *clients)
{
    fkl_child_info rows[64];
    size_t count;
    check(fkl_supervisor_children(clients, 0, rows, 64, &count), "looking at the clients");
    for (size_t i = 0; i < count && i < 64; i++) {
        fkl_actor *connection;
        if (fkl_actor_find(fkl_actor_runtime(clients), rows[i].actor, &connection) == FKL_OK) {
            shutdown((int)(intptr_t)fkl_actor_data(connection), SHUT_RDWR);
            fkl_actor_release(connection);
        }
    }
}

// ---- the server

static fkl_actor *start(fkl_runtime *runtime)
{
    static const fkl_behaviour store = {.receive = serve_store, .finish = free_store};
    static const fkl_supervisor_options clients = {.stop_together = true};
    const fkl_child_spec children[] = {
        {.id = "store",
         .spawn = {.register_as = "store"},
         .behaviour = &store,
         .prepare = make_store,
         .discard = discard_store},
        {.id = "clients", .supervisor = &clients},
    };
    fkl_supervisor_options options = {.children = children, .child_count = 2};
    fkl_spawn_options spawn = {.name = "kv"};
    fkl_start_failure failure;
    fkl_actor *supervisor;
    fkl_err err = fkl_supervisor_start_until(runtime, &spawn, &options, fkl_after_ms(60000),
                                             &supervisor, &failure);
    if (err)
        fprintf(stderr, "kv_server: could not start %s\n", failure.child);
    check(err, "starting");
    return supervisor;
}

static int listen_on(int port, int *actual)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof address;
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check_os(fd, "socket");
    check_os(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "setsockopt");
    check_os(bind(fd, (struct sockaddr *)&address, len), "bind");
    check_os(listen(fd, 16), "listen");
    check_os(getsockname(fd, (struct sockaddr *)&address, &len), "getsockname");
    *actual = ntohs(address.sin_port);
    return fd;
}

static int listener = -1;

static void interrupt(int signal_number)
{
    (void)signal_number;
    shutdown(listener, SHUT_RDWR); // ends accept(); may be called in a signal handler
}

static void serve(fkl_runtime *runtime)
{
    fkl_actor *supervisor = start(runtime);
    fkl_child_info info;
    fkl_actor *clients;
    check(fkl_supervisor_find(supervisor, "clients", &info), "finding the clients");
    check(fkl_actor_find(runtime, info.actor, &clients), "finding the clients");
    int connection;
    while ((connection = accept(listener, NULL, NULL)) >= 0)
        accept_connection(clients, connection);
    hang_up(clients);
    fkl_actor_release(clients);
    // The supervisor ends its children, last one first, and then itself.
    fkl_actor_stop(supervisor);
    check(fkl_actor_join_thread_until(supervisor, fkl_after_ms(60000)), "stopping");
    fkl_actor_release(supervisor);
}

// ---- a client, to show it

static void say(FILE *server, const char *line, char *reply)
{
    fprintf(server, "%s\n", line);
    fflush(server);
    if (!fgets(reply, LINE, server))
        snprintf(reply, LINE, "(hung up)\n");
    fflush(server);
}

static void show(FILE *server, const char *line)
{
    char reply[LINE];
    say(server, line, reply);
    printf("%-22s %s", line, reply);
}

static void talk(fkl_actor *self, void *arg)
{
    (void)self;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*(uint16_t *)arg)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check_os(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
    FILE *server = fdopen(fd, "r+");
    check(server ? FKL_OK : FKL_ENOMEM, "opening a stream");
    show(server, "SET colour deep blue");
    show(server, "GET colour");
    show(server, "DEL colour");
    show(server, "GET colour");
    show(server, "SET shape round");
    show(server, "FAIL");
    // Until the supervisor has started another store.
    char reply[LINE];
    do {
        say(server, "GET shape", reply);
    } while (strncmp(reply, "ERR", 3) == 0);
    printf("%-22s %s", "GET shape", reply);
    show(server, "SET shape square");
    show(server, "GET shape");
    fclose(server);
    interrupt(SIGINT);
}

int main(int argc, char **argv)
{
    int port;
    uint16_t talk_to;
    fkl_runtime *runtime;
    signal(SIGPIPE, SIG_IGN);
    listener = listen_on(argc > 1 ? atoi(argv[1]) : 0, &port);
    talk_to = (uint16_t)port;
    check(fkl_runtime_create(NULL, &runtime), "making the runtime");
    if (argc > 1) {
        signal(SIGINT, interrupt);
        printf("serving on 127.0.0.1:%d\n", port);
        fflush(stdout);
    } else {
        check(fkl_spawn(runtime, &(fkl_spawn_options){.name = "client"}, talk, &talk_to, NULL),
              "starting a client");
    }
    serve(runtime);
    close(listener);
    check(fkl_runtime_shutdown(runtime, fkl_after_ms(10000)), "shutting down");
    check(fkl_runtime_destroy(runtime), "destroying the runtime");
    return 0;
}
