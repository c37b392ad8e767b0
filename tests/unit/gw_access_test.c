/* Applications, keys and grants in the store, and what is known of them in memory. */
#include "gw_scratch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "base/time.h"
#include "gateway/rate.h"
#include "gateway/store/access.h"
#include "gateway/store/catalogs.h"

#define HRN(id) GW_HRN_PREFIX id

/* What gw_access_change was told. */
struct change {
    char id[64];
    unsigned before, after; /* on catalog c */
    bool gone;
};

struct fixture {
    char directory[SCRATCH_SIZE];
    struct gw_catalogs *catalogs;
    struct gw_applications *applications;
    struct gw_access *access;
    struct change changes[16];
    size_t change_count, made;
};

static void changed(void *opaque, const struct gw_account *before, const struct gw_account *after)
{
    struct fixture *fixture = opaque;
    if (!before) {
        assert_non_null(after);
        fixture->made++;
        return;
    }
    struct change *change = &fixture->changes[fixture->change_count++];
    assert_true(fixture->change_count <= 16);
    snprintf(change->id, sizeof change->id, "%s", before->id);
    change->before = gw_account_rights(before, HRN("c"));
    change->after = after ? gw_account_rights(after, HRN("c")) : 0;
    change->gone = !after;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    scratch_make(fixture->directory, "access");
    assert_int_equal(gw_catalogs_open(fixture->directory, &fixture->catalogs, NULL), SL_OK);
    assert_int_equal(gw_applications_open(fixture->directory, &fixture->applications, NULL), SL_OK);
    assert_int_equal(gw_access_open(fixture->applications, changed, fixture, &fixture->access, NULL), SL_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    gw_access_close(&fixture->access);
    gw_applications_close(&fixture->applications);
    gw_catalogs_close(&fixture->catalogs);
    scratch_remove(fixture->directory);
    free(fixture);
    return 0;
}

/* Makes an application and looks anew. */
static struct gw_application make(struct fixture *fixture, const char *name, unsigned rights, unsigned all)
{
    struct gw_application made;
    const struct gw_application_spec spec = {.name = name, .rights = rights | all};
    assert_int_equal(gw_applications_create(fixture->applications, &spec, &made, NULL), SL_OK);
    assert_int_equal(gw_access_refresh(fixture->access, false, NULL), SL_OK);
    return made;
}

static void make_catalog(struct fixture *fixture, const char *id, const char *creator)
{
    assert_int_equal(gw_catalogs_create(fixture->catalogs, id, id, false, creator, NULL), SL_OK);
}

static void grant(struct fixture *fixture, const char *application, const char *hrn, unsigned add,
                  unsigned remove)
{
    assert_int_equal(gw_applications_grant(fixture->applications, application, hrn, add, remove, NULL, NULL),
                     SL_OK);
    assert_int_equal(gw_access_refresh(fixture->access, false, NULL), SL_OK);
}

static unsigned rights_of(struct fixture *fixture, const char *id, const char *hrn)
{
    struct gw_account *account = gw_access_find(fixture->access, id);
    assert_non_null(account);
    unsigned rights = gw_account_rights(account, hrn);
    gw_account_unlink(account);
    return rights;
}

static bool key_is_good(struct fixture *fixture, const struct gw_application *application, int64_t now_ms)
{
    char secret[GW_SECRET_SIZE];
    struct gw_account *account = gw_access_find_key(fixture->access, application->key_id, now_ms, secret);
    if (!account) {
        assert_string_equal(secret, "");
        return false;
    }
    assert_string_equal(secret, application->key_secret);
    assert_string_equal(account->id, application->id);
    gw_account_unlink(account);
    return true;
}

static void rights_are_by_catalog(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application one = make(fixture, "one", 0, 0),
                          other = make(fixture, "other", SL_RIGHT_CREATE, 0);
    static const char *const ids[] = {"m", "c", "a", "z", "b"};
    for (size_t i = 0; i < 5; i++)
        make_catalog(fixture, ids[i], NULL);
    for (size_t i = 0; i < 5; i++) {
        char hrn[100];
        snprintf(hrn, sizeof hrn, "%s%s", GW_HRN_PREFIX, ids[i]);
        grant(fixture, i % 2 ? one.id : "one", hrn, (unsigned)i + 1, 0); /* by id or by name */
    }
    for (size_t i = 0; i < 5; i++) {
        char hrn[100];
        snprintf(hrn, sizeof hrn, "%s%s", GW_HRN_PREFIX, ids[i]);
        assert_int_equal(rights_of(fixture, one.id, hrn), i + 1);
        assert_int_equal(rights_of(fixture, other.id, hrn), SL_RIGHT_CREATE);
    }
    assert_int_equal(rights_of(fixture, one.id, HRN("d")), 0);
    assert_int_equal(rights_of(fixture, one.id, NULL), 0);
    grant(fixture, "one", GW_EVERY_CATALOG, SL_RIGHT_MANAGE, 0);
    assert_int_equal(rights_of(fixture, one.id, HRN("m")), 1 | 4);
    assert_int_equal(rights_of(fixture, one.id, HRN("no-such")), 4);
    assert_int_equal(rights_of(fixture, one.id, NULL), 0); /* not on the platform */
    grant(fixture, "one", GW_EVERY_CATALOG, SL_RIGHT_CREATE, 0);
    assert_int_equal(rights_of(fixture, one.id, NULL), SL_RIGHT_CREATE);
    assert_int_equal(rights_of(fixture, one.id, HRN("no-such")), 4 | SL_RIGHT_CREATE);
    grant(fixture, "one", GW_EVERY_CATALOG, 0, SL_RIGHT_MANAGE | SL_RIGHT_CREATE);
    assert_int_equal(rights_of(fixture, one.id, HRN("no-such")), 0);
    assert_null(gw_access_find(fixture->access, "one")); /* a name is no id */
}

static void grants_add_set_and_take(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application made = make(fixture, "app", 0, 0);
    make_catalog(fixture, "c", NULL);
    grant(fixture, "app", HRN("c"), SL_RIGHT_READ, 0);
    grant(fixture, "app", HRN("c"), SL_RIGHT_WRITE, 0);
    assert_int_equal(rights_of(fixture, made.id, HRN("c")), 3);
    grant(fixture, "app", HRN("c"), SL_RIGHT_MANAGE, SL_RIGHTS_CATALOG);
    assert_int_equal(rights_of(fixture, made.id, HRN("c")), 4);
    grant(fixture, "app", HRN("c"), SL_RIGHT_READ | SL_RIGHT_WRITE, 0);
    grant(fixture, "app", HRN("c"), 0, SL_RIGHT_WRITE | SL_RIGHT_MANAGE);
    assert_int_equal(rights_of(fixture, made.id, HRN("c")), 1);
    grant(fixture, "app", HRN("c"), 0, SL_RIGHTS_CATALOG);
    grant(fixture, "app", HRN("c"), 0, SL_RIGHTS_CATALOG); /* again changes nothing */
    assert_int_equal(rights_of(fixture, made.id, HRN("c")), 0);
    sl_error error = {0};
    assert_int_equal(gw_applications_grant(fixture->applications, "app", HRN("none"), 1, 0, NULL, &error),
                     SL_UNSUPPORTED);
    assert_non_null(strstr(error.text, HRN("none")));
    assert_int_equal(gw_applications_grant(fixture->applications, "nobody", HRN("c"), 1, 0, NULL, &error),
                     SL_NOT_FOUND);
    assert_non_null(strstr(error.text, "nobody"));
}

/* A catalog made again under the same HRN must not inherit grants. */
static void grants_go_with_their_catalog(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application owner = make(fixture, "owner", SL_RIGHT_CREATE, 0),
                          guest = make(fixture, "guest", 0, 0);
    make_catalog(fixture, "c", owner.id);
    assert_int_equal(gw_access_refresh(fixture->access, true, NULL), SL_OK);
    assert_int_equal(rights_of(fixture, owner.id, HRN("c")), SL_RIGHTS_CATALOG | SL_RIGHT_CREATE);
    grant(fixture, "guest", HRN("c"), SL_RIGHT_READ, 0);
    assert_int_equal(gw_catalogs_condemn(fixture->catalogs, HRN("c"), NULL, NULL), SL_OK);
    assert_int_equal(gw_applications_grant(fixture->applications, "guest", HRN("c"), 1, 0, NULL, NULL),
                     SL_UNSUPPORTED);
    assert_int_equal(gw_catalogs_forget_empty(fixture->catalogs, NULL), SL_OK);
    make_catalog(fixture, "c", guest.id);
    assert_int_equal(gw_access_refresh(fixture->access, true, NULL), SL_OK);
    assert_int_equal(rights_of(fixture, owner.id, HRN("c")), SL_RIGHT_CREATE);
    assert_int_equal(rights_of(fixture, guest.id, HRN("c")), SL_RIGHTS_CATALOG);
}

static void who_is_no_more_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, "root", SL_RIGHT_ADMIN, 0);
    struct gw_application made = make(fixture, "app", 0, 0);
    make_catalog(fixture, "c", made.id);
    assert_int_equal(gw_access_refresh(fixture->access, true, NULL), SL_OK);
    struct gw_account *held = gw_access_find(fixture->access, made.id);
    fixture->change_count = 0;
    assert_int_equal(gw_applications_delete(fixture->applications, "app", NULL), SL_OK);
    assert_int_equal(gw_access_refresh(fixture->access, false, NULL), SL_OK);
    assert_int_equal(fixture->change_count, 1);
    assert_true(fixture->changes[0].gone);
    assert_string_equal(fixture->changes[0].id, made.id);
    assert_string_equal(held->name, "app"); /* whoever holds it may look at it */
    assert_null(gw_access_renew(fixture->access, held));
    assert_null(gw_access_find(fixture->access, made.id));
    assert_false(key_is_good(fixture, &made, sl_wall_ms()));
    assert_int_equal(gw_applications_delete(fixture->applications, "app", NULL), SL_NOT_FOUND);
    struct gw_application again = make(fixture, "app", 0, 0);
    assert_int_equal(rights_of(fixture, again.id, HRN("c")), 0);
}

