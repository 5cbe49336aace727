/*
 * An event as one line for people.
 */
#ifndef REEL_CLIENT_EVENT_LINE_H
#define REEL_CLIENT_EVENT_LINE_H

#include "base/bytes.h"

/* Appends seq, local time, kind, workflow and step, and what the kind adds; a newline; at most `columns`, made safe. */
void reel_event_line_add (struct reel_buf *out, struct reel_slice event, size_t columns, bool utf8);

#endif
