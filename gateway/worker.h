/*
 * A few threads for what blocks: SQLite, Kafka administration, opening and closing consumers. Jobs end by
 * posting to a loop or answering a request.
 */
#ifndef GW_WORKER_H
#define GW_WORKER_H

#include <streamlayer/error.h>

struct gw_workers;

sl_status gw_workers_start(unsigned threads, struct gw_workers **out, sl_error *error);
/* Runs what is queued, then joins; what is posted later is left lying. Any thread but a worker's. */
void gw_workers_finish(struct gw_workers *workers);
/* The same, and releases: nobody may post any more. */
void gw_workers_stop(struct gw_workers **workers);

/* Any thread. The job is the caller's memory, untouched once run is called. */
struct gw_job {
    struct gw_job *next;
    void (*run)(struct gw_job *job);
};
void gw_work_post(struct gw_workers *workers, struct gw_job *job);
/* False: the threads are being finished, and the job is not run. */
bool gw_work_try(struct gw_workers *workers, struct gw_job *job);

#endif
