#include "gateway/worker.h"

#include "base/error.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 64

/* An account's queue; there while it has jobs, queued or running. */
struct lane {
    struct lane *next_in_bucket;
    struct lane *next; /* in turn */
    struct gw_job *first, **end;
    unsigned running;
    bool in_turn; /* it has a job, and a thread may take it */
    char name[];
};

/* All under lock. */
struct gw_workers {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct lane *buckets[BUCKETS];
    struct lane *turn, **turn_end; /* whose turn it is, and then */
    struct lane *own;              /* the gateway's */
    unsigned share;
    bool stopping;
    unsigned count; /* threads to join */
    pthread_t threads[];
};

static struct lane *lane_new(const char *name)
{
    size_t size = strlen(name) + 1;
    struct lane *lane = calloc(1, sizeof *lane + size);
    if (!lane)
        return NULL;
    memcpy(lane->name, name, size);
    lane->end = &lane->first;
    return lane;
}

static struct lane **bucket_of(struct gw_workers *workers, const char *name)
{
    size_t hash = 5381;
    for (; *name; name++)
        hash = hash * 33 + (unsigned char)*name;
    return &workers->buckets[hash % BUCKETS];
}

static struct lane *lane_of(struct gw_workers *workers, const char *account)
{
    if (!account)
        return workers->own;
    struct lane **bucket = bucket_of(workers, account);
    for (struct lane *lane = *bucket; lane; lane = lane->next_in_bucket)
        if (!strcmp(lane->name, account))
            return lane;
    struct lane *fresh = lane_new(account);
    if (!fresh)
        return workers->own;
    fresh->next_in_bucket = *bucket;
    *bucket = fresh;
    return fresh;
}

/* Lines it up where a thread may take something of it. */
static void line_up(struct gw_workers *workers, struct lane *lane)
{
    if (lane->in_turn || !lane->first || (lane != workers->own && lane->running >= workers->share))
        return;
    lane->in_turn = true;
    lane->next = NULL;
    *workers->turn_end = lane;
    workers->turn_end = &lane->next;
    pthread_cond_signal(&workers->posted);
}

static void forget(struct gw_workers *workers, struct lane *lane)
{
    if (lane == workers->own || lane->first || lane->running)
        return;
    struct lane **link = bucket_of(workers, lane->name);
    while (*link != lane)
        link = &(*link)->next_in_bucket;
    *link = lane->next_in_bucket;
    free(lane);
}

/* The job whose turn it is; whoever comes next finds its account behind all others. */
static struct gw_job *take(struct gw_workers *workers, struct lane **lane_out)
{
    struct lane *lane = *lane_out = workers->turn;
    if (!lane)
        return NULL;
    workers->turn = lane->next;
    if (!workers->turn)
        workers->turn_end = &workers->turn;
    lane->in_turn = false;
    struct gw_job *job = lane->first;
    lane->first = job->next;
    if (!lane->first)
        lane->end = &lane->first;
    lane->running++;
    line_up(workers, lane);
    return job;
}

static void *work(void *opaque)
{
    struct gw_workers *workers = opaque;
    struct lane *lane;
    pthread_setname_np(pthread_self(), "worker");
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        struct gw_job *job = take(workers, &lane);
        if (job) {
            pthread_mutex_unlock(&workers->lock);
            job->run(job);
            pthread_mutex_lock(&workers->lock);
            lane->running--;
            line_up(workers, lane);
            forget(workers, lane);
        } else if (workers->stopping) {
            break; /* what still waits for its share is for the threads that have it */
        } else {
            pthread_cond_wait(&workers->posted, &workers->lock);
        }
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

sl_status gw_workers_start(unsigned threads, unsigned share, struct gw_workers **out, sl_error *error)
{
    *out = NULL;
    struct gw_workers *workers = calloc(1, sizeof *workers + threads * sizeof *workers->threads);
    struct lane *own = lane_new("");
    if (!workers || !own) {
        free(workers);
        free(own);
        return sl_error_oom(error);
    }
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->posted, NULL);
    workers->own = own;
    workers->share = share;
    workers->turn_end = &workers->turn;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = 0;
    while (workers->count < threads && !code) {
        code = pthread_create(&workers->threads[workers->count], NULL, work, workers);
        workers->count += !code;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code) {
        gw_workers_stop(&workers);
        return sl_error_set(error, SL_IO, "cannot start a thread: %s", sl_errno_text(code));
    }
    *out = workers;
    return SL_OK;
}

/* The lock is held. */
static void lift_shares(struct gw_workers *workers)
{
    workers->share = UINT_MAX;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct lane *lane = workers->buckets[i]; lane; lane = lane->next_in_bucket)
            line_up(workers, lane);
}

void gw_workers_lift_shares(struct gw_workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    lift_shares(workers);
    pthread_mutex_unlock(&workers->lock);
}

void gw_workers_finish(struct gw_workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    lift_shares(workers);
    pthread_cond_broadcast(&workers->posted);
    pthread_mutex_unlock(&workers->lock);
    for (; workers->count; workers->count--)
        pthread_join(workers->threads[workers->count - 1], NULL);
}

void gw_workers_stop(struct gw_workers **out)
{
    struct gw_workers *workers = *out;
    if (!workers)
        return;
    *out = NULL;
    gw_workers_finish(workers);
    for (size_t i = 0; i < BUCKETS; i++)
        while (workers->buckets[i]) { /* of jobs that came too late */
            struct lane *lane = workers->buckets[i];
            workers->buckets[i] = lane->next_in_bucket;
            free(lane);
        }
    free(workers->own);
    pthread_cond_destroy(&workers->posted);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

/* The lock is held. */
static void append(struct gw_workers *workers, const char *account, struct gw_job *job)
{
    struct lane *lane = lane_of(workers, account);
    job->next = NULL;
    *lane->end = job;
    lane->end = &job->next;
    line_up(workers, lane);
}

void gw_work_post(struct gw_workers *workers, const char *account, struct gw_job *job)
{
    pthread_mutex_lock(&workers->lock);
    append(workers, account, job);
    pthread_mutex_unlock(&workers->lock);
}

bool gw_work_try(struct gw_workers *workers, const char *account, struct gw_job *job)
{
    pthread_mutex_lock(&workers->lock);
    bool open = !workers->stopping;
    if (open)
        append(workers, account, job);
    pthread_mutex_unlock(&workers->lock);
    return open;
}
