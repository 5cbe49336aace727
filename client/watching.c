/*
 * One follower, and what each event means for the screen.
 */
#include "client/watching.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/view.h"
#include "client/waiting.h"
#include "proto/scan.h"

#define DRAW_EVERY_US 100000
/* How often the broker is asked what a queued workflow waits for: workers come and go without an event of it. */
#define LOOK_EVERY_US 1000000
/* Views at a time while everything is watched; workflows past it run unseen until others end. */
#define ALL_VIEWS_MAX 256

struct reel_watching {
    struct reel_session *session;
    struct reel_client_follow *follow;
    bool all;
    struct reel_view *list; /* in the order of their ids */
    size_t count, cap;
    size_t ended;
    uint64_t first_seq; /* of the events that matter */
    bool failed;
    int64_t drawn_us;
    int64_t looked_us; /* what the one workflow waits for; 0: not yet */
    uint64_t lost;
};

struct reel_watching *
reel_watching_create (struct reel_session *session)
{
    struct reel_watching *watching = calloc (1, sizeof *watching);
    if (watching)
        *watching = (struct reel_watching){.session = session, .first_seq = UINT64_MAX};
    return watching;
}

void
reel_watching_destroy (struct reel_watching **watching)
{
    struct reel_watching *destroyed = *watching;
    if (!destroyed)
        return;
    for (size_t i = 0; i < destroyed->count; i++)
        reel_view_free (&destroyed->list[i]);
    reel_client_follow_close (&destroyed->follow);
    free (destroyed->list);
    free (destroyed);
    *watching = NULL;
}

/* Where the view of that id is, or belongs. */
static size_t
place_of (const struct reel_watching *watching, struct reel_slice workflow_id, bool *found)
{
    size_t from = 0, to = watching->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = reel_slice_compare (reel_slice_text (watching->list[middle].workflow_id), workflow_id);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    *found = false;
    return from;
}

static enum reel_status
insert (struct reel_watching *watching, struct reel_slice workflow_id, size_t place)
{
    if (watching->count == watching->cap) {
        size_t cap = watching->cap > 0 ? 2 * watching->cap : 4;
        struct reel_view *list = realloc (watching->list, cap * sizeof *list);
        if (!list)
            return REEL_NO_MEMORY;
        watching->list = list;
        watching->cap = cap;
    }
    struct reel_view view;
    if (reel_view_init (&view, workflow_id) != REEL_OK)
        return REEL_NO_MEMORY;
    memmove (&watching->list[place + 1], &watching->list[place], (watching->count - place) * sizeof view);
    watching->list[place] = view;
    watching->count++;
    return REEL_OK;
}

enum reel_status
reel_watching_add (struct reel_watching *watching, struct reel_slice workflow_id, struct reel_slice document,
                   uint64_t seq)
{
    bool found;
    size_t place = place_of (watching, workflow_id, &found);
    if (seq < watching->first_seq)
        watching->first_seq = seq;
    if (!found && insert (watching, workflow_id, place) != REEL_OK)
        return REEL_NO_MEMORY;
    if (document.len == 0)
        return REEL_OK;
    /* A document that cannot be read has no steps to show; its events are shown all the same. */
    return reel_view_load (&watching->list[place], document) == REEL_NO_MEMORY ? REEL_NO_MEMORY : REEL_OK;
}

/* --- drawing ---------------------------------------------------------------------------------- */

static struct reel_view_frame
frame_now (const struct reel_session *session)
{
    struct reel_view_frame frame = {
        .now_us = reel_clock_wall_us (), .color = session->output.color, .utf8 = session->output.utf8};
    reel_output_size (&frame.columns, &frame.rows);
    /* The cursor stands on a line of its own. */
    frame.rows = frame.rows > 1 ? frame.rows - 1 : 1;
    return frame;
}

