/* Which Kafka partitions the members have, and what the core knows of it. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "connectors/http/consumer.h"

enum { MOST_PARTITIONS = 65536 }; /* that a platform is believed */

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void no_assignment(struct sl_hc_assignment *assignment)
{
    *assignment = (struct sl_hc_assignment){.number = -1};
}

void sl_hc_assignment_free(struct sl_hc_assignment *assignment)
{
    free(assignment->partitions);
    no_assignment(assignment);
}

static bool add(struct sl_hc_assignment *assignment, int64_t partition)
{
    int32_t *longer =
        realloc(assignment->partitions, (assignment->count + 1) * sizeof *assignment->partitions);
    if (!longer)
        return false;
    assignment->partitions = longer;
    assignment->partitions[assignment->count++] = (int32_t)partition;
    return true;
}

bool sl_hc_assignment_parse(struct sl_hc_assignment *assignment, const char *text)
{
    char part[24];
    no_assignment(assignment);
    size_t size = strcspn(text, ";");
    int64_t number, partition;
    if (text[size] != ';' || size >= sizeof part)
        return true;
    memcpy(part, text, size);
    part[size] = 0;
    if (!sl_parse_int(part, 0, INT64_MAX, &number))
        return true;
    for (text += size + 1; *text; text += size + (text[size] == ',')) {
        size = strcspn(text, ",");
        bool good = size < sizeof part;
        if (good) {
            memcpy(part, text, size);
            part[size] = 0;
            good = sl_parse_int(part, 0, INT32_MAX, &partition);
        }
        if (!good) {
            sl_hc_assignment_free(assignment);
            return true;
        }
        if (!add(assignment, partition)) {
            sl_hc_assignment_free(assignment);
            return false;
        }
    }
    if (assignment->count)
        qsort(assignment->partitions, assignment->count, sizeof *assignment->partitions, compare);
    assignment->number = number;
    return true;
}

bool sl_hc_assignment_read(struct sl_hc_assignment *assignment, const json_t *answer)
{
    const json_t *number = json_object_get(answer, "assignment");
    const json_t *list = json_object_get(answer, "partitions");
    no_assignment(assignment);
    if (!json_is_integer(number) || json_integer_value(number) < 0 || !json_is_array(list))
        return true;
    for (size_t i = 0; i < json_array_size(list) && i < MOST_PARTITIONS; i++) {
        const json_t *element = json_array_get(list, i);
        json_int_t partition = json_integer_value(element);
        if (!json_is_integer(element) || partition < 0 || partition > INT32_MAX) {
            sl_hc_assignment_free(assignment);
            return true;
        }
        if (!add(assignment, partition)) {
            sl_hc_assignment_free(assignment);
            return false;
        }
    }
    if (assignment->count)
        qsort(assignment->partitions, assignment->count, sizeof *assignment->partitions, compare);
    assignment->number = json_integer_value(number);
    return true;
}

static bool has(const struct sl_hc_assignment *assignment, int32_t partition)
{
    return assignment->count && bsearch(&partition, assignment->partitions, assignment->count,
                                        sizeof *assignment->partitions, compare);
}

