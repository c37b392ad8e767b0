/*
 * How much a sender that may wait keeps under way: less than the queue may hold, where less keeps the
 * connection as busy. What lies in a long queue has left the processor's caches when its turn comes, which
 * costs up to a third more CPU time a message (measured with 100,000 of 100 bytes). So a sender waits a
 * little at the window; where that little is not enough, the connection is slow or far away, and the window
 * doubles. That may be in vain, but a window that is too small would halve what a far cluster takes.
 * Not thread-safe: the producer's lock.
 */
#ifndef SL_CLIENT_WINDOW_H
#define SL_CLIENT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>

#define SL_WINDOW_WAIT_MS 10

struct sl_window {
    size_t weight;
};

void sl_window_init(struct sl_window *window);
/* So much is under way that a sender should wait, SL_WINDOW_WAIT_MS at most. */
bool sl_window_full(const struct sl_window *window, size_t messages, size_t bytes);
/* It has room again, and enough of it that waking a sender is worth it. */
bool sl_window_open(const struct sl_window *window, size_t messages, size_t bytes);
/* The sender has waited, and in that time there was room, or not. */
void sl_window_waited(struct sl_window *window, bool room);

#endif
