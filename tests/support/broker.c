/*
 * The bench of the tests of the broker's core: drives it, and checks after each step what can be checked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"
#include "proto/scan.h"
#include "tests/support/broker.h"
#include "tests/support/broker_inside.h"

static void
exchange (struct reel_buf *text, uint8_t from, uint8_t to)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == from)
            text->data[i] = to;
}

struct reel_buf
broker_msgpack (const char *json)
{
    struct reel_buf text = {0}, out = {0};
    struct reel_error err = {0};
    reel_buf_add_text (&text, json);
    exchange (&text, '\'', '"');
    enum reel_status status = reel_json_read (reel_buf_slice (&text), &out, &err);
    MUST_SAY (status == REEL_OK, "%s at %s in %s", err.message, err.path, json);
    reel_buf_free (&text);
    return out;
}

const char *
broker_json (struct broker *broker, struct reel_slice value)
{
    reel_buf_clear (&broker->text);
    if (value.len > 0)
        SAME (reel_json_write (value, REEL_JSON_COMPACT, &broker->text), REEL_OK);
    exchange (&broker->text, '"', '\'');
    reel_buf_add_byte (&broker->text, 0);
    return (const char *) broker->text.data;
}

/* --- cores made from the journal ---------------------------------------------------------------- */

/* A core made from the journal alone. */
static struct reel_core *
replayed (struct broker *broker)
{
    struct reel_core *core = NULL;
    struct reel_slice rest = reel_buf_slice (&broker->journal), record;
    struct reel_error err = {0};
    bool damaged = false;
    SAME (reel_core_create (&broker->setup, &core), REEL_OK);
    while (reel_record_take (&rest, &record, &damaged))
        MUST_SAY (reel_core_apply (core, record, &err) == REEL_OK, "%s", err.message);
    MUST (!damaged);
    return core;
}

/* A core made from the last complete snapshot on, as a journal would have it: from somewhere in its batch, and the rows
 * of ended workflows. */
static struct reel_core *
recovered (struct broker *broker)
{
    struct reel_core *core = NULL;
    struct reel_error err = {0};
    uint64_t ended = 0;
    size_t first = broker->snapshot - 1, before = broker->recoveries++ % 3;
    SAME (reel_core_create (&broker->setup, &core), REEL_OK);
    reel_core_recover_snapshot (core);
    for (size_t i = first > before ? first - before : first; i < broker->record_count; i++) {
        const struct broker_record *place = &broker->records[i];
        struct reel_slice record = reel_slice (broker->journal.data + place->at + REEL_RECORD_FRAME_BYTES,
                                               place->len - REEL_RECORD_FRAME_BYTES);
        struct reel_record_head head;
        MUST (reel_record_head (record, &head));
        if (i < first && head.kind == REEL_RECORD_SNAPSHOT)
            continue; /* a batch has but one */
        MUST_SAY (reel_core_apply (core, record, &err) == REEL_OK, "%s", err.message);
    }
    for (size_t i = 0; i < broker->model_count; i++) {
        const struct broker_model *model = &broker->models[i];
        if (!broker_is_retained (broker, model))
            continue;
        SAME (reel_core_recover_ended (core, reel_slice_text (model->workflow_id), model->last_seq, &err), REEL_OK);
        ended++;
    }
    MUST_SAY (reel_core_recovered (core, broker->forgotten + 1, ended, &err) == REEL_OK, "%s", err.message);
    return core;
}

/* --- after each step --------------------------------------------------------------------------- */

static uint64_t
gauge (struct reel_slice header, const char *name)
{
    struct reel_slice gauges = REEL_SLICE_NONE;
    uint64_t value = 0;
    MUST (reel_scan_find (header, reel_slice_text ("gauges"), &gauges));
    MUST (reel_scan_find_uint (gauges, name, &value));
    return value;
}

