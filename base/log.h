/*
 * One line a happening, to standard error: time, level, program, message.
 *
 * Only shells and mains log; what is below them returns. Control characters in a message
 * are escaped, so that a peer's text cannot forge a line.
 */
#ifndef REEL_BASE_LOG_H
#define REEL_BASE_LOG_H

enum reel_log_level { REEL_LOG_ERROR, REEL_LOG_WARNING, REEL_LOG_INFO, REEL_LOG_DEBUG };

/* Their names in that order, as the words of a choice (cli/options.h). */
#define REEL_LOG_LEVELS "error|warning|info|debug"

/* `program` is a static string; lines above `level` are dropped. Call once, early. */
void reel_log_start (const char *program, enum reel_log_level level);
void reel_log (enum reel_log_level level, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

#endif