/* Those that run, a line each, and how many there are of which kind. */
static void
draw_several (const struct reel_watching *watching, const struct reel_view_frame *frame, struct reel_buf *out)
{
    size_t running = 0, waiting = 0, room = frame->rows > 1 ? frame->rows - 1 : 0;
    for (size_t i = 0; i < watching->count; i++) {
        const struct reel_view *view = &watching->list[i];
        if (view->end != REEL_VIEW_RUNNING)
            continue;
        if (strcmp (view->state, "queued") == 0) {
            waiting++;
            continue;
        }
        if (running++ < room)
            reel_view_draw_line (view, frame, out);
    }
    reel_buf_printf (out, "%zu running, %zu queued, %zu ended\n", running, waiting, watching->ended);
}

static void
draw (struct reel_watching *watching)
{
    struct reel_session *session = watching->session;
    struct reel_view_frame frame = frame_now (session);
    struct reel_buf lines = {0};
    if (!session->output.live)
        return;
    if (watching->count == 1 && !watching->all)
        reel_view_draw (&watching->list[0], &frame, &lines);
    else
        draw_several (watching, &frame, &lines);
    if (reel_buf_status (&lines) == REEL_OK)
        reel_screen_draw (&session->screen, reel_buf_slice (&lines));
    reel_buf_free (&lines);
    watching->drawn_us = reel_clock_monotonic_us ();
}

/* What is left to read of a workflow that has ended: the line above the others, or its end as text. */
static void
draw_ended (struct reel_watching *watching, const struct reel_view *view)
{
    struct reel_session *session = watching->session;
    struct reel_view_frame frame = frame_now (session);
    struct reel_buf line = {0};
    if (session->output.live && watching->count == 1 && !watching->all)
        return;
    reel_view_draw_line (view, &frame, &line);
    if (session->output.live)
        reel_screen_above (&session->screen, reel_buf_slice (&line));
    else
        reel_buf_add_slice (&session->output.buf, reel_buf_slice (&line));
    reel_buf_free (&line);
}

/* --- events ----------------------------------------------------------------------------------- */

/* Asks again for as long as it is only a signal like SIGWINCH that comes between. `*number`: one that ends us. */
static enum reel_client_status
fetch (struct reel_watching *watching, const char *workflow_id, bool receipt, struct reel_client_reply *reply,
       struct reel_client_error *error, int *number)
{
    struct reel_client *client = watching->session->client;
    for (;;) {
        enum reel_client_status status = receipt ? reel_client_receipt (client, workflow_id, reply, error)
                                                 : reel_client_get (client, workflow_id, reply, error);
        if (status != REEL_CLIENT_INTERRUPTED)
            return status;
        *number = reel_session_signal (watching->session);
        if (*number != 0)
            return status;
    }
}

static int
complain (struct reel_watching *watching, const char *subject, enum reel_client_status status,
          const struct reel_client_error *error)
{
    reel_screen_hide (&watching->session->screen);
    return reel_complain_client (subject, status, error);
}

/* Ended by a signal: says that nothing else ends with us. */
static int
stopped (struct reel_watching *watching, int number)
{
    reel_screen_hide (&watching->session->screen);
    size_t open = watching->count - (watching->all ? 0 : watching->ended);
    if (!watching->all && open == 1)
        for (size_t i = 0; i < watching->count; i++)
            if (watching->list[i].end == REEL_VIEW_RUNNING)
                reel_complain ("workflow %s goes on; follow it again with: reel watch %s",
                               watching->list[i].workflow_id, watching->list[i].workflow_id);
    if (!watching->all && open > 1)
        reel_complain ("%zu workflows go on; follow them again with: reel watch ID", open);
    return 128 + number;
}

static int
print_receipt (struct reel_watching *watching, const char *workflow_id)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    int number = 0;
    enum reel_client_status status = fetch (watching, workflow_id, true, &reply, &error, &number);
    if (status == REEL_CLIENT_INTERRUPTED)
        return stopped (watching, number);
    if (status != REEL_CLIENT_OK)
        return complain (watching, workflow_id, status, &error);
    reel_output_json (&watching->session->output, reel_slice (reply.document, reply.document_size));
    reel_client_reply_free (&reply);
    return REEL_OPTIONS_GO;
}

