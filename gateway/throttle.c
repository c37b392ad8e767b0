#include "gateway/throttle.h"

#include "base/error.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_US 1000000
#define BURST_US  SECOND_US /* so far ahead of what is paid for may be gone */
#define QUANTUM   65536     /* bytes of an application's turn */

struct gw_throttler {
    struct gw_loop *home;
    int64_t (*clock_us)(void);
    atomic_llong max_wait_us;
    atomic_bool kept, stopped;
    pthread_mutex_t lock;
    struct gw_throttle *list; /* at which somebody waits */
    bool woken;               /* task lies in the home loop's mailbox */
    struct gw_task task;
    struct gw_timer timer; /* the home loop's */
};

static void tick(struct gw_timer *timer);
static void wake(struct gw_task *task);

sl_status gw_throttler_create(struct gw_loop *home, int64_t (*clock_us)(void), struct gw_throttler **out,
                              sl_error *error)
{
    struct gw_throttler *throttler = *out = calloc(1, sizeof *throttler);
    if (!throttler)
        return sl_error_oom(error);
    throttler->home = home;
    throttler->clock_us = clock_us;
    atomic_init(&throttler->kept, true);
    atomic_init(&throttler->max_wait_us, INT64_MAX);
    throttler->timer.run = tick;
    throttler->task.run = wake;
    pthread_mutex_init(&throttler->lock, NULL);
    return SL_OK;
}

void gw_throttler_destroy(struct gw_throttler **throttler)
{
    if (!*throttler)
        return;
    pthread_mutex_destroy(&(*throttler)->lock);
    free(*throttler);
    *throttler = NULL;
}

static void wake_home(struct gw_throttler *throttler)
{
    pthread_mutex_lock(&throttler->lock);
    bool to_wake = throttler->home && !throttler->woken;
    throttler->woken |= to_wake;
    pthread_mutex_unlock(&throttler->lock);
    if (to_wake)
        gw_loop_post(throttler->home, &throttler->task);
}

void gw_throttler_set(struct gw_throttler *throttler, bool kept, int64_t max_wait_us)
{
    atomic_store(&throttler->kept, kept);
    atomic_store(&throttler->max_wait_us, max_wait_us);
    wake_home(throttler);
}

bool gw_throttler_kept(const struct gw_throttler *throttler)
{
    return throttler && atomic_load(&throttler->kept);
}

int64_t gw_throttler_longest_us(const struct gw_throttler *throttler)
{
    return throttler ? atomic_load_explicit(&throttler->max_wait_us, memory_order_relaxed) : INT64_MAX;
}

void gw_throttle_set_rate(struct gw_throttle *throttle, int64_t rate)
{
    if (atomic_exchange(&throttle->rate, rate) != rate)
        atomic_store(&throttle->paid_us, 0);
}

void gw_throttler_changed(struct gw_throttler *throttler)
{
    wake_home(throttler);
}

void gw_throttler_stop(struct gw_throttler *throttler)
{
    atomic_store(&throttler->stopped, true);
    wake_home(throttler);
}

int64_t gw_throttle_rate(const struct gw_throttler *throttler, const struct gw_throttle *throttle)
{
    return throttler && !atomic_load_explicit(&throttler->stopped, memory_order_relaxed) &&
                   (atomic_load_explicit(&throttler->kept, memory_order_relaxed) ||
                    atomic_load_explicit(&throttle->always, memory_order_relaxed))
               ? atomic_load_explicit(&throttle->rate, memory_order_relaxed)
               : 0;
}

static int64_t cost_us(int64_t bytes, int64_t rate)
{
    return (int64_t)((double)bytes * 1e6 / (double)rate);
}

