#include "support/cases.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/credential_file.h"
#include "base/secret.h"

/* One text, and what is read of it; NULL in id: it is an error, which secret has. */
struct row {
    const char *text, *id, *secret;
};

static void expect(const struct row *row, const char *profile)
{
    struct sl_credential_keys keys;
    sl_error error = {0};
    size_t size = strlen(row->text);
    sl_status status = sl_credential_keys_parse(row->text, size, "F", profile, false, &keys, &error);
    if (row->id) {
        if (status != SL_OK)
            fail_msg("%s\n-> %s", row->text, error.text);
        assert_string_equal(keys.key_id ? keys.key_id : "(none)", row->id);
        assert_string_equal(keys.key_secret ? keys.key_secret : "(none)", row->secret);
    } else {
        assert_int_equal(status, SL_BAD_CONFIG);
        assert_string_equal(error.text, row->secret);
    }
    sl_credential_keys_free(&keys);
}

#define ID     "here.access.key.id"
#define SECRET "here.access.key.secret"

static void properties(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "(none)", "(none)"},
        {"\n\r\n  # x\n! y\n", "(none)", "(none)"},
        {ID "=i\n" SECRET "=s", "i", "s"},
        {ID " : i\r\n" SECRET "\ts\r\n", "i", "s"},
        {ID "=i\r" SECRET "=s\r", "i", "s"},
        {"\xef\xbb\xbf" ID "=i\n" SECRET "=s\n", "i", "s"},
        {"# gr\xfc\xdf"
         "e\n" ID "=i\n" SECRET "=s\n",
         "i", "s"},
        {"other = gr\xfc\xdf\n" ID "=i\n" SECRET "=s\n", "i", "s"},
        {ID "=i\n" ID "=j\n" SECRET "=s\n" SECRET "=\n", "j", "(none)"},
        {ID ".note=x\n" ID "=i\n" SECRET ".a.b=y\n" SECRET "=s\n", "i", "s"},
        {ID "=i#no;comment\n" SECRET "=s!\n", "i#no;comment", "s!"},
        {ID "=a\\\n   b\\\r\n\tc\n" SECRET "=s\\\\\n", "abc", "s\\"},
        {"here.access\\\n .key.id=i\n" SECRET "=s\\", "i", "s"},
        {"# c\\\n" ID "=i\n" SECRET "=a\\:\\=\\u0042\\x\\b\n", "i", "a:=Bxb"},
        {"here\\u002eaccess.key.id=i\nhere.access.key\\.secret=s\n", "i", "s"},
        {ID "==i\n" SECRET "=:s\n", "=i", ":s"},
        {ID "=\"i\"\n" SECRET "=  \"s\" \t\f\n", "i", "s"},
        {ID "=\"\n" SECRET "=\"\"\n", "\"", "(none)"},
        {"no separator\n" ID "=i\n" SECRET "=s", "i", "s"},
        {"[]\n", NULL, "F:1: a section without a name, expected [PROFILE]"},
        {"\n" ID "=i\xe4\n", NULL,
         "F:2: " ID " is not as the platform gives it, expected printable ASCII without spaces"},
        {ID "=i\n" SECRET "=a b\n", NULL,
         "F:2: " SECRET " is not as the platform gives it, expected printable ASCII without spaces"},
        {SECRET "=a\\u00e4\n", NULL,
         "F:1: " SECRET " is not as the platform gives it, expected printable ASCII without spaces"},
        {SECRET "=a\\u0000\n", NULL,
         "F:1: " SECRET " is not as the platform gives it, expected printable ASCII without spaces"},
        {"a=\\u12\n", NULL, "F:1: \\u without four hex digits, expected an escape such as \\u0041"},
        {"a=b\\\nc\\\nd\n\nb=\\uxyzw\n", NULL,
         "F:5: \\u without four hex digits, expected an escape such as \\u0041"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(&rows[i], NULL);
}

static void ini(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"[default]\n" ID "=i\n" SECRET "=s\n", "i", "s"},
        {"; c\n# c\n\n [ default ] \n " ID " : i \n" SECRET " = s\n", "i", "s"},
        {"[a]\n" ID "=a\n[default]\n" ID "=i\n[b]\n" SECRET "=b\n[default]\n" SECRET "=s\n", "i", "s"},
        {"[default]\n" ID "=i ; not a comment\n", NULL,
         "F:2: " ID " is not as the platform gives it, expected printable ASCII without spaces"},
        {"[default]\n" ID "=i;x#y\n" SECRET "=a\\\n  b\\\n\n\\u0043\n", "i;x#y", "abC"},
        {"[default]\n" ID "=i\n" SECRET "=a\\=\\\\\\:\\x\n", "i", "a=\\:x"},
        {"[default]\n" ID "=i\n" SECRET "=s\n" ID "=j\n", "j", "s"},
        {"[Default]\n" ID "=i\n", NULL,
         "F: no profile [default]; there are: Default (did you mean Default?)"},
        {"[prod]\n[test]\n[prod]\n", NULL, "F: no profile [default]; there are: prod, test"},
        {"[default\n", NULL, "F:1: a section that is not closed, expected [PROFILE]"},
        {"[default] ; c\n", NULL, "F:1: a section that is not closed, expected [PROFILE]"},
        {"[other]\nword\n[default]\n", NULL,
         "F:2: a line without = or :, expected [PROFILE], or NAME = VALUE"},
        {"[default]\n = x\n", NULL, "F:2: a value without a name, expected NAME = VALUE"},
        {"[default]\n! = x\n" ID "=i\n", "i", "(none)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(&rows[i], NULL);
    expect(&(struct row){"[a]\n" ID "=a\n[b]\n" ID "=b\n" SECRET "=s\n", "b", "s"}, "b");
    expect(&(struct row){ID "=a\n", NULL,
                         "F: no profile [b], for this is no INI: expected a line [b] before the keys"},
           "b");
}

