/* Any bytes as an event of the ledger's topic: what is read of them is written, and read again, the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ledger/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort(); /* what the fuzzer looks for */
}

static void expect_same(const struct gw_ledger_read *a, const struct gw_ledger_read *b)
{
    const struct gw_ledger_event *one = &a->event, *other = &b->event;
    expect(one->kind == other->kind && one->at_ms == other->at_ms && one->number == other->number &&
           one->sequence == other->sequence);
    expect(!strcmp(a->node, b->node) && !strcmp(a->writer, b->writer));
    expect(!strcmp(one->application, other->application) && !strcmp(one->hrn, other->hrn) &&
           !strcmp(one->layer, other->layer) && !strcmp(one->group, other->group) &&
           !strcmp(one->topic, other->topic));
    expect(!memcmp(&one->usage, &other->usage, sizeof one->usage));
    expect(one->count == other->count && one->gap_count == other->gap_count);
    for (size_t i = 0; i < one->count; i++)
        expect(one->records[i].offset == other->records[i].offset &&
               one->records[i].partition == other->records[i].partition &&
               (one->kind == GW_LEDGER_SOUGHT || one->records[i].bytes == other->records[i].bytes));
    for (size_t i = 0; i < one->gap_count; i++)
        expect(one->gaps[i].first == other->gaps[i].first && one->gaps[i].end == other->gaps[i].end &&
               one->gaps[i].partition == other->gaps[i].partition);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_ledger_read read, again;
    struct sl_buffer text;
    sl_status status = gw_ledger_event_decode((const char *)data, size, &read);
    expect(status == SL_OK || status == SL_PROTOCOL || status == SL_UNSUPPORTED);
    if (status)
        return 0;
    sl_buffer_init(&text, (size_t)1 << 24);
    if (gw_ledger_event_encode(&text, read.node, read.writer, &read.event)) {
        expect(gw_ledger_event_decode(text.data, text.size, &again) == SL_OK);
        expect_same(&read, &again);
        gw_ledger_read_free(&again);
    }
    sl_buffer_free(&text);
    gw_ledger_read_free(&read);
    return 0;
}
