#include "tests/crash/players.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/plugins/ledger.h"
#include "tests/support/scratch.h"
#include "worker/embed.h"

#define DEADLINE_US 60000000
#define GAMES_DEFAULT 24
#define GAMES_MAX 64
#define PROGRESS_S 5
#define FRAMES_MAX 24
#define PATH_BYTES 128
#define KINDS_MAX 32
#define UNHURT_MAX 3
#define LEFTOVERS 99 /* the exit code of who left something behind */
#define EXIT_WORKFLOW_FAILED 1

static const char *const names[PLAYERS_COUNT] = {"broker", "worker", "client", "watcher", "runner", "embed"};

/* What all games share. */
struct board {
    uint64_t there[PLAYERS_COUNT][KINDS_MAX];   /* how many there are where nothing fails, about */
    uint64_t next[PLAYERS_COUNT][KINDS_MAX];    /* the n to be tried next */
    bool looked_into[PLAYERS_COUNT][KINDS_MAX]; /* somebody is beyond `there` */
    bool over[PLAYERS_COUNT][KINDS_MAX];        /* there was none of that number */
    uint64_t tried[PLAYERS_COUNT];
    uint64_t failed, ended, undone; /* n that failed; processes that ended for it; workflows that failed for it */
};

/* What is to be done: a survey, one game (`at`), or all. */
struct task {
    unsigned whom, kind, games;
    uint64_t step, at;
    bool surveys;
};

static struct board *board;
static const struct players_setup *setup;
static uint64_t *calls;   /* of this game, in all its processes: as many as there are kinds */
static pid_t victim;      /* the process that is struck */
static unsigned fails_in; /* the kind */
static uint64_t fails_at; /* the n; 0: none */
static int struck;        /* whom this game strikes */
static int trace_fd = -1; /* where the only game there is says where it struck */
static char root[SCRATCH_BYTES], directory[SCRATCH_BYTES + 16]; /* of all games, and of this one */
static char paths[PLAYERS_COUNT][PATH_BYTES];                   /* what each says */
static char endpoints[3][PATH_BYTES], config[PATH_BYTES], document[PATH_BYTES], output[PATH_BYTES], ledger[PATH_BYTES];

/* Where it was, for addr2line. */
static void
say_where (void)
{
    void *frames[FRAMES_MAX];
    backtrace_symbols_fd (frames, backtrace (frames, FRAMES_MAX), trace_fd);
}

bool
players_fails (unsigned kind)
{
    if (victim != getpid ())
        return false;
    bool nth = __atomic_add_fetch (&calls[kind], 1, __ATOMIC_RELAXED) == fails_at && kind == fails_in;
    if (nth && trace_fd >= 0)
        say_where ();
    return nth;
}

/* --- the programs ---------------------------------------------------------------------------- */

/* Their main(), under another name (CMakeLists.txt). */
int reel_broker_main (int argc, char **argv);
int reel_worker_main (int argc, char **argv);
int reel_client_main (int argc, char **argv);

#define ARGUMENTS_MAX 20

static int
run (int (*program) (int argc, char **argv), const char *const *words)
{
    static char room[ARGUMENTS_MAX][PATH_BYTES];
    char *argv[ARGUMENTS_MAX + 1] = {NULL};
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        (void) snprintf (room[argc], sizeof room[argc], "%s", words[argc]);
        argv[argc] = room[argc];
    }
    victim = struck >= 0 ? getpid () : 0;
    int code = program (argc, argv);
    victim = 0;
    return code;
}

static int
be_broker (void)
{
    static const char *const limits[] = {"--lease-ms=1000", "--heartbeat-ms=100"};
    return run (reel_broker_main,
                (const char *const[]){"reel-broker", "--client", endpoints[0], "--worker", endpoints[1], "--events",
                                      endpoints[2], "--data", directory, "--log=error", limits[0], limits[1], NULL});
}

static int
be_worker (void)
{
    return run (reel_worker_main,
                (const char *const[]){"reel-worker", "--broker", endpoints[1], "--config", config, "--name=w",
                                      "--slots=2", "--drain-ms=1000", "--log=error", NULL});
}

