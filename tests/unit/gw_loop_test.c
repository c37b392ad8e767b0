/* What runs on a loop beside requests. */
#include "gw_serving.h"

#include <sys/eventfd.h>

#include "base/time.h"

/* Timers, watches and tasks: all on one loop, told in the order that they ran. */
struct order {
    struct gw_task task;
    struct gw_timer timers[40];
    struct gw_watch watch;
    struct gw_loop *loop;
    struct shared *shared;
    int64_t last_due_ms;
    int ran, out_of_order, seen;
};

static struct order *the_order; /* one test's */

static void timer_ran(struct gw_timer *timer)
{
    the_order->out_of_order += timer->due_ms < the_order->last_due_ms || timer->due_ms > sl_mono_ms();
    the_order->last_due_ms = timer->due_ms;
    if (++the_order->ran == 30)
        sem_post(&the_order->shared->reached);
}

static void watch_ready(struct gw_watch *watch)
{
    gw_watch_remove(the_order->loop, watch);
    the_order->seen++;
    sem_post(&the_order->shared->reached);
}

static void set_timers(struct gw_task *task)
{
    struct order *order = (struct order *)task;
    int64_t now = sl_mono_ms();
    assert_true(gw_loop_is_current(order->loop));
    for (int i = 0; i < 40; i++) {
        order->timers[i].run = timer_ran;
        assert_int_equal(gw_timer_set(order->loop, &order->timers[i], now + 1000 + i), SL_OK);
        assert_int_equal(gw_timer_set(order->loop, &order->timers[i], now + (i * 7) % 40), SL_OK);
    }
    for (int i = 0; i < 40; i += 4)
        gw_timer_cancel(order->loop, &order->timers[i]);
    gw_timer_cancel(order->loop, &order->timers[0]);
    assert_int_equal(gw_watch_add(order->loop, &order->watch, NULL), SL_OK);
}

static void timers_and_watches_run_on_their_loop(void **state)
{
    struct shared shared;
    struct order order = {0};
    (void)state;
    start(&shared);
    the_order = &order;
    order.loop = gw_server_loop(shared.server, 1);
    order.shared = &shared;
    order.task.run = set_timers;
    order.watch = (struct gw_watch){.fd = eventfd(1, EFD_CLOEXEC), .ready = watch_ready};
    assert_false(gw_loop_is_current(order.loop));
    gw_loop_post(order.loop, &order.task);
    sem_wait(&shared.reached);
    sem_wait(&shared.reached);
    stop(&shared);
    assert_int_equal(order.ran, 30);
    assert_int_equal(order.out_of_order, 0);
    assert_int_equal(order.seen, 1);
    close(order.watch.fd);
}

struct step {
    struct gw_task task;
    struct shared *shared;
    int number;
    atomic_int *last;
};

static void run_step(struct gw_task *task)
{
    struct step *step = (struct step *)task;
    if (atomic_load(step->last) == step->number - 1)
        atomic_store(step->last, step->number);
    sem_post(&step->shared->reached);
}

static void tasks_run_in_the_order_posted(void **state)
{
    struct shared shared;
    static struct step steps[1000];
    atomic_int last = 0;
    (void)state;
    start(&shared);
    for (int i = 0; i < 1000; i++) {
        steps[i] = (struct step){{NULL, run_step}, &shared, i + 1, &last};
        gw_loop_post(gw_server_loop(shared.server, 0), &steps[i].task);
    }
    for (int i = 0; i < 1000; i++)
        sem_wait(&shared.reached);
    assert_int_equal(atomic_load(&last), 1000);
    stop(&shared);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(timers_and_watches_run_on_their_loop),
    cmocka_unit_test(tasks_run_in_the_order_posted))
