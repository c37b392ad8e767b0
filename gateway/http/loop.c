/* A loop: one thread on one epoll, with the mailbox, timers and watched descriptors beside libmicrohttpd's.
 */
#include "gateway/http/internal.h"

#include "base/error.h"
#include "base/time.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

void gw_loop_wake(struct gw_loop *loop)
{
    /* It cannot fail but by the counter's overflow, and then it is readable already. */
    ssize_t written = write(loop->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)written;
}

bool gw_loop_is_current(const struct gw_loop *loop)
{
    return pthread_equal(loop->thread, pthread_self()) != 0;
}

void gw_loop_post(struct gw_loop *loop, struct gw_task *task)
{
    struct gw_task *head = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
    do
        task->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->mailbox, &head, task, memory_order_release,
                                                  memory_order_relaxed));
    /* The loop looks at its mailbox before it sleeps, so only others need to wake it, and only the first. */
    if (!head && !gw_loop_is_current(loop))
        gw_loop_wake(loop);
}

static void run_mailbox(struct gw_loop *loop)
{
    struct gw_task *newest = atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acquire);
    struct gw_task *first = NULL;
    while (newest) {
        struct gw_task *next = newest->next;
        newest->next = first;
        first = newest;
        newest = next;
    }
    while (first) {
        struct gw_task *next = first->next;
        first->run(first);
        first = next;
    }
}

static void heap_put(struct gw_loop *loop, size_t slot, struct gw_timer *timer)
{
    loop->heap[slot] = timer;
    timer->slot = slot;
}

/* Moves the timer from slot (1 is the top) to where it belongs. */
static void heap_settle(struct gw_loop *loop, size_t slot, struct gw_timer *timer)
{
    for (; slot > 1 && loop->heap[slot / 2]->due_ms > timer->due_ms; slot /= 2)
        heap_put(loop, slot, loop->heap[slot / 2]);
    for (size_t child; (child = slot * 2) <= loop->timers; slot = child) {
        if (child < loop->timers && loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms)
            child++;
        if (loop->heap[child]->due_ms >= timer->due_ms)
            break;
        heap_put(loop, slot, loop->heap[child]);
    }
    heap_put(loop, slot, timer);
}

sl_status gw_timer_set(struct gw_loop *loop, struct gw_timer *timer, int64_t due_ms)
{
    if (!timer->slot) {
        if (loop->timers + 1 >= loop->heap_capacity) {
            size_t capacity = loop->heap_capacity ? loop->heap_capacity * 2 : 64;
            struct gw_timer **heap = realloc(loop->heap, capacity * sizeof *heap);
            if (!heap)
                return SL_OUT_OF_MEMORY;
            loop->heap = heap;
            loop->heap_capacity = capacity;
        }
        timer->slot = ++loop->timers;
    }
    timer->due_ms = due_ms;
    heap_settle(loop, timer->slot, timer);
    return SL_OK;
}

void gw_timer_cancel(struct gw_loop *loop, struct gw_timer *timer)
{
    size_t slot = timer->slot;
    if (!slot)
        return;
    timer->slot = 0;
    struct gw_timer *last = loop->heap[loop->timers--];
    if (last != timer)
        heap_settle(loop, slot, last);
}

static void run_timers(struct gw_loop *loop)
{
    while (loop->timers && loop->heap[1]->due_ms <= loop->now_ms) {
        struct gw_timer *timer = loop->heap[1];
        gw_timer_cancel(loop, timer);
        timer->run(timer);
    }
}

sl_status gw_watch_add(struct gw_loop *loop, struct gw_watch *watch, sl_error *error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event))
        return sl_error_set(error, SL_IO, "cannot watch descriptor %d: %s", watch->fd, sl_errno_text(errno));
    return SL_OK;
}

void gw_watch_remove(struct gw_loop *loop, struct gw_watch *watch)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    /* It may be in the events that are being worked off. */
    for (int i = 0; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

static void mhd_ready(struct gw_watch *watch)
{
    struct gw_loop *loop = (struct gw_loop *)(void *)((char *)watch - offsetof(struct gw_loop, mhd_watch));
    loop->run_mhd = true;
}

static void woken(struct gw_watch *watch)
{
    uint64_t count;
    ssize_t size = read(watch->fd, &count, sizeof count);
    (void)size;
}

static enum MHD_Result start_daemon(struct gw_loop *loop)
{
    struct gw_server *server = loop->server;
    /* A connection's memory is its head's room: libmicrohttpd writes all of it for every request, so it is
     * what a connection costs. */
    size_t memory = server->settings.max_header < 4096 ? 4096 : server->settings.max_header;
    /* Which connections are too many is said elsewhere, and may change: connection.c. */
    const unsigned limit = INT_MAX;
    unsigned flags = MHD_USE_EPOLL | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME;
    const struct MHD_OptionItem plain = {MHD_OPTION_END, 0, NULL};
    /* Its own credentials serve nobody: each connection gets ours (tls.h). */
    const struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)gw_tls_no_certificate}, plain};
    loop->daemon = MHD_start_daemon(
        loop->tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, gw_mhd_request, loop, MHD_OPTION_ARRAY,
        loop->tls ? secure : &plain, MHD_OPTION_LISTEN_SOCKET, (MHD_socket)loop->listen_fd,
        MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
        MHD_OPTION_URI_LOG_CALLBACK, gw_mhd_uri, loop, MHD_OPTION_NOTIFY_COMPLETED, gw_mhd_completed, loop,
        MHD_OPTION_NOTIFY_CONNECTION, gw_mhd_connection, loop, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_END);
    if (!loop->daemon)
        return MHD_NO;
    loop->listen_fd = -1; /* the daemon's now */
    return MHD_YES;
}

