/*
 * A few threads for what blocks: SQLite, Kafka administration, opening and closing consumers. Jobs end by
 * posting to a loop or answering a request.
 *
 * They are fair among accounts, which are applications: each account has a queue of its own, threads take
 * from them in turn, and no account has more than its share of the threads at once. So one whose jobs are
 * many, or wait long, holds up its own only.
 */
#ifndef GW_WORKER_H
#define GW_WORKER_H

#include <streamlayer/error.h>

struct gw_workers;

/* share: threads that one account may have at once. */
sl_status gw_workers_start(unsigned threads, unsigned share, struct gw_workers **out, sl_error *error);
/* From now on each account may have all threads: everybody is leaving. Any thread. */
void gw_workers_lift_shares(struct gw_workers *workers);
/* Runs what is queued, then joins; what is posted later is left lying. Any thread but a worker's. */
void gw_workers_finish(struct gw_workers *workers);
/* The same, and releases: nobody may post any more. */
void gw_workers_stop(struct gw_workers **out);

/* Any thread. The job is the caller's memory, untouched once run is called. account is only read meanwhile;
 * NULL: the gateway itself, which has no share to keep to. Without memory for its queue an account's job goes
 * there, too. The jobs of an account begin in the order posted. */
struct gw_job {
    struct gw_job *next;
    void (*run)(struct gw_job *job);
};
void gw_work_post(struct gw_workers *workers, const char *account, struct gw_job *job);
/* False: the threads are being finished, and the job is not run. */
bool gw_work_try(struct gw_workers *workers, const char *account, struct gw_job *job);

#endif
