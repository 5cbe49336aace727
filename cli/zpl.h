/*
 * Configuration files: ZPL (ZeroMQ RFC 4), read by czmq's zconfig and shown as a tree of nodes.
 *
 *     name = value            # a comment
 *     section
 *         name = "a value"    # four spaces a level
 */
#ifndef REEL_CLI_ZPL_H
#define REEL_CLI_ZPL_H

#include "base/bytes.h"

#define REEL_ZPL_BYTES_MAX (1u << 20)
/* Of one line, its end not included: zconfig would cut a longer one. */
#define REEL_ZPL_LINE_BYTES_MAX 1000

struct reel_zpl;      /* a whole file */
struct reel_zpl_node; /* one line of it, with the lines below; lives as long as the file */

/* REEL_IO: cannot be read; REEL_INVALID: is not ZPL; REEL_NO_MEMORY. The message names the file and the line. */
enum reel_status reel_zpl_load (const char *path, struct reel_zpl **zpl, struct reel_error *err) REEL_MUST_USE;
/* The same from text; `name` is what messages call it. */
enum reel_status reel_zpl_parse (struct reel_slice text, const char *name, struct reel_zpl **zpl,
                                 struct reel_error *err) REEL_MUST_USE;
void reel_zpl_free (struct reel_zpl **zpl);

/* The first node at the top; NULL: the file is empty. */
const struct reel_zpl_node *reel_zpl_first (const struct reel_zpl *zpl);
/* The first node below this one, and the one after it on its level; NULL: none. */
const struct reel_zpl_node *reel_zpl_child (const struct reel_zpl_node *node);
const struct reel_zpl_node *reel_zpl_next (const struct reel_zpl_node *node);
const char *reel_zpl_name (const struct reel_zpl_node *node);
/* "" when it has none. */
const char *reel_zpl_value (const struct reel_zpl_node *node);

#endif