/* A workflow that is met while everything is watched, once it is at work. */
static enum reel_status
meet (struct reel_watching *watching, const struct reel_client_event *event, size_t place)
{
    struct reel_client_reply reply = {0};
    int number = 0;
    if (watching->count >= ALL_VIEWS_MAX || strcmp (event->kind, "workflow.accepted") == 0)
        return REEL_OK;
    if (insert (watching, reel_slice_text (event->workflow_id), place) != REEL_OK)
        return REEL_NO_MEMORY;
    enum reel_status status = REEL_OK;
    if (fetch (watching, event->workflow_id, false, &reply, NULL, &number) == REEL_CLIENT_OK)
        status = reel_view_load (&watching->list[place], reel_slice (reply.document, reply.document_size));
    reel_client_reply_free (&reply);
    return status == REEL_NO_MEMORY ? status : REEL_OK;
}

static void
leave (struct reel_watching *watching, size_t place)
{
    reel_view_free (&watching->list[place]);
    watching->count--;
    memmove (&watching->list[place], &watching->list[place + 1], (watching->count - place) * sizeof watching->list[0]);
}

static int
take_event (struct reel_watching *watching, const struct reel_client_event *event)
{
    struct reel_session *session = watching->session;
    struct reel_slice bytes = reel_slice (event->data, event->size);
    bool found;
    size_t place = place_of (watching, reel_slice_text (event->workflow_id), &found);
    if (!found && !watching->all)
        return REEL_OPTIONS_GO;
    if (session->output.json)
        reel_output_json (&session->output, bytes);
    if (session->output.json && watching->all)
        return REEL_OPTIONS_GO;
    if (!found && meet (watching, event, place) != REEL_OK) {
        reel_complain ("out of memory");
        return EX_OSERR;
    }
    /* meet() may have found no room for it, and a repeated id is watched once. */
    (void) place_of (watching, reel_slice_text (event->workflow_id), &found);
    if (!found || (watching->list[place].end != REEL_VIEW_RUNNING))
        return REEL_OPTIONS_GO;
    reel_view_event (&watching->list[place], bytes);
    watching->looked_us = 0;
    if (watching->list[place].end == REEL_VIEW_RUNNING)
        return REEL_OPTIONS_GO;
    watching->ended++;
    watching->failed = watching->failed || watching->list[place].end != REEL_VIEW_SUCCEEDED;
    int code = REEL_OPTIONS_GO;
    if (!session->output.json)
        draw_ended (watching, &watching->list[place]);
    else
        code = print_receipt (watching, event->workflow_id);
    if (watching->all)
        leave (watching, place);
    return code;
}

/* --- the loop --------------------------------------------------------------------------------- */

static void
mention_loss (struct reel_watching *watching)
{
    uint64_t lost = reel_client_follow_lost (watching->follow);
    if (lost == watching->lost)
        return;
    reel_screen_hide (&watching->session->screen);
    reel_complain ("%llu events are no longer kept by the broker", (unsigned long long) (lost - watching->lost));
    watching->lost = lost;
}

/* Says beside the one workflow that is drawn what it waits for, as long as it does. That a broker does not answer is
 * the follower's to tell. */
static void
look (struct reel_watching *watching)
{
    struct reel_client_reply reply = {0};
    struct reel_buf waiting = {0};
    bool due = watching->looked_us == 0 || reel_clock_monotonic_us () >= watching->looked_us + LOOK_EVERY_US;
    if (!due || watching->count != 1 || watching->all || strcmp (watching->list[0].state, "queued") != 0)
        return;
    struct reel_view *view = &watching->list[0];
    if (reel_client_get (watching->session->client, view->workflow_id, &reply, NULL) == REEL_CLIENT_OK)
        reel_waiting_ask (&waiting, watching->session->client, &reply);
    if (waiting.len > 0 && reel_buf_status (&waiting) == REEL_OK)
        reel_view_note (view, reel_buf_slice (&waiting));
    reel_client_reply_free (&reply);
    reel_buf_free (&waiting);
    watching->looked_us = reel_clock_monotonic_us ();
}

