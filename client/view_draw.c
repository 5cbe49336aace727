/*
 * A view as lines of text. What does not fit is left out from the least important on: first
 * the bar, then the modality, then the ends of names and notes.
 */
#include <stdio.h>
#include <string.h>

#include "client/text.h"
#include "client/view.h"

#define BAR_COLUMNS 20
#define DURATION_COLUMNS 8
/* Under this many columns a line has no modality. */
#define NARROW_COLUMNS 48
#define DETAIL_COLUMNS_MIN 8

enum color { PLAIN, DIM, BOLD, RED, GREEN, YELLOW, CYAN };

static const char *const color_codes[] = {"", "\033[2m", "\033[1m", "\033[31m", "\033[32m", "\033[33m", "\033[36m"};

struct look {
    const char *mark;
    const char *ascii_mark;
    enum color color;
};

static const struct look step_looks[] = {
    [REEL_STEP_PENDING] = {"·", ".", DIM},     [REEL_STEP_RUNNING] = {"▶", ">", CYAN},
    [REEL_STEP_SUCCEEDED] = {"✓", "+", GREEN}, [REEL_STEP_FAILED] = {"✗", "x", RED},
    [REEL_STEP_SKIPPED] = {"–", "-", YELLOW},
};

static const struct look end_looks[] = {
    [REEL_VIEW_RUNNING] = {"▶", ">", CYAN},
    [REEL_VIEW_SUCCEEDED] = {"✓", "+", GREEN},
    [REEL_VIEW_FAILED] = {"✗", "x", RED},
    [REEL_VIEW_CANCELLED] = {"✗", "x", YELLOW},
};

/* One line under construction: what is left of its columns. */
struct line {
    const struct reel_view_frame *frame;
    struct reel_buf *out;
    size_t left;
};

static void
set_color (const struct line *line, enum color color)
{
    if (line->frame->color && color != PLAIN)
        reel_buf_add_text (line->out, color_codes[color]);
}

static void
end_color (const struct line *line, enum color color)
{
    if (line->frame->color && color != PLAIN)
        reel_buf_add_text (line->out, "\033[0m");
}

/* The text in `columns` (filled up) or, at 0, in what it takes. */
static void
put (struct line *line, struct reel_slice text, size_t columns, enum color color)
{
    size_t used = reel_text_columns (text, line->frame->utf8);
    if (columns > 0 || used > line->left)
        used = columns > 0 && columns < line->left ? columns : line->left;
    set_color (line, color);
    reel_text_add_padded (line->out, text, used, line->frame->utf8);
    end_color (line, color);
    line->left -= used;
}

static void
put_text (struct line *line, const char *text, enum color color)
{
    put (line, reel_slice_text (text), 0, color);
}

static void
put_duration (struct line *line, int64_t from_us, int64_t to_us)
{
    char text[REEL_TEXT_DURATION_BYTES] = "", filled[REEL_TEXT_DURATION_BYTES + DURATION_COLUMNS];
    if (from_us >= 0)
        reel_text_duration ((to_us >= 0 ? to_us : line->frame->now_us) - from_us, text);
    (void) snprintf (filled, sizeof filled, "%*s", DURATION_COLUMNS, text);
    put_text (line, filled, PLAIN);
}

static void
put_bar (struct line *line, double fraction, size_t columns)
{
    char percent[16];
    size_t full = (size_t) (fraction * (double) columns + 0.5);
    if (line->left < columns + 6)
        return;
    set_color (line, CYAN);
    for (size_t i = 0; i < columns; i++)
        reel_buf_add_text (line->out, line->frame->utf8 ? (i < full ? "█" : "░") : (i < full ? "#" : "-"));
    end_color (line, CYAN);
    line->left -= columns;
    (void) snprintf (percent, sizeof percent, " %3d%% ", (int) (100 * fraction));
    put_text (line, percent, PLAIN);
}

/* The last column stays free: a terminal that has just written it may have moved on. */
static struct line
begin_line (const struct reel_view_frame *frame, struct reel_buf *out)
{
    return (struct line){.frame = frame, .out = out, .left = frame->columns > 1 ? frame->columns - 1 : 1};
}

