/* Entries into the journal: those that wait are a frame, which is on the disk with one write; then each who
 * waits is told. */
#include "base/error.h"
#include "gateway/ledger/internal.h"

#include <string.h>

#define FRAME_ENOUGH ((size_t)1 << 20) /* bytes: what is left goes into the next one */

bool gw_ledger_encode(struct gw_ledger_entry *entry)
{
    bool good = true;
    if (entry->text.size)
        return true;
    for (size_t i = 0; i < entry->count && good; i++) {
        good = gw_frame_add(&entry->text, &entry->events[i]);
        entry->events[i].billed = gw_ledger_claim(&entry->events[i]); /* at most: see expect */
    }
    if (!good)
        sl_buffer_free(&entry->text);
    return good;
}

/* Adds entries to the frame until it is large enough; those it has end before *end. */
static sl_status fill(struct gw_ledger *ledger, struct gw_ledger_entry *first, struct gw_ledger_entry **end,
                      size_t *events, sl_error *error)
{
    struct sl_buffer *frame = &ledger->frame;
    sl_buffer_reset(frame);
    bool good = gw_frame_begin(frame);
    *events = 0;
    for (*end = first; *end && good && frame->size < FRAME_ENOUGH; *end = (*end)->next) {
        good = gw_ledger_encode(*end) && sl_buffer_append(frame, (*end)->text.data, (*end)->text.size);
        *events += (*end)->count;
    }
    return good ? SL_OK : sl_error_oom(error);
}

static sl_status append(struct gw_ledger *ledger, size_t events, sl_error *error)
{
    struct sl_buffer *frame = &ledger->frame;
    struct gw_chunk *chunk = gw_chunk_new(gw_frame_room(frame->size));
    if (!chunk)
        return sl_error_oom(error);
    chunk->sequence = gw_journal_next(ledger->journal);
    chunk->events = events;
    gw_frame_end(frame, ledger->store.node, ledger->writer, chunk->sequence,
                 gw_journal_released(ledger->journal), (uint32_t)events);
    memcpy(chunk->bytes, frame->data, frame->size);
    memset((char *)chunk->bytes + frame->size, 0, chunk->size - frame->size);
    sl_status status = gw_journal_append(ledger->journal, chunk->bytes, chunk->size, error);
    if (status)
        gw_chunk_free(chunk);
    else
        gw_folder_add(ledger->folder, chunk);
    return status;
}

/* Until it is folded a delivery counts towards the volumes as if none of it had been counted before. */
static void expect(struct gw_ledger *ledger, const struct gw_ledger_entry *first,
                   const struct gw_ledger_entry *end)
{
    for (; first != end; first = first->next)
        for (size_t i = 0; i < first->count; i++) {
            const struct gw_ledger_event *event = &first->events[i];
            if (event->billed)
                gw_volumes_expect(ledger->store.volumes, event->application, event->hrn,
                                  event->at_ms / GW_HOUR_MS, event->billed);
        }
}

/* The entries from first on, as many as go into a frame: what is behind them. */
static struct gw_ledger_entry *write_frame(struct gw_ledger *ledger, struct gw_ledger_entry *first)
{
    sl_error error;
    size_t events;
    struct gw_ledger_entry *end;
    sl_status status = fill(ledger, first, &end, &events, &error);
    bool folds = gw_folder_takes(ledger->folder, &error);
    if (!status && !folds)
        status = SL_IO;
    if (!status) {
        status = append(ledger, events, &error);
        gw_ledger_set_part(ledger, GW_LEDGER_APPENDING, status ? &error : NULL);
    }
    if (!status)
        expect(ledger, first, end);
    while (first != end) {
        struct gw_ledger_entry *entry = first;
        first = entry->next;
        if (status) {
            gw_ledger_refuse(ledger, entry, status);
            continue;
        }
        gw_ledger_count_written(ledger, entry);
        gw_ledger_tell(entry, SL_OK);
    }
    return end;
}

void gw_ledger_write_journal(struct gw_ledger *ledger, struct gw_ledger_entry *list)
{
    while (list) {
        list = write_frame(ledger, list);
        atomic_fetch_add_explicit(&ledger->commits, 1, memory_order_relaxed);
    }
}
