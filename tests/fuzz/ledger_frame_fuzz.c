/*
 * Any bytes as a frame of the ledger's journal, and as the events of a frame whose header and checksum are
 * right: what is read of it is written the same again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ledger/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort(); /* what the fuzzer looks for */
}

static void expect_same(const struct gw_ledger_event *a, const struct gw_ledger_event *b)
{
    expect(a->kind == b->kind && a->at_ms == b->at_ms && a->number == b->number && a->count == b->count);
    expect(!strcmp(a->application, b->application) && !strcmp(a->hrn, b->hrn) &&
           !strcmp(a->layer, b->layer) && !strcmp(a->group, b->group) && !strcmp(a->topic, b->topic));
    expect(!memcmp(&a->usage, &b->usage, sizeof a->usage));
    for (size_t i = 0; i < a->count; i++)
        expect(a->records[i].offset == b->records[i].offset &&
               a->records[i].partition == b->records[i].partition &&
               a->records[i].bytes == b->records[i].bytes);
    expect(a->gap_count == b->gap_count);
    for (size_t i = 0; i < a->gap_count; i++)
        expect(a->gaps[i].first == b->gaps[i].first && a->gaps[i].end == b->gaps[i].end &&
               a->gaps[i].partition == b->gaps[i].partition);
}

static void write_again(const struct gw_ledger_event *event)
{
    struct gw_frame_events events = {.at = NULL};
    struct gw_ledger_event again;
    struct gw_frame frame;
    struct sl_buffer bytes;
    sl_buffer_init(&bytes, GW_FRAME_MAX);
    expect(gw_frame_begin(&bytes) && gw_frame_add(&bytes, event));
    gw_frame_end(&bytes, "0123456789abcdef", "fedcba9876543210", 7, 0, 1);
    expect(gw_frame_read(bytes.data, bytes.size, &frame));
    expect(frame.sequence == 7 && frame.events == 1 && frame.size == bytes.size);
    gw_frame_events(&events, bytes.data, &frame);
    expect(gw_frame_next(&events, &again, NULL) == SL_OK);
    expect_same(event, &again);
    expect(gw_frame_next(&events, &again, NULL) == SL_NOT_FOUND);
    gw_frame_events_free(&events);
    sl_buffer_free(&bytes);
}

static void read_events(const void *bytes, const struct gw_frame *frame)
{
    struct gw_frame_events events = {.at = NULL};
    struct gw_ledger_event event;
    sl_error error = {0};
    sl_status status;
    gw_frame_events(&events, bytes, frame);
    while (!(status = gw_frame_next(&events, &event, &error)))
        write_again(&event);
    expect(status == SL_NOT_FOUND || (status == SL_CHECKSUM_MISMATCH && error.text[0]));
    gw_frame_events_free(&events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_frame frame;
    struct sl_buffer bytes;
    if (gw_frame_read(data, size, &frame))
        read_events(data, &frame);
    sl_buffer_init(&bytes, GW_FRAME_MAX);
    expect(gw_frame_begin(&bytes) && sl_buffer_append(&bytes, data, size));
    gw_frame_end(&bytes, "0123456789abcdef", "fedcba9876543210", 1, 0, 1);
    expect(gw_frame_read(bytes.data, bytes.size, &frame));
    read_events(bytes.data, &frame);
    sl_buffer_free(&bytes);
    return 0;
}