static void
check_counts (struct broker *broker)
{
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text ("STATS"), reel_slice ("\x80", 1)};
    struct reel_core_frames stats = {REEL_SOCKET_CLIENT, reel_slice_text ("?"), false, frames, 3};
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    struct reel_effects effects = {0};
    uint64_t queued = 0, running = 0, held = 0, ended = 0, leases = 0;
    if (broker->draining)
        return;
    for (size_t i = 0; i < broker->model_count; i++) {
        const struct broker_model *model = &broker->models[i];
        queued += strcmp (model->status, "queued") == 0;
        running += strcmp (model->status, "running") == 0;
        held += strcmp (model->status, "held") == 0;
        ended += broker_is_retained (broker, model);
        leases += model->leased;
    }
    SAME (reel_core_message (broker->core, now, &stats, &effects), REEL_OK);
    SAME (effects.send_count, 1);
    struct reel_slice header = reel_effects_slice (&effects, effects.sends[0].header);
    SAME (gauge (header, "queued"), queued);
    SAME (gauge (header, "running"), running);
    SAME (gauge (header, "held"), held);
    SAME (gauge (header, "ended"), ended);
    SAME (gauge (header, "leases"), leases);
    size_t asked = 0; /* of what is held; the rest nobody waits for */
    for (size_t i = 0; i < broker->held_count; i++)
        asked += broker->held[i].kind != REEL_READ_BACKUP_ENDS;
    SAME (broker->requests, broker->replies + asked + gauge (header, "waits"));
    reel_effects_free (&effects);
}

/* When one has ended, and at other times. */
static void
check_snapshot (struct broker *broker, bool ended)
{
    if (broker->snapshot == 0 || (!ended && broker->record_count % 64 != 0))
        return;
    struct reel_core *core = recovered (broker);
    SAME (reel_core_digest (broker->core), reel_core_digest (core));
    reel_core_destroy (&core);
}

void
broker_take (struct broker *broker, bool again)
{
    size_t snapshots = broker->snapshots, records = broker->record_count;
    if (!again)
        broker->sent_count = 0;
    if (!reel_effects_empty (&broker->effects)) {
        broker_take_outcome (broker);
        broker_take_reads (broker);
    }
    reel_effects_clear (&broker->effects);
    SAME (reel_core_digest (broker->core), reel_core_digest (broker->mirror));
    if (broker->record_count > records)
        check_snapshot (broker, broker->snapshots > snapshots);
    while (!broker->hold_readings && broker->held_count > 0)
        broker_answer (broker);
}

static void
tick (struct broker *broker)
{
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    size_t rounds = 0;
    do {
        SAME (reel_core_tick (broker->core, now, !broker->more_to_read, &broker->effects, &broker->wake_us), REEL_OK);
        broker_take (broker, true);
        MUST (rounds++ < 100000);
    } while (broker->wake_us <= broker->monotonic_us);
    check_counts (broker);
}

/* --- what comes in ------------------------------------------------------------------------------ */

void
broker_tick (struct broker *broker)
{
    broker->sent_count = 0;
    tick (broker);
}

void
broker_pass_ms (struct broker *broker, int64_t ms)
{
    int64_t until_us = broker->monotonic_us + 1000 * ms;
    broker->sent_count = 0;
    for (int64_t step_us; broker->wake_us < until_us;) {
        step_us = broker->wake_us - broker->monotonic_us;
        broker->monotonic_us += step_us;
        broker->wall_us += step_us;
        tick (broker);
    }
    broker->wall_us += until_us - broker->monotonic_us;
    broker->monotonic_us = until_us;
    tick (broker);
}

void
broker_frames (struct broker *broker, enum reel_socket socket, const char *peer, bool delimiter,
               const struct reel_slice *frames, size_t count)
{
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    struct reel_core_frames message = {socket, reel_slice_text (peer), delimiter, frames, count};
    broker->requests += socket == REEL_SOCKET_CLIENT;
    SAME (reel_core_message (broker->core, now, &message, &broker->effects), REEL_OK);
    broker_take (broker, false);
    tick (broker);
}

