#include "gateway/ledger/lift.h"

#include "base/array.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define LONG ((size_t)64) /* what is shorter is not worth it */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* The quote that ends the string which begins there; NULL: none does. */
static const char *end_of_string(const char *at, const char *end, bool *escapes)
{
    *escapes = false;
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        const char *escape = quote ? memchr(at, '\\', (size_t)(quote - at)) : NULL;
        if (!escape)
            return quote;
        *escapes = true;
        at = escape + 2; /* behind what it escapes */
    }
    return NULL;
}

static bool take(struct gw_lift *lift, const char *from, const char *begin, const char *end)
{
    if (!sl_array_reserve((void **)&lift->list, lift->count, &lift->capacity, sizeof *lift->list) ||
        !sl_buffer_append(&lift->json, from, (size_t)(begin - from)))
        return false;
    lift->list[lift->count] = (struct gw_lifted){begin, (size_t)(end - begin)};
    return sl_buffer_printf(&lift->json, "#%zu", lift->count++);
}

bool gw_lift(struct gw_lift *lift, const char *text, size_t size)
{
    const char *end = text + size, *kept = text, *at = text;
    bool escapes;
    *lift = (struct gw_lift){.count = 0};
    sl_buffer_init(&lift->json, size + 64);
    for (const char *quote; (quote = at < end ? memchr(at, '"', (size_t)(end - at)) : NULL) != NULL;) {
        const char *close = end_of_string(quote + 1, end, &escapes);
        if (!close)
            break; /* no JSON: whoever reads it says so */
        if (!escapes && (size_t)(close - quote) > LONG && quote - text >= 2 && quote[-1] == ',' &&
            is_digit(quote[-2]) && close + 1 < end && close[1] == ']') {
            if (!take(lift, kept, quote + 1, close))
                return false;
            kept = close;
        }
        at = close + 1;
    }
    return sl_buffer_append(&lift->json, kept, (size_t)(end - kept));
}

void gw_lift_free(struct gw_lift *lift)
{
    sl_buffer_free(&lift->json);
    free(lift->list);
    *lift = (struct gw_lift){.count = 0};
}

struct gw_lifted gw_lift_text(const struct gw_lift *lift, const char *text, size_t size)
{
    int64_t number;
    if (*text == '#' && sl_parse_int(text + 1, 0, (int64_t)lift->count - 1, &number))
        return lift->list[number];
    return (struct gw_lifted){text, size};
}
