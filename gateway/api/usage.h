/* What the files of usage v1 share: who asks for which part of the ledger, and its figures as JSON. */
#ifndef GW_API_USAGE_H
#define GW_API_USAGE_H

#include "gateway/gateway_internal.h"

/* A call on its way through a worker. Strings are the request's, which outlives it. */
struct gw_usage_call {
    struct gw_job job; /* first */
    struct gw_request *request;
    struct gateway *gateway;
    char *application; /* the id of the one that the query names; NULL: any */
    char *catalogs;    /* those that the caller manages; NULL: none, or he may see all */
    struct gw_usage_filter filter;
    void *more; /* the call's own, whatever it is */
};

/* Reads the query's application, catalog and layer; NULL: answered. */
struct gw_usage_call *gw_usage_call_new(struct gw_request *request, void (*run)(struct gw_job *job));
void gw_usage_call_free(struct gw_usage_call *call);
/* Answers why the ledger could not be read. */
void gw_usage_fail(struct gw_request *request, const sl_error *error);

/* usage_named.c. The id of who is named by it or by its name, released with free; NULL: no memory. One that
 * is no more is named by its id. */
char *gw_usage_application(const struct gateway *gateway, const char *named);
/* Whether what the call names is there, or was used once, as far as its caller may know; else it is answered.
 * On a worker. */
bool gw_usage_known(const struct gw_usage_call *call);

/* Whether the caller may see what that application has used of that catalog: its own, those of catalogs that
 * it manages, or, as an administrator, all. */
bool gw_usage_shows(const struct gw_usage_call *call, const char *application, const char *hrn);
/* An application's name, released with free; NULL: there is none any more, or no memory. */
char *gw_usage_name(const struct gw_usage_call *call, const char *application);

/* Sets the figures as members of an object. False: no memory. */
bool gw_usage_set(json_t *object, const struct gw_usage *usage);

/* The first hour of the month that many months after the hour's, UTC, in hours since 1970. */
int64_t gw_month_of(int64_t hour, int months);

/* UTC, to the second; the milliseconds where it is no time of the calendar's. */
void gw_time_text(int64_t ms, char out[32]);

/* statement.c: GET /usage/v1/statements/{month}, and the keys that statements are checked with. */
void gw_usage_statement(struct gw_request *request);
void gw_usage_jwks(struct gw_request *request);

#endif
