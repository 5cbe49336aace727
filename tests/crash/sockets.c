/*
 * Sockets fail: of the calls to ZeroMQ that a broker, a worker or a client makes on the way of one workflow the nth fails,
 * for every n until there is none of that number. Whoever it strikes goes on, or ends with an error and is started again;
 * the workflow has its receipt in the end.
 *
 *     sockets [-s STEP]
 *
 * Only every STEP-th n is tried. The functions of this file stand before those of the library.
 */
#include <dlfcn.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/shell.h"
#include "client/reel.h"
#include "tests/support/broker.h"
#include "worker/shell.h"

#define DEADLINE_MS 60000
#define EXIT_ERROR 3 /* with an error that says something */
#define EXIT_AGAIN 4 /* told to end, with something that the broker could not be told */

enum { BROKER, WORKER, CLIENT, WHO_COUNT };
static const char *const names[WHO_COUNT] = {"broker", "worker", "client"};

/* What the processes share. */
struct shared {
    uint64_t calls;
    uint64_t failed, ended; /* calls that failed; processes that ended for it */
};
static struct shared *shared;
static bool victim;       /* calls of this process are counted */
static uint64_t fails_at; /* the one of them that fails */
static char directory[64], endpoints[3][96];

static bool
fails (void)
{
    if (!victim || __atomic_add_fetch (&shared->calls, 1, __ATOMIC_RELAXED) != fails_at)
        return false;
    errno = ENOTSOCK;
    return true;
}

/* --- before the library ---------------------------------------------------------------------- */

#define REAL(name) ((__typeof__ (&name)) (uintptr_t) dlsym (RTLD_NEXT, #name))

void *
zmq_ctx_new (void)
{
    return fails () ? NULL : REAL (zmq_ctx_new) ();
}

void *
zmq_socket (void *context, int type)
{
    return fails () ? NULL : REAL (zmq_socket) (context, type);
}

int
zmq_bind (void *socket, const char *endpoint)
{
    return fails () ? -1 : REAL (zmq_bind) (socket, endpoint);
}

int
zmq_connect (void *socket, const char *endpoint)
{
    return fails () ? -1 : REAL (zmq_connect) (socket, endpoint);
}

int
zmq_setsockopt (void *socket, int option, const void *value, size_t len)
{
    return fails () ? -1 : REAL (zmq_setsockopt) (socket, option, value, len);
}

int
zmq_getsockopt (void *socket, int option, void *value, size_t *len)
{
    return fails () ? -1 : REAL (zmq_getsockopt) (socket, option, value, len);
}

int
zmq_msg_recv (zmq_msg_t *message, void *socket, int flags)
{
    return fails () ? -1 : REAL (zmq_msg_recv) (message, socket, flags);
}

int
zmq_send (void *socket, const void *bytes, size_t len, int flags)
{
    return fails () ? -1 : REAL (zmq_send) (socket, bytes, len, flags);
}

int
zmq_msg_send (zmq_msg_t *message, void *socket, int flags)
{
    return fails () ? -1 : REAL (zmq_msg_send) (message, socket, flags);
}

int
zmq_poll (zmq_pollitem_t *items, int count, long timeout)
{
    return fails () ? -1 : REAL (zmq_poll) (items, count, timeout);
}

/* --- the three ------------------------------------------------------------------------------- */

static int
code_of (enum reel_status status, const struct reel_error *err)
{
    if (status == REEL_OK)
        return EXIT_SUCCESS;
    if (status == REEL_AGAIN)
        return EXIT_AGAIN;
    return status == REEL_NO_MEMORY || err->message[0] != '\0' ? EXIT_ERROR : EXIT_FAILURE;
}

static int
be_broker (void)
{
    struct reel_shell_setup setup = {.client = endpoints[0],
                                     .worker = endpoints[1],
                                     .events = endpoints[2],
                                     .data = directory,
                                     .connections_max = 100,
                                     .subscriber_waiting_max = 1000,
                                     .waiting_bytes_max = 1 << 20};
    struct reel_shell *shell = NULL;
    struct reel_error err = {0};
    reel_core_setup_defaults (&setup.core);
    setup.core.lease_ms = 1000;
    setup.core.heartbeat_ms = 100;
    enum reel_status status = reel_shell_open (&setup, &shell, &err);
    if (status == REEL_OK)
        status = reel_shell_run (shell, &err);
    reel_shell_close (&shell);
    return code_of (status, &err);
}

static sigset_t
told_to_end (void)
{
    sigset_t ends;
    (void) sigemptyset (&ends);
    (void) sigaddset (&ends, SIGTERM);
    return ends;
}

