/*
 * One workflow as a person watches it: what is known of its steps, and its picture in text.
 *
 * Fed with a document and then with events (a broker's or the local runner's), it can be
 * drawn at any time, into a buffer and for a size that the caller names; it knows neither
 * terminal nor clock. Every line it writes is made safe and fits the columns.
 */
#ifndef REEL_CLIENT_VIEW_H
#define REEL_CLIENT_VIEW_H

#include "base/bytes.h"
#include "proto/workflow.h"

struct reel_view_step {
    char *step_id;
    char *modality;
    char *note;      /* the last message of its progress, or its error; NULL: none */
    double fraction; /* of the running step; negative: not known */
    enum reel_step_status status;
    int64_t started_us; /* REEL_TIME_NIL */
    int64_t finished_us;
    uint64_t attempt;
};

enum reel_view_end { REEL_VIEW_RUNNING, REEL_VIEW_SUCCEEDED, REEL_VIEW_FAILED, REEL_VIEW_CANCELLED };

struct reel_view {
    char *workflow_id;
    char state[24]; /* "queued", "running", "held", ... */
    char *note;     /* why it is held or was given back, on which worker it is; NULL: none */
    enum reel_view_end end;
    int64_t accepted_us;
    int64_t started_us;
    int64_t finished_us;
    struct reel_view_step *steps;
    uint32_t step_count;
};

/* For whom it is drawn. */
struct reel_view_frame {
    unsigned columns;
    unsigned rows;  /* lines at most; steps that do not fit are counted instead */
    int64_t now_us; /* wall clock */
    bool color;
    bool utf8;
};

/* An all-zero view becomes one of this workflow. REEL_NO_MEMORY. */
enum reel_status reel_view_init (struct reel_view *view, struct reel_slice workflow_id) REEL_MUST_USE;
void reel_view_free (struct reel_view *view);
/* Takes the steps from a document, as they stand in it. REEL_INVALID: it is none; the view is as it was.
 * REEL_NO_MEMORY. */
enum reel_status reel_view_load (struct reel_view *view, struct reel_slice document) REEL_MUST_USE;
/* Takes an event in. What it does not know is passed over, and so is a step that the document does not have. */
void reel_view_event (struct reel_view *view, struct reel_slice event);
/* Says `text` beside the state until the workflow's next event; without memory nothing. */
void reel_view_note (struct reel_view *view, struct reel_slice text);

/* Appends the workflow with its steps, each line ended by a newline. */
void reel_view_draw (const struct reel_view *view, const struct reel_view_frame *frame, struct reel_buf *out);
/* Appends the workflow as one line: how many steps are done, and which one runs. */
void reel_view_draw_line (const struct reel_view *view, const struct reel_view_frame *frame, struct reel_buf *out);

#endif
