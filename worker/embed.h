/*
 * libreel-run: running a workflow inside a program of one's own, without any broker.
 *
 * The same run machine and adapters that a worker drives. A program adds its adapters and hooks as C functions
 * (adapter.h; each is called in a thread of its own, one after the other), loads a document, runs it, and saves it
 * as it then stands. A document that was run half is gone on from by running it again.
 *
 *     struct reel_embed *embed = NULL;
 *     struct reel_embed_error error;
 *     if (reel_embed_create (&embed, &error) == REEL_EMBED_OK
 *         && reel_embed_add_adapter (embed, "shout", REEL_ADAPTER_IDEMPOTENT, shout, NULL, &error) == REEL_EMBED_OK
 *         && reel_embed_load (embed, "workflow.json", &error) == REEL_EMBED_OK
 *         && reel_embed_run (embed, NULL, &error) == REEL_EMBED_OK)
 *         puts (reel_embed_status (embed));
 *     reel_embed_free (&embed);
 *
 * Every function that can fail returns an enum reel_embed_result and, for anything but REEL_EMBED_OK, fills *error
 * (which may be NULL). An object is used by one thread at a time; several are independent of each other. This header
 * and adapter.h, which it includes, stand alone.
 */
#ifndef REEL_WORKER_EMBED_H
#define REEL_WORKER_EMBED_H

#include "adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

enum reel_embed_result {
    REEL_EMBED_OK = 0,
    REEL_EMBED_INVALID, /* what was given is out of form: error->code, ->path and ->message say what and where */
    REEL_EMBED_SYSTEM,  /* a file could not be read or written, or is another run's output (code "busy") */
    REEL_EMBED_NO_MEMORY
};

/* Texts are cut where they do not fit; "" where there is none. */
struct reel_embed_error {
    char code[65];      /* "cycle", "missing_field", "bad_config", "io", "no_memory", ... */
    char path[1025];    /* JSON Pointer (RFC 6901) into the document */
    char message[1025]; /* for a person */
};

enum reel_embed_form { REEL_EMBED_MSGPACK, REEL_EMBED_JSON };

struct reel_embed;

enum reel_embed_result reel_embed_create (struct reel_embed **embed, struct reel_embed_error *error);
/* Frees and nulls; NULL inside is fine. */
void reel_embed_free (struct reel_embed **embed);

/* --- what serves which modality ------------------------------------------------------------------ */

/* Adds what a worker's configuration file says (plugins, commands, hooks, defaults of policies); NULL: echo, sleep and
 * fail. Do it before adding anything else. When a command ends, what it left behind is looked for among the children of
 * the process's first thread, to which orphans come down: one that the program has begun there, and that has ended, is
 * reaped. */
enum reel_embed_result reel_embed_configure (struct reel_embed *embed, const char *path,
                                             struct reel_embed_error *error);
/* INVALID: the modality is out of form or served already. The receipt's `adapter` is the modality's name. */
enum reel_embed_result reel_embed_add_adapter (struct reel_embed *embed, const char *modality,
                                               enum reel_adapter_class adapter_class, reel_adapter_fn function,
                                               void *context, struct reel_embed_error *error);
/* `points`: of enum reel_hook_point, added up. Hooks are called in the order in which they are added. */
enum reel_embed_result reel_embed_add_hook (struct reel_embed *embed, const char *name, unsigned points,
                                            reel_adapter_fn function, void *context, struct reel_embed_error *error);

/* --- the document --------------------------------------------------------------------------------- */

/* Takes a document, JSON or msgpack, in the place of an earlier one, and validates it. */
enum reel_embed_result reel_embed_load (struct reel_embed *embed, const char *path, struct reel_embed_error *error);
enum reel_embed_result reel_embed_load_bytes (struct reel_embed *embed, const void *data, size_t size,
                                              struct reel_embed_error *error);
/* Validates a document without taking it. */
enum reel_embed_result reel_embed_validate (const void *data, size_t size, struct reel_embed_error *error);

/* --- running it ------------------------------------------------------------------------------------ */

struct reel_embed_options {
    const char *output; /* the document as it stands is kept in this file, written anew and synced before each step that
                           is not idempotent and after each outcome; NULL: nowhere */
    enum reel_embed_form output_form;
    const char *provenance_json; /* an object whose keys override global_provenance; NULL: none */
    int stop_fd;                 /* when > 0: a signalfd or a pipe, read from here: the first that comes cancels what
                                    runs and ends the workflow, the second ends what runs at once */
    /* NULL, or told each event as it happens, in msgpack, from the thread that runs. */
    void (*event) (void *context, const void *event, size_t size);
    void *context;
};

/* Runs the document that was loaded to its end; it is then the document as it stands. `options` NULL: none. OK whatever
 * became of the steps. INVALID (code "not_loaded"): there is none. */
enum reel_embed_result reel_embed_run (struct reel_embed *embed, const struct reel_embed_options *options,
                                       struct reel_embed_error *error);
/* "succeeded", "failed" or "cancelled"; "" before it was run. */
const char *reel_embed_status (const struct reel_embed *embed);

/* The final receipt, and the document as it stands: the object's own until its next load, run or free; in JSON with a NUL
 * behind it that `size` does not count. INVALID (code "not_run", "not_loaded"). */
enum reel_embed_result reel_embed_receipt (struct reel_embed *embed, enum reel_embed_form form, const void **data,
                                           size_t *size, struct reel_embed_error *error);
enum reel_embed_result reel_embed_document (struct reel_embed *embed, enum reel_embed_form form, const void **data,
                                            size_t *size, struct reel_embed_error *error);
/* Writes the document as it stands into a file, in the place of what was there, and syncs it. */
enum reel_embed_result reel_embed_save (struct reel_embed *embed, const char *path, enum reel_embed_form form,
                                        struct reel_embed_error *error);

#ifdef __cplusplus
}
#endif

#endif
