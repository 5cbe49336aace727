/*
 * What workers say: READY, REPORT, HEARTBEAT, LEAVE.
 *
 * A lease is the only right to report. Who holds the one last granted may always go on; anything under
 * another is FENCED and changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "broker/core/state.h"
#include "proto/identity.h"
#include "proto/pack.h"
#include "proto/scan.h"

static enum reel_status
send (struct reel_core *core, struct reel_slice route, struct reel_effects *effects)
{
    return reel_effects_send (effects, REEL_SOCKET_WORKER, route, false, &core->out);
}

static enum reel_status
send_error (struct reel_core *core, struct reel_slice route, const struct reel_error *err, struct reel_effects *effects)
{
    reel_message_init (&core->out, REEL_WORKER_ERROR);
    reel_message_set_text (&core->out, REEL_F_CODE, err->code);
    reel_message_set_text (&core->out, REEL_F_MESSAGE, err->message);
    if (err->path[0] != '\0')
        reel_message_set_text (&core->out, REEL_F_PATH, err->path);
    return send (core, route, effects);
}

static enum reel_status
send_malformed (struct reel_core *core, struct reel_slice route, const struct reel_error *err,
                struct reel_effects *effects)
{
    core->counters.malformed++;
    return send_error (core, route, err, effects);
}

enum reel_status
reel_worker_send_fenced (struct reel_core *core, struct reel_slice route, struct reel_lease lease,
                         const struct reel_error *err, struct reel_effects *effects)
{
    core->counters.fenced++;
    reel_message_init (&core->out, REEL_FENCED);
    reel_message_set_lease (&core->out, REEL_F_LEASE, lease);
    if (err == NULL)
        return send (core, route, effects);
    reel_buf_clear (&core->receipt);
    reel_pack_error (&core->receipt, err->code, reel_slice_text (err->message), false);
    if (reel_buf_status (&core->receipt) != REEL_OK)
        return REEL_NO_MEMORY;
    reel_message_set (&core->out, REEL_F_ERROR, reel_buf_slice (&core->receipt));
    return send (core, route, effects);
}

enum reel_status
reel_worker_send_ack (struct reel_core *core, struct reel_slice route, struct reel_lease lease, uint64_t report_index,
                      struct reel_effects *effects)
{
    reel_message_init (&core->out, REEL_ACK);
    reel_message_set_lease (&core->out, REEL_F_LEASE, lease);
    reel_message_set_uint (&core->out, REEL_F_REPORT_INDEX, report_index);
    return send (core, route, effects);
}

enum reel_status
reel_worker_send_who (struct reel_core *core, struct reel_slice route, struct reel_effects *effects)
{
    reel_message_init (&core->out, REEL_WHO);
    return send (core, route, effects);
}

void
reel_worker_heard (struct reel_core *core, struct reel_peer *peer)
{
    peer->heard_us = core->now.monotonic_us;
    peer->heard_wall_us = core->now.wall_us;
}

/* --- READY ---------------------------------------------------------------------------------- */

/* Is every element of the array what it must be? `path` is the array's own. */
static enum reel_status
check_each (struct reel_slice array, const char *path, bool (*holds) (struct reel_slice element), const char *form,
            struct reel_error *err)
{
    struct reel_cursor cursor = reel_scan_start (array);
    struct reel_value head;
    bool read = reel_scan_next (&cursor, &head);
    REEL_ASSERT (read);
    for (uint32_t i = 0; i < head.count; i++) {
        struct reel_slice element = REEL_SLICE_NONE;
        read = reel_scan_skip (&cursor, &element);
        REEL_ASSERT (read);
        if (!holds (element)) {
            char place[32];
            snprintf (place, sizeof place, "%s/%u", path, i);
            return reel_error_set (err, REEL_INVALID, "malformed", place, "%s", form);
        }
    }
    return REEL_OK;
}

static bool
is_modality (struct reel_slice element)
{
    struct reel_value value;
    return reel_scan_value (element, &value) && value.type == REEL_STR && reel_identity_modality (value.bytes);
}

static bool
is_lease (struct reel_slice element)
{
    struct reel_lease lease;
    return reel_lease_read (element, &lease);
}