sl_status gw_loop_init(struct gw_server *server, struct gw_loop *loop, sl_error *error)
{
    loop->server = server;
    loop->tls = server->tls ? gw_tls_link(server->tls) : NULL;
    loop->now_ms = sl_mono_ms();
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->epoll_fd < 0 || loop->wake_fd < 0)
        return sl_error_set(error, SL_IO, "cannot make an event loop: %s", sl_errno_text(errno));
    if (getrandom(&loop->id_prefix, sizeof loop->id_prefix, 0) < 0 ||
        getrandom(&loop->id_next, sizeof loop->id_next, 0) < 0)
        return sl_error_set(error, SL_IO, "no random numbers: %s", sl_errno_text(errno));
    loop->counters = calloc(server->settings.route_count + 1, sizeof *loop->counters);
    if (!loop->counters)
        return sl_error_oom(error);
    if (start_daemon(loop) != MHD_YES)
        return sl_error_set(error, SL_IO, "libmicrohttpd did not start: %s", sl_errno_text(errno));
    loop->mhd_watch.fd = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    loop->mhd_watch.ready = mhd_ready;
    loop->wake_watch.fd = loop->wake_fd;
    loop->wake_watch.ready = woken;
    sl_status status = gw_watch_add(loop, &loop->mhd_watch, error);
    return status ? status : gw_watch_add(loop, &loop->wake_watch, error);
}

void gw_loop_free(struct gw_loop *loop)
{
    if (loop->daemon)
        MHD_stop_daemon(loop->daemon);
    gw_requests_free(loop);
    gw_tls_unlink(&loop->tls);
    if (loop->listen_fd >= 0)
        close(loop->listen_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    free(loop->heap);
    free(loop->counters);
}

/* When libmicrohttpd wants to be run even if nothing happens; INT64_MAX: never. */
static int64_t mhd_due(struct gw_loop *loop)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (MHD_get_timeout(loop->daemon, &wait_ms) != MHD_YES)
        return INT64_MAX;
    if (wait_ms > INT_MAX)
        wait_ms = INT_MAX;
    return wait_ms ? sl_mono_ms() + (int64_t)wait_ms : 0;
}

static int sleep_ms(struct gw_loop *loop, int64_t due)
{
    if (loop->timers && loop->heap[1]->due_ms < due)
        due = loop->heap[1]->due_ms;
    if (due <= 0 || atomic_load_explicit(&loop->mailbox, memory_order_relaxed))
        return 0;
    return due == INT64_MAX ? -1 : sl_remaining_ms(due);
}

static void turn(struct gw_loop *loop)
{
    int64_t due = mhd_due(loop);
    int count = epoll_wait(loop->epoll_fd, loop->events, GW_EVENTS, sleep_ms(loop, due));
    loop->now_ms = sl_mono_ms();
    loop->event_count = count > 0 ? count : 0;
    for (int i = 0; i < loop->event_count; i++) {
        struct gw_watch *watch = loop->events[i].data.ptr;
        if (watch)
            watch->ready(watch);
    }
    loop->event_count = 0;
    run_mailbox(loop);
    run_timers(loop);
    /* Its own epoll loop is not to be trusted (docs/architecture.md): it only ever runs without waiting. */
    if (loop->run_mhd || due == 0 || (due != INT64_MAX && due <= loop->now_ms)) {
        loop->run_mhd = false;
        MHD_run(loop->daemon);
    }
}

void *gw_loop_main(void *opaque)
{
    struct gw_loop *loop = opaque;
    pthread_setname_np(pthread_self(), "loop");
    /* Waits until the creator knows this thread by its id. */
    pthread_mutex_lock(&loop->server->lock);
    pthread_mutex_unlock(&loop->server->lock);
    while (!atomic_load(&loop->stopping))
        turn(loop);
    run_mailbox(loop);
    gw_requests_abandon(loop);
    MHD_run(loop->daemon);
    MHD_stop_daemon(loop->daemon);
    loop->daemon = NULL;
    run_mailbox(loop);
    return NULL;
}
