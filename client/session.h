/*
 * What every command of `reel` begins with: options, standard output, a client, signals.
 *
 * The options that all of them share are the first of each command's table
 * (REEL_SESSION_OPTIONS), at the places that the enum names.
 */
#ifndef REEL_CLIENT_SESSION_H
#define REEL_CLIENT_SESSION_H

#include "base/limits.h"
#include "cli/options.h"
#include "client/complaint.h"
#include "client/output.h"
#include "client/reel.h"
#include "client/screen.h"

enum reel_session_option {
    REEL_SESSION_BROKER,
    REEL_SESSION_EVENTS,
    REEL_SESSION_TIMEOUT,
    REEL_SESSION_JSON,
    REEL_SESSION_CONFIG,
    REEL_SESSION_OPTION_COUNT /* a command's own follow */
};

#define REEL_SESSION_OPTIONS                                                                                           \
    [REEL_SESSION_BROKER] = {.name = "broker",                                                                         \
                             .letter = 'b',                                                                            \
                             .type = REEL_OPTION_TEXT,                                                                 \
                             .argument = "ENDPOINT",                                                                   \
                             .standard = REEL_CLIENT_ENDPOINT_DEFAULT,                                                 \
                             .help = "The broker's client endpoint",                                                   \
                             .environment = "REEL_CLIENT",                                                             \
                             .key = "client"},                                                                         \
    [REEL_SESSION_EVENTS] = {.name = "events",                                                                         \
                             .type = REEL_OPTION_TEXT,                                                                 \
                             .argument = "ENDPOINT",                                                                   \
                             .standard = REEL_EVENTS_ENDPOINT_DEFAULT,                                                 \
                             .help = "The broker's events endpoint",                                                   \
                             .environment = "REEL_EVENTS",                                                             \
                             .key = "events"},                                                                         \
    [REEL_SESSION_TIMEOUT] = {.name = "timeout-ms",                                                                    \
                              .type = REEL_OPTION_NUMBER,                                                              \
                              .argument = "MS",                                                                        \
                              .standard = "10000",                                                                     \
                              .min = 1,                                                                                \
                              .max = 86400000,                                                                         \
                              .help = "How long the broker may take to answer",                                        \
                              .environment = "REEL_TIMEOUT_MS",                                                        \
                              .key = "timeout_ms"},                                                                    \
    [REEL_SESSION_JSON] = {.name = "json",                                                                             \
                           .letter = 'j',                                                                              \
                           .type = REEL_OPTION_FLAG,                                                                   \
                           .help = "One JSON object a line, on a terminal too"},                                       \
    [REEL_SESSION_CONFIG] = {.name = "config",                                                                         \
                             .type = REEL_OPTION_TEXT,                                                                 \
                             .argument = "FILE",                                                                       \
                             .help = "Configuration file (ZPL) with client, events and timeout_ms",                    \
                             .environment = "REEL_CLIENT_CONFIG"}

struct reel_session {
    const struct reel_options_spec *spec;
    struct reel_options options;
    struct reel_output output;
    struct reel_client *client; /* NULL: not asked for */
    struct reel_screen screen;
    int signal_fd; /* -1: not asked for */
    int stop_fd;
};

enum reel_session_flags {
    REEL_SESSION_CLIENT = 1,
    REEL_SESSION_SIGNALS = 2,   /* signals come through signal_fd, which also ends the client's waits */
    REEL_SESSION_STOP_APART = 4 /* those that end a process come through stop_fd instead, for somebody else to read */
};

/* Parses, opens. Anything but REEL_OPTIONS_GO is the exit code to return at once, all being said and freed. */
int reel_session_start (struct reel_session *session, const struct reel_options_spec *spec, unsigned flags, int argc,
                        char **argv) REEL_MUST_USE;
/* Opens client and signals for a command that learns only later that it needs them (its start had no flags). Anything
 * but REEL_OPTIONS_GO is the exit code to end the session with. */
int reel_session_connect (struct reel_session *session, unsigned flags) REEL_MUST_USE;
/* Frees everything; returns the exit code to return. */
int reel_session_end (struct reel_session *session, int exit_code);

/* Takes in the signals that have come through signal_fd: stops and resumes with the process, and returns the one that
 * is to end it; 0: none. */
int reel_session_signal (struct reel_session *session);

static inline const struct reel_option_value *
reel_session_option (const struct reel_session *session, size_t option)
{
    return &session->options.values[option];
}

#endif
