/* What journal.c and journal_find.c share. */
#ifndef GW_LEDGER_JOURNAL_INTERNAL_H
#define GW_LEDGER_JOURNAL_INTERNAL_H

#include "gateway/ledger/journal.h"
#include <pthread.h>
#include <stdatomic.h>

#define GW_JOURNAL_FILES 64

struct gw_journal_file {
    int fd; /* for writing */
    unsigned number;
    int64_t size;
    uint64_t last; /* the highest sequence in it that counts; 0: none */
};

struct gw_journal {
    char *path;
    int directory; /* -1: it is not there yet */
    char node[GW_WRITER_DIGITS + 1];
    bool bounded;
    struct gw_journal_place *places;
    size_t place_count, place_capacity;

    atomic_bool buffered;   /* O_DIRECT is not to be had here */
    pthread_mutex_t making; /* whoever makes a file; taken before the lock */
    pthread_mutex_t lock;
    /* Under the lock; what the appending thread alone changes, it reads without. */
    struct gw_journal_file files[GW_JOURNAL_FILES];
    size_t file_count;
    uint64_t released;
    int current; /* the appending thread's, as the next two; -1: none */
    int64_t at;
    uint64_t next;
    bool torn;   /* what lies at `at` failed: it is to be made unreadable first */
    void *zeros; /* a block of them, aligned */
};

/* Some file systems open with O_DIRECT and then neither write nor read so: from now on without it. false: it
 * was without already, or that cannot be. */
bool gw_journal_buffer(struct gw_journal *journal, int fd);

/* journal_find.c: fills places with what is behind `after`. */
sl_status gw_journal_find(struct gw_journal *journal, uint64_t after, uint64_t *missing, sl_error *error);

#endif