static int
be_worker (void)
{
    struct reel_error err = {0};
    struct reel_worker_shell_setup setup = {.broker = endpoints[1], .name = "w", .slots = 2, .drain_ms = 1000};
    const sigset_t ends = told_to_end ();
    setup.stop_fd = signalfd (-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    enum reel_status status = reel_registry_create (&setup.registry);
    if (status == REEL_OK)
        status = reel_registry_add_builtin (setup.registry, &err);
    if (status == REEL_OK)
        status = reel_worker_shell_run (&setup, &err);
    reel_registry_destroy (&setup.registry);
    return code_of (status, &err);
}

static int
be_client (void)
{
    struct reel_buf document = broker_msgpack ("{'workflow_id':'wf','steps':[{'step_id':'a','modality':'echo'},"
                                               "{'step_id':'b','modality':'echo','depends_on':['a']}]}");
    const struct reel_client_options options = {endpoints[0], endpoints[2], 2000, 0};
    const struct reel_client_submission submission = {.document = document.data, .size = document.len};
    struct reel_client_submitted submitted;
    struct reel_client_reply reply = {0};
    struct reel_client_error error = {0};
    struct reel_client *client = NULL;
    enum reel_client_status status = reel_client_open (&options, &client, &error);
    if (status == REEL_CLIENT_OK)
        status = reel_client_submit (client, &submission, &submitted, &error);
    if (status == REEL_CLIENT_OK)
        status = reel_client_wait (client, "wf", 20000, &reply, &error);
    reel_client_reply_free (&reply);
    reel_client_close (&client);
    reel_buf_free (&document);
    if (status == REEL_CLIENT_OK)
        return EXIT_SUCCESS;
    return error.message[0] != '\0' ? EXIT_ERROR : EXIT_FAILURE;
}

/* --- playing --------------------------------------------------------------------------------- */

static void
wrong (int who, uint64_t at, const char *what, int number)
{
    (void) fprintf (stderr, "%s, call %llu fails: %s (%d)\n", names[who], (unsigned long long) at, what, number);
    (void) fflush (stderr);
    if (getpgrp () == getpid ())
        (void) kill (0, SIGKILL);
    exit (EXIT_FAILURE);
}

static pid_t
start (int who, int struck, uint64_t at)
{
    static int (*const plays[WHO_COUNT]) (void) = {be_broker, be_worker, be_client};
    pid_t child = fork ();
    if (child != 0)
        return child;
    victim = who == struck;
    fails_at = at;
    exit (plays[who]());
}

static int
remove_entry (const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void) info, (void) type, (void) where;
    return remove (path);
}

/* Lets whoever ends with an error begin again, until the client has its receipt; then ends the others. */
static void
play (int struck, uint64_t at)
{
    pid_t children[WHO_COUNT];
    int left = WHO_COUNT, status;
    bool done = false;
    (void) nftw (directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    shared->calls = 0;
    for (int who = 0; who < WHO_COUNT; who++)
        children[who] = start (who, struck, at);
    int64_t until_us = reel_clock_monotonic_us () + (int64_t) DEADLINE_MS * 1000;
    while (left > 0) {
        pid_t child = waitpid (-1, &status, WNOHANG);
        if (child == 0) {
            if (reel_clock_monotonic_us () > until_us)
                wrong (struck, at, "it takes too long", left);
            (void) usleep (2000);
            continue;
        }
        int who = child == children[BROKER] ? BROKER : child == children[WORKER] ? WORKER : CLIENT;
        bool unheard = done && who == WORKER && WIFEXITED (status) && WEXITSTATUS (status) == EXIT_AGAIN;
        if (!WIFEXITED (status)
            || (WEXITSTATUS (status) != EXIT_SUCCESS && WEXITSTATUS (status) != EXIT_ERROR && !unheard))
            wrong (struck, at, names[who], status);
        bool failed = WEXITSTATUS (status) == EXIT_ERROR;
        if (failed && who != struck && who != CLIENT)
            wrong (struck, at, names[who], status);
        shared->ended += failed && who == struck;
        if (done || who == CLIENT ? !failed : false)
            left--;
        else if (done)
            left--;
        else if (failed)
            children[who] = start (who, -1, 0);
        else
            wrong (struck, at, "it ended by itself", who);
        if (who == CLIENT && !failed) {
            done = true;
            (void) kill (children[WORKER], SIGTERM);
            (void) kill (children[BROKER], SIGTERM);
        }
    }
    shared->failed += shared->calls >= at;
}

int
main (int argc, char **argv)
{
    const sigset_t ends = told_to_end ();
    (void) setpgid (0, 0);                       /* what is left is ended as a group, and nobody else */
    (void) sigprocmask (SIG_BLOCK, &ends, NULL); /* who has only just begun is told to end, and not ended by it */
    uint64_t step = 1, tried[WHO_COUNT] = {0};
    int option;
    reel_log_start ("sockets", REEL_LOG_ERROR);
    while ((option = getopt (argc, argv, "s:")) != -1)
        if (option == 's')
            step = strtoull (optarg, NULL, 10);
    shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    (void) snprintf (directory, sizeof directory, "/tmp/reel-sockets-XXXXXX");
    if (optind < argc || step == 0 || shared == MAP_FAILED || !mkdtemp (directory))
        return EXIT_FAILURE;
    for (int i = 0; i < 3; i++)
        (void) snprintf (endpoints[i], sizeof endpoints[i], "ipc://%s.%d", directory, i);
    for (int who = 0; who < WHO_COUNT; who++)
        for (uint64_t at = 1; tried[who] == 0 || shared->calls >= at - step; at += step, tried[who]++)
            play (who, at);
    (void) nftw (directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    for (int i = 0; i < 3; i++)
        (void) unlink (endpoints[i] + strlen ("ipc://"));
    (void) printf (
        "%llu calls to ZeroMQ failed (broker %llu, worker %llu, client %llu tried), %llu ended a process: each "
        "time the receipt came\n",
        (unsigned long long) shared->failed, (unsigned long long) tried[BROKER], (unsigned long long) tried[WORKER],
        (unsigned long long) tried[CLIENT], (unsigned long long) shared->ended);
    return EXIT_SUCCESS;
}
