#include "gateway/ledger/lift.h"

#include "base/array.h"
#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LIFTED_MIN ((size_t)64) /* what is shorter is not worth it */

/* As in 12,"…"]. */
static bool is_last_behind_number(const char *text, const char *quote, const char *close, const char *end)
{
    return quote - text >= 2 && quote[-1] == ',' && isdigit((unsigned char)quote[-2]) && close + 1 < end &&
           close[1] == ']';
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
    *lift = (struct gw_lift){.count = 0};
    sl_buffer_init(&lift->json, size);
    if (!size)
        return sl_buffer_append(&lift->json, "", 0);
    const char *end = text + size, *kept = text, *at = text;
    bool whole = memchr(text, '\\', size) != NULL;
    while (!whole && at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        const char *close =
            quote && quote + 1 < end ? memchr(quote + 1, '"', (size_t)(end - quote - 1)) : NULL;
        if (!close)
            break; /* the last one, or no JSON: whoever reads it says so */
        whole = quote[1] == '#';
        if ((size_t)(close - quote) > LIFTED_MIN && is_last_behind_number(text, quote, close, end)) {
            if (!take(lift, kept, quote + 1, close))
                return false;
            kept = close;
        }
        at = close + 1;
    }
    if (whole) {
        lift->count = 0;
        sl_buffer_reset(&lift->json);
        kept = text;
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