static void accounts_that_did_not_change_stay(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application one = make(fixture, "one", 0, SL_RIGHT_READ), other = make(fixture, "other", 0, 0);
    struct gw_account *first = gw_access_find(fixture->access, one.id),
                      *second = gw_access_find(fixture->access, other.id);
    fixture->change_count = 0;
    grant(fixture, "other", GW_EVERY_CATALOG, SL_RIGHT_WRITE, 0);
    assert_int_equal(fixture->change_count, 1);
    assert_int_equal(fixture->changes[0].before, 0);
    assert_int_equal(fixture->changes[0].after, SL_RIGHT_WRITE);
    assert_false(atomic_load(&first->stale));
    assert_true(atomic_load(&second->stale));
    assert_ptr_equal(gw_access_renew(fixture->access, first), first);
    struct gw_allowance *allowance = second->allowance;
    struct gw_account *fresh = gw_access_renew(fixture->access, second);
    assert_int_equal(gw_account_rights(fresh, HRN("c")), SL_RIGHT_WRITE);
    assert_ptr_equal(fresh->allowance, allowance); /* a change gives nobody new requests */
    gw_account_unlink(fresh);
    gw_account_unlink(first);
}

static void the_last_administrator_stays(void **state)
{
    struct fixture *fixture = *state;
    sl_error error = {0};
    make(fixture, "root", SL_RIGHT_ADMIN | SL_RIGHT_CREATE, 0);
    make(fixture, "app", SL_RIGHT_CREATE, SL_RIGHTS_CATALOG);
    assert_int_equal(gw_applications_delete(fixture->applications, "root", &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "last application with the right admin"));
    make(fixture, "root2", SL_RIGHT_ADMIN, 0);
    assert_int_equal(gw_applications_delete(fixture->applications, "root", NULL), SL_OK);
    assert_int_equal(gw_applications_delete(fixture->applications, "app", NULL), SL_OK);
    assert_int_equal(gw_applications_delete(fixture->applications, "root2", NULL), SL_CONFLICT);
    assert_int_equal(gw_applications_grant(fixture->applications, "root2", GW_EVERY_CATALOG, SL_RIGHT_CREATE,
                                           SL_RIGHTS_ALL, NULL, NULL),
                     SL_CONFLICT);
    assert_int_equal(gw_applications_grant(fixture->applications, "root2", GW_EVERY_CATALOG, SL_RIGHT_ADMIN,
                                           SL_RIGHTS_ALL, NULL, NULL),
                     SL_OK);
}

