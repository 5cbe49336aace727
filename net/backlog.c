/*
 * libzmq tells of each frame that it needs no longer by calling a function, from whatever thread that happens in: a
 * lock keeps the counts. A peer is known by a keyed fingerprint of its routing id, and only as long as something is
 * under way to it; two of one fingerprint would share what they may have.
 */
#include "net/backlog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "base/random.h"

#define BUCKETS 1024

struct account {
    struct account *next;
    uint64_t fingerprint;
    uint64_t bytes; /* never 0 */
};

/* Before the bytes of a frame. */
struct parcel {
    uint64_t fingerprint;
    size_t len;
};

struct reel_backlog {
    pthread_mutex_t lock;
    uint8_t key[REEL_FINGERPRINT_KEY_BYTES];
    uint64_t bytes_max;
    uint64_t bytes;
    struct account *buckets[BUCKETS];
};

enum reel_status
reel_backlog_create (uint64_t bytes_max, struct reel_backlog **out)
{
    struct reel_backlog *backlog = calloc (1, sizeof *backlog);
    if (backlog == NULL)
        return REEL_NO_MEMORY;
    REEL_ASSERT (pthread_mutex_init (&backlog->lock, NULL) == 0);
    reel_random_system (backlog->key, sizeof backlog->key);
    backlog->bytes_max = bytes_max;
    *out = backlog;
    return REEL_OK;
}

void
reel_backlog_free (struct reel_backlog **backlog)
{
    if (*backlog == NULL)
        return;
    (void) pthread_mutex_destroy (&(*backlog)->lock);
    free (*backlog);
    *backlog = NULL;
}

/* --- under the lock -------------------------------------------------------------------------- */

/* Where the account stands, or would. */
static struct account **
find (struct reel_backlog *backlog, uint64_t fingerprint)
{
    struct account **at = &backlog->buckets[fingerprint % BUCKETS];
    while (*at != NULL && (*at)->fingerprint != fingerprint)
        at = &(*at)->next;
    return at;
}

static enum reel_status
charge (struct reel_backlog *backlog, uint64_t fingerprint, size_t len)
{
    struct account **at = find (backlog, fingerprint);
    if (*at == NULL)
        *at = calloc (1, sizeof **at);
    if (*at == NULL)
        return REEL_NO_MEMORY;
    (*at)->fingerprint = fingerprint;
    (*at)->bytes += len;
    backlog->bytes += len;
    return REEL_OK;
}

static void
discharge (struct reel_backlog *backlog, uint64_t fingerprint, size_t len)
{
    struct account **at = find (backlog, fingerprint), *account = *at;
    REEL_ASSERT (account != NULL && account->bytes >= len);
    account->bytes -= len;
    backlog->bytes -= len;
    if (account->bytes > 0)
        return;
    *at = account->next;
    free (account);
}

/* --- the doors ------------------------------------------------------------------------------- */

uint64_t
reel_backlog_room (struct reel_backlog *backlog, struct reel_slice peer, unsigned parts)
{
    uint64_t fingerprint = reel_hash_fingerprint (backlog->key, peer);
    (void) pthread_mutex_lock (&backlog->lock);
    const struct account *account = *find (backlog, fingerprint);
    uint64_t held = account == NULL ? 0 : account->bytes, all = backlog->bytes;
    (void) pthread_mutex_unlock (&backlog->lock);
    if (all == 0 || REEL_MUTANT_IS (80))
        return UINT64_MAX;
    uint64_t others = all - held, most = others < backlog->bytes_max ? backlog->bytes_max - others : 0;
    if (held > 0 && !REEL_MUTANT_IS (81))
        most /= parts;
    if (most < REEL_BACKLOG_FLOOR_BYTES)
        most = REEL_BACKLOG_FLOOR_BYTES;
    return most > held ? most - held : 0;
}

uint64_t
reel_backlog_bytes (struct reel_backlog *backlog)
{
    (void) pthread_mutex_lock (&backlog->lock);
    uint64_t bytes = backlog->bytes;
    (void) pthread_mutex_unlock (&backlog->lock);
    return bytes;
}

/* libzmq needs those bytes no longer. */
static void
give_back (void *data, void *context)
{
    struct reel_backlog *backlog = context;
    struct parcel *parcel = (struct parcel *) data - 1;
    /* Who wrote the parcel held the lock after that: so it may be read. */
    (void) pthread_mutex_lock (&backlog->lock);
    discharge (backlog, parcel->fingerprint, parcel->len);
    (void) pthread_mutex_unlock (&backlog->lock);
    free (parcel);
}

/* A copy of the frame, which is counted; NULL when memory is out. */
static uint8_t *
pack (struct reel_backlog *backlog, struct reel_slice peer, struct reel_slice frame)
{
    struct parcel *parcel = malloc (sizeof *parcel + frame.len);
    if (parcel == NULL)
        return NULL;
    *parcel = (struct parcel){reel_hash_fingerprint (backlog->key, peer), frame.len};
    if (frame.len > 0)
        memcpy (parcel + 1, frame.data, frame.len);
    (void) pthread_mutex_lock (&backlog->lock);
    enum reel_status status = charge (backlog, parcel->fingerprint, parcel->len);
    (void) pthread_mutex_unlock (&backlog->lock);
    if (status == REEL_OK)
        return (uint8_t *) (parcel + 1);
    free (parcel);
    return NULL;
}

enum reel_status
reel_backlog_wrap (struct reel_backlog *backlog, struct reel_slice peer, struct reel_slice frame, zmq_msg_t *message)
{
    uint8_t *bytes = pack (backlog, peer, frame);
    if (bytes == NULL)
        return REEL_NO_MEMORY;
    if (zmq_msg_init_data (message, bytes, frame.len, give_back, backlog) == 0)
        return REEL_OK;
    give_back (bytes, backlog);
    return REEL_NO_MEMORY;
}