static int
submit (const char *how)
{
    return run (reel_client_main, (const char *const[]){"reel", "submit", how, "--timeout-ms=2000", "--broker",
                                                        endpoints[0], "--events", endpoints[2], document, NULL});
}

static int
be_client (void)
{
    return submit ("--wait");
}

static int
be_watcher (void)
{
    return submit ("--watch");
}

/* What an earlier run has left is gone on from. */
static const char *
input_of_run (void)
{
    struct stat about;
    return stat (output, &about) == 0 && about.st_size > 0 ? output : document;
}

static int
be_runner (void)
{
    return run (reel_client_main,
                (const char *const[]){"reel", "run", "--config", config, "--output", output, input_of_run (), NULL});
}

static int
embed_main (int argc, char **argv)
{
    (void) argc, (void) argv;
    struct reel_embed *embed = NULL;
    struct reel_embed_error error;
    const struct reel_embed_options options = {.output = output, .output_form = REEL_EMBED_JSON};
    const void *data;
    size_t size;
    int code = EX_OSERR;
    if (reel_embed_create (&embed, &error) == REEL_EMBED_OK
        && reel_embed_configure (embed, NULL, &error) == REEL_EMBED_OK
        && reel_embed_add_adapter (embed, "command", REEL_ADAPTER_IDEMPOTENT, ledger_look, NULL, &error)
               == REEL_EMBED_OK
        && reel_embed_add_adapter (embed, "function", REEL_ADAPTER_NEITHER, ledger_spend, NULL, &error) == REEL_EMBED_OK
        && reel_embed_add_adapter (embed, "job", REEL_ADAPTER_RESUMABLE, ledger_go_on, NULL, &error) == REEL_EMBED_OK
        && reel_embed_add_hook (embed, "look", REEL_HOOK_PRE_STEP | REEL_HOOK_POST_STEP, ledger_look, NULL, &error)
               == REEL_EMBED_OK
        && reel_embed_load (embed, input_of_run (), &error) == REEL_EMBED_OK
        && reel_embed_run (embed, &options, &error) == REEL_EMBED_OK
        && reel_embed_receipt (embed, REEL_EMBED_JSON, &data, &size, &error) == REEL_EMBED_OK)
        code = strcmp (reel_embed_status (embed), "succeeded") == 0 ? EX_OK : EXIT_WORKFLOW_FAILED;
    else
        (void) fprintf (stderr, "%s: %s\n", error.code, error.message);
    reel_embed_free (&embed);
    return code;
}

static int
be_embed (void)
{
    return run (embed_main, (const char *const[]){"embed", NULL});
}

/* --- a game's files -------------------------------------------------------------------------- */

static void
write_file (const char *path, const char *text, mode_t mode)
{
    int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || write (fd, text, strlen (text)) != (ssize_t) strlen (text) || close (fd) != 0) {
        perror (path);
        exit (EXIT_FAILURE);
    }
}

static void
write_files (void)
{
    char script[PATH_BYTES], text[2048];
    (void) snprintf (script, sizeof script, "%s/spend", directory);
    write_file (script,
                "#!/bin/sh\n"
                "echo command >>\"$LEDGER\"\n"
                "echo spending >&2\n"
                "echo '{\"progress\": 0.5, \"message\": \"half way\"}'\n"
                "echo '{\"spent\": true}'\n",
                0700);
    (void) snprintf (text, sizeof text,
                     "work = \"work\"\n"
                     "plugin = \"%s/plugins/ledger.so\"\n"
                     "modality\n"
                     "    echo\n"
                     "        adapter = echo\n"
                     "    command\n"
                     "        adapter = exec\n"
                     "        command = \"./spend\"\n"
                     "        argument = \"{payload/text}\"\n"
                     "        set = \"LEDGER=%s\"\n"
                     "    function\n"
                     "        adapter = ledger\n"
                     "    job\n"
                     "        adapter = ledger-job\n",
                     REEL_TESTS_DIR, ledger);
    write_file (config, text, 0600);
    write_file (document,
                "{\"workflow_id\": \"wf\", \"steps\": ["
                "{\"step_id\": \"a\", \"modality\": \"echo\", \"payload\": {\"text\": \"first\"}},"
                "{\"step_id\": \"b\", \"modality\": \"command\", \"depends_on\": [\"a\"],"
                " \"payload\": {\"text\": {\"$ref\": \"#/a/output/text\"}}, \"policy\": {\"in_doubt\": \"fail\","
                " \"retry\": {\"max_attempts\": 3, \"backoff_ms\": 1, \"backoff_max_ms\": 5}}},"
                "{\"step_id\": \"c\", \"modality\": \"function\", \"policy\": {\"in_doubt\": \"fail\","
                " \"retry\": {\"max_attempts\": 3, \"backoff_ms\": 1, \"backoff_max_ms\": 5}}},"
                "{\"step_id\": \"d\", \"modality\": \"job\", \"policy\": {\"in_doubt\": \"fail\","
                " \"retry\": {\"max_attempts\": 3, \"backoff_ms\": 1, \"backoff_max_ms\": 5}}}]}\n",
                0600);
}

