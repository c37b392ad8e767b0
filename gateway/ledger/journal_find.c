/*
 * What is in the journal's files, block by block. A frame that is not whole is the torn end if nothing behind
 * it was written later. Otherwise it is damage: frames that were told as written are missing. Not those that
 * ledger.db had once, as frames behind them say: their places are written over in time. That they are looked
 * for says that ledger.db is an older copy.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/text.h"
#include "gateway/ledger/journal_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct search {
    struct gw_journal *journal;
    uint64_t after;
    uint64_t released; /* up to here ledger.db had them once */
    bool earlier;      /* there are frames up to `after`, too */
    bool broken;       /* a file begins with what is neither a frame nor zeros */
};

static sl_status read_whole(struct gw_journal *journal, int fd, void *bytes, size_t size, int64_t from,
                            sl_error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, (char *)bytes + done, size - done, (off_t)from + (off_t)done);
        if (got < 0 && (errno == EINTR || (errno == EINVAL && gw_journal_buffer(journal, fd))))
            continue;
        if (got <= 0)
            return sl_error_set(error, SL_IO, "%s", got ? sl_errno_text(errno) : "the file ends early");
        done += (size_t)got;
    }
    return SL_OK;
}

static bool add_place(struct gw_journal *journal, struct gw_journal_place place)
{
    if (!sl_array_reserve((void **)&journal->places, journal->place_count, &journal->place_capacity,
                          sizeof *journal->places))
        return false;
    journal->places[journal->place_count++] = place;
    return true;
}

static bool is_zero(const char *block)
{
    return !*block && !memcmp(block, block + 1, GW_FRAME_BLOCK - 1);
}

static sl_status take_frame(struct search *search, size_t file, int64_t at, const struct gw_frame *frame,
                            sl_error *error)
{
    struct gw_journal *journal = search->journal;
    if (strcmp(frame->node, journal->node) != 0)
        return sl_error_set(
            error, SL_BAD_CONFIG,
            "it belongs to another ledger.db: put that one back, or move the directory away, and "
            "what it has that is in no ledger.db is not counted");
    if (frame->released > search->released)
        search->released = frame->released;
    if (frame->sequence > journal->files[file].last)
        journal->files[file].last = frame->sequence;
    if (frame->sequence <= search->after) {
        search->earlier = true;
        return SL_OK;
    }
    const struct gw_journal_place place = {
        .sequence = frame->sequence, .file = file, .at = at, .size = gw_frame_room(frame->size)};
    return add_place(journal, place) ? SL_OK : sl_error_oom(error);
}

static sl_status search_bytes(struct search *search, size_t file, const char *bytes, size_t size,
                              sl_error *error)
{
    struct gw_frame frame;
    sl_status status = SL_OK;
    for (size_t at = 0; at + GW_FRAME_BLOCK <= size && !status;) {
        if (gw_frame_read(bytes + at, size - at, &frame)) {
            status = take_frame(search, file, (int64_t)at, &frame, error);
            at += gw_frame_room(frame.size);
        } else {
            search->broken |= !at && !is_zero(bytes);
            at += GW_FRAME_BLOCK;
        }
    }
    return status;
}

static sl_status search_file(struct search *search, size_t file, sl_error *error)
{
    const struct gw_journal_file *each = &search->journal->files[file];
    size_t size = (size_t)each->size;
    if (!size)
        return SL_OK;
    void *bytes = NULL;
    if (posix_memalign(&bytes, GW_FRAME_BLOCK, gw_frame_room(size)))
        return sl_error_oom(error);
    sl_status status = read_whole(search->journal, each->fd, bytes, size, 0, error);
    if (!status)
        status = search_bytes(search, file, bytes, size, error);
    free(bytes);
    return status;
}

static int compare(const void *a, const void *b)
{
    const struct gw_journal_place *x = a, *y = b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static sl_status damage(uint64_t from, uint64_t to, sl_error *error)
{
    return sl_error_set(
        error, SL_CHECKSUM_MISMATCH,
        "it is damaged: what was written there as %llu to %llu is not whole, and there is more behind "
        "it; stop the gateway, move the directory away, and what of it is not in ledger.db is not "
        "counted; if ledger.db is an older copy that was put back, put a newer one there instead "
        "(docs/marketplace.md, \"A damaged ledger\")",
        (unsigned long long)from, (unsigned long long)to);
}

static sl_status check_order(const struct search *search, uint64_t *missing, sl_error *error)
{
    const struct gw_journal *journal = search->journal;
    uint64_t before = search->after;
    for (size_t i = 0; i < journal->place_count; i++) {
        uint64_t sequence = journal->places[i].sequence;
        bool was_folded = sequence > before && sequence - 1 <= search->released;
        if (sequence != before + 1 && !was_folded && (i || search->earlier || search->broken))
            return damage(before + 1, sequence > before ? sequence - 1 : sequence, error);
        *missing += sequence - before - 1;
        before = sequence;
    }
    return SL_OK;
}

sl_status gw_journal_find(struct gw_journal *journal, uint64_t after, uint64_t *missing, sl_error *error)
{
    struct search search = {.journal = journal, .after = after};
    sl_status status = SL_OK;
    *missing = 0;
    for (size_t i = 0; i < journal->file_count && !status; i++)
        status = search_file(&search, i, error);
    if (status)
        return status;
    if (journal->place_count)
        qsort(journal->places, journal->place_count, sizeof *journal->places, compare);
    return check_order(&search, missing, error);
}

const struct gw_journal_place *gw_journal_places(const struct gw_journal *journal, size_t *count)
{
    *count = journal->place_count;
    return journal->places;
}

sl_status gw_journal_read(struct gw_journal *journal, const struct gw_journal_place *place, void *bytes,
                          sl_error *error)
{
    sl_status status =
        read_whole(journal, journal->files[place->file].fd, bytes, place->size, place->at, error);
    if (status)
        sl_error_prefix(error, "%s", journal->path);
    return status;
}
