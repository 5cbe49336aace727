/*
 * What goes wrong in the command line, said once on standard error and as an exit code.
 *
 *     reel: FILE: invalid_workflow/bad_id at /steps/1/step_id: message
 */
#ifndef REEL_CLIENT_COMPLAINT_H
#define REEL_CLIENT_COMPLAINT_H

#include <sysexits.h>

#include "base/bytes.h"
#include "client/reel.h"

/* A workflow that was watched, awaited or run did not succeed. */
#define REEL_EXIT_FAILED 1
/* Ended by Ctrl-C, as shells count it. */
#define REEL_EXIT_INTERRUPTED 130

/* Prints one line, made safe for a terminal, after "reel: ". */
void reel_complain (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

/* Prints an error of libreel; `subject` (NULL: none) is the file or workflow it is about. Returns its exit code. */
int reel_complain_client (const char *subject, enum reel_client_status status, const struct reel_client_error *error);
/* The same for a document that does not hold; `code` (NULL: none) comes before err->code. Returns EX_DATAERR,
 * or EX_OSERR for REEL_NO_MEMORY. */
int reel_complain_document (const char *subject, const char *code, enum reel_status status,
                            const struct reel_error *err);

/* The exit code for an error of libreel. */
int reel_exit_code (enum reel_client_status status, const char *code);

#endif
