#include "support/cases.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/access_log.h"
#include <jansson.h>

static const struct gw_access_entry usual = {
    .client = "192.0.2.7",
    .application = "app1",
    .method = "POST",
    .target = "/ingest/v1/catalogs/hrn/layers/l?a=b",
    .version = "HTTP/1.1",
    .agent = "curl/8",
    .route = "ingest",
    .id = "0123",
    .correlation = "mine",
    .status = 200,
    .bytes = 17,
    .begun_ms = 1796342494250,
    .duration_us = 1234,
    .whole = true,
};

static char *line_of(const struct gw_access_entry *entry, enum gw_access_format format)
{
    struct sl_buffer line;
    sl_buffer_init(&line, 10000);
    assert_true(gw_access_format_entry(entry, format, &line));
    return sl_buffer_take(&line);
}

static void combined_is_what_web_servers_write(void **state)
{
    (void)state;
    char *line = line_of(&usual, GW_ACCESS_COMBINED);
    assert_string_equal(line, "192.0.2.7 - app1 [04/Dec/2026:00:01:34 +0000] \"POST "
                              "/ingest/v1/catalogs/hrn/layers/l?a=b HTTP/1.1\" 200 17 \"-\" \"curl/8\"\n");
    free(line);
}

static void json_is_an_object_a_line(void **state)
{
    (void)state;
    char *line = line_of(&usual, GW_ACCESS_JSON);
    json_t *value = json_loads(line, 0, NULL);
    assert_non_null(value);
    assert_string_equal(json_string_value(json_object_get(value, "time")), "2026-12-04T00:01:34.250Z");
    assert_string_equal(json_string_value(json_object_get(value, "application")), "app1");
    assert_string_equal(json_string_value(json_object_get(value, "target")), usual.target);
    assert_int_equal(json_integer_value(json_object_get(value, "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(value, "bytes")), 17);
    assert_true(json_real_value(json_object_get(value, "duration")) > 0.0012);
    assert_true(json_is_true(json_object_get(value, "complete")));
    assert_null(json_object_get(value, "referer"));
    assert_string_equal(strchr(line, '\n'), "\n");
    json_decref(value);
    free(line);
}

/* Whoever reads the log reads one line a request, whatever the request says. */
static void nothing_breaks_a_line(void **state)
{
    struct gw_access_entry entry = usual;
    (void)state;
    entry.target = "/a\"b\\c\nd\xff\x1b[31m";
    entry.agent = "x\" 200 0 \"\r\n1.2.3.4 - - [";
    entry.application = "a b";
    entry.client = NULL;
    entry.version = NULL;
    char *line = line_of(&entry, GW_ACCESS_COMBINED);
    assert_string_equal(
        line, "- - - [04/Dec/2026:00:01:34 +0000] \"POST /a\\\"b\\\\c\\x0ad\\xff\\x1b[31m -\" 200 17 "
              "\"-\" \"x\\\" 200 0 \\\"\\x0d\\x0a1.2.3.4 - - [\"\n");
    free(line);
    line = line_of(&entry, GW_ACCESS_JSON);
    json_t *value = json_loads(line, 0, NULL);
    assert_non_null(value);
    assert_string_equal(json_string_value(json_object_get(value, "target")),
                        "/a\"b\\c\nd\xef\xbf\xbd\x1b[31m");
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    json_decref(value);
    free(line);
}

static void a_line_fits_whole_or_not_at_all(void **state)
{
    struct sl_buffer line;
    (void)state;
    for (size_t max = 0; max < 600; max += 7)
        for (int format = GW_ACCESS_COMBINED; format <= GW_ACCESS_JSON; format++) {
            sl_buffer_init(&line, max);
            bool fits = gw_access_format_entry(&usual, (enum gw_access_format)format, &line);
            assert_int_equal(line.size > 0, fits);
            assert_false(line.failed);
            assert_true(!fits || line.data[line.size - 1] == '\n');
            sl_buffer_free(&line);
        }
}

struct place {
    char directory[40], file[60], moved[60];
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->directory, "/tmp/gw-access-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    snprintf(place->file, sizeof place->file, "%s/log", place->directory);
    snprintf(place->moved, sizeof place->moved, "%s/log.1", place->directory);
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    unlink(place->file);
    unlink(place->moved);
    rmdir(place->directory);
    free(place);
    return 0;
}

static size_t lines_in(const char *name)
{
    FILE *file = fopen(name, "re");
    size_t lines = 0;
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static void lines_are_in_the_file_when_it_is_closed(void **state)
{
    const struct place *place = *state;
    struct gw_access_log *access;
    struct stat info;
    assert_int_equal(gw_access_log_open(place->file, GW_ACCESS_COMBINED, 2, NULL, &access, NULL), SL_OK);
    for (int i = 0; i < 2000; i++)
        gw_access_log_add(access, (unsigned)i % 2, &usual);
    assert_int_equal(gw_access_log_lost(access), 0);
    gw_access_log_close(&access);
    assert_null(access);
    assert_int_equal(lines_in(place->file), 2000);
    assert_int_equal(stat(place->file, &info), 0);
    assert_int_equal(info.st_mode & 07, 0);
    /* Another start goes on behind. */
    assert_int_equal(gw_access_log_open(place->file, GW_ACCESS_JSON, 1, NULL, &access, NULL), SL_OK);
    gw_access_log_add(access, 0, &usual);
    gw_access_log_close(&access);
    assert_int_equal(lines_in(place->file), 2001);
}

static void a_file_that_was_moved_is_opened_anew(void **state)
{
    const struct place *place = *state;
    struct gw_access_log *access;
    assert_int_equal(gw_access_log_open(place->file, GW_ACCESS_COMBINED, 1, NULL, &access, NULL), SL_OK);
    gw_access_log_add(access, 0, &usual);
    assert_int_equal(rename(place->file, place->moved), 0);
    assert_int_equal(gw_access_log_reopen(access, NULL), SL_OK);
    gw_access_log_add(access, 0, &usual);
    gw_access_log_close(&access);
    assert_int_equal(lines_in(place->file) + lines_in(place->moved), 2);
    assert_true(lines_in(place->file) >= 1);
}

static void a_file_that_cannot_be_is_told(void **state)
{
    struct gw_access_log *access;
    sl_error error = {0};
    (void)state;
    assert_int_equal(gw_access_log_open("/nowhere/at/all/log", GW_ACCESS_COMBINED, 1, NULL, &access, &error),
                     SL_IO);
    assert_null(access);
    assert_non_null(strstr(error.text, "streamlayer.gateway.access-log.file"));
    assert_non_null(strstr(error.text, "/nowhere/at/all/log"));
}

static void what_cannot_be_written_is_counted(void **state)
{
    struct gw_access_log *access;
    (void)state;
    assert_int_equal(gw_access_log_open("/dev/full", GW_ACCESS_COMBINED, 1, NULL, &access, NULL), SL_OK);
    for (int i = 0; i < 10; i++)
        gw_access_log_add(access, 0, &usual);
    while (gw_access_log_lost(access) < 10)
        sched_yield();
    assert_int_equal(gw_access_log_lost(access), 10);
    gw_access_log_close(&access);
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(combined_is_what_web_servers_write),
    cmocka_unit_test(json_is_an_object_a_line),
    cmocka_unit_test(nothing_breaks_a_line),
    cmocka_unit_test(a_line_fits_whole_or_not_at_all),
    cmocka_unit_test_setup_teardown(lines_are_in_the_file_when_it_is_closed, make_place, remove_place),
    cmocka_unit_test_setup_teardown(a_file_that_was_moved_is_opened_anew, make_place, remove_place),
    cmocka_unit_test(a_file_that_cannot_be_is_told),
    cmocka_unit_test(what_cannot_be_written_is_counted))