static void keys_rotate(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application first = make(fixture, "app", 0, 0), second, third;
    int64_t now = sl_wall_ms();
    assert_true(key_is_good(fixture, &first, INT64_MAX - 1)); /* it has no end */
    assert_int_equal(gw_applications_rotate(fixture->applications, "app", 3600000, &second, NULL), SL_OK);
    assert_int_equal(gw_access_refresh(fixture->access, false, NULL), SL_OK);
    assert_string_equal(second.id, first.id);
    assert_string_not_equal(second.key_secret, first.key_secret);
    assert_true(key_is_good(fixture, &first, now));
    assert_true(key_is_good(fixture, &first, now + 3599000));
    assert_false(key_is_good(fixture, &first, sl_wall_ms() + 3600000));
    assert_true(key_is_good(fixture, &second, INT64_MAX - 1));
    /* A longer grace does not lengthen the first's; it ends the second's. */
    assert_int_equal(gw_applications_rotate(fixture->applications, "app", 7200000, &third, NULL), SL_OK);
    assert_int_equal(gw_access_refresh(fixture->access, false, NULL), SL_OK);
    assert_false(key_is_good(fixture, &first, sl_wall_ms() + 3600000));
    assert_true(key_is_good(fixture, &second, now + 7199000));
    assert_false(key_is_good(fixture, &second, sl_wall_ms() + 7200000));
    assert_int_equal(gw_applications_rotate(fixture->applications, "app", 0, &third, NULL), SL_OK);
    assert_int_equal(gw_access_refresh(fixture->access, false, NULL), SL_OK);
    assert_false(key_is_good(fixture, &first, now));
    assert_false(key_is_good(fixture, &second, now));
    assert_true(key_is_good(fixture, &third, now));
    sl_error error = {0};
    for (int i = 1; i < GW_KEYS_MAX; i++)
        assert_int_equal(gw_applications_rotate(fixture->applications, "app", 1000000, &third, NULL), SL_OK);
    assert_int_equal(gw_applications_rotate(fixture->applications, "app", 1000000, &third, &error),
                     SL_TOO_LARGE);
    assert_int_equal(gw_applications_rotate(fixture->applications, "app", -1, &third, &error),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(
        gw_applications_rotate(fixture->applications, "app", GW_GRACE_MAX_MS + 1, &third, &error),
        SL_INVALID_ARGUMENT);
    assert_int_equal(gw_applications_rotate(fixture->applications, "nobody", 0, &third, &error),
                     SL_NOT_FOUND);
}

static void what_cannot_be_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application made;
    sl_error error = {0};
    struct gw_application first = make(fixture, "app", 0, 0);
    const struct gw_application_spec wrong[] = {
        {.name = ""},
        {.name = "two words"},
        {.name = NULL},
        {.name = "0123456789abcdef0123"}, /* as an id */
        {.name = "a", .issuer = "https://issuer.example"},
        {.name = "a", .subject = "s"},
        {.name = "a", .issuer = "", .subject = "s"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(gw_applications_create(fixture->applications, &wrong[i], &made, &error),
                         SL_INVALID_ARGUMENT);
    assert_int_equal(gw_applications_create(fixture->applications,
                                            &(struct gw_application_spec){.name = "app"}, &made, &error),
                     SL_CONFLICT);
    assert_non_null(strstr(error.text, "\"app\""));
    const struct gw_application_spec outside = {.name = "b", .issuer = "https://i.example", .subject = "s"};
    assert_int_equal(gw_applications_create(fixture->applications, &outside, &made, NULL), SL_OK);
    assert_string_equal(made.key_id, ""); /* its tokens come from elsewhere */
    const struct gw_application_spec twice = {.name = "c", .issuer = "https://i.example", .subject = "s"};
    assert_int_equal(gw_applications_create(fixture->applications, &twice, &made, &error), SL_CONFLICT);
    assert_non_null(strstr(error.text, "https://i.example"));
    assert_int_equal(gw_applications_delete(fixture->applications, "' OR 1=1 --", NULL), SL_NOT_FOUND);
    assert_true(key_is_good(fixture, &first, sl_wall_ms()));
    unsigned rights;
    json_t *names = json_loads("[\"read\",\"admin\"]", 0, NULL);
    assert_int_equal(sl_rights_read(names, SL_RIGHTS_CATALOG, &rights, &error), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(error.text, "\"admin\", is none of: read,write,manage"));
    assert_int_equal(sl_rights_read(names, SL_RIGHTS_CATALOG | SL_RIGHTS_PLATFORM, &rights, NULL), SL_OK);
    assert_int_equal(rights, SL_RIGHT_READ | SL_RIGHT_ADMIN);
    assert_int_equal(sl_rights_read(NULL, SL_RIGHTS_CATALOG, &rights, &error), SL_INVALID_ARGUMENT);
    json_decref(names);
    assert_int_equal(sl_rights_parse_among("write,read", SL_RIGHTS_CATALOG, &rights, NULL), SL_OK);
    assert_int_equal(rights, 3);
    static const char *const bad[] = {"", ",", "read,", "read,,write", "admin", "rea", "reads", " read"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(sl_rights_parse_among(bad[i], SL_RIGHTS_CATALOG, &rights, &error),
                         SL_INVALID_ARGUMENT);
}

static void outside_subjects_are_found(void **state)
{
    struct fixture *fixture = *state;
    static const char *const subjects[][2] = {{"https://b.example", "x"},
                                              {"https://a.example", "x"},
                                              {"https://a.example", "y"},
                                              {"https://a.example", "a"}};
    char ids[4][64];
    for (size_t i = 0; i < 4; i++) {
        char name[10];
        snprintf(name, sizeof name, "app%zu", i);
        const struct gw_application_spec spec = {
            .name = name, .issuer = subjects[i][0], .subject = subjects[i][1], .rights = SL_RIGHT_READ};
        struct gw_application made;
        assert_int_equal(gw_applications_create(fixture->applications, &spec, &made, NULL), SL_OK);
        strcpy(ids[i], made.id);
    }
    assert_int_equal(gw_access_refresh(fixture->access, false, NULL), SL_OK);
    for (size_t i = 0; i < 4; i++) {
        struct gw_account *account = gw_access_find_subject(fixture->access, subjects[i][0], subjects[i][1]);
        assert_non_null(account);
        assert_string_equal(account->id, ids[i]);
        assert_string_equal(account->issuer, subjects[i][0]);
        assert_string_equal(account->principal, subjects[i][1]);
        gw_account_unlink(account);
    }
    assert_int_equal(fixture->made, 4); /* those who follow changes hear of new ones, too */
    assert_null(gw_access_find_subject(fixture->access, "https://b.example", "y"));
    assert_null(gw_access_find_subject(fixture->access, "x", "https://b.example"));
}

/* By way of a connection of its own, as another program has. */
static void what_others_change_is_seen(void **state)
{
    struct fixture *fixture = *state;
    struct gw_applications *others;
    struct gw_application made, second;
    const struct gw_application_spec spec = {.name = "new", .rights = SL_RIGHT_READ};
    const struct gw_application_spec outside = {.name = "out", .issuer = "i", .subject = "s"};
    assert_int_equal(gw_applications_open(fixture->directory, &others, NULL), SL_OK);
    assert_int_equal(gw_applications_create(others, &spec, &made, NULL), SL_OK);
    assert_true(key_is_good(fixture, &made, sl_wall_ms())); /* at once, when it is asked for */
    assert_int_equal(gw_applications_create(others, &outside, &second, NULL), SL_OK);
    struct gw_account *account = gw_access_find_subject(fixture->access, "i", "s");
    assert_non_null(account);
    gw_account_unlink(account);
    assert_int_equal(gw_applications_grant(others, "new", GW_EVERY_CATALOG, SL_RIGHT_WRITE, 7, NULL, NULL),
                     SL_OK);
    assert_int_equal(rights_of(fixture, made.id, HRN("c")), SL_RIGHT_READ);
    fixture->change_count = 0;
    assert_int_equal(gw_access_refresh(fixture->access, true, NULL), SL_OK);
    assert_int_equal(fixture->change_count, 1);
    assert_int_equal(rights_of(fixture, made.id, HRN("c")), SL_RIGHT_WRITE);
    assert_int_equal(gw_access_refresh(fixture->access, true, NULL), SL_OK);
    assert_int_equal(fixture->change_count, 1);
    gw_applications_close(&others);
}

static void applications_are_shown_without_secrets(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application root = make(fixture, "root", SL_RIGHTS_PLATFORM, SL_RIGHT_READ),
                          app = make(fixture, "app", 0, 0);
    json_t *value, *items;
    char *next;
    make_catalog(fixture, "c", root.id);
    assert_int_equal(gw_applications_grant(fixture->applications, "app", HRN("c"), 3, 0, root.id, NULL),
                     SL_OK);
    assert_int_equal(gw_applications_json(fixture->applications, "root", &value, NULL), SL_OK);
    char *text = json_dumps(value, JSON_SORT_KEYS);
    assert_null(strstr(text, root.key_secret));
    assert_null(strstr(text, "null"));
    assert_non_null(strstr(text, root.key_id));
    assert_non_null(strstr(text, "\"rights\": [\"read\", \"create\", \"admin\"]"));
    assert_non_null(strstr(text, "\"hrn\": \"" HRN("c") "\""));
    free(text);
    json_decref(value);
    assert_int_equal(gw_applications_list_json(fixture->applications, NULL, 1, &items, &next, NULL), SL_OK);
    assert_int_equal(json_array_size(items), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(items, 0), "id")), app.id);
    assert_string_equal(next, "app");
    json_decref(items);
    char *last;
    assert_int_equal(gw_applications_list_json(fixture->applications, next, 1, &items, &last, NULL), SL_OK);
    assert_string_equal(json_string_value(json_object_get(json_array_get(items, 0), "name")), "root");
    assert_null(last);
    json_decref(items);
    free(next);
    assert_int_equal(gw_applications_grants_json(fixture->applications, HRN("c"), &items, NULL), SL_OK);
    assert_int_equal(json_array_size(items), 3); /* app's, root's as its creator, root's on all */
    const json_t *first = json_array_get(items, 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "app");
    assert_string_equal(json_string_value(json_object_get(first, "grantedBy")), root.id);
    const json_t *last_item = json_array_get(items, 2); /* who administrates is not for all to see */
    assert_int_equal(json_array_size(json_object_get(last_item, "rights")), 1);
    json_decref(items);
    assert_int_equal(gw_applications_grants_json(fixture->applications, "*", &items, NULL), SL_OK);
    assert_int_equal(json_array_size(items), 1);
    assert_int_equal(json_array_size(json_object_get(json_array_get(items, 0), "rights")), 3);
    json_decref(items);
    assert_int_equal(gw_applications_grant_json(fixture->applications, "app", HRN("c"), &value, NULL), SL_OK);
    assert_int_equal(json_array_size(json_object_get(value, "rights")), 2);
    json_decref(value);
}

static void requests_are_rationed(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application made = make(fixture, "app", 0, 0), other = make(fixture, "other", 0, 0);
    struct gw_account *account = gw_access_find(fixture->access, made.id),
                      *neighbour = gw_access_find(fixture->access, other.id);
    /* One in ten seconds would be finer than it can be told: one a second, twice at once. */
    assert_int_equal(gw_rate_take(&account->allowance->due_us, 1), 0);
    assert_int_equal(gw_rate_take(&account->allowance->due_us, 1), 0);
    int64_t wait_ms = gw_rate_take(&account->allowance->due_us, 1);
    assert_in_range(wait_ms, 1, 1000);
    assert_int_equal(gw_rate_take(&neighbour->allowance->due_us, 1), 0); /* others are not slowed */
    int64_t taken = 0;
    while (taken < 10000 && !gw_rate_take(&neighbour->allowance->due_us, 1000))
        taken++;
    assert_in_range(taken, 900, 9999); /* two seconds' worth, less the one that was taken at 1 a second */
    /* Time passes. */
    atomic_store(&account->allowance->due_us, sl_mono_us() - 10000000);
    assert_int_equal(gw_rate_take(&account->allowance->due_us, 1), 0);
    assert_int_equal(gw_rate_take(&account->allowance->due_us, 1), 0);
    assert_in_range(gw_rate_take(&account->allowance->due_us, 1), 1, 1000); /* not ten seconds' worth */
    gw_account_unlink(account);
    gw_account_unlink(neighbour);
}

/* Readers on loops while rights change again and again. */
struct reader {
    struct fixture *fixture;
    const char *id, *key_id;
    atomic_bool *ends;
    size_t reads;
    bool failed;
};

static void *read_on(void *opaque)
{
    struct reader *reader = opaque;
    struct gw_account *held = gw_access_find(reader->fixture->access, reader->id);
    while (!atomic_load(reader->ends) || !reader->reads) {
        held = held ? gw_access_renew(reader->fixture->access, held) : NULL;
        /* Every grant is made of both rights or of neither: a half one would be one that never was. */
        unsigned rights = held ? gw_account_rights(held, HRN("c")) : 0;
        char secret[GW_SECRET_SIZE];
        struct gw_account *by_key =
            gw_access_find_key(reader->fixture->access, reader->key_id, sl_wall_ms(), secret);
        reader->failed |= !held || !by_key || (rights != 0 && rights != 3) || strcmp(by_key->id, reader->id);
        gw_account_unlink(by_key);
        reader->reads++;
    }
    gw_account_unlink(held);
    return NULL;
}

static void rights_change_while_they_are_read(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application made = make(fixture, "app", 0, 0);
    make_catalog(fixture, "c", NULL);
    atomic_bool ends = false;
    struct reader readers[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        readers[i] = (struct reader){.fixture = fixture, .id = made.id, .key_id = made.key_id, .ends = &ends};
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    for (int i = 0; i < 100; i++) {
        fixture->change_count = 0;
        grant(fixture, "app", HRN("c"), i % 2 ? 0 : 3, 3);
        assert_int_equal(fixture->change_count, 1);
    }
    atomic_store(&ends, true);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_false(readers[i].failed);
        assert_true(readers[i].reads > 0);
    }
}

static void many_applications_are_held(void **state)
{
    struct fixture *fixture = *state;
    struct gw_application made[50];
    char name[20];
    for (size_t i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "app%zu", i);
        const struct gw_application_spec spec = {.name = name, .rights = (unsigned)i % 8};
        assert_int_equal(gw_applications_create(fixture->applications, &spec, &made[i], NULL), SL_OK);
    }
    assert_int_equal(gw_access_refresh(fixture->access, false, NULL), SL_OK);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(rights_of(fixture, made[i].id, HRN("c")), i % 8);
        assert_true(key_is_good(fixture, &made[i], sl_wall_ms()));
    }
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(rights_are_by_catalog, setup, teardown),
    cmocka_unit_test_setup_teardown(grants_add_set_and_take, setup, teardown),
    cmocka_unit_test_setup_teardown(grants_go_with_their_catalog, setup, teardown),
    cmocka_unit_test_setup_teardown(who_is_no_more_is_not_found, setup, teardown),
    cmocka_unit_test_setup_teardown(accounts_that_did_not_change_stay, setup, teardown),
    cmocka_unit_test_setup_teardown(the_last_administrator_stays, setup, teardown),
    cmocka_unit_test_setup_teardown(keys_rotate, setup, teardown),
    cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(outside_subjects_are_found, setup, teardown),
    cmocka_unit_test_setup_teardown(what_others_change_is_seen, setup, teardown),
    cmocka_unit_test_setup_teardown(applications_are_shown_without_secrets, setup, teardown),
    cmocka_unit_test_setup_teardown(requests_are_rationed, setup, teardown),
    cmocka_unit_test_setup_teardown(rights_change_while_they_are_read, setup, teardown),
    cmocka_unit_test_setup_teardown(many_applications_are_held, setup, teardown))