static bool
read_resumption (struct reel_slice element, struct reel_lease *lease)
{
    struct reel_cursor cursor = reel_scan_start (element);
    struct reel_value head, index;
    struct reel_slice bytes;
    return reel_scan_next (&cursor, &head) && head.type == REEL_ARRAY && head.count == 2
           && reel_scan_skip (&cursor, &bytes) && reel_lease_read (bytes, lease) && reel_scan_next (&cursor, &index)
           && index.type == REEL_UINT;
}

static bool
is_resumption (struct reel_slice element)
{
    struct reel_lease lease;
    return read_resumption (element, &lease);
}

/* What a worker says of its adapters is shown to every operator, in one list with that of all the others. */
static enum reel_status
check_dispatch (struct reel_slice dispatch, struct reel_error *err)
{
    if (dispatch.len > REEL_DISPATCH_BYTES_MAX)
        return reel_error_set (err, REEL_INVALID, "malformed", "/dispatch", "%zu bytes, at most %u are allowed",
                               dispatch.len, REEL_DISPATCH_BYTES_MAX);
    if (reel_scan_depth (dispatch) > REEL_RECEIPT_DEPTH_MAX)
        return reel_error_set (err, REEL_INVALID, "malformed", "/dispatch", "nests deeper than %u",
                               REEL_RECEIPT_DEPTH_MAX);
    return REEL_OK;
}

static bool
is_resumable (const struct reel_message *ready, struct reel_slice modality)
{
    struct reel_slice entry = REEL_SLICE_NONE, class = REEL_SLICE_NONE;
    return reel_message_has (ready, REEL_F_DISPATCH)
           && reel_scan_find (ready->value[REEL_F_DISPATCH].s, modality, &entry) && reel_scan_type (entry) == REEL_MAP
           && reel_scan_find_str (entry, "class", &class) && reel_slice_is (class, "resumable");
}

static enum reel_status
set_offer (struct reel_core *core, struct reel_peer *peer, const struct reel_message *ready)
{
    struct reel_slice modalities = ready->value[REEL_F_MODALITIES].s;
    char *name = reel_slice_dup (ready->value[REEL_F_NAME].s);
    if (name == NULL)
        return REEL_NO_MEMORY;
    free (peer->name);
    peer->name = name;
    peer->slots = (uint32_t) ready->value[REEL_F_SLOTS].u;
    peer->has_instance = reel_message_has (ready, REEL_F_INSTANCE);
    if (peer->has_instance)
        memcpy (peer->instance, ready->value[REEL_F_INSTANCE].s.data, sizeof peer->instance);
    peer->dispatch_given = reel_message_has (ready, REEL_F_DISPATCH);
    reel_buf_clear (&peer->dispatch);
    reel_buf_add_slice (&peer->dispatch, peer->dispatch_given ? ready->value[REEL_F_DISPATCH].s : modalities);
    reel_queue_serve_none (core, peer);
    struct reel_cursor cursor = reel_scan_start (modalities);
    struct reel_value head, value;
    bool read = reel_scan_next (&cursor, &head);
    REEL_ASSERT (read);
    for (uint32_t i = 0; i < head.count && peer->slots > 0; i++) {
        read = reel_scan_next (&cursor, &value);
        REEL_ASSERT (read);
        if (reel_queue_serve (core, peer, value.bytes, false) != REEL_OK)
            return REEL_NO_MEMORY;
        if (is_resumable (ready, value.bytes) && reel_queue_serve (core, peer, value.bytes, true) != REEL_OK)
            return REEL_NO_MEMORY;
    }
    return reel_buf_status (&peer->dispatch);
}

