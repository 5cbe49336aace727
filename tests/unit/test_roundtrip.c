/*
 * from (to (w)) == w: values and whole workflows, as they are submitted, half executed and executed, through JSON and
 * back, through the table of their slices and back, through the run machine and back.
 *
 * Document n is that of seed n. REEL_DOCUMENTS=<count> says how many there are, REEL_SEED=<n> repeats one.
 */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "proto/json.h"
#include "proto/outcome.h"
#include "proto/scan.h"
#include "tests/support/generate.h"
#include "tests/support/generate_workflow.h"
#include "tests/support/suite.h"

#define REPORTED_FROM 100000 /* more documents than that take minutes */
#define DOCUMENTS 100000
#define DOCUMENTS_UNDER_VALGRIND 200
#define FLAGS (REEL_WORKFLOW_GROWN | REEL_WORKFLOW_RUNNING_OK)

/* Check notes every assertion in a file, which would take a tenth of the time: only one that fails is made. */
#define HOLDS(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg ("%s does not hold: REEL_SEED=%llu shows it again", #condition, (unsigned long long) seed);   \
    } while (0)

/* The document at hand, and what is made of it; kept from one to the next for the sake of their memory. */
static uint64_t seed;
static struct reel_random chance;
static struct reel_buf shortest, document, executed, json, back, again;
static struct reel_workflow workflow, other;

/* For what says itself what is wrong. */
static void
must (enum reel_status status, const struct reel_error *err)
{
    if (status != REEL_OK)
        ck_abort_msg ("%s: %s at '%s': REEL_SEED=%llu shows it again", reel_status_name (status), err->message,
                      err->path, (unsigned long long) seed);
}

static bool
coin (void)
{
    return reel_random_below (&chance, 2) == 0;
}

static unsigned long
document_count (void)
{
    const char *asked = getenv ("REEL_DOCUMENTS");
    if (asked != NULL)
        return strtoul (asked, NULL, 10);
    return getenv ("REEL_VALGRIND") != NULL ? DOCUMENTS_UNDER_VALGRIND : DOCUMENTS;
}

static void
for_every_seed (void (*examine) (void))
{
    const char *wanted = getenv ("REEL_SEED");
    unsigned long count = wanted != NULL ? 1 : document_count ();
    for (unsigned long n = 0; n < count; n++) {
        seed = wanted != NULL ? strtoull (wanted, NULL, 10) : n;
        reel_random_seed (&chance, seed);
        examine ();
        if (count > REPORTED_FROM && (n + 1) % (count / 10) == 0)
            (void) fprintf (stderr, "%lu of %lu documents\n", n + 1, count);
    }
    struct reel_buf *const all[] = {&shortest, &document, &executed, &json, &back, &again};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        reel_buf_free (all[i]);
    reel_workflow_free (&workflow);
    reel_workflow_free (&other);
}

static struct reel_slice
spell (struct reel_random *random, struct reel_slice msgpack, struct reel_buf *out)
{
    reel_buf_clear (out);
    generate_spelling (random, msgpack, out);
    HOLDS (reel_buf_status (out) == REEL_OK);
    return reel_buf_slice (out);
}

static struct reel_slice
to_json (struct reel_slice msgpack, unsigned flags, struct reel_buf *out)
{
    reel_buf_clear (out);
    HOLDS (reel_json_write (msgpack, flags, out) == REEL_OK);
    return reel_buf_slice (out);
}

static struct reel_slice
from_json (struct reel_slice text, struct reel_buf *out)
{
    struct reel_error err = {0};
    reel_buf_clear (out);
    must (reel_json_read (text, out, &err), &err);
    return reel_buf_slice (out);
}

/* msgpack -> JSON -> msgpack is the shortest spelling of the same; JSON -> msgpack -> JSON is the same text. `back` is
 * left with what was read. */
static void
survives_json (struct reel_slice msgpack, struct reel_slice in_shortest)
{
    unsigned flags = coin () ? REEL_JSON_PRETTY : REEL_JSON_COMPACT;
    struct reel_slice text = to_json (msgpack, flags, &json);
    HOLDS (reel_scan_utf8 (text));
    HOLDS (reel_slice_equal (from_json (text, &back), in_shortest));
    HOLDS (reel_slice_equal (to_json (reel_buf_slice (&back), flags, &again), text));
}

/* --- values -------------------------------------------------------------------------------- */

static void
examine_value (void)
{
    struct reel_error err = {0};
    reel_buf_clear (&shortest);
    generate_value (&chance, (unsigned) reel_random_below (&chance, REEL_DEPTH_MAX + 1), &shortest);
    struct reel_slice made = reel_buf_slice (&shortest), wide = spell (&chance, made, &document);
    must (reel_scan_check (wide, REEL_DEPTH_MAX, &err), &err);
    survives_json (wide, made);
    HOLDS (reel_slice_equal (spell (NULL, wide, &again), made));
}

START_TEST (values)
{
    for_every_seed (examine_value);
}
END_TEST

/* --- workflows ----------------------------------------------------------------------------- */

static bool
equal_outcomes (const struct reel_outcome *a, const struct reel_outcome *b)
{
    return a->status == b->status && a->started_us == b->started_us && a->finished_us == b->finished_us
           && reel_slice_equal (a->receipt, b->receipt) && reel_slice_equal (a->error, b->error);
}

