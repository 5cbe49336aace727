/*
 * reel backup: a copy of the broker's journal, in a directory that a broker can be started on.
 *
 * The pieces go into a file that gets its name only when it is complete and on disk: what is called journal.db is
 * a whole journal.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/commands.h"
#include "client/session.h"
#include "proto/pack.h"
#include "proto/scan.h"

#define PATH_BYTES 4096
/* Between two looks whether the copy is there. */
#define LOOK_AGAIN_MS 50

static const struct reel_option table[] = {REEL_SESSION_OPTIONS};

static const struct reel_options_spec spec = {
    .program = "reel backup",
    .operands = "DIR",
    .operands_min = 1,
    .operands_max = 1,
    .summary =
        "Copies the broker's journal into a new directory, while the broker goes on. The copy is the journal of one\n"
        "moment: `reel-broker --verify DIR` checks it, `reel-broker --data DIR` goes on from there.",
    .table = table,
    .count = REEL_SESSION_OPTION_COUNT,
    .config = REEL_SESSION_CONFIG,
};

struct backup {
    const char *directory;
    char path[PATH_BYTES], part[PATH_BYTES];
    int file;
    uint64_t copy; /* as the broker calls it; 0: not begun */
    uint64_t offset;
    uint64_t bytes; /* of all; 0: the copy is still being made */
    bool more;
};

static int
fail (const char *path)
{
    reel_complain ("%s: %s", path, strerror (errno));
    return EX_IOERR;
}

/* The directory may be there already, a journal in it not; nor what belongs to one, which a broker would take for the
 * copy's. */
static int
look_for_journal (const char *directory)
{
    static const char *const names[] = {"journal.db", "journal.db-wal", "journal.tail"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void) snprintf (path, sizeof path, "%s/%s", directory, names[i]);
        if (access (path, F_OK) != 0)
            continue;
        errno = EEXIST;
        return fail (path);
    }
    return EX_OK;
}

static int
open_file (struct backup *backup)
{
    int len = snprintf (backup->path, sizeof backup->path, "%s/journal.db", backup->directory);
    int part_len = snprintf (backup->part, sizeof backup->part, "%s/journal.db.part", backup->directory);
    if (len < 0 || part_len < 0 || (size_t) part_len >= sizeof backup->part) {
        errno = ENAMETOOLONG;
        return fail (backup->directory);
    }
    if (mkdir (backup->directory, 0700) != 0 && errno != EEXIST)
        return fail (backup->directory);
    int code = look_for_journal (backup->directory);
    if (code != EX_OK)
        return code;
    backup->file = open (backup->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return backup->file < 0 ? fail (backup->part) : EX_OK;
}

static int
write_piece (struct backup *backup, struct reel_slice piece)
{
    while (piece.len > 0) {
        ssize_t written = write (backup->file, piece.data, piece.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail (backup->part);
        piece = reel_slice (piece.data + written, piece.len - (size_t) written);
        backup->offset += (uint64_t) written;
    }
    return EX_OK;
}

static int
take_reply (struct backup *backup, const struct reel_client_reply *reply)
{
    struct reel_slice header = reel_slice (reply->header, reply->header_size), bytes = REEL_SLICE_NONE;
    struct reel_value more, piece;
    uint64_t offset;
    if (!reel_scan_find_uint (header, "copy", &backup->copy) || !reel_scan_find_uint (header, "offset", &offset)
        || !reel_scan_find_uint (header, "bytes", &backup->bytes)
        || !reel_scan_find (header, reel_slice_text ("more"), &bytes) || !reel_scan_value (bytes, &more)
        || !reel_scan_value (reel_slice (reply->document, reply->document_size), &piece) || piece.type != REEL_BIN
        || offset != backup->offset || (more.boolean && backup->bytes > 0 && piece.bytes.len == 0)) {
        reel_complain ("this is not how a broker answers BACKUP");
        return EX_PROTOCOL;
    }
    backup->more = more.boolean;
    return write_piece (backup, piece.bytes);
}

static int
fetch (struct reel_session *session, struct backup *backup)
{
    struct reel_client_error error;
    int code = EX_OK;
    for (backup->more = true; backup->more && code == EX_OK;) {
        struct reel_client_reply reply = {0};
        enum reel_client_status status = reel_client_backup (session->client, backup->copy, backup->offset, &reply,
                                                             &error);
        code = status == REEL_CLIENT_OK ? take_reply (backup, &reply) : reel_complain_client (NULL, status, &error);
        reel_client_reply_free (&reply);
        if (code == EX_OK && backup->bytes == 0)
            (void) poll (NULL, 0, LOOK_AGAIN_MS);
    }
    return code;
}

/* By asking for what comes after the last piece. Where nobody says so, the broker finds out. */
static void
release (struct reel_session *session, const struct backup *backup)
{
    struct reel_client_reply reply = {0};
    struct reel_client_error error;
    (void) reel_client_backup (session->client, backup->copy, backup->bytes, &reply, &error);
    reel_client_reply_free (&reply);
}

static int
keep_file (struct backup *backup)
{
    if (fsync (backup->file) != 0 || rename (backup->part, backup->path) != 0)
        return fail (backup->part);
    int directory = open (backup->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = directory < 0 || fsync (directory) != 0 ? fail (backup->directory) : EX_OK;
    if (directory >= 0)
        (void) close (directory);
    return code;
}

static void
say_done (struct reel_output *output, const struct backup *backup)
{
    struct reel_buf row = {0};
    if (!output->json) {
        reel_buf_printf (&output->buf, "%s: %" PRIu64 " bytes\n", backup->path, backup->bytes);
        return;
    }
    reel_pack_map (&row, 2);
    reel_pack_text (&row, "file");
    reel_pack_text (&row, backup->path);
    reel_pack_text (&row, "bytes");
    reel_pack_uint (&row, backup->bytes);
    reel_output_row (output, &row);
    reel_buf_free (&row);
}

int
reel_command_backup (int argc, char **argv)
{
    struct reel_session session;
    int code = reel_session_start (&session, &spec, REEL_SESSION_CLIENT, argc, argv);
    if (code != REEL_OPTIONS_GO)
        return code;
    struct backup backup = {.directory = session.options.operands[0], .file = -1};
    code = open_file (&backup);
    if (code == EX_OK)
        code = fetch (&session, &backup);
    if (code == EX_OK)
        release (&session, &backup);
    if (code == EX_OK)
        code = keep_file (&backup);
    if (backup.file >= 0) {
        (void) close (backup.file);
        if (code != EX_OK)
            (void) unlink (backup.part);
    }
    if (code == EX_OK)
        say_done (&session.output, &backup);
    return reel_session_end (&session, code);
}