static enum reel_status
welcome (struct reel_core *core, struct reel_slice route, struct reel_effects *effects)
{
    struct reel_buf limits = {0};
    reel_pack_map (&limits, 3);
    reel_pack_text (&limits, "receipt_bytes");
    reel_pack_uint (&limits, REEL_RECEIPT_BYTES_MAX);
    reel_pack_text (&limits, "report_bytes");
    reel_pack_uint (&limits, REEL_REPORT_BYTES_MAX);
    reel_pack_text (&limits, "depth");
    reel_pack_uint (&limits, REEL_RECEIPT_DEPTH_MAX);
    reel_message_init (&core->out, REEL_WELCOME);
    reel_message_set_uint (&core->out, REEL_F_HEARTBEAT_MS, (uint64_t) core->setup.heartbeat_ms);
    reel_message_set_uint (&core->out, REEL_F_LEASE_MS, (uint64_t) core->setup.lease_ms);
    reel_message_set_uint (&core->out, REEL_F_EPOCH, core->epoch);
    reel_message_set (&core->out, REEL_F_LIMITS, reel_buf_slice (&limits));
    enum reel_status status = reel_buf_status (&limits);
    if (status == REEL_OK)
        status = send (core, route, effects);
    reel_buf_free (&limits);
    return status;
}

static enum reel_status
resume (struct reel_core *core, struct reel_peer *peer, struct reel_slice array, struct reel_effects *effects)
{
    struct reel_cursor cursor = reel_scan_start (array);
    struct reel_value head;
    bool read = reel_scan_next (&cursor, &head);
    REEL_ASSERT (read);
    for (uint32_t i = 0; i < head.count; i++) {
        struct reel_slice element = REEL_SLICE_NONE;
        struct reel_lease lease = {0};
        read = reel_scan_skip (&cursor, &element) && read_resumption (element, &lease);
        REEL_ASSERT (read);
        struct reel_flow *flow = reel_core_find_lease (core, lease);
        enum reel_status status = flow == NULL ? reel_worker_send_fenced (core, peer->route, lease, NULL, effects)
                                               : reel_lease_renew (core, flow, peer, effects);
        if (status == REEL_OK && flow != NULL)
            status = reel_worker_send_ack (core, peer->route, lease, flow->report_index, effects);
        if (status == REEL_OK && flow != NULL)
            status = reel_lease_remind (core, flow, effects);
        if (status != REEL_OK)
            return status;
    }
    return REEL_OK;
}

static enum reel_status
check_ready (const struct reel_message *ready, struct reel_error *err)
{
    enum reel_status status = check_each (ready->value[REEL_F_MODALITIES].s, "/modalities", is_modality,
                                          "a modality is 1 to 64 lower-case letters, digits or . _ -", err);
    if (status == REEL_OK && reel_message_has (ready, REEL_F_DISPATCH))
        status = check_dispatch (ready->value[REEL_F_DISPATCH].s, err);
    if (status == REEL_OK && reel_message_has (ready, REEL_F_RESUMED))
        status = check_each (ready->value[REEL_F_RESUMED].s, "/resume", is_resumption,
                             "must be [lease, last report_index sent]", err);
    return status;
}

static enum reel_status
on_ready (struct reel_core *core, struct reel_slice route, const struct reel_message *ready,
          struct reel_effects *effects)
{
    struct reel_error err = {0};
    if (check_ready (ready, &err) != REEL_OK)
        return send_malformed (core, route, &err, effects);
    struct reel_peer *peer = reel_roster_find (core, route);
    struct reel_peer *same = reel_message_has (ready, REEL_F_INSTANCE)
                                 ? reel_roster_find_instance (core, ready->value[REEL_F_INSTANCE].s)
                                 : NULL;
    if (same != NULL && same != peer) {
        if (peer != NULL)
            reel_roster_remove (core, peer);
        peer = same;
        if (reel_roster_move (core, peer, route) != REEL_OK)
            return REEL_NO_MEMORY;
    }
    if (peer == NULL) {
        if (core->peer_count >= core->setup.workers_max) {
            core->counters.refused_workers++;
            reel_error_set (&err, REEL_AGAIN, "overloaded", "",
                            "%zu workers are connected, which is the limit (workers-max); try later", core->peer_count);
            return send_error (core, route, &err, effects);
        }
        if (reel_roster_add (core, route, &peer) != REEL_OK)
            return REEL_NO_MEMORY;
    }
    reel_worker_heard (core, peer);
    if (set_offer (core, peer, ready) != REEL_OK || welcome (core, peer->route, effects) != REEL_OK)
        return REEL_NO_MEMORY;
    return reel_message_has (ready, REEL_F_RESUMED) ? resume (core, peer, ready->value[REEL_F_RESUMED].s, effects)
                                                    : REEL_OK;
}