static void a_nul_is_refused(void **state)
{
    (void)state;
    static const char text[] = ID "=i\0j\n" SECRET "=s\n\0\n";
    struct sl_credential_keys keys;
    sl_error error = {0};
    assert_int_equal(sl_credential_keys_parse(text, sizeof text - 1, "F", NULL, false, &keys, &error),
                     SL_BAD_CONFIG);
    assert_string_equal(error.text, "F:1: " ID " is not as the platform gives it, expected printable ASCII "
                                    "without spaces");
    sl_credential_keys_free(&keys);
}

static char directory[] = "/tmp/sl-file-XXXXXX";

static int setup(void **state)
{
    (void)state;
    strcpy(directory + sizeof directory - 7, "XXXXXX");
    assert_non_null(mkdtemp(directory));
    return chdir(directory);
}

static int teardown(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(chdir("/"), 0);
    return system(command);
}

static void write_file(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void what_is_read(void **state)
{
    (void)state;
    char *data, big[65 * 1024];
    size_t size;
    struct sl_file_state about, again;
    sl_error error = {0};
    bool missing = false;
    write_file("f", "abc", 3);
    assert_int_equal(sl_credential_file_read("f", NULL, NULL, &about, &data, &size, &error), SL_OK);
    assert_int_equal(size, 3);
    assert_string_equal(data, "abc");
    assert_true(about.regular);
    assert_int_equal(about.owner, geteuid());
    assert_true(sl_owner_is_trusted(about.owner));
    assert_true(sl_owner_is_trusted(0));
    assert_false(sl_owner_is_trusted(geteuid() + 1));
    sl_hidden_free(&data);
    assert_int_equal(sl_credential_file_read("f", &about, NULL, &again, &data, &size, &error), SL_OK);
    assert_null(data); /* it is as it was */
    assert_true(sl_file_state_same(&about, &again));
    write_file("g", "abd", 3);
    assert_int_equal(rename("g", "f"), 0);
    assert_int_equal(sl_credential_file_read("f", &about, NULL, &again, &data, &size, &error), SL_OK);
    assert_string_equal(data, "abd");
    sl_hidden_free(&data);

    assert_int_equal(sl_credential_file_read("lost", NULL, &missing, &about, &data, &size, &error), SL_OK);
    assert_true(missing);
    assert_null(data);
    assert_int_equal(sl_credential_file_read("lost", NULL, NULL, &about, &data, &size, &error), SL_IO);
    assert_string_equal(error.text, "lost: the credentials file cannot be read: No such file or directory");
    assert_int_equal(sl_credential_file_read(directory, NULL, NULL, &about, &data, &size, &error),
                     SL_BAD_CONFIG);
    assert_non_null(strstr(error.text, ": is a directory: expected the name of a credentials file"));
    assert_int_equal(sl_credential_file_read("/dev/null", NULL, NULL, &about, &data, &size, &error),
                     SL_BAD_CONFIG);
    assert_string_equal(error.text,
                        "/dev/null: is neither a file nor a pipe: expected the name of a credentials file");
    memset(big, '#', sizeof big);
    write_file("big", big, sizeof big);
    assert_int_equal(sl_credential_file_read("big", NULL, NULL, &about, &data, &size, &error), SL_BAD_CONFIG);
    assert_string_equal(error.text, "big: larger than 64 KiB, which no credentials file is: expected the "
                                    "platform's credentials.properties, or an INI of such");
    assert_null(data);
}

static void *write_slowly(void *opaque)
{
    (void)opaque;
    int pipe = open("pipe", O_WRONLY);
    assert_int_equal(write(pipe, "ab", 2), 2);
    assert_int_equal(write(pipe, "cd", 2), 2);
    close(pipe);
    return NULL;
}

static void a_pipe_is_read_to_its_end(void **state)
{
    (void)state;
    pthread_t writer;
    char *data;
    size_t size;
    struct sl_file_state about;
    sl_error error = {0};
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, NULL), 0);
    if (sl_credential_file_read("pipe", NULL, NULL, &about, &data, &size, &error) != SL_OK)
        fail_msg("%s", error.text);
    assert_string_equal(data, "abcd");
    assert_false(about.regular);
    sl_hidden_free(&data);
    pthread_join(writer, NULL);
}

static void secrets_are_copied_and_given_back(void **state)
{
    (void)state;
    char *heap = strdup("secret"), *none = NULL;
    sl_secret_free(&heap);
    assert_null(heap);
    sl_secret_free(&none);
    sl_hidden_free(&none);
    assert_null(sl_hidden_copy(NULL, 0));
    char *hidden = sl_hidden_copy("secretly", 6);
    assert_string_equal(hidden, "secret");
    sl_hidden_free(&hidden);
    assert_null(hidden);
    assert_null(sl_hidden_alloc(SIZE_MAX));
    assert_null(sl_hidden_alloc(SIZE_MAX / 2));
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test(properties),
    cmocka_unit_test(ini),
    cmocka_unit_test(a_nul_is_refused),
    cmocka_unit_test_setup_teardown(what_is_read, setup, teardown),
    cmocka_unit_test_setup_teardown(a_pipe_is_read_to_its_end, setup, teardown),
    cmocka_unit_test(secrets_are_copied_and_given_back))
