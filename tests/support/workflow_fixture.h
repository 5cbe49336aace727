/*
 * Workflow documents in few words, and the one workflow that a test reads them into, again and again.
 */
#ifndef REEL_TESTS_SUPPORT_WORKFLOW_FIXTURE_H
#define REEL_TESTS_SUPPORT_WORKFLOW_FIXTURE_H

#include <check.h>
#include <string.h>

#include "proto/workflow.h"
#include "tests/support/document.h"

/* Steps a, b, c with more fields; `more` is "" or begins with a comma. */
#define STEP(id, more) "{'step_id':'" id "','modality':'m'" more "}"
#define ONE(a) "{'steps':[" STEP ("a", a) "]}"
#define TWO(a, b) "{'steps':[" STEP ("a", a) "," STEP ("b", b) "]}"
#define THREE(a, b, c) "{'steps':[" STEP ("a", a) "," STEP ("b", b) "," STEP ("c", c) "]}"
#define AFTER(...) ",'depends_on':[" __VA_ARGS__ "]"
#define SUCCEEDED ",'status':'succeeded','receipt':{}"
#define FAILED ",'status':'failed','error':'it broke'"
#define SKIPPED ",'status':'skipped','error':{'code':'dependency_failed'}"

static struct reel_workflow workflow; /* of the last document; used again for the next */

static inline void
setup (void)
{
    memset (&workflow, 0, sizeof workflow);
}

static inline void
teardown (void)
{
    reel_workflow_free (&workflow);
}

static inline void
ck_assert_taken (struct reel_slice bytes, unsigned flags)
{
    struct reel_error err = {0};
    enum reel_status status = reel_workflow_parse (&workflow, bytes, flags, &err);
    ck_assert_msg (status == REEL_OK, "%s at %s: %s", err.code, err.path, err.message);
}

static inline void
ck_assert_refused (struct reel_slice bytes, unsigned flags, const char *code, const char *path, const char *message)
{
    struct reel_error err = {.code = "none"};
    ck_assert_msg (reel_workflow_parse (&workflow, bytes, flags, &err) == REEL_INVALID, "taken, not %s at %s", code,
                   path);
    ck_assert_msg (strcmp (err.code, code) == 0 && strcmp (err.path, path) == 0
                       && strstr (err.message, message) != NULL,
                   "%s at %s: %s; not %s at %s: %s", err.code, err.path, err.message, code, path, message);
    ck_assert_int_eq (reel_workflow_parse (&workflow, bytes, flags, NULL), REEL_INVALID);
}

static inline const struct reel_step *
only_step (const char *json)
{
    ck_assert_taken (document (json), REEL_WORKFLOW_STRICT);
    ck_assert_uint_eq (workflow.step_count, 1);
    return &workflow.steps[0];
}

#endif
