#include "client/window.h"

#include <stdint.h>

enum {
    SMALLEST = 16 * 1024 * 1024,
    MESSAGE = 700 /* what a message weighs beside its payload, memory and work */
};

static size_t weight_of(size_t messages, size_t bytes)
{
    return messages < SIZE_MAX / 2 / MESSAGE && bytes < SIZE_MAX / 2 ? bytes + messages * MESSAGE : SIZE_MAX;
}

void sl_window_init(struct sl_window *window)
{
    window->weight = SMALLEST;
}

bool sl_window_full(const struct sl_window *window, size_t messages, size_t bytes)
{
    return weight_of(messages, bytes) >= window->weight;
}

bool sl_window_open(const struct sl_window *window, size_t messages, size_t bytes)
{
    return weight_of(messages, bytes) <= window->weight - window->weight / 4;
}

void sl_window_waited(struct sl_window *window, bool room)
{
    if (!room)
        window->weight = window->weight < SIZE_MAX / 2 ? window->weight * 2 : SIZE_MAX;
    else if (window->weight - window->weight / 16 > SMALLEST)
        window->weight -= window->weight / 16;
    else
        window->weight = SMALLEST;
}
