/* What of an access key a core file has: nothing. Not built with sanitizers, whose memory is another. */
#include "support/cases.h"

#include "web.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/text.h"

#define KEY_ID "core-test-key-id"
#define SECRET "Zx9+q/Core=Secret~7:of-this+test"

static char program[4096]; /* this one, to be run as the child */

struct fixture {
    char directory[64];
    struct web *web;
    char *memory; /* what of the child's is in a core */
    size_t size;
};

static void handle(void *opaque, const struct web_request *request, struct web_answer *answer)
{
    (void)opaque, (void)request;
    web_text(answer, 200, "application/json", "{\"accessToken\":\"abc\",\"expiresIn\":86400}");
}

/* Gets a token with the key in DIRECTORY/credentials.properties, and then waits to be looked at (how:
 * "stop"), or dumps core. */
static int be_the_child(const char *directory, const char *how)
{
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    sl_config *config = NULL;
    sl_client *client = NULL;
    char *token = NULL;
    sl_error error;
    if (chdir(directory) || sl_config_create(&config, &error) ||
        sl_config_set(config, "here.platform.data-client.request-signer.credentials.file-path",
                      "credentials.properties", &error) ||
        sl_client_create(config, NULL, NULL, &client, &error) ||
        sl_client_token(client, &token, NULL, &error))
        return 3;
    explicit_bzero(token, strlen(token));
    sl_free(token);
    if (strcmp(how, "stop") == 0)
        raise(SIGSTOP);
    setrlimit(RLIMIT_CORE, &unlimited);
    abort();
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->directory, "/tmp/sl-core-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->web = web_start(handle, f);
    char path[128];
    snprintf(path, sizeof path, "%s/credentials.properties", f->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "here.access.key.id = " KEY_ID "\nhere.access.key.secret = " SECRET
            "\nhere.token.endpoint.url = %s/token\n",
            web_url(f->web));
    fclose(file);
    assert_int_equal(chmod(path, 0600), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    web_stop(f->web);
    snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
    assert_int_equal(system(command), 0);
    free(f->memory);
    free(f);
    return 0;
}

static pid_t run_child(const struct fixture *f, const char *how)
{
    pid_t child = fork();
    if (child == 0) {
        execl(program, program, "--child", f->directory, how, (char *)NULL);
        _exit(4);
    }
    assert_true(child > 0);
    return child;
}

static bool holds(const struct fixture *f, const char *text)
{
    return memmem(f->memory, f->size, text, strlen(text)) != NULL;
}

static void expect_no_secret(const struct fixture *f)
{
    assert_true(holds(f, KEY_ID)); /* it is the right memory, and whole */
    assert_false(holds(f, SECRET));
    struct sl_buffer coded;
    sl_buffer_init(&coded, 1000);
    assert_true(sl_percent_encode(&coded, SECRET, strlen(SECRET)));
    assert_false(holds(f, coded.data));
    /* In base64 with whatever stands before it: each of the three ways that its bytes fall. */
    for (size_t skip = 0; skip < 3; skip++) {
        sl_buffer_reset(&coded);
        assert_true(sl_base64_encode(&coded, SECRET + skip, (strlen(SECRET) - skip) / 3 * 3));
        assert_false(holds(f, coded.data));
    }
    sl_buffer_free(&coded);
}

static void keep(struct fixture *f, FILE *from, size_t size)
{
    f->memory = realloc(f->memory, f->size + size);
    assert_non_null(f->memory);
    f->size += fread(f->memory + f->size, 1, size, from);
}

/* What the kernel would put into a core: the memory of its own that is not marked "dd" (do not dump). */
static void the_memory_that_may_be_dumped(void **state)
{
    struct fixture *f = *state;
    pid_t child = run_child(f, "stop");
    int how;
    assert_int_equal(waitpid(child, &how, WUNTRACED), child);
    assert_true(WIFSTOPPED(how));
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)child);
    FILE *maps = fopen(path, "re");
    snprintf(path, sizeof path, "/proc/%d/mem", (int)child);
    FILE *memory = fopen(path, "re");
    assert_non_null(maps);
    assert_non_null(memory);
    unsigned long from = 0, to = 0;
    bool writable = false;
    int hidden = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        char access[8];
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, access) == 3) {
            from = begin, to = end, writable = access[1] == 'w';
        } else if (strncmp(line, "VmFlags:", 8) == 0 && writable) {
            if (strstr(line, " dd ")) {
                hidden++;
            } else {
                assert_int_equal(fseek(memory, (long)from, SEEK_SET), 0);
                keep(f, memory, to - from);
            }
        }
    }
    fclose(maps);
    fclose(memory);
    kill(child, SIGKILL);
    waitpid(child, &how, 0);
    assert_true(hidden >= 1); /* neighbours count as one */
    expect_no_secret(f);
}

/* The real thing, where the system writes cores into the working directory. */
static void a_core_file(void **state)
{
    struct fixture *f = *state;
    char pattern[256], path[400];
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    assert_non_null(file);
    assert_non_null(fgets(pattern, sizeof pattern, file));
    fclose(file);
    pattern[strcspn(pattern, "\n")] = '\0';
    pid_t child = run_child(f, "abort");
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    assert_int_equal(WTERMSIG(how), SIGABRT);
    if (strchr("|/", pattern[0]) || strchr(pattern, '%'))
        return; /* another program's, or another place's; the other case looks at the same memory */
    snprintf(path, sizeof path, "%s/%s", f->directory, pattern);
    file = fopen(path, "re");
    if (!file) {
        snprintf(path, sizeof path, "%s/%s.%d", f->directory, pattern, (int)child);
        file = fopen(path, "re");
    }
    assert_non_null(file);
    struct stat about;
    assert_int_equal(fstat(fileno(file), &about), 0);
    keep(f, file, (size_t)about.st_size);
    fclose(file);
    expect_no_secret(f);
}

static int run_cases(int argc, char **argv);
#define main run_cases
/* clang-format off */
static CASES_MAIN(
    cmocka_unit_test_setup_teardown(the_memory_that_may_be_dumped, setup, teardown),
    cmocka_unit_test_setup_teardown(a_core_file, setup, teardown))
/* clang-format on */
#undef main

    int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--child") == 0)
        return be_the_child(argv[2], argv[3]);
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return 2;
    return run_cases(argc, argv);
}