static void
end_line (const struct line *line)
{
    reel_buf_add_byte (line->out, '\n');
}

static const char *
mark_of (const struct reel_view_frame *frame, const struct look *look)
{
    return frame->utf8 ? look->mark : look->ascii_mark;
}

/* --- steps ------------------------------------------------------------------------------------ */

struct widths {
    size_t step;
    size_t modality; /* 0: none */
};

static size_t
least (size_t a, size_t b)
{
    return a < b ? a : b;
}

static struct widths
measure (const struct reel_view *view, const struct reel_view_frame *frame)
{
    struct widths widths = {1, 1};
    for (uint32_t i = 0; i < view->step_count; i++) {
        size_t step = reel_text_columns (reel_slice_text (view->steps[i].step_id), frame->utf8);
        size_t modality = reel_text_columns (reel_slice_text (view->steps[i].modality), frame->utf8);
        widths.step = step > widths.step ? step : widths.step;
        widths.modality = modality > widths.modality ? modality : widths.modality;
    }
    bool narrow = frame->columns < NARROW_COLUMNS;
    size_t step_max = frame->columns / (narrow ? 2 : 3);
    widths.step = least (widths.step, step_max > 0 ? step_max : 1);
    widths.modality = narrow ? 0 : least (widths.modality, frame->columns / 5);
    return widths;
}

static void
draw_step (const struct reel_view_step *step, const struct widths *widths, const struct reel_view_frame *frame,
           struct reel_buf *out)
{
    struct line line = begin_line (frame, out);
    const struct look *look = &step_looks[step->status];
    bool running = step->status == REEL_STEP_RUNNING;
    enum color name_color = step->status == REEL_STEP_PENDING ? DIM : running ? BOLD : PLAIN;
    put_text (&line, " ", PLAIN);
    put_text (&line, mark_of (frame, look), look->color);
    put_text (&line, " ", PLAIN);
    put (&line, reel_slice_text (step->step_id), widths->step, name_color);
    if (widths->modality > 0) {
        put_text (&line, "  ", PLAIN);
        put (&line, reel_slice_text (step->modality), widths->modality, DIM);
    }
    if (line.left > DURATION_COLUMNS)
        put_duration (&line, step->started_us, step->finished_us);
    put_text (&line, "  ", PLAIN);
    if (running && step->fraction >= 0)
        put_bar (&line, step->fraction, line.left >= 2 * BAR_COLUMNS ? BAR_COLUMNS : BAR_COLUMNS / 2);
    if (running && step->attempt > 1 && line.left > 2 * DETAIL_COLUMNS_MIN) {
        char attempt[48];
        (void) snprintf (attempt, sizeof attempt, "attempt %llu  ", (unsigned long long) step->attempt);
        put_text (&line, attempt, YELLOW);
    }
    if (step->note && line.left >= DETAIL_COLUMNS_MIN)
        put_text (&line, step->note, step->status == REEL_STEP_FAILED ? RED : DIM);
    end_line (&line);
}

static void
draw_head (const struct reel_view *view, const struct reel_view_frame *frame, struct reel_buf *out)
{
    struct line line = begin_line (frame, out);
    const struct look *look = &end_looks[view->end];
    put_text (&line, view->workflow_id, BOLD);
    put_text (&line, "  ", PLAIN);
    put_text (&line, view->state, look->color);
    if (line.left > DURATION_COLUMNS)
        put_duration (&line, view->started_us >= 0 ? view->started_us : view->accepted_us, view->finished_us);
    if (view->note && line.left >= DETAIL_COLUMNS_MIN) {
        put_text (&line, "  ", PLAIN);
        put_text (&line, view->note, DIM);
    }
    end_line (&line);
}

static uint32_t
first_open (const struct reel_view *view)
{
    uint32_t i = 0;
    while (i < view->step_count && reel_step_status_final (view->steps[i].status))
        i++;
    return i;
}

