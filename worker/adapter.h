/*
 * Adapters and hooks as plain C functions: the ABI of plugins and of libreel-run.
 *
 * An adapter makes a step happen; a hook is told of it before and after. Each is a function that
 * may block: it is called in a thread of its own, so that a worker's heartbeats and other slots go
 * on. Several calls of the same function may be under way at once in a worker with several slots;
 * a workflow's own come one after the other.
 *
 * A plugin is a shared object that says REEL_PLUGIN (init): init registers what it has.
 *
 *     static int
 *     shout (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context)
 *     {
 *         call->host->progress (call, 0.5, "half way");
 *         return call->host->output_json (reply, "{\"said\": \"HELLO\"}");
 *     }
 *
 *     static int
 *     init (struct reel_plugin *plugin)
 *     {
 *         return plugin->add_adapter (plugin, "shout", REEL_ADAPTER_IDEMPOTENT, shout, NULL);
 *     }
 *
 *     REEL_PLUGIN (init)
 *
 * A worker's configuration loads it with `plugin = "./shout.so"` and names the adapter under a
 * modality: `adapter = shout`. This header stands alone. What changes in it changes REEL_ADAPTER_ABI;
 * a plugin that was built for another ABI is refused.
 */
#ifndef REEL_WORKER_ADAPTER_H
#define REEL_WORKER_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REEL_ADAPTER_ABI 1u

/* What may be done with a step whose worker was lost in the middle of it. */
enum reel_adapter_class {
    REEL_ADAPTER_NEITHER,    /* running it twice may cost twice */
    REEL_ADAPTER_IDEMPOTENT, /* running it twice harms nobody */
    REEL_ADAPTER_RESUMABLE   /* it goes on from the checkpoint it left */
};

/* When a hook is called. A hook that fails ends the run. */
enum reel_hook_point {
    REEL_HOOK_NONE = 0,      /* of a call: it is a step's own */
    REEL_HOOK_PRE_STEP = 1,  /* before the first attempt; failing it fails the step, which is not dispatched */
    REEL_HOOK_POST_STEP = 2, /* the step succeeded */
    REEL_HOOK_ON_FAILURE = 4 /* the step failed; skipped steps have no hooks */
};

/* Bytes that are borrowed for as long as the call lasts. */
struct reel_adapter_bytes {
    const uint8_t *data;
    size_t size; /* 0: there are none */
};

struct reel_adapter_host;
struct reel_adapter_reply; /* the result of one call, made through the host's functions */

/* One call: the immutable context of one attempt at one step. All of it is borrowed until the function returns. */
struct reel_adapter_call {
    const struct reel_adapter_host *host;
    enum reel_hook_point hook; /* REEL_HOOK_NONE for an adapter */
    const char *workflow_id;
    const char *step_id;
    const char *modality;
    const char *idempotency_key; /* the same for every attempt and delivery */
    uint32_t attempt;            /* from 1; 0: the step was never begun */
    uint32_t delivery;           /* from 1 */
    int64_t deadline_us;         /* CLOCK_MONOTONIC: by then it must have returned */
    const char *directory;       /* a working directory of this call's own, removed after it */
    /* msgpack. An adapter's payload has its references resolved. A hook's is a map of
     * `hook` (its point), `step` (as the document has it), `context` (the fields of this struct) and,
     * after the step, `receipt` or `error`. */
    struct reel_adapter_bytes payload;
    const char *payload_json;             /* the same as JSON */
    struct reel_adapter_bytes provenance; /* a map, all layers merged */
    struct reel_adapter_bytes checkpoint; /* left by an earlier delivery, or by an attempt that failed OPEN */
};

/* Flags of fail(). */
#define REEL_FAIL_RETRYABLE 1u /* another attempt may help */
#define REEL_FAIL_OPEN 2u      /* it is not known whether the call took effect */

/* What a call may ask of its host, from the thread it is called in. Every function that returns int returns 0, or -1
 * when what it was given is out of form (the call then fails with code "bad_output") or memory is out. */
struct reel_adapter_host {
    uint32_t abi;
    /* Is the call to end? True once the workflow is cancelled, the lease is lost, or the deadline has passed. */
    bool (*cancelled) (const struct reel_adapter_call *call);
    /* A descriptor that becomes readable then, for poll(); never read from it or close it. */
    int (*cancel_fd) (const struct reel_adapter_call *call);
    /* How far it is: 0..1, or negative when unknown; `message` may be NULL. Not kept, may be thinned out. */
    void (*progress) (const struct reel_adapter_call *call, double fraction, const char *message);
    /* Leaves something, msgpack or JSON, from which a resumable adapter goes on in another process; nil: nothing more. */
    int (*checkpoint) (const struct reel_adapter_call *call, struct reel_adapter_bytes msgpack);
    int (*checkpoint_json) (const struct reel_adapter_call *call, const char *json);
    /* The receipt's `output`, a map; without it {}. */
    int (*output) (struct reel_adapter_reply *reply, struct reel_adapter_bytes msgpack);
    int (*output_json) (struct reel_adapter_reply *reply, const char *json);
    /* More keys of the receipt (artifacts, cost, provider_job_id), a map. */
    int (*extra) (struct reel_adapter_reply *reply, struct reel_adapter_bytes msgpack);
    int (*extra_json) (struct reel_adapter_reply *reply, const char *json);
    /* The error of a function that is about to return something else than 0: `code` is [a-z0-9_]{1,64}. */
    int (*fail) (struct reel_adapter_reply *reply, const char *code, const char *message, unsigned flags);
};

/* Returns 0: it succeeded, also when it was to end and came to its result all the same. Anything else: it failed, as
 * fail() said, else with code "adapter_failed" ("cancelled", "timeout" where it was to end). */
typedef int (*reel_adapter_fn) (const struct reel_adapter_call *call, struct reel_adapter_reply *reply, void *context);

/* Given to a plugin's init, for as long as that lasts. Texts are copied; functions and contexts must outlive the
 * worker. Both functions return 0, or -1: the name is out of form or there already, the class or the points are none,
 * memory is out. init returns 0, or anything else: the worker does not start. */
struct reel_plugin {
    uint32_t abi;
    /* An adapter that modalities of the configuration may name: [a-z0-9][a-z0-9._-]{0,63}. */
    int (*add_adapter) (struct reel_plugin *plugin, const char *name, enum reel_adapter_class adapter_class,
                        reel_adapter_fn function, void *context);
    /* A hook for one or more points (reel_hook_point, added up), called in the order of registration. */
    int (*add_hook) (struct reel_plugin *plugin, const char *name, unsigned points, reel_adapter_fn function,
                     void *context);
};

__attribute__ ((visibility ("default"))) extern const uint32_t reel_plugin_abi;
__attribute__ ((visibility ("default"))) int reel_plugin_init (struct reel_plugin *plugin);

#define REEL_PLUGIN(init)                                                                                              \
    const uint32_t reel_plugin_abi = REEL_ADAPTER_ABI;                                                                 \
    int reel_plugin_init (struct reel_plugin *plugin)                                                                  \
    {                                                                                                                  \
        return init (plugin);                                                                                          \
    }

#ifdef __cplusplus
}
#endif

#endif