static void
read_text (const char *path, char *text, size_t room)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read (fd, text, room - 1);
    text[got < 0 ? 0 : got] = '\0';
    if (fd >= 0)
        (void) close (fd);
}

/* --- what must not happen --------------------------------------------------------------------- */

static void
wrong (const char *what, int number)
{
    char said[8192];
    (void) fprintf (stderr, "%s %s %llu: %s (%d)\n", names[struck], setup->kinds[fails_in],
                    (unsigned long long) fails_at, what, number);
    for (int who = 0; who < PLAYERS_COUNT; who++) {
        read_text (paths[who], said, sizeof said);
        if (said[0] != '\0')
            (void) fprintf (stderr, "--- the %s:\n%s", names[who], said);
    }
    (void) fflush (stderr);
    (void) kill (0, SIGKILL); /* this game */
    exit (EXIT_FAILURE);
}

/* How often each step has been paid for. */
static void
check_ledger (bool succeeded)
{
    static const char *const lines[] = {"function\n", "job\n", "command\n"};
    char text[1024];
    read_text (ledger, text, sizeof text);
    for (size_t i = 0; i < (struck == PLAYERS_EMBED ? 2 : 3); i++) {
        int count = 0;
        for (const char *at = text; (at = strstr (at, lines[i])) != NULL; at++)
            count++;
        if (count > 1 || (succeeded && count != 1))
            wrong ("a step that is not idempotent did not take effect once", count);
    }
}

/* An error that says what it is: neither an end by a signal nor one without a word, and none that blames the user. */
static bool
is_error (int who, int status)
{
    char said[64];
    if (!WIFEXITED (status))
        return false;
    read_text (paths[who], said, sizeof said);
    switch (WEXITSTATUS (status)) {
    case EX_UNAVAILABLE:
    case EX_OSERR:
    case EX_CANTCREAT:
    case EX_IOERR:
    case EX_TEMPFAIL: return said[0] != '\0';
    case EX_NOINPUT:
    case EX_CONFIG: return said[0] != '\0' && setup->files;
    default: return false;
    }
}

/* --- playing --------------------------------------------------------------------------------- */

