/*
 * The ledger's journal: DATA/ledger-journal/, what was written and is not in ledger.db yet, so that an answer
 * waits for one write to the disk and for no transaction.
 *
 * Frames (frame.h) lie one behind the other in files of GW_JOURNAL_FILE bytes, whose blocks were all written
 * before, with zeros: so a write changes no length and allocates nothing, and the disk has room for it. A
 * frame is in one file whole. A file whose frames are all in ledger.db, and ledger.db's on the disk, is
 * written again from its beginning: what is old in it has lower sequences. So names say nothing of the order,
 * sequences do.
 *
 * Appending: one thread. The rest: one other thread, or, before there are two, the one that opens it.
 */
#ifndef GW_LEDGER_JOURNAL_H
#define GW_LEDGER_JOURNAL_H

#include "gateway/ledger/frame.h"

#define GW_JOURNAL_FILE ((int64_t)16 << 20)
/* With a bound on the ledger's size the journal has so many files at most, and these bytes are its. */
#define GW_JOURNAL_FILES_BOUND 3

struct gw_journal;

/* Where the frames are that are to be folded: sequences behind `after`, ascending. */
struct gw_journal_place {
    uint64_t sequence;
    size_t file, size;
    int64_t at;
};

/*
 * Opens the directory, where there is one, and looks for frames behind the sequence `after`. node: as in
 * gw_frame; bounded: at most GW_JOURNAL_FILES_BOUND files. A torn frame at the end was never told to anybody:
 * it is left out. Errors: SL_CHECKSUM_MISMATCH (a frame is damaged that is followed by others: nothing is
 * changed), SL_BAD_CONFIG (it belongs to another ledger.db), SL_IO, SL_OUT_OF_MEMORY; the text names the
 * directory and the cure. *missing: how many sequences behind `after` are not there, because they were in
 * ledger.db: it is an older copy then, that has been put back.
 */
sl_status gw_journal_open(const char *data_directory, const char *node, uint64_t after, bool bounded,
                          struct gw_journal **out, uint64_t *missing, sl_error *error);
void gw_journal_close(struct gw_journal **out); /* NULL-safe; files stay */

/* What was found by opening; the journal's. */
const struct gw_journal_place *gw_journal_places(const struct gw_journal *journal, size_t *count);
/* Reads one of them; bytes has room for its size. SL_IO. */
sl_status gw_journal_read(struct gw_journal *journal, const struct gw_journal_place *place, void *bytes,
                          sl_error *error);

/* The sequence of the frame that is appended next. The appending thread's. */
uint64_t gw_journal_next(const struct gw_journal *journal);
/*
 * Writes a frame of that sequence. frame: aligned to GW_FRAME_BLOCK, and filled up to a multiple of it, which
 * size is. SL_OK: it is on the disk. SL_IO: it is not, and before anything else is written there it is made
 * sure that it is not found either: until then every call fails.
 */
sl_status gw_journal_append(struct gw_journal *journal, const void *frame, size_t size, sl_error *error);
/* Whether something could be appended now: tries what failed. The appending thread. */
sl_status gw_journal_probe(struct gw_journal *journal, sl_error *error);

/* All up to that sequence is in ledger.db, on the disk: files that have no more are written again. Nothing is
 * released by opening: what ledger.db has may not have reached the disk when a gateway was killed. */
void gw_journal_release(struct gw_journal *journal, uint64_t sequence);
uint64_t gw_journal_released(struct gw_journal *journal); /* for gw_frame_end */
/* Whether there are files with frames up to that sequence only that are not released yet. */
bool gw_journal_wants_release(struct gw_journal *journal, uint64_t sequence);
/* Makes a file ahead of need: when the one that is written to is half full, and none is free. Where it cannot
 * be made, appending tries it again and tells. */
void gw_journal_prepare(struct gw_journal *journal);
/* Removes the directory, of which all is released. Nobody appends any more. */
void gw_journal_remove(struct gw_journal *journal);

#endif
