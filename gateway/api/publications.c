#include "gateway/api/publish.h"

#include "base/error.h"
#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS   1024
#define ID_DIGITS 32
#define SHARE     2 /* one application's publications hold this part of what all may */

/* An application, while it has publications. */
struct publisher {
    struct publisher *next; /* in the bucket */
    size_t publications;    /* that there are */
    size_t listed;          /* of them: that are to be found */
    size_t bytes;
    char application[];
};

struct gw_publication {
    struct gw_publication *next;            /* in the bucket */
    struct gw_publication *older, *younger; /* in the order of their begin */
    unsigned references;
    bool listed; /* to be found */
    char id[ID_DIGITS + 1];
    struct publisher *publisher;
    char *hrn;
    json_t *layer_ids;
    int64_t begun_ms;
    enum gw_publication_state state;
    struct gw_partitions *first, **end;
    size_t bytes;
    struct gw_submitter *joined;
};

struct gw_publications {
    pthread_mutex_t lock;
    struct gw_publication *buckets[BUCKETS]; /* under lock, as the rest */
    struct publisher *publishers[BUCKETS];
    struct gw_publication *oldest, *youngest;
    size_t count, max, max_of_one;
    struct gw_budget *budget;
};

sl_status gw_publications_create(size_t max, size_t max_of_one, struct gw_budget *budget,
                                 struct gw_publications **out, sl_error *error)
{
    struct gw_publications *publications = calloc(1, sizeof *publications);
    *out = publications;
    if (!publications)
        return sl_error_oom(error);
    pthread_mutex_init(&publications->lock, NULL);
    publications->max = max;
    publications->max_of_one = max_of_one;
    publications->budget = budget;
    return SL_OK;
}

void gw_publications_set_max(struct gw_publications *publications, size_t max, size_t max_of_one)
{
    pthread_mutex_lock(&publications->lock);
    publications->max = max;
    publications->max_of_one = max_of_one;
    pthread_mutex_unlock(&publications->lock);
}

static size_t bucket_of(const char *text)
{
    size_t hash = 0;
    for (; *text; text++)
        hash = hash * 31 + (unsigned char)*text;
    return hash % BUCKETS;
}

/* Found or made; NULL: no memory. */
static struct publisher *publisher_of(struct gw_publications *publications, const char *application)
{
    struct publisher **bucket = &publications->publishers[bucket_of(application)], *found = *bucket;
    while (found && strcmp(found->application, application) != 0)
        found = found->next;
    size_t size = strlen(application) + 1;
    if (!found && (found = calloc(1, sizeof *found + size))) {
        memcpy(found->application, application, size);
        found->next = *bucket;
        *bucket = found;
    }
    return found;
}

/* It has one less. */
static void publisher_leave(struct gw_publications *publications, struct publisher *publisher)
{
    if (--publisher->publications)
        return;
    struct publisher **link = &publications->publishers[bucket_of(publisher->application)];
    while (*link != publisher)
        link = &(*link)->next;
    *link = publisher->next;
    free(publisher);
}

static void publication_free(struct gw_publication *publication)
{
    gw_partitions_free(publication->first);
    json_decref(publication->layer_ids);
    free(publication->hrn);
    free(publication);
}

static void lift(struct gw_publications *publications, struct gw_publication *publication)
{
    gw_budget_lift(publications->budget, GW_BUDGET_PUBLICATIONS, publication->bytes);
    publication->publisher->bytes -= publication->bytes;
    publication->bytes = 0;
}

static void unlink_locked(struct gw_publications *publications, struct gw_publication *publication)
{
    if (--publication->references)
        return;
    lift(publications, publication);
    publisher_leave(publications, publication->publisher);
    publication_free(publication);
}

static void remove_locked(struct gw_publications *publications, struct gw_publication *publication)
{
    if (!publication->listed)
        return;
    publication->listed = false;
    struct gw_publication **link = &publications->buckets[bucket_of(publication->id)];
    while (*link != publication)
        link = &(*link)->next;
    *link = publication->next;
    *(publication->older ? &publication->older->younger : &publications->oldest) = publication->younger;
    *(publication->younger ? &publication->younger->older : &publications->youngest) = publication->older;
    publications->count--;
    publication->publisher->listed--;
    unlink_locked(publications, publication);
}

void gw_publications_destroy(struct gw_publications **out)
{
    struct gw_publications *publications = *out;
    if (!publications)
        return;
    *out = NULL;
    while (publications->oldest)
        remove_locked(publications, publications->oldest);
    pthread_mutex_destroy(&publications->lock);
    free(publications);
}

static void expire_locked(struct gw_publications *publications, int64_t now_ms)
{
    while (publications->oldest && publications->oldest->begun_ms <= now_ms - GW_PUBLICATION_MAX_MS)
        remove_locked(publications, publications->oldest);
}

