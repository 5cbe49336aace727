/*
 * Sockets fail: the nth call to ZeroMQ of a broker, a worker or a client (players.h). The linker
 * puts the functions of this file before those of the library.
 */
#include <errno.h>
#include <zmq.h>

#include "tests/crash/players.h"

enum {
    CTX_NEW,
    SOCKET,
    BIND,
    CONNECT,
    SETSOCKOPT,
    GETSOCKOPT,
    SOCKET_MONITOR,
    MSG_RECV,
    MSG_INIT_SIZE,
    MSG_INIT_DATA,
    CTX_SET,
    MSG_SEND,
    POLL,
    KIND_COUNT
};
static const char *const kinds[KIND_COUNT] = {
    "zmq_ctx_new",    "zmq_socket",         "zmq_bind",     "zmq_connect",       "zmq_setsockopt",
    "zmq_getsockopt", "zmq_socket_monitor", "zmq_msg_recv", "zmq_msg_init_size", "zmq_msg_init_data",
    "zmq_ctx_set",    "zmq_msg_send",       "zmq_poll"};

static void *dead; /* the socket that failed: it does until it is closed */

static bool
fails (unsigned kind, void *socket, int error)
{
    bool is_dead = socket != NULL && socket == dead;
    if (!is_dead && !players_fails (kind))
        return false;
    dead = socket;
    errno = error;
    return true;
}

void *__real_zmq_ctx_new (void);
void *__wrap_zmq_ctx_new (void);
void *__real_zmq_socket (void *context, int type);
void *__wrap_zmq_socket (void *context, int type);
int __real_zmq_close (void *socket);
int __wrap_zmq_close (void *socket);
int __real_zmq_bind (void *socket, const char *endpoint);
int __wrap_zmq_bind (void *socket, const char *endpoint);
int __real_zmq_connect (void *socket, const char *endpoint);
int __wrap_zmq_connect (void *socket, const char *endpoint);
int __real_zmq_setsockopt (void *socket, int option, const void *value, size_t len);
int __wrap_zmq_setsockopt (void *socket, int option, const void *value, size_t len);
int __real_zmq_getsockopt (void *socket, int option, void *value, size_t *len);
int __wrap_zmq_getsockopt (void *socket, int option, void *value, size_t *len);
int __real_zmq_socket_monitor (void *socket, const char *endpoint, int events);
int __wrap_zmq_socket_monitor (void *socket, const char *endpoint, int events);
int __real_zmq_msg_recv (zmq_msg_t *message, void *socket, int flags);
int __wrap_zmq_msg_recv (zmq_msg_t *message, void *socket, int flags);
int __real_zmq_msg_init_size (zmq_msg_t *message, size_t size);
int __wrap_zmq_msg_init_size (zmq_msg_t *message, size_t size);
int __real_zmq_msg_init_data (zmq_msg_t *message, void *bytes, size_t size, zmq_free_fn *give_back, void *hint);
int __wrap_zmq_msg_init_data (zmq_msg_t *message, void *bytes, size_t size, zmq_free_fn *give_back, void *hint);
int __real_zmq_ctx_set (void *context, int option, int value);
int __wrap_zmq_ctx_set (void *context, int option, int value);
int __real_zmq_msg_send (zmq_msg_t *message, void *socket, int flags);
int __wrap_zmq_msg_send (zmq_msg_t *message, void *socket, int flags);
int __real_zmq_poll (zmq_pollitem_t *items, int count, long timeout);
int __wrap_zmq_poll (zmq_pollitem_t *items, int count, long timeout);

void *
__wrap_zmq_ctx_new (void)
{
    return fails (CTX_NEW, NULL, EMFILE) ? NULL : __real_zmq_ctx_new ();
}

void *
__wrap_zmq_socket (void *context, int type)
{
    return fails (SOCKET, NULL, EMFILE) ? NULL : __real_zmq_socket (context, type);
}

int
__wrap_zmq_close (void *socket)
{
    dead = socket == dead ? NULL : dead;
    return __real_zmq_close (socket);
}

int
__wrap_zmq_bind (void *socket, const char *endpoint)
{
    return fails (BIND, socket, ENOTSOCK) ? -1 : __real_zmq_bind (socket, endpoint);
}

int
__wrap_zmq_connect (void *socket, const char *endpoint)
{
    return fails (CONNECT, socket, ENOTSOCK) ? -1 : __real_zmq_connect (socket, endpoint);
}

int
__wrap_zmq_setsockopt (void *socket, int option, const void *value, size_t len)
{
    return fails (SETSOCKOPT, socket, ENOTSOCK) ? -1 : __real_zmq_setsockopt (socket, option, value, len);
}

int
__wrap_zmq_getsockopt (void *socket, int option, void *value, size_t *len)
{
    return fails (GETSOCKOPT, socket, ENOTSOCK) ? -1 : __real_zmq_getsockopt (socket, option, value, len);
}

int
__wrap_zmq_socket_monitor (void *socket, const char *endpoint, int events)
{
    bool opens = endpoint != NULL;
    return opens && fails (SOCKET_MONITOR, socket, ENOTSOCK) ? -1
                                                             : __real_zmq_socket_monitor (socket, endpoint, events);
}

int
__wrap_zmq_msg_recv (zmq_msg_t *message, void *socket, int flags)
{
    return fails (MSG_RECV, socket, ENOTSOCK) ? -1 : __real_zmq_msg_recv (message, socket, flags);
}

int
__wrap_zmq_msg_init_size (zmq_msg_t *message, size_t size)
{
    return fails (MSG_INIT_SIZE, NULL, ENOMEM) ? -1 : __real_zmq_msg_init_size (message, size);
}

int
__wrap_zmq_msg_init_data (zmq_msg_t *message, void *bytes, size_t size, zmq_free_fn *give_back, void *hint)
{
    return fails (MSG_INIT_DATA, NULL, ENOMEM) ? -1 : __real_zmq_msg_init_data (message, bytes, size, give_back, hint);
}

int
__wrap_zmq_ctx_set (void *context, int option, int value)
{
    return fails (CTX_SET, NULL, EINVAL) ? -1 : __real_zmq_ctx_set (context, option, value);
}

int
__wrap_zmq_msg_send (zmq_msg_t *message, void *socket, int flags)
{
    return fails (MSG_SEND, socket, ENOTSOCK) ? -1 : __real_zmq_msg_send (message, socket, flags);
}

int
__wrap_zmq_poll (zmq_pollitem_t *items, int count, long timeout)
{
    return fails (POLL, NULL, ENOTSOCK) ? -1 : __real_zmq_poll (items, count, timeout);
}

int
main (int argc, char **argv)
{
    const struct players_setup setup = {
        .what = "calls to ZeroMQ", .kinds = kinds, .kind_count = KIND_COUNT, .who = (1u << PLAYERS_RUNNER) - 1};
    return players_main (argc, argv, &setup);
}