/* "... 12 steps: 10 succeeded, 2 skipped", of those from `from` up to `to`. */
static void
draw_left_out (const struct reel_view *view, uint32_t from, uint32_t to, const struct reel_view_frame *frame,
               struct reel_buf *out)
{
    uint32_t counts[REEL_STEP_SKIPPED + 1] = {0};
    struct reel_buf text = {0};
    struct line line = begin_line (frame, out);
    for (uint32_t i = from; i < to; i++)
        counts[view->steps[i].status]++;
    reel_buf_printf (&text, " %s %u more", frame->utf8 ? "…" : "...", (unsigned) (to - from));
    const char *separator = ": ";
    for (unsigned status = 0; status <= REEL_STEP_SKIPPED; status++) {
        if (counts[status] == 0)
            continue;
        reel_buf_printf (&text, "%s%u %s", separator, (unsigned) counts[status],
                         reel_step_status_name ((enum reel_step_status) status));
        separator = ", ";
    }
    put (&line, reel_buf_slice (&text), 0, DIM);
    end_line (&line);
    reel_buf_free (&text);
}

void
reel_view_draw (const struct reel_view *view, const struct reel_view_frame *frame, struct reel_buf *out)
{
    struct widths widths = measure (view, frame);
    uint32_t from = 0, to = view->step_count;
    unsigned room = frame->rows > 1 ? frame->rows - 1 : 0;
    draw_head (view, frame, out);
    if (to > room) {
        /* A line each for what is left out before and after; the open step a third from the top. */
        uint32_t shown = room > 2 ? room - 2 : 0;
        uint32_t open = first_open (view);
        from = open > shown / 3 ? open - shown / 3 : 0;
        if (from + shown > view->step_count)
            from = view->step_count - shown;
        to = from + shown;
    }
    if (from > 0 && room > 0)
        draw_left_out (view, 0, from, frame, out);
    for (uint32_t i = from; i < to; i++)
        draw_step (&view->steps[i], &widths, frame, out);
    if (to < view->step_count && room > 1)
        draw_left_out (view, to, view->step_count, frame, out);
}

void
reel_view_draw_line (const struct reel_view *view, const struct reel_view_frame *frame, struct reel_buf *out)
{
    struct line line = begin_line (frame, out);
    const struct look *look = &end_looks[view->end];
    uint32_t done = 0;
    const struct reel_view_step *running = NULL, *failed = NULL;
    char counts[48];
    for (uint32_t i = 0; i < view->step_count; i++) {
        done += reel_step_status_final (view->steps[i].status);
        if (view->steps[i].status == REEL_STEP_RUNNING)
            running = &view->steps[i];
        if (view->steps[i].status == REEL_STEP_FAILED && !failed)
            failed = &view->steps[i];
    }
    (void) snprintf (counts, sizeof counts, "  %u/%u", (unsigned) done, (unsigned) view->step_count);
    put_text (&line, mark_of (frame, look), look->color);
    put_text (&line, " ", PLAIN);
    put_text (&line, view->workflow_id, BOLD);
    put_text (&line, "  ", PLAIN);
    put_text (&line, view->state, look->color);
    put_text (&line, counts, PLAIN);
    if (line.left > DURATION_COLUMNS)
        put_duration (&line, view->started_us >= 0 ? view->started_us : view->accepted_us, view->finished_us);
    put_text (&line, "  ", PLAIN);
    if (running && view->end == REEL_VIEW_RUNNING && line.left > 0) {
        put_text (&line, running->step_id, PLAIN);
        put_text (&line, "  ", PLAIN);
        if (running->fraction >= 0)
            put_bar (&line, running->fraction, BAR_COLUMNS / 2);
    } else if (view->end != REEL_VIEW_RUNNING && failed && line.left >= DETAIL_COLUMNS_MIN) {
        put_text (&line, failed->step_id, PLAIN);
        put_text (&line, "  ", PLAIN);
        put_text (&line, failed->note ? failed->note : "", RED);
    } else if (view->note && line.left >= DETAIL_COLUMNS_MIN) {
        put_text (&line, view->note, DIM);
    }
    end_line (&line);
}