static pid_t
start (int who, bool is_struck)
{
    static int (*const plays[PLAYERS_COUNT]) (void) = {be_broker,  be_worker, be_client,
                                                       be_watcher, be_runner, be_embed};
    pid_t game = getpid (), child = fork ();
    if (child != 0)
        return child;
    (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
    int null = open ("/dev/null", O_RDWR | O_CLOEXEC),
        said = open (paths[who], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (getppid () != game || null < 0 || said < 0 || dup2 (null, 0) < 0 || dup2 (null, 1) < 0 || dup2 (said, 2) < 0)
        _exit (EXIT_FAILURE);
    sigset_t none;
    (void) sigemptyset (&none);
    (void) sigaddset (&none, SIGCHLD);
    (void) sigprocmask (SIG_UNBLOCK, &none, NULL);
    struck = is_struck ? struck : -1;
    int code = plays[who]();
    const char *amiss = is_struck && setup->amiss != NULL ? setup->amiss () : NULL;
    if (amiss != NULL) {
        (void) fprintf (stderr, "%s\n", amiss);
        exit (LEFTOVERS);
    }
    exit (code);
}

/* The next child that has ended; none, until the deadline, is wrong. */
static pid_t
wait_for_one (int64_t until_us, int *status)
{
    sigset_t child;
    (void) sigemptyset (&child);
    (void) sigaddset (&child, SIGCHLD);
    for (;;) {
        pid_t ended = waitpid (-1, status, WNOHANG);
        if (ended > 0)
            return ended;
        if (reel_clock_monotonic_us () > until_us)
            wrong ("it takes too long", 0);
        (void) sigtimedwait (&child, NULL, &(struct timespec){.tv_sec = 1});
    }
}

/* Whoever ends with an error begins again, until the client has its receipt; then the others end. True: it succeeded. */
static bool
play_together (void)
{
    const int client = struck == PLAYERS_WATCHER ? PLAYERS_WATCHER : PLAYERS_CLIENT;
    const int whos[] = {PLAYERS_BROKER, PLAYERS_WORKER, client};
    pid_t children[3];
    int left = 3, status;
    bool done = false, succeeded = false;
    for (int i = 0; i < 3; i++)
        children[i] = start (whos[i], whos[i] == struck);
    for (int64_t until_us = reel_clock_monotonic_us () + DEADLINE_US; left > 0;) {
        pid_t child = wait_for_one (until_us, &status);
        int i = child == children[0] ? 0 : child == children[1] ? 1 : 2, who = whos[i];
        int code = WIFEXITED (status) ? WEXITSTATUS (status) : -1;
        if (who == client && (code == EX_OK || code == EXIT_WORKFLOW_FAILED)) {
            succeeded = code == EX_OK;
            done = true;
            left--;
            (void) kill (children[0], SIGTERM);
            (void) kill (children[1], SIGTERM);
            continue;
        }
        /* A worker that could not tell everything to a broker that was ended before it says so by its exit code alone. */
        bool unheard = done && who == PLAYERS_WORKER && code == EX_TEMPFAIL;
        if (done && (code == EX_OK || unheard)) {
            left--;
            continue;
        }
        if (!is_error (who, status) || (who != struck && who != client) || fails_at == 0)
            wrong (names[who], code < 0 ? -status : code);
        __atomic_add_fetch (&board->ended, who == struck, __ATOMIC_RELAXED);
        if (done)
            left--;
        else
            children[i] = start (who, false);
    }
    return succeeded;
}

/* Begins again until there is a receipt. True: it succeeded. */
static bool
play_alone (void)
{
    int64_t until_us = reel_clock_monotonic_us () + DEADLINE_US;
    for (bool first = true;; first = false) {
        int status;
        (void) start (struck, first);
        (void) wait_for_one (until_us, &status);
        if (WIFEXITED (status) && (WEXITSTATUS (status) == EX_OK || WEXITSTATUS (status) == EXIT_WORKFLOW_FAILED))
            return WEXITSTATUS (status) == EX_OK;
        if (!first || fails_at == 0 || !is_error (struck, status))
            wrong (names[struck], WIFEXITED (status) ? WEXITSTATUS (status) : -status);
        __atomic_add_fetch (&board->ended, 1, __ATOMIC_RELAXED);
    }
}

static bool
play_once (void)
{
    scratch_remove (directory);
    (void) mkdir (directory, 0700);
    write_files ();
    memset (calls, 0, setup->kind_count * sizeof *calls);
    bool succeeded = struck < PLAYERS_RUNNER ? play_together () : play_alone ();
    check_ledger (succeeded);
    return succeeded;
}

/* Fails the `at`-th of a kind; 0: nothing. False: there was none of that number. */
static bool
play (int who, unsigned kind, uint64_t at)
{
    struck = who;
    fails_in = kind;
    fails_at = at;
    bool succeeded = play_once (), came = at > 0 && calls[kind] >= at;
    /* On a busy machine a lease may run out by itself, but not again and again. */
    for (int i = 1; i < UNHURT_MAX && !came && !succeeded; i++)
        succeeded = play_once ();
    if (!came && !succeeded)
        wrong ("the workflow failed though nothing did", 0);
    __atomic_add_fetch (&board->tried[who], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch (&board->failed, came, __ATOMIC_RELAXED);
    __atomic_add_fetch (&board->undone, !succeeded, __ATOMIC_RELAXED);
    return came;
}

/* The next n of a kind that nobody has tried; 0: none. Whether there is more than was counted is looked into by one alone,
 * and not in a short cut. */
static uint64_t
next_of (int who, unsigned kind, uint64_t step)
{
    static uint64_t *looking_into; /* by this process */
    uint64_t *next = &board->next[who][kind], at = __atomic_load_n (next, __ATOMIC_RELAXED);
    do {
        bool more = at > board->there[who][kind];
        if (__atomic_load_n (&board->over[who][kind], __ATOMIC_RELAXED) || (more && step > 1))
            return 0;
        if (more && looking_into != next
            && __atomic_exchange_n (&board->looked_into[who][kind], true, __ATOMIC_RELAXED))
            return 0;
        looking_into = more ? next : looking_into;
    } while (!__atomic_compare_exchange_n (next, &at, at + step, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return at;
}

/* One game after the other. Each begins with kinds of its own, so that few come to the end of the same one at once. */
static void
play_on (unsigned game, const struct task *task)
{
    unsigned all = PLAYERS_COUNT * setup->kind_count;
    uint64_t at;
    for (unsigned i = 0; i < all; i++) {
        unsigned place = (i + game * all / task->games) % all, kind = place % setup->kind_count;
        int who = (int) (place / setup->kind_count);
        while ((task->whom & 1u << who) != 0 && (at = next_of (who, kind, task->step)) > 0)
            if (!play (who, kind, at))
                __atomic_store_n (&board->over[who][kind], true, __ATOMIC_RELAXED);
    }
}

/* How many there are of each kind; where to begin, so that every STEP-th of all of them is tried. */
static void
survey (unsigned whom, uint64_t step)
{
    uint64_t before = 0; /* of the kinds before this one */
    for (int who = 0; who < PLAYERS_COUNT; who++) {
        if ((whom & 1u << who) == 0)
            continue;
        (void) play (who, 0, 0);
        for (unsigned kind = 0; kind < setup->kind_count; kind++) {
            board->there[who][kind] = calls[kind];
            board->over[who][kind] = calls[kind] == 0;
            board->next[who][kind] = 1 + (step - before % step) % step;
            before += calls[kind];
        }
    }
}

static void
prepare (unsigned game)
{
    (void) setpgid (0, 0); /* what is left of a game is ended as a group, and nobody else */
    (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
    calls = mmap (NULL, setup->kind_count * sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (calls == MAP_FAILED)
        exit (EXIT_FAILURE);
    (void) snprintf (directory, sizeof directory, "%s/%u", root, game);
    for (int i = 0; i < 3; i++)
        (void) snprintf (endpoints[i], sizeof endpoints[i], "ipc://%s/%d", directory, i);
    for (int who = 0; who < PLAYERS_COUNT; who++)
        (void) snprintf (paths[who], sizeof paths[who], "%s/%s.log", directory, names[who]);
    (void) snprintf (config, sizeof config, "%s/worker.zpl", directory);
    (void) snprintf (document, sizeof document, "%s/workflow.json", directory);
    (void) snprintf (output, sizeof output, "%s/out.json", directory);
    (void) snprintf (ledger, sizeof ledger, "%s/ledger", directory);
    (void) setenv ("LEDGER", ledger, 1);
}

static pid_t
begin (unsigned game, const struct task *task)
{
    pid_t child = fork ();
    if (child != 0)
        return child;
    prepare (game);
    if (task->surveys)
        survey (task->whom, task->step);
    else if (task->at == 0)
        play_on (game, task);
    for (int who = 0; who < PLAYERS_COUNT && task->at > 0; who++)
        if (task->whom == 1u << who)
            (void) play (who, task->kind, task->at);
    exit (EXIT_SUCCESS);
}

static uint64_t
sum (void)
{
    uint64_t all = 0;
    for (int who = 0; who < PLAYERS_COUNT; who++)
        all += __atomic_load_n (&board->tried[who], __ATOMIC_RELAXED);
    return all;
}

/* True: all of them ended well. The first that does not ends the others. */
static bool
await_games (const pid_t *games, unsigned count)
{
    sigset_t child;
    bool well = true;
    int64_t told_us = reel_clock_monotonic_us ();
    (void) sigemptyset (&child);
    (void) sigaddset (&child, SIGCHLD);
    for (unsigned left = count; left > 0;) {
        int status;
        pid_t ended = waitpid (-1, &status, WNOHANG);
        left -= ended > 0;
        if (ended > 0 && well && (!WIFEXITED (status) || WEXITSTATUS (status) != EXIT_SUCCESS)) {
            well = false;
            for (unsigned i = 0; i < count; i++)
                if (games[i] != ended)
                    (void) kill (-games[i], SIGKILL);
        }
        if (ended == 0)
            (void) sigtimedwait (&child, NULL, &(struct timespec){.tv_sec = 1});
        if (reel_clock_monotonic_us () - told_us > PROGRESS_S * 1000000) {
            told_us = reel_clock_monotonic_us ();
            (void) fprintf (stderr, "%llu games\n", (unsigned long long) sum ());
        }
    }
    return well;
}

static void
sum_up (void)
{
    (void) printf ("%llu %s failed (", (unsigned long long) board->failed, setup->what);
    const char *comma = "";
    for (int who = 0; who < PLAYERS_COUNT; who++)
        if (board->tried[who] > 0) {
            (void) printf ("%s%s %llu", comma, names[who], (unsigned long long) board->tried[who]);
            comma = ", ";
        }
    (void) printf (
        " tried), %llu ended a process, %llu failed the workflow: each time the receipt came, and nothing was "
        "paid twice\n",
        (unsigned long long) board->ended, (unsigned long long) board->undone);
}

static int
place_of (const char *const *list, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp (list[i], name) == 0)
            return (int) i;
    return -1;
}

static bool
read_task (int argc, char **argv, struct task *task)
{
    int option, one;
    while ((option = getopt (argc, argv, "s:j:")) != -1)
        if (option == 's')
            task->step = strtoull (optarg, NULL, 10);
        else if (option == 'j')
            task->games = (unsigned) strtoul (optarg, NULL, 10);
    argc -= optind;
    argv += optind;
    if (argc > 0 && (one = place_of (names, PLAYERS_COUNT, argv[0])) < 0)
        return false;
    task->whom &= argc > 0 ? 1u << one : ~0u;
    if (argc == 3 && (one = place_of (setup->kinds, setup->kind_count, argv[1])) >= 0) {
        task->kind = (unsigned) one;
        task->at = strtoull (argv[2], NULL, 10);
        task->games = 1;
        trace_fd = fcntl (STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    }
    return argc <= 3 && argc != 2 && (argc < 3 || task->at > 0) && task->whom != 0 && task->step > 0 && task->games > 0
           && task->games <= GAMES_MAX;
}

static bool
play_all (struct task *task)
{
    pid_t started[GAMES_MAX];
    task->surveys = task->at == 0;
    started[0] = task->surveys ? begin (0, task) : 0;
    if (task->surveys && !await_games (started, 1))
        return false;
    task->surveys = false;
    for (unsigned i = 0; i < task->games; i++)
        started[i] = begin (i, task);
    return await_games (started, task->games);
}

int
players_main (int argc, char **argv, const struct players_setup *how)
{
    struct task task = {.whom = how->who, .step = 1, .games = GAMES_DEFAULT};
    setup = how;
    if (how->kind_count > KINDS_MAX || !read_task (argc, argv, &task)) {
        (void) fprintf (stderr, "usage: %s [-s STEP] [-j GAMES] [WHO [KIND N]]\n", argv[0]);
        return EXIT_FAILURE;
    }
    board = mmap (NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED) {
        perror ("mmap");
        return EXIT_FAILURE;
    }
    scratch_make (root, false);
    sigset_t blocked;
    (void) sigemptyset (&blocked);
    (void) sigaddset (&blocked, SIGTERM); /* who has only just begun is told to end, and not ended by it */
    (void) sigaddset (&blocked, SIGCHLD);
    (void) sigprocmask (SIG_BLOCK, &blocked, NULL);
    bool well = play_all (&task);
    scratch_remove (root);
    if (well)
        sum_up ();
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
