/*
 * One datagram to the service manager.
 */
#include "cli/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void
reel_notify (const char *state)
{
    const char *name = getenv ("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = name == NULL ? 0 : strlen (name);
    if (len < 2 || len >= sizeof address.sun_path || (*name != '/' && *name != '@'))
        return;
    memcpy (address.sun_path, name, len);
    if (*name == '@')
        address.sun_path[0] = '\0';
    int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void) sendto (fd, state, strlen (state), MSG_NOSIGNAL, (const struct sockaddr *) &address,
                   (socklen_t) (offsetof (struct sockaddr_un, sun_path) + len));
    (void) close (fd);
}
