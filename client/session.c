/*
 * Beginnings and ends of commands.
 */
#include "client/session.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

int
reel_session_start (struct reel_session *session, const struct reel_options_spec *spec, unsigned flags, int argc,
                    char **argv)
{
    *session = (struct reel_session){.spec = spec, .signal_fd = -1, .stop_fd = -1};
    session->screen.output = &session->output;
    int code = reel_options_read (spec, argc, argv, &session->options);
    if (code != REEL_OPTIONS_GO)
        return code;
    reel_output_init (&session->output, session->options.values[REEL_SESSION_JSON].flag);
    code = reel_session_connect (session, flags);
    return code == REEL_OPTIONS_GO ? code : reel_session_end (session, code);
}

static int
open_signal_fd (const int *watched, size_t count)
{
    sigset_t set;
    (void) sigemptyset (&set);
    for (size_t i = 0; i < count; i++) {
        struct sigaction before;
        /* What nohup and shells without job control ignore stays ignored. */
        if (sigaction (watched[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void) sigaddset (&set, watched[i]);
    }
    if (sigprocmask (SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool
open_signals (struct reel_session *session, bool stop_apart)
{
    static const int watched[] = {SIGTSTP, SIGWINCH, SIGINT, SIGTERM, SIGHUP};
    const size_t all = sizeof watched / sizeof watched[0], screen = 2;
    session->signal_fd = open_signal_fd (watched, stop_apart ? screen : all);
    if (stop_apart)
        session->stop_fd = open_signal_fd (watched + screen, all - screen);
    return session->signal_fd >= 0 && (!stop_apart || session->stop_fd >= 0);
}

int
reel_session_connect (struct reel_session *session, unsigned flags)
{
    struct reel_client_options options = {
        .client_endpoint = reel_session_option (session, REEL_SESSION_BROKER)->text,
        .events_endpoint = reel_session_option (session, REEL_SESSION_EVENTS)->text,
        .timeout_ms = (int64_t) reel_session_option (session, REEL_SESSION_TIMEOUT)->number,
    };
    struct reel_client_error error;
    if ((flags & REEL_SESSION_SIGNALS) != 0 && !open_signals (session, (flags & REEL_SESSION_STOP_APART) != 0)) {
        reel_complain ("cannot take signals in");
        return EX_OSERR;
    }
    options.wake_fd = session->signal_fd;
    if ((flags & REEL_SESSION_CLIENT) == 0)
        return REEL_OPTIONS_GO;
    enum reel_client_status status = reel_client_open (&options, &session->client, &error);
    if (status == REEL_CLIENT_OK)
        return REEL_OPTIONS_GO;
    return reel_complain_client (NULL, status, &error);
}

static void
close_fd (int *fd)
{
    if (*fd >= 0)
        (void) close (*fd);
    *fd = -1;
}

int
reel_session_end (struct reel_session *session, int exit_code)
{
    reel_screen_hide (&session->screen);
    reel_client_close (&session->client);
    close_fd (&session->signal_fd);
    close_fd (&session->stop_fd);
    reel_options_free (&session->options);
    return reel_output_end (&session->output, exit_code);
}

int
reel_session_signal (struct reel_session *session)
{
    struct signalfd_siginfo info;
    while (session->signal_fd >= 0 && read (session->signal_fd, &info, sizeof info) == (ssize_t) sizeof info) {
        int number = (int) info.ssi_signo;
        if (number == SIGTSTP) {
            reel_screen_hide (&session->screen);
            (void) kill (getpid (), SIGSTOP);
        } else if (number != SIGWINCH) {
            return number;
        }
    }
    return 0;
}