/* The partition's entry, made where there is none. NULL: out of memory. */
static struct sl_hc_partition *entry(struct sl_hc_consumer *consumer, int32_t number)
{
    size_t low = 0, high = consumer->partition_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (consumer->partitions[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < consumer->partition_count && consumer->partitions[low].number == number)
        return &consumer->partitions[low];
    if (consumer->partition_count >= MOST_PARTITIONS)
        return NULL;
    struct sl_hc_partition *list =
        realloc(consumer->partitions, (consumer->partition_count + 1) * sizeof *list);
    if (!list)
        return NULL;
    memmove(list + low + 1, list + low, (consumer->partition_count - low) * sizeof *list);
    list[low] = (struct sl_hc_partition){.number = number};
    consumer->partitions = list;
    consumer->partition_count++;
    return &list[low];
}

struct sl_hc_member *sl_hc_share_other(const struct sl_hc_member *member, int32_t number)
{
    const struct sl_hc_consumer *consumer = member->consumer;
    for (size_t i = 0; i < consumer->member_count; i++)
        if (&consumer->members[i] != member && has(&consumer->members[i].assignment, number))
            return &consumer->members[i];
    return NULL;
}

/*
 * It is not with this member any more, but perhaps with another one of ours: their answers do not come in the
 * order in which the group gives. What a member was given of a partition ends only by its own word: were some
 * of it dropped because another member claims the partition, whose news may be the older, then what follows
 * would be handed out, and committed, without it. Twice is allowed, a gap is not. For the same reason the
 * core does not hear of a partition that goes from one of ours to another: it would let go of what it holds
 * of both.
 */
static void release(struct sl_hc_member *member, int32_t number)
{
    struct sl_hc_consumer *consumer = member->consumer;
    struct sl_hc_partition *partition = entry(consumer, number);
    const sl_offset named = {number, 0};
    sl_hc_queue_drop(consumer, member, &named, 1);
    if (!partition || partition->owner != member)
        return;
    partition->owner = sl_hc_share_other(member, number);
    if (partition->owner)
        return;
    partition->lost = true;
    consumer->untold = true;
}

bool sl_hc_share_assign(struct sl_hc_member *member, struct sl_hc_assignment *now)
{
    struct sl_hc_consumer *consumer = member->consumer;
    for (size_t i = 0; i < now->count; i++)
        if (!entry(consumer, now->partitions[i]))
            return false;
    struct sl_hc_assignment before = member->assignment;
    member->assignment = *now;
    no_assignment(now);
    for (size_t i = 0; i < before.count; i++)
        if (!has(&member->assignment, before.partitions[i]))
            release(member, before.partitions[i]);
    for (size_t i = 0; i < member->assignment.count; i++) {
        int32_t number = member->assignment.partitions[i];
        struct sl_hc_partition *partition = entry(consumer, number);
        if (partition && !has(&before, number))
            partition->owner = member;
    }
    consumer->untold = true;
    sl_hc_assignment_free(&before);
    pthread_cond_broadcast(&consumer->changed);
    return true;
}

void sl_hc_share_lose(struct sl_hc_member *member)
{
    struct sl_hc_assignment before = member->assignment;
    no_assignment(&member->assignment);
    for (size_t i = 0; i < before.count; i++)
        release(member, before.partitions[i]);
    sl_hc_assignment_free(&before);
    sl_hc_queue_drop(member->consumer, member, NULL, 0);
}

void sl_hc_share_note(struct sl_hc_member *member, const struct sl_hc_chunk *chunk)
{
    for (size_t i = 0; i < chunk->count; i++) {
        struct sl_hc_partition *partition = chunk->messages[i].offset.partition >= 0
                                                ? entry(member->consumer, chunk->messages[i].offset.partition)
                                                : NULL;
        if (partition) /* else its commits go to whoever is there */
            partition->owner = member;
    }
}

struct sl_hc_member *sl_hc_share_owner(const struct sl_hc_consumer *consumer, int32_t number)
{
    for (size_t i = 0; i < consumer->partition_count; i++)
        if (consumer->partitions[i].number == number)
            return consumer->partitions[i].owner;
    return NULL;
}

bool sl_hc_share_is_lost(const struct sl_hc_consumer *consumer, int32_t number)
{
    for (size_t i = 0; i < consumer->partition_count; i++)
        if (consumer->partitions[i].number == number)
            return consumer->partitions[i].told && consumer->partitions[i].lost;
    return false;
}

bool sl_hc_share_knows(const struct sl_hc_consumer *consumer, int32_t number)
{
    for (size_t i = 0; i < consumer->partition_count; i++)
        if (consumer->partitions[i].number == number)
            return true;
    return false;
}

sl_status sl_hc_share_tell(struct sl_hc_consumer *consumer, sl_error *error)
{
    pthread_mutex_lock(&consumer->lock);
    size_t most = consumer->partition_count;
    int32_t *gone = consumer->untold ? calloc(2 * most + 1, sizeof *gone) : NULL;
    if (!gone) {
        bool failed = consumer->untold;
        pthread_mutex_unlock(&consumer->lock);
        return failed ? sl_error_oom(error) : SL_OK;
    }
    int32_t *ours = gone + most;
    size_t gone_count = 0, count = 0;
    bool news = false;
    for (size_t i = 0; i < most; i++) {
        struct sl_hc_partition *partition = &consumer->partitions[i];
        if (partition->told && (partition->lost || !partition->owner))
            gone[gone_count++] = partition->number;
        if (partition->owner)
            ours[count++] = partition->number;
        news |= (partition->owner != NULL) != partition->told;
        partition->told = partition->owner != NULL;
        partition->lost = false;
    }
    consumer->untold = false;
    pthread_mutex_unlock(&consumer->lock);
    if (gone_count)
        consumer->host.revoked(consumer->host.core, gone, gone_count, true);
    if (count && (news || gone_count))
        consumer->host.assigned(consumer->host.core, ours, count);
    free(gone);
    return SL_OK;
}

void sl_hc_share_end(struct sl_hc_consumer *consumer)
{
    if (sl_hc_share_tell(consumer, NULL))
        return;
    pthread_mutex_lock(&consumer->lock);
    int32_t *gone = calloc(consumer->partition_count + 1, sizeof *gone);
    size_t count = 0;
    for (size_t i = 0; gone && i < consumer->partition_count; i++) {
        if (consumer->partitions[i].told)
            gone[count++] = consumer->partitions[i].number;
        consumer->partitions[i].told = false;
    }
    pthread_mutex_unlock(&consumer->lock);
    if (count)
        consumer->host.revoked(consumer->host.core, gone, count, false);
    free(gone);
}