void gw_publications_expire(struct gw_publications *publications, int64_t now_ms)
{
    pthread_mutex_lock(&publications->lock);
    expire_locked(publications, now_ms);
    pthread_mutex_unlock(&publications->lock);
}

/* Those that are submitted are kept so that a submit may be sent again; they make room first: publisher's
 * own, or anybody's (NULL), while there are as many as there may be. False: they are all needed. */
static bool make_room(struct gw_publications *publications, const struct publisher *publisher)
{
    const size_t *count = publisher ? &publisher->listed : &publications->count;
    size_t max = publisher ? publications->max_of_one : publications->max;
    for (struct gw_publication *each = publications->oldest, *younger; *count >= max && each;
         each = younger) {
        younger = each->younger;
        if (each->state == GW_PUBLICATION_DONE && (!publisher || each->publisher == publisher))
            remove_locked(publications, each);
    }
    return *count < max;
}

static void list(struct gw_publications *publications, struct gw_publication *publication)
{
    struct gw_publication **bucket = &publications->buckets[bucket_of(publication->id)];
    publication->next = *bucket;
    *bucket = publication;
    publication->older = publications->youngest;
    *(publications->youngest ? &publications->youngest->younger : &publications->oldest) = publication;
    publications->youngest = publication;
    publication->listed = true;
    publications->count++;
    publication->publisher->listed++;
}

static sl_status enter_locked(struct gw_publications *publications, struct gw_publication *publication,
                              const char *application, sl_error *error)
{
    struct publisher *publisher = publisher_of(publications, application);
    if (!publisher)
        return sl_error_oom(error);
    publisher->publications++;
    publication->publisher = publisher;
    bool own = !make_room(publications, publisher);
    if (!own && make_room(publications, NULL)) {
        list(publications, publication);
        return SL_OK;
    }
    size_t count = own ? publisher->listed : publications->count;
    publisher_leave(publications, publisher);
    return sl_error_set_retriable(
        error, own ? SL_THROTTLED : SL_QUEUE_FULL,
        "%zu %s%s begun and not submitted, as many as streamlayer.gateway.limits.%s allows", count,
        sl_plural(count, "publication", "publications"),
        own ? sl_plural(count, " of this application is", " of this application are")
            : sl_plural(count, " of all applications is", " of all applications are"),
        own ? "application-publications" : "publications");
}

sl_status gw_publications_begin(struct gw_publications *publications, const char *application,
                                const char *hrn, json_t *layer_ids, int64_t now_ms,
                                struct gw_publication **out, sl_error *error)
{
    *out = NULL;
    struct gw_publication *publication = calloc(1, sizeof *publication);
    if (!publication) {
        json_decref(layer_ids);
        return sl_error_oom(error);
    }
    publication->layer_ids = layer_ids;
    publication->end = &publication->first;
    publication->begun_ms = now_ms;
    publication->references = 2; /* the table's and the caller's */
    publication->hrn = sl_strdup(hrn);
    if (!publication->hrn || !sl_random_hex(publication->id, ID_DIGITS)) {
        publication_free(publication);
        return sl_error_oom(error);
    }
    pthread_mutex_lock(&publications->lock);
    expire_locked(publications, now_ms);
    sl_status status = enter_locked(publications, publication, application, error);
    pthread_mutex_unlock(&publications->lock);
    if (status)
        publication_free(publication);
    else
        *out = publication;
    return status;
}

static bool is_of(const struct gw_publication *publication, const char *application)
{
    return !strcmp(publication->publisher->application, application);
}

struct gw_publication *gw_publications_find(struct gw_publications *publications, const char *id,
                                            const char *application, const char *hrn, int64_t now_ms)
{
    pthread_mutex_lock(&publications->lock);
    expire_locked(publications, now_ms);
    struct gw_publication *found = publications->buckets[bucket_of(id)];
    while (found && (strcmp(found->id, id) || !is_of(found, application) || strcmp(found->hrn, hrn)))
        found = found->next;
    if (found)
        found->references++;
    pthread_mutex_unlock(&publications->lock);
    return found;
}

void gw_publications_remove(struct gw_publications *publications, struct gw_publication *publication)
{
    pthread_mutex_lock(&publications->lock);
    remove_locked(publications, publication);
    pthread_mutex_unlock(&publications->lock);
}

void gw_publications_end(struct gw_publications *publications, const char *application,
                         bool (*keeps)(const void *opaque, const char *hrn), const void *opaque)
{
    pthread_mutex_lock(&publications->lock);
    for (struct gw_publication *each = publications->oldest; each;) {
        struct gw_publication *younger = each->younger;
        if (is_of(each, application) && !keeps(opaque, each->hrn))
            remove_locked(publications, each);
        each = younger;
    }
    pthread_mutex_unlock(&publications->lock);
}

