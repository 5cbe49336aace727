/*
 * One call of an adapter in a loop of its own, and what became of it.
 */
#ifndef REEL_TESTS_SUPPORT_CALL_H
#define REEL_TESTS_SUPPORT_CALL_H

#include "worker/loop.h"
#include "worker/registry.h"
#include "worker/task.h"

struct call_bench {
    struct reel_loop *loop;
    struct reel_call call; /* has an id, a modality and so on; change what matters */
    struct reel_task task;
    struct reel_buf payload;
    bool finished;
    bool inside; /* it finished within its start */
    bool succeeded;
    struct reel_buf output, extra; /* as JSON, NUL-terminated */
    char *code, *message;
    struct reel_buf detail; /* as JSON, NUL-terminated */
    bool retryable, open;
    unsigned progress_count;
    double fraction;       /* of the last progress */
    struct reel_buf said;  /* its message, NUL-terminated */
    struct reel_buf left;  /* the newest checkpoint as JSON, NUL-terminated */
    unsigned cancel_at;    /* cancel when that many progress events came; 0: never */
    unsigned cancel_times; /* how often; default 1 */
};

void call_bench_init (struct call_bench *bench);
void call_bench_free (struct call_bench *bench);
/* Sets the payload from JSON. */
void call_bench_payload (struct call_bench *bench, const char *json);
/* Starts the call and waits until it is finished; fails the test after 30 s. */
void call_bench_run (struct call_bench *bench, struct reel_adapter *adapter);
const char *call_bench_output (const struct call_bench *bench);

/* Adds a modality that is served by a script of the shell, which works in that directory and has the argument as $1. */
void call_add_script (struct reel_registry *registry, const char *modality, const char *script, const char *work,
                      const char *argument);

/* The file's content, NUL-terminated, to be freed; NULL when there is none. */
char *call_read_file (const char *directory, const char *name);
void call_write_file (const char *directory, const char *name, const char *text);
/* Is there a process of this number that is no zombie? */
bool call_process_lives (long pid);
int64_t call_now_ms (void);
/* Can children be watched here? Valgrind does not know pidfd_open(2): what needs it is not run there. */
bool call_has_children (void);

#endif
