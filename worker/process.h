/*
 * One command under way: its pipes, its process group, and its end.
 *
 * It ends when the command has exited and its output is closed. Who is left then is killed:
 * the process group as a whole, and, the worker being a subreaper (prctl(2)), whoever left the
 * group by forking twice but still carries the command's environment. What holds the output
 * open after the command's exit gets `grace_ms`.
 */
#ifndef REEL_WORKER_PROCESS_H
#define REEL_WORKER_PROCESS_H

#include "base/bytes.h"
#include "worker/loop.h"

enum reel_process_phase {
    REEL_PROCESS_RUNNING,
    REEL_PROCESS_ENDING,  /* TERM was sent, or the command has exited; the timer is the grace */
    REEL_PROCESS_KILLED,  /* KILL was sent */
    REEL_PROCESS_SWEEPING /* everything was read; strays are looked for */
};

struct reel_process {
    /* Filled by the caller. */
    struct reel_loop *loop;
    int64_t grace_ms;
    const char *marker; /* "NAME=value" of its environment that nobody else has; borrowed */
    void (*output) (struct reel_process *process, struct reel_slice bytes);
    void (*errors) (struct reel_process *process, struct reel_slice bytes);
    /* Nothing of it is left; `status` as of waitpid(). The struct may be freed. */
    void (*ended) (struct reel_process *process, int status);
    void *context;

    struct reel_child child;
    struct reel_watch out, err;
    struct reel_timer timer;
    enum reel_process_phase phase;
    bool exited;
    bool begun; /* though it could not be started in the end: it may have done something */
    unsigned sweeps;
};

/* argv[0] is a path; `directory` is where it works; its standard input reads `input`, which stays the caller's. It
 * gets no other descriptor. REEL_IO: errno says why, nothing of it is left. */
enum reel_status reel_process_start (struct reel_process *process, char *const *argv, char *const *envp,
                                     const char *directory, int input) REEL_MUST_USE;
/* TERM, and KILL after the grace. Called again: KILL now. */
void reel_process_end (struct reel_process *process);

/* Was the process started with this "NAME=value" in its environment? false: or it cannot be seen. */
bool reel_process_carries (pid_t pid, const char *marker);

#endif
