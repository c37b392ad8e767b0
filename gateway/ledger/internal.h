/* What the files of gateway/ledger share. */
#ifndef GW_LEDGER_INTERNAL_H
#define GW_LEDGER_INTERNAL_H

#include "gateway/ledger/store.h"
#include <pthread.h>
#include <stdatomic.h>

struct gw_ledger {
    struct sl_log log;
    struct gw_ledger_store store;      /* the thread's, once it runs; its path and volumes: everyone's */
    char writer[GW_WRITER_DIGITS + 1]; /* this run's */
    struct gw_ledger_entry begun;      /* the first, of the start itself */
    struct gw_ledger_event begun_event;
    pthread_t thread;
    bool running; /* it was started */
    bool ending;  /* the thread's: this is its last turn */
    atomic_ullong numbers, commits, events, refused, waits, waited_us;
    _Atomic int64_t unconfirmed;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    bool stopping, available;
    char why[GW_LEDGER_WHY];
    struct gw_ledger_entry *first, **last;
    struct gw_ledger_entry *kept; /* lazy ones that could not be written, newest first */
    size_t urgent;                /* entries that wait and are not lazy */
};

#endif
