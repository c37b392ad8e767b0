/* Publications by themselves: how many there may be, and whose make room. */
#include "support/cases.h"

#include "gateway/api/publish.h"

#define NOW_MS 1000

static struct gw_publications *publications;

static void open_publications(size_t max, size_t max_of_one)
{
    sl_error error;
    assert_int_equal(gw_publications_create(max, max_of_one, NULL, &publications, &error), SL_OK);
}

/* Its id, until it is gone; NULL: refused, with that. */
static const char *begin(const char *application, sl_status refused)
{
    static char ids[16][40];
    static size_t at;
    struct gw_publication *publication;
    sl_error error;
    sl_status status = gw_publications_begin(publications, application, "h", json_pack("[s]", "l"), NOW_MS,
                                             &publication, &error);
    assert_int_equal(status, refused);
    if (status)
        return NULL;
    json_t *shown = gw_publication_json(publications, publication);
    char *id = ids[at++ % 16];
    snprintf(id, sizeof *ids, "%s", json_string_value(json_object_get(shown, "id")));
    json_decref(shown);
    gw_publication_unlink(publications, publication);
    return id;
}

static bool is_there(const char *application, const char *id)
{
    struct gw_publication *found = gw_publications_find(publications, id, application, "h", NOW_MS);
    if (found)
        gw_publication_unlink(publications, found);
    return found != NULL;
}

static void submit(const char *application, const char *id)
{
    struct gw_publication *found = gw_publications_find(publications, id, application, "h", NOW_MS);
    struct gw_partitions *partitions;
    struct gw_submitter *joined;
    assert_non_null(found);
    assert_int_equal(gw_publication_submit(publications, found, &partitions), GW_PUBLICATION_OPEN);
    gw_publication_submitted(publications, found, partitions, true, &joined);
    gw_publication_unlink(publications, found);
}

static void one_application_leaves_room_for_others(void **state)
{
    (void)state;
    open_publications(3, 2);
    begin("a", SL_OK);
    begin("a", SL_OK);
    begin("a", SL_THROTTLED);
    const char *other = begin("b", SL_OK);
    begin("b", SL_QUEUE_FULL);
    begin("c", SL_QUEUE_FULL);
    assert_true(is_there("b", other));
    assert_false(is_there("a", other));
    gw_publications_set_max(publications, 4, 3);
    begin("a", SL_OK);
    begin("b", SL_QUEUE_FULL);
    gw_publications_destroy(&publications);
}

static void who_has_too_many_makes_room_of_its_own(void **state)
{
    (void)state;
    open_publications(4, 2);
    const char *others = begin("b", SL_OK), *first = begin("a", SL_OK), *second = begin("a", SL_OK);
    submit("b", others);
    submit("a", second);
    begin("a", SL_OK); /* in the place of the second */
    assert_true(is_there("b", others));
    assert_true(is_there("a", first));
    assert_false(is_there("a", second));
    begin("c", SL_OK);
    begin("c", SL_OK); /* in the place of b's */
    assert_false(is_there("b", others));
    begin("c", SL_THROTTLED);
    gw_publications_expire(publications, NOW_MS + GW_PUBLICATION_MAX_MS);
    assert_false(is_there("a", first));
    begin("c", SL_OK);
    gw_publications_destroy(&publications);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(one_application_leaves_room_for_others),
    cmocka_unit_test(who_has_too_many_makes_room_of_its_own))