/* Appends the document with these outcomes, or with its own when there are none. */
static struct reel_slice
write_again (const struct reel_workflow *parsed, const struct reel_outcome *given, struct reel_buf *out)
{
    struct reel_outcome *own = calloc (parsed->step_count, sizeof *own);
    HOLDS (own != NULL);
    for (uint32_t i = 0; own != NULL && i < parsed->step_count; i++)
        own[i] = given != NULL ? given[i] : reel_outcome_of (&parsed->steps[i]);
    reel_buf_clear (out);
    reel_outcome_document (out, parsed, own, parsed->workflow_id, parsed->created_at);
    HOLDS (reel_buf_status (out) == REEL_OK);
    free (own);
    return reel_buf_slice (out);
}

/* A document that holds: through JSON, and through the table of its slices. `back` and `other` are left with what came
 * out of JSON, `workflow` with the document. */
static void
survives (struct reel_slice msgpack)
{
    struct reel_error err = {0};
    must (reel_workflow_parse (&workflow, msgpack, FLAGS, &err), &err);
    HOLDS (reel_slice_equal (write_again (&workflow, NULL, &again), msgpack));
    survives_json (msgpack, spell (NULL, msgpack, &shortest));
    HOLDS (reel_workflow_parse (&other, reel_buf_slice (&back), FLAGS, NULL) == REEL_OK);
    HOLDS (reel_slice_equal (write_again (&other, NULL, &again), reel_buf_slice (&back)));
}

/* It has ended: nothing is left to be done, and what is written again is the same. */
static void
rests (struct reel_slice msgpack)
{
    struct execution execution;
    execution_start (&execution, &chance, msgpack);
    HOLDS (execution_go (&execution, 0));
    HOLDS (execution.dispatched == 0);
    reel_buf_clear (&again);
    execution_document (&execution, &again);
    HOLDS (reel_slice_equal (reel_buf_slice (&again), msgpack));
    execution_free (&execution);
}

/* What the run machine made of `document`, in `executed`; returns whether it is through. */
static bool
execute (unsigned calls)
{
    struct execution execution;
    execution_start (&execution, &chance, reel_buf_slice (&document));
    bool ended = execution_go (&execution, calls);
    const struct reel_outcome *outcomes = reel_run_outcomes (execution.run);
    reel_buf_clear (&executed);
    execution_document (&execution, &executed);
    survives (reel_buf_slice (&executed));
    for (uint32_t i = 0; i < workflow.step_count; i++) {
        struct reel_outcome own = reel_outcome_of (&workflow.steps[i]);
        HOLDS (equal_outcomes (&own, &outcomes[i]));
    }
    /* The outcomes that were taken from what was executed make the same of what was submitted. */
    HOLDS (
        reel_slice_equal (write_again (reel_run_workflow (execution.run), NULL, &again), reel_buf_slice (&document)));
    execution_free (&execution);
    return ended;
}

static void
examine_workflow (void)
{
    reel_buf_clear (&back);
    generate_workflow (&chance, &back);
    (void) spell (&chance, reel_buf_slice (&back), &document);
    HOLDS (reel_workflow_parse (&workflow, reel_buf_slice (&document), REEL_WORKFLOW_STRICT, NULL) == REEL_OK);
    survives (reel_buf_slice (&document));
    while (!execute (coin () ? (unsigned) reel_random_below (&chance, 4) : UINT_MAX)) {
        reel_buf_clear (&document);
        reel_buf_add_slice (&document, reel_buf_slice (coin () ? &back : &executed));
    }
    rests (reel_buf_slice (&executed));
    rests (reel_buf_slice (&back));
}

START_TEST (workflows)
{
    for_every_seed (examine_workflow);
}
END_TEST

/* --- validation ---------------------------------------------------------------------------- */

static void
examine_validation (void)
{
    struct reel_error err = {0}, other_err = {0};
    reel_buf_clear (&shortest);
    generate_unsound_workflow (&chance, &shortest);
    struct reel_slice wide = spell (&chance, reel_buf_slice (&shortest), &document);
    struct reel_slice read = from_json (to_json (wide, REEL_JSON_COMPACT, &json), &back);
    enum reel_status status = reel_workflow_parse (&workflow, wide, REEL_WORKFLOW_STRICT, &err);
    HOLDS (status == reel_workflow_parse (&other, read, REEL_WORKFLOW_STRICT, &other_err));
    HOLDS (status == REEL_OK || status == REEL_INVALID);
    HOLDS (reel_slice_is (reel_slice_text (err.code), other_err.code));
    HOLDS (reel_slice_is (reel_slice_text (err.path), other_err.path));
    HOLDS (reel_slice_is (reel_slice_text (err.message), other_err.message));
}

START_TEST (both_forms_are_judged_alike)
{
    for_every_seed (examine_validation);
}
END_TEST

int
main (void)
{
    Suite *suite = suite_create ("roundtrip");
    TCase *tcase = tcase_create ("roundtrip");
    tcase_set_timeout (tcase, 180 + (double) document_count () / 100);
    tcase_add_test (tcase, values);
    tcase_add_test (tcase, workflows);
    tcase_add_test (tcase, both_forms_are_judged_alike);
    suite_add_tcase (suite, tcase);
    return suite_run (suite);
}