void gw_publication_unlink(struct gw_publications *publications, struct gw_publication *publication)
{
    pthread_mutex_lock(&publications->lock);
    unlink_locked(publications, publication);
    pthread_mutex_unlock(&publications->lock);
}

json_t *gw_publication_json(struct gw_publications *publications, struct gw_publication *publication)
{
    static const char *const states[] = {"initialized", "submitted", "succeeded"};
    pthread_mutex_lock(&publications->lock);
    json_t *layers = json_copy(publication->layer_ids);
    json_t *value = json_pack("{s:s, s:o, s:{s:s, s:s, s:I, s:I}}", "id", publication->id, "layerIds", layers,
                              "details", "state", states[publication->state], "message", "", "started",
                              (json_int_t)publication->begun_ms, "expires",
                              (json_int_t)(publication->begun_ms + GW_PUBLICATION_MAX_MS));
    pthread_mutex_unlock(&publications->lock);
    return value;
}

const char *gw_publication_layer(const struct gw_publication *publication, size_t index)
{
    return json_string_value(json_array_get(publication->layer_ids, index));
}

bool gw_publication_has_layer(const struct gw_publication *publication, const char *layer)
{
    size_t index;
    const json_t *id;
    json_array_foreach(publication->layer_ids, index, id)
    {
        if (!strcmp(json_string_value(id), layer))
            return true;
    }
    return false;
}

sl_status gw_publication_add(struct gw_publications *publications, struct gw_publication *publication,
                             struct gw_partitions *partitions, sl_error *error)
{
    sl_status status = SL_OK;
    struct publisher *publisher = publication->publisher;
    pthread_mutex_lock(&publications->lock);
    size_t share = gw_budget_part_max(publications->budget, GW_BUDGET_PUBLICATIONS) / SHARE;
    if (!publication->listed || publication->state != GW_PUBLICATION_OPEN) {
        status = sl_error_set(error, SL_CONFLICT, "publication %s is submitted or given up", publication->id);
    } else if (publisher->bytes > share || partitions->reserved > share - publisher->bytes) {
        status = sl_error_set_retriable(error, SL_THROTTLED,
                                        "publications of this application that are not submitted hold %zu "
                                        "bytes, and may hold %zu, a part of "
                                        "streamlayer.gateway.limits.bytes-in-flight",
                                        publisher->bytes, share);
    } else if (!gw_budget_lay(publications->budget, GW_BUDGET_PUBLICATIONS, partitions->reserved)) {
        status = sl_error_set_retriable(
            error, SL_QUEUE_FULL,
            "publications that are not submitted hold %zu bytes, as much as they may of "
            "streamlayer.gateway.limits.bytes-in-flight",
            gw_budget_part_used(publications->budget, GW_BUDGET_PUBLICATIONS));
    } else {
        publication->bytes += partitions->reserved;
        publisher->bytes += partitions->reserved;
        *publication->end = partitions;
        publication->end = &partitions->next;
    }
    pthread_mutex_unlock(&publications->lock);
    return status;
}

enum gw_publication_state gw_publication_submit(struct gw_publications *publications,
                                                struct gw_publication *publication,
                                                struct gw_partitions **partitions)
{
    *partitions = NULL;
    pthread_mutex_lock(&publications->lock);
    enum gw_publication_state before = publication->state;
    if (before == GW_PUBLICATION_OPEN) {
        publication->state = GW_PUBLICATION_SUBMITTING;
        *partitions = publication->first;
        publication->first = NULL;
        publication->end = &publication->first;
    }
    pthread_mutex_unlock(&publications->lock);
    return before;
}

bool gw_publication_join(struct gw_publications *publications, struct gw_publication *publication,
                         struct gw_submitter *submitter)
{
    pthread_mutex_lock(&publications->lock);
    bool joins = publication->state == GW_PUBLICATION_SUBMITTING;
    if (joins) {
        submitter->next = publication->joined;
        publication->joined = submitter;
    }
    pthread_mutex_unlock(&publications->lock);
    return joins;
}

void gw_publication_submitted(struct gw_publications *publications, struct gw_publication *publication,
                              struct gw_partitions *partitions, bool whole, struct gw_submitter **joined)
{
    pthread_mutex_lock(&publications->lock);
    publication->state = whole ? GW_PUBLICATION_DONE : GW_PUBLICATION_OPEN;
    if (whole) {
        lift(publications, publication);
    } else {
        publication->first = partitions;
        for (publication->end = &publication->first; *publication->end;)
            publication->end = &(*publication->end)->next;
    }
    *joined = publication->joined;
    publication->joined = NULL;
    pthread_mutex_unlock(&publications->lock);
    if (whole)
        gw_partitions_free(partitions);
}
