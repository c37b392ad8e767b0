/* Which web pages may call: the browser asks (Origin), and this answers. */
#ifndef GW_HTTP_CORS_H
#define GW_HTTP_CORS_H

#include <stdbool.h>
#include <stddef.h>

#include <streamlayer/error.h>

/* Zeroed: no page may. Read by all loops, once made. */
struct gw_cors {
    bool any;   /* every page may */
    char *text; /* the origins, each NUL-terminated, one after the other */
    size_t count;
    size_t size;        /* of text, bytes */
    unsigned max_age_s; /* how long a browser may keep what it was told */
};

/* origins: "https://app.example, https://dev.example:8443", or "*"; NULL or "": none. bad (may be NULL) gets
 * the entry that is none, cut to fit; cors is empty then. Errors: SL_BAD_CONFIG (no text: the caller knows
 * the setting), SL_OUT_OF_MEMORY. */
sl_status gw_cors_parse(const char *origins, struct gw_cors *cors, char bad[100]);
/* false: no memory; to is empty then. */
bool gw_cors_copy(const struct gw_cors *from, struct gw_cors *to);
void gw_cors_free(struct gw_cors *cors);

/* What Access-Control-Allow-Origin says to a page of that origin: "*", or the origin, in memory of cors's;
 * NULL: nothing, it may not. */
const char *gw_cors_answer(const struct gw_cors *cors, const char *origin);

#endif
