/*
 * Standard input, output and error, which somebody may have closed before the program began.
 */
#ifndef REEL_CLI_STANDARD_H
#define REEL_CLI_STANDARD_H

#include <stdbool.h>

/* To be called first of all: a descriptor of 0 to 2 that is closed becomes one that cannot be used (EBADF), so that
 * what is opened later never gets its number, and what was meant for a person never gets there. False: there is no
 * /dev/null. */
bool reel_standard_keep (void);

#endif