/* One turn: waits for an event, or until it is time to draw. */
static int
turn (struct reel_watching *watching)
{
    struct reel_client_event event;
    struct reel_client_error error;
    int64_t wait_ms = -1;
    if (watching->session->output.live) {
        int64_t due_us = watching->drawn_us + DRAW_EVERY_US - reel_clock_monotonic_us ();
        if (due_us <= 0) {
            look (watching);
            draw (watching);
        }
        wait_ms = due_us <= 0 ? DRAW_EVERY_US / 1000 : due_us / 1000 + 1;
    }
    enum reel_client_status status = reel_client_follow_next (watching->follow, wait_ms, &event, &error);
    int number = reel_session_signal (watching->session);
    if (number != 0)
        return stopped (watching, number);
    mention_loss (watching);
    switch (status) {
    case REEL_CLIENT_OK: return take_event (watching, &event);
    case REEL_CLIENT_TIMEOUT:
    case REEL_CLIENT_INTERRUPTED: return REEL_OPTIONS_GO;
    default: return complain (watching, watching->count == 1 ? watching->list[0].workflow_id : NULL, status, &error);
    }
}

static int
run (struct reel_watching *watching, const char *workflow_id, uint64_t after)
{
    struct reel_client_error error;
    int code = REEL_OPTIONS_GO;
    enum reel_client_status status = reel_client_follow_open (watching->session->client, workflow_id, after,
                                                              &watching->follow, &error);
    if (status != REEL_CLIENT_OK)
        return complain (watching, NULL, status, &error);
    while (code == REEL_OPTIONS_GO && (watching->all || watching->ended < watching->count)) {
        code = turn (watching);
        if (watching->session->output.broken)
            code = EX_OK;
    }
    if (code == REEL_OPTIONS_GO)
        draw (watching);
    reel_screen_hide (&watching->session->screen);
    if (code != REEL_OPTIONS_GO)
        return code;
    return watching->failed ? REEL_EXIT_FAILED : EX_OK;
}

/* For a view of one workflow whose document nobody has given. */
static int
load_single (struct reel_watching *watching)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    int number = 0;
    struct reel_view *view = &watching->list[0];
    enum reel_client_status status = fetch (watching, view->workflow_id, false, &reply, &error, &number);
    if (status == REEL_CLIENT_INTERRUPTED)
        return stopped (watching, number);
    if (status != REEL_CLIENT_OK)
        return complain (watching, view->workflow_id, status, &error);
    bool no_memory = reel_view_load (view, reel_slice (reply.document, reply.document_size)) == REEL_NO_MEMORY;
    reel_client_reply_free (&reply);
    if (no_memory)
        reel_complain ("out of memory");
    return no_memory ? EX_OSERR : REEL_OPTIONS_GO;
}

int
reel_watching_run (struct reel_watching *watching)
{
    if (watching->count == 0)
        return EX_OK;
    if (watching->count > 1)
        return run (watching, NULL, watching->first_seq > 0 ? watching->first_seq - 1 : 0);
    if (watching->list[0].step_count == 0 && watching->session->output.live) {
        int code = load_single (watching);
        if (code != REEL_OPTIONS_GO)
            return code;
    }
    return run (watching, watching->list[0].workflow_id, 0);
}

int
reel_watching_run_all (struct reel_watching *watching)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    uint64_t last_seq = 0;
    enum reel_client_status status;
    do {
        /* A page past everything says where everything ends. */
        status = reel_client_events (watching->session->client, NULL, INT64_MAX, 1, &reply, &error);
        int number = status == REEL_CLIENT_INTERRUPTED ? reel_session_signal (watching->session) : 0;
        if (number != 0)
            return stopped (watching, number);
    } while (status == REEL_CLIENT_INTERRUPTED);
    if (status != REEL_CLIENT_OK)
        return complain (watching, NULL, status, &error);
    (void) reel_scan_find_uint (reel_slice (reply.header, reply.header_size), "last_seq", &last_seq);
    reel_client_reply_free (&reply);
    watching->all = true;
    return run (watching, NULL, last_seq);
}