/* Pays, when it may go now or has to. */
static bool pay(struct gw_throttle *throttle, int64_t rate, int64_t bytes, int64_t now_us, bool anyway)
{
    long long paid_us = atomic_load_explicit(&throttle->paid_us, memory_order_relaxed);
    long long next;
    do {
        int64_t from = paid_us > now_us ? paid_us : now_us;
        if (!anyway && from - now_us > BURST_US)
            return false;
        next = from + cost_us(bytes, rate);
    } while (!atomic_compare_exchange_weak_explicit(&throttle->paid_us, &paid_us, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void gw_throttle_settle(struct gw_throttler *throttler, struct gw_throttle *throttle, int64_t bytes)
{
    int64_t rate = gw_throttle_rate(throttler, throttle);
    if (rate && bytes > 0)
        pay(throttle, rate, bytes, throttler->clock_us(), true);
    else if (rate && bytes < 0)
        atomic_fetch_sub_explicit(&throttle->paid_us, cost_us(-bytes, rate), memory_order_relaxed);
}

/* --- who waits: a ring of applications, each with its line of passes; under the lock --- */

static void ring_in(struct gw_throttle *throttle, struct gw_pass *first)
{
    struct gw_pass *turn = throttle->turn;
    if (!turn) {
        first->ring = first->ring_back = first;
        throttle->turn = first;
    } else { /* before the one whose turn it is: last */
        first->ring = turn;
        first->ring_back = turn->ring_back;
        turn->ring_back->ring = first;
        turn->ring_back = first;
    }
    throttle->accounts++;
}

static void ring_out(struct gw_throttle *throttle, struct gw_pass *first)
{
    first->ring_back->ring = first->ring;
    first->ring->ring_back = first->ring_back;
    if (throttle->turn == first)
        throttle->turn = first->ring == first ? NULL : first->ring;
    throttle->accounts--;
}

static struct gw_pass *first_of(const struct gw_throttle *throttle, const char *account)
{
    struct gw_pass *first = throttle->turn;
    for (unsigned i = 0; i < throttle->accounts; i++, first = first->ring)
        if (!strcmp(first->account, account))
            return first;
    return NULL;
}

static void line_up(struct gw_throttle *throttle, struct gw_pass *pass)
{
    struct gw_pass *first = first_of(throttle, pass->account);
    pass->later = NULL;
    if (first) {
        first->last->later = pass;
        first->last = pass;
        first->account_bytes += pass->bytes;
    } else {
        pass->last = pass;
        pass->credit = 0;
        pass->account_bytes = pass->bytes;
        ring_in(throttle, pass);
    }
    throttle->queued += pass->bytes;
    atomic_fetch_add(&throttle->waiting, 1);
}

/* The first of its line goes; the one behind it takes its place in the ring. */
static void take_first(struct gw_throttle *throttle, struct gw_pass *first)
{
    struct gw_pass *heir = first->later;
    if (heir) {
        heir->last = first->last;
        heir->credit = first->credit;
        heir->account_bytes = first->account_bytes - first->bytes;
        heir->ring = first->ring == first ? heir : first->ring;
        heir->ring_back = first->ring_back == first ? heir : first->ring_back;
        heir->ring->ring_back = heir;
        heir->ring_back->ring = heir;
        if (throttle->turn == first)
            throttle->turn = heir;
    } else {
        ring_out(throttle, first);
    }
    throttle->queued -= first->bytes;
    first->throttle = NULL;
    atomic_fetch_sub(&throttle->waiting, 1);
}

static void unlist(struct gw_throttler *throttler, struct gw_throttle *throttle)
{
    struct gw_throttle **place = &throttler->list;
    while (*place != throttle)
        place = &(*place)->next;
    *place = throttle->next;
    throttle->listed = false;
}

static void call_granted(struct gw_task *task)
{
    struct gw_pass *pass = (struct gw_pass *)(void *)((char *)task - offsetof(struct gw_pass, task));
    pass->granted(pass);
}

/* Lets go who may; *granted: those, to be told when the lock is given back. The moment of the next. */
static int64_t run_one(const struct gw_throttler *throttler, struct gw_throttle *throttle, int64_t now_us,
                       struct gw_pass **granted)
{
    int64_t rate = gw_throttle_rate(throttler, throttle);
    for (struct gw_pass *first; (first = throttle->turn);) {
        if (throttle->accounts > 1 && first->credit < first->bytes) {
            first->credit += QUANTUM;
            if (first->credit < first->bytes) {
                throttle->turn = first->ring;
                continue;
            }
        }
        if (rate && !pay(throttle, rate, first->bytes, now_us, false))
            return atomic_load(&throttle->paid_us) - BURST_US;
        first->credit = first->credit > first->bytes ? first->credit - first->bytes : 0;
        struct gw_pass *heir = first->later;
        bool turn_is_over = heir && first->credit < heir->bytes;
        take_first(throttle, first);
        if (turn_is_over)
            throttle->turn = heir->ring;
        atomic_fetch_add_explicit(&throttle->waited_us, (unsigned long long)(now_us - first->since_us),
                                  memory_order_relaxed);
        first->later = *granted;
        *granted = first;
    }
    return INT64_MAX;
}

int64_t gw_throttler_run(struct gw_throttler *throttler)
{
    struct gw_pass *granted = NULL, *in_order = NULL;
    int64_t due_us = INT64_MAX, now_us = throttler->clock_us();
    pthread_mutex_lock(&throttler->lock);
    for (struct gw_throttle *throttle = throttler->list, *next; throttle; throttle = next) {
        next = throttle->next;
        int64_t one_us = run_one(throttler, throttle, now_us, &granted);
        due_us = one_us < due_us ? one_us : due_us;
        if (!throttle->turn)
            unlist(throttler, throttle);
    }
    pthread_mutex_unlock(&throttler->lock);
    while (granted) {
        struct gw_pass *pass = granted;
        granted = pass->later;
        pass->later = in_order;
        in_order = pass;
    }
    while (in_order) {
        struct gw_pass *pass = in_order;
        in_order = pass->later;
        pass->task.run = call_granted;
        if (pass->loop)
            gw_loop_post(pass->loop, &pass->task);
        else
            pass->granted(pass);
    }
    return due_us;
}

static void look_after(struct gw_throttler *throttler)
{
    int64_t due_us = gw_throttler_run(throttler);
    if (due_us == INT64_MAX)
        gw_timer_cancel(throttler->home, &throttler->timer);
    else if (gw_timer_set(throttler->home, &throttler->timer, due_us / 1000 + 1))
        wake_home(throttler); /* no memory for a timer: again, at once */
}

static void tick(struct gw_timer *timer)
{
    look_after((struct gw_throttler *)(void *)((char *)timer - offsetof(struct gw_throttler, timer)));
}

static void wake(struct gw_task *task)
{
    struct gw_throttler *throttler =
        (struct gw_throttler *)(void *)((char *)task - offsetof(struct gw_throttler, task));
    pthread_mutex_lock(&throttler->lock);
    throttler->woken = false;
    pthread_mutex_unlock(&throttler->lock);
    look_after(throttler);
}

/* How long one would wait behind those that do: its application's own, each with a turn of all others'. */
static int64_t expected_us(const struct gw_throttle *throttle, const char *account, int64_t rate,
                           int64_t now_us)
{
    const struct gw_pass *first = first_of(throttle, account);
    int64_t own = first ? first->account_bytes : 0;
    int64_t turns = own * (int64_t)(throttle->accounts + !first);
    int64_t ahead = turns < throttle->queued ? turns : throttle->queued;
    int64_t debt_us = atomic_load(&throttle->paid_us) - now_us - BURST_US;
    return (debt_us > 0 ? debt_us : 0) + cost_us(ahead, rate);
}

/* How long what comes now would wait; below 0: it has time. */
static int64_t wait_us(struct gw_throttler *throttler, struct gw_throttle *throttle, const char *account,
                       int64_t rate)
{
    int64_t now_us = throttler->clock_us();
    if (!atomic_load_explicit(&throttle->waiting, memory_order_relaxed))
        return atomic_load_explicit(&throttle->paid_us, memory_order_relaxed) - now_us - BURST_US;
    pthread_mutex_lock(&throttler->lock);
    int64_t expected = expected_us(throttle, account, rate, now_us);
    pthread_mutex_unlock(&throttler->lock);
    return expected;
}

int gw_throttle_full(struct gw_throttler *throttler, struct gw_throttle *throttle, const char *account,
                     int64_t waited_us)
{
    int64_t rate = gw_throttle_rate(throttler, throttle);
    if (!rate)
        return 0;
    int64_t own_us = wait_us(throttler, throttle, account, rate);
    return own_us > 0 && own_us > gw_throttler_longest_us(throttler) - waited_us
               ? (int)(own_us / SECOND_US) + 1
               : 0;
}

int gw_throttle_over(struct gw_throttler *throttler, struct gw_throttle *throttle, const char *account,
                     int64_t bytes, int64_t waited_us)
{
    int64_t rate = gw_throttle_rate(throttler, throttle);
    if (!rate)
        return 0;
    int64_t before_us = wait_us(throttler, throttle, account, rate);
    if (before_us <= 0)
        return 0;
    int64_t over_us = before_us + cost_us(bytes, rate) + waited_us - gw_throttler_longest_us(throttler);
    if (over_us > before_us)
        over_us = before_us; /* with nothing before it, it goes */
    return over_us > 0 ? (int)((over_us - 1) / SECOND_US) + 1 : 0;
}

int64_t gw_throttle_most(const struct gw_throttler *throttler, const struct gw_throttle *throttle)
{
    int64_t rate = gw_throttle_rate(throttler, throttle);
    double most =
        rate ? (double)rate * ((double)gw_throttler_longest_us(throttler) + BURST_US) / SECOND_US : 1e18;
    return most < 1e18 ? (int64_t)most : INT64_MAX;
}

static void enter_slowly(struct gw_throttler *throttler, struct gw_throttle *throttle, struct gw_pass *pass)
{
    pthread_mutex_lock(&throttler->lock);
    pass->throttle = throttle;
    pass->since_us = throttler->clock_us();
    line_up(throttle, pass);
    if (!throttle->listed) {
        throttle->listed = true;
        throttle->next = throttler->list;
        throttler->list = throttle;
    }
    pthread_mutex_unlock(&throttler->lock);
    wake_home(throttler);
}

bool gw_throttle_enter(struct gw_throttler *throttler, struct gw_throttle *throttle, struct gw_pass *pass)
{
    int64_t rate = gw_throttle_rate(throttler, throttle);
    pass->throttle = NULL;
    if (!rate || (!atomic_load_explicit(&throttle->waiting, memory_order_relaxed) &&
                  pay(throttle, rate, pass->bytes, throttler->clock_us(), false)))
        return true;
    enter_slowly(throttler, throttle, pass);
    return false;
}

bool gw_throttle_leave(struct gw_throttler *throttler, struct gw_pass *pass)
{
    pthread_mutex_lock(&throttler->lock);
    struct gw_throttle *throttle = pass->throttle;
    if (throttle) {
        struct gw_pass *first = first_of(throttle, pass->account), *before = first;
        if (first == pass) {
            take_first(throttle, pass);
        } else {
            while (before->later != pass)
                before = before->later;
            before->later = pass->later;
            if (first->last == pass)
                first->last = before;
            first->account_bytes -= pass->bytes;
            throttle->queued -= pass->bytes;
            pass->throttle = NULL;
            atomic_fetch_sub(&throttle->waiting, 1);
        }
        if (!throttle->turn)
            unlist(throttler, throttle);
    }
    pthread_mutex_unlock(&throttler->lock);
    return throttle != NULL;
}
