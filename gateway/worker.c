#include "gateway/worker.h"

#include "base/error.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct gw_workers {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct gw_job *first, **end; /* under lock */
    bool stopping;               /* under lock */
    unsigned count;              /* threads to join */
    pthread_t threads[];
};

static void *work(void *opaque)
{
    struct gw_workers *workers = opaque;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        struct gw_job *job = workers->first;
        if (job) {
            workers->first = job->next;
            if (!workers->first)
                workers->end = &workers->first;
            pthread_mutex_unlock(&workers->lock);
            job->run(job);
            pthread_mutex_lock(&workers->lock);
        } else if (workers->stopping) {
            break;
        } else {
            pthread_cond_wait(&workers->posted, &workers->lock);
        }
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

sl_status gw_workers_start(unsigned threads, struct gw_workers **out, sl_error *error)
{
    *out = NULL;
    struct gw_workers *workers = calloc(1, sizeof *workers + threads * sizeof *workers->threads);
    if (!workers)
        return sl_error_oom(error);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->posted, NULL);
    workers->end = &workers->first;
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

void gw_workers_finish(struct gw_workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->posted);
    pthread_mutex_unlock(&workers->lock);
    for (; workers->count; workers->count--)
        pthread_join(workers->threads[workers->count - 1], NULL);
}

void gw_workers_stop(struct gw_workers **workers)
{
    if (!*workers)
        return;
    gw_workers_finish(*workers);
    pthread_cond_destroy(&(*workers)->posted);
    pthread_mutex_destroy(&(*workers)->lock);
    free(*workers);
    *workers = NULL;
}

/* The lock is held. */
static void append(struct gw_workers *workers, struct gw_job *job)
{
    job->next = NULL;
    *workers->end = job;
    workers->end = &job->next;
    pthread_cond_signal(&workers->posted);
}

void gw_work_post(struct gw_workers *workers, struct gw_job *job)
{
    pthread_mutex_lock(&workers->lock);
    append(workers, job);
    pthread_mutex_unlock(&workers->lock);
}

bool gw_work_try(struct gw_workers *workers, struct gw_job *job)
{
    pthread_mutex_lock(&workers->lock);
    bool open = !workers->stopping;
    if (open)
        append(workers, job);
    pthread_mutex_unlock(&workers->lock);
    return open;
}
