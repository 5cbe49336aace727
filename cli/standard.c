/*
 * A closed standard output would be the number of the next socket or file that is opened, and what is printed would go
 * into that.
 */
#include "cli/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool
reel_standard_keep (void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl (fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        /* The lowest free one, which is `fd`, and the wrong way round: using it fails instead of doing nothing. */
        if (open ("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    }
    return true;
}
