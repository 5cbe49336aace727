/*
 * A region at the bottom of the terminal that is drawn again in place.
 *
 * While it is shown the cursor is hidden and lines do not wrap; reel_screen_hide() undoes
 * both and is called on every way out, signals included. What is to stay is written above
 * the region with reel_screen_above().
 */
#ifndef REEL_CLIENT_SCREEN_H
#define REEL_CLIENT_SCREEN_H

#include "client/output.h"

struct reel_screen {
    struct reel_output *output; /* borrowed; one that is `live` */
    bool shown;
    unsigned lines; /* of the region, as drawn last */
};

/* Draws the region: lines, each ended by a newline, none longer than the terminal is wide. */
void reel_screen_draw (struct reel_screen *screen, struct reel_slice lines);
/* Takes the region away and writes `text` (whole lines) where it stood; the next drawing goes below. */
void reel_screen_above (struct reel_screen *screen, struct reel_slice text);
/* Leaves what was drawn where it is, and the terminal as it was found. */
void reel_screen_hide (struct reel_screen *screen);

#endif