/* --- HEARTBEAT, LEAVE ------------------------------------------------------------------------ */

static enum reel_status
on_heartbeat (struct reel_core *core, struct reel_slice route, const struct reel_message *heartbeat,
              struct reel_effects *effects)
{
    struct reel_peer *peer = reel_roster_find (core, route);
    struct reel_cursor cursor = reel_scan_start (heartbeat->value[REEL_F_LEASES].s);
    struct reel_value head;
    struct reel_error err = {0};
    if (check_each (heartbeat->value[REEL_F_LEASES].s, "/leases", is_lease, "must be a lease, [epoch, counter]", &err)
        != REEL_OK)
        return send_malformed (core, route, &err, effects);
    bool read = reel_scan_next (&cursor, &head);
    REEL_ASSERT (read);
    if (peer != NULL)
        reel_worker_heard (core, peer);
    for (uint32_t i = 0; i < head.count; i++) {
        struct reel_slice element = REEL_SLICE_NONE;
        struct reel_lease lease = {0};
        read = reel_scan_skip (&cursor, &element) && reel_lease_read (element, &lease);
        REEL_ASSERT (read);
        struct reel_flow *flow = reel_core_find_lease (core, lease);
        enum reel_status status = REEL_OK;
        if (flow == NULL)
            status = reel_worker_send_fenced (core, route, lease, NULL, effects);
        else if (peer != NULL)
            status = reel_lease_renew (core, flow, peer, effects);
        if (status == REEL_OK && flow != NULL)
            status = reel_lease_remind (core, flow, effects);
        if (status != REEL_OK)
            return status;
    }
    if (peer == NULL)
        return reel_worker_send_who (core, route, effects);
    reel_message_init (&core->out, REEL_BROKER_HEARTBEAT);
    reel_message_set_uint (&core->out, REEL_F_SENT_US, heartbeat->value[REEL_F_SENT_US].u);
    return send (core, route, effects);
}

static void
on_leave (struct reel_core *core, struct reel_slice route)
{
    struct reel_peer *peer = reel_roster_find (core, route);
    if (peer != NULL)
        reel_roster_remove (core, peer);
}

/* A message that cannot be read. A REPORT is answered under its lease, where that much can be read. */
static enum reel_status
refuse (struct reel_core *core, const struct reel_core_frames *frames, const struct reel_error *err,
        struct reel_effects *effects)
{
    if (strcmp (err->code, "malformed") == 0 && reel_message_has (&core->in, REEL_F_LEASE))
        return reel_worker_report_refused (core, frames->peer, core->in.value[REEL_F_LEASE].lease, err, effects);
    return send_malformed (core, frames->peer, err, effects);
}

enum reel_status
reel_worker_message (struct reel_core *core, const struct reel_core_frames *frames, struct reel_effects *effects)
{
    struct reel_error err = {0};
    enum reel_status status = reel_message_decode (REEL_TO_BROKER, REEL_COMMAND_COUNT, frames->list, frames->count,
                                                   &core->in, &err);
    if (status == REEL_INVALID)
        return refuse (core, frames, &err, effects);
    if (status != REEL_OK)
        return status;
    switch (core->in.command) {
    case REEL_READY: return on_ready (core, frames->peer, &core->in, effects);
    case REEL_REPORT: return reel_worker_report (core, frames->peer, &core->in, effects);
    case REEL_WORKER_HEARTBEAT: return on_heartbeat (core, frames->peer, &core->in, effects);
    default: on_leave (core, frames->peer); return REEL_OK;
    }
}

void
reel_worker_row (struct reel_buf *out, const struct reel_peer *peer)
{
    reel_pack_map (out, 5);
    reel_pack_text (out, "name");
    reel_pack_text (out, peer->name);
    reel_pack_text (out, "slots");
    reel_pack_uint (out, peer->slots);
    reel_pack_text (out, "leases");
    reel_pack_uint (out, peer->leases);
    reel_pack_text (out, "heard_us");
    reel_pack_time (out, peer->heard_wall_us);
    reel_pack_text (out, peer->dispatch_given ? "dispatch" : "modalities");
    reel_buf_add_slice (out, reel_buf_slice (&peer->dispatch));
}