static void
say (struct broker *broker, enum reel_socket socket, const char *peer, const char *command, const char *header,
     const char *document)
{
    struct reel_buf head = broker_msgpack (header), body = {0};
    if (document != NULL)
        body = broker_msgpack (document);
    const struct reel_slice frames[] = {reel_slice_text ("REEL1"), reel_slice_text (command), reel_buf_slice (&head),
                                        reel_buf_slice (&body)};
    broker_frames (broker, socket, peer, false, frames, document != NULL ? 4 : 3);
    reel_buf_free (&head);
    reel_buf_free (&body);
}

void
broker_client (struct broker *broker, const char *peer, const char *command, const char *header, const char *document)
{
    say (broker, REEL_SOCKET_CLIENT, peer, command, header, document);
}

void
broker_worker (struct broker *broker, const char *peer, const char *command, const char *header, const char *document)
{
    say (broker, REEL_SOCKET_WORKER, peer, command, header, document);
}

void
broker_submit (struct broker *broker, const char *document)
{
    broker_client (broker, "c", "SUBMIT", "{}", document);
}

void
broker_unroutable (struct broker *broker, const char *peer)
{
    reel_core_unroutable (broker->core, reel_slice_text (peer));
    broker_tick (broker);
}

void
broker_drain (struct broker *broker)
{
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    SAME (reel_core_drain (broker->core, now, &broker->effects), REEL_OK);
    broker->draining = true;
    broker_take (broker, false);
}

void
broker_ready (struct broker *broker, const char *peer, int slots, const char *modalities)
{
    char header[1024];
    snprintf (header, sizeof header, "{'name':'%s','slots':%d,'modalities':[%s]}", peer, slots, modalities);
    broker_worker (broker, peer, "READY", header, NULL);
}

void
broker_report (struct broker *broker, const char *peer, uint64_t counter, uint64_t index, const char *events)
{
    char header[128];
    snprintf (header, sizeof header, "{'lease':[1,%llu],'report_index':%llu}", (unsigned long long) counter,
              (unsigned long long) index);
    broker_worker (broker, peer, "REPORT", header, events);
}

/* --- its life ----------------------------------------------------------------------------------- */

void
broker_init (struct broker *broker)
{
    *broker = (struct broker){.wall_us = 1000000};
    reel_core_setup_defaults (&broker->setup);
    broker->setup.seed = 1;
    broker->setup.retain_ms = 0; /* so that nothing is due for it */
}

void
broker_start (struct broker *broker)
{
    struct reel_core_time now = {broker->wall_us, broker->monotonic_us};
    broker->core = broker->snapshot > 0 ? recovered (broker) : replayed (broker);
    if (broker->mirror == NULL)
        broker->mirror = replayed (broker);
    broker->requests = broker->replies = broker->held_count = 0;
    reel_buf_clear (&broker->held_contexts);
    SAME (reel_core_digest (broker->core), reel_core_digest (broker->mirror));
    SAME (reel_core_start (broker->core, now, &broker->effects), REEL_OK);
    broker_take (broker, false);
    tick (broker);
}

void
broker_restart (struct broker *broker)
{
    reel_core_destroy (&broker->core);
    broker->setup.seed++;
    broker_start (broker);
}

void
broker_free (struct broker *broker)
{
    struct reel_core *again = replayed (broker);
    if (broker->core != NULL)
        SAME (reel_core_digest (broker->core), reel_core_digest (again));
    reel_core_destroy (&again);
    reel_core_destroy (&broker->core);
    reel_core_destroy (&broker->mirror);
    reel_effects_free (&broker->effects);
    broker_models_free (broker);
    for (size_t i = 0; i < broker->sent_cap; i++) {
        reel_buf_free (&broker->sent[i].header);
        reel_buf_free (&broker->sent[i].document);
    }
    free (broker->sent);
    free (broker->records);
    free (broker->events);
    free (broker->held);
    reel_buf_free (&broker->journal);
    reel_buf_free (&broker->held_contexts);
    reel_buf_free (&broker->trace);
    reel_buf_free (&broker->text);
}
