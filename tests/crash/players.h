/*
 * Programs in which the nth of something fails: a broker, a worker and a client on the way of one workflow, and a local
 * runner and a program that embeds reel, each with a workflow of its own.
 *
 * All of them are the real programs, from the first line of their main() to the last, with a journal, sockets, commands
 * and threads. Of one of them the nth of a kind fails, for every kind and every n until there is none of that number. Whoever it strikes goes
 * on, or ends with an error and an exit code that say so, and is started again. In the end the workflow has its receipt, and
 * no step that is not idempotent has taken effect twice.
 */
#ifndef REEL_TESTS_CRASH_PLAYERS_H
#define REEL_TESTS_CRASH_PLAYERS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PLAYERS_BROKER,
    PLAYERS_WORKER,
    PLAYERS_CLIENT,  /* waits for the receipt */
    PLAYERS_WATCHER, /* or follows the events up to it */
    PLAYERS_RUNNER,
    PLAYERS_EMBED,
    PLAYERS_COUNT
};

/* Whether this, of the `kind`-th kind of what may fail, is the one that does. False in all processes but the one that is
 * struck. */
bool players_fails (unsigned kind);

struct players_setup {
    const char *what;         /* is failed, for people: "calls to ZeroMQ" */
    const char *const *kinds; /* of it: their names; each is counted by itself, */
    unsigned kind_count;      /* so that what comes whenever it likes does not put off the numbers of the others */
    unsigned who;             /* is struck at all: one bit each */
    bool files;               /* one that cannot be read may be what ends a program */
    /* NULL, or says what the one that was struck left behind when it ended; NULL: nothing. */
    const char *(*amiss) (void);
};

/*
 *     PROGRAM [-s STEP] [-j GAMES] [WHO [KIND N]]
 *
 * Every STEP-th of all, GAMES at a time; WHO alone; that one alone, which then says where it struck. Gives main()'s result.
 */
int players_main (int argc, char **argv, const struct players_setup *setup);

#endif
