#include "support/cases.h"

#include <pthread.h>
#include <stdbool.h>

#include "gateway/worker.h"

#define JOBS 64

/* Jobs that wait to be let go. */
struct held {
    struct gw_job job; /* first */
    int number;
    bool released; /* under lock, as all below */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int running, begun, ended;
static int order[JOBS]; /* of their begin */

static void run(struct gw_job *job)
{
    struct held *held = (struct held *)(void *)job;
    pthread_mutex_lock(&lock);
    order[begun++] = held->number;
    running++;
    pthread_cond_broadcast(&changed);
    while (!held->released)
        pthread_cond_wait(&changed, &lock);
    running--;
    ended++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await(const int *count, int wanted)
{
    pthread_mutex_lock(&lock);
    while (*count < wanted)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void release(struct held *held)
{
    pthread_mutex_lock(&lock);
    held->released = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static struct gw_workers *start(unsigned threads, unsigned share)
{
    struct gw_workers *workers;
    sl_error error;
    running = begun = ended = 0;
    assert_int_equal(gw_workers_start(threads, share, &workers, &error), SL_OK);
    return workers;
}

static void post(struct gw_workers *workers, const char *account, struct held *held, int number,
                 bool released)
{
    *held = (struct held){.job.run = run, .number = number, .released = released};
    gw_work_post(workers, account, &held->job);
}

/* However many jobs one account has, and however long they wait. */
static void one_account_does_not_stop_the_others(void **state)
{
    (void)state;
    struct held many[16], other, own;
    struct gw_workers *workers = start(4, 2);
    for (int i = 0; i < 16; i++)
        post(workers, "many", &many[i], i, false);
    await(&begun, 2);
    post(workers, "other", &other, 100, true);
    await(&ended, 1);
    post(workers, NULL, &own, 101, true);
    await(&ended, 2);
    assert_int_equal(begun, 4); /* of the many, two and no more */
    release(&many[0]);
    await(&begun, 5); /* the next one has its place */
    assert_int_equal(order[4], 2);
    gw_workers_lift_shares(workers);
    await(&running, 4); /* now they may have all threads */
    for (int i = 1; i < 16; i++)
        release(&many[i]);
    gw_workers_stop(&workers); /* runs what is queued */
    assert_int_equal(ended, 18);
    assert_null(workers);
}

static void accounts_take_turns(void **state)
{
    (void)state;
    struct held first, jobs[9];
    static const char *const accounts[9] = {"a", "a", "a", "a", "a", "b", "b", "c", NULL};
    static const int turns[9] = {0, 5, 7, 8, 1, 6, 2, 3, 4};
    struct gw_workers *workers = start(1, 1);
    post(workers, NULL, &first, 99, false);
    await(&running, 1); /* the only thread has something to do while they are posted */
    for (int i = 0; i < 9; i++)
        post(workers, accounts[i], &jobs[i], i, true);
    release(&first);
    await(&ended, 10);
    for (int i = 0; i < 9; i++)
        assert_int_equal(order[i + 1], turns[i]);
    gw_workers_stop(&workers);
}

/* The gateway's own jobs may take all threads. */
static void the_gateway_has_no_share_to_keep_to(void **state)
{
    (void)state;
    struct held jobs[3];
    struct gw_workers *workers = start(3, 1);
    for (int i = 0; i < 3; i++)
        post(workers, NULL, &jobs[i], i, false);
    await(&running, 3);
    for (int i = 0; i < 3; i++)
        release(&jobs[i]);
    gw_workers_stop(&workers);
}

static void what_is_queued_is_run_at_the_end(void **state)
{
    (void)state;
    struct held first, jobs[8], late;
    struct gw_workers *workers = start(2, 1);
    post(workers, "a", &first, 0, false);
    await(&running, 1);
    for (int i = 0; i < 8; i++)
        post(workers, i % 2 ? "a" : "b", &jobs[i], i, true);
    release(&first);
    gw_workers_finish(workers);
    assert_int_equal(ended, 9);
    late = (struct held){.job.run = run};
    assert_false(gw_work_try(workers, "a", &late.job));
    post(workers, "a", &late, 9, true); /* is left lying, and its account's queue is freed */
    gw_workers_stop(&workers);
    assert_int_equal(ended, 9);
}

CASES_MAIN(cmocka_unit_test(one_account_does_not_stop_the_others), cmocka_unit_test(accounts_take_turns),
           cmocka_unit_test(the_gateway_has_no_share_to_keep_to),
           cmocka_unit_test(what_is_queued_is_run_at_the_end))
