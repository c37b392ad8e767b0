#include "process.h"
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_MS 50

/* In the child, between fork and exec: only what is safe there. */
static _Noreturn void become(const char *const *arguments, int log, int input, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setsid();
    signal(SIGPIPE, SIG_DFL);
    dup2(input, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    static const char message[] = "streamlayer: cannot run the program\n";
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
    _exit(127);
}

pid_t cli_process_start(const char *const *arguments, const char *log)
{
    int output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600); /* Kafka logs tokens */
    if (output < 0)
        return -1;
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t parent = getpid();
    pid_t child = input < 0 ? -1 : fork();
    if (child == 0)
        become(arguments, output, input, parent);
    int failure = errno;
    close(output);
    if (input >= 0)
        close(input);
    errno = failure;
    return child;
}

bool cli_process_ended(pid_t pid, int *status)
{
    return waitpid(pid, status, WNOHANG) == pid;
}

int cli_process_wait(pid_t pid)
{
    int status;
    while (!cli_process_ended(pid, &status)) {
        if (cli_interrupted()) {
            cli_process_stop(pid, 2000);
            return -1;
        }
        cli_sleep_ms(CHECK_MS);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void cli_process_stop(pid_t pid, int grace_ms)
{
    int status;
    int64_t until_ms = cli_mono_ms() + grace_ms;
    /* It leads a session: whatever it started is asked, too, as where the program is a script. */
    if (kill(-pid, SIGTERM))
        kill(pid, SIGTERM);
    while (!cli_process_ended(pid, &status)) {
        if (cli_mono_ms() >= until_ms) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return;
        }
        cli_sleep_ms(CHECK_MS);
    }
}

/* Whether the process is this user's, and its arguments end with the words. */
static bool is_such(pid_t pid, const char *const *words)
{
    char path[64], text[32768];
    struct stat owner;
    size_t count = 0;
    while (words[count])
        count++;
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    if (stat(path, &owner) || owner.st_uid != geteuid())
        return false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    if (!size || text[size - 1])
        return false;
    /* From the last argument to the first. */
    const char *end = text + size - 1;
    while (count > 0) {
        const char *start = end;
        while (start > text && start[-1])
            start--;
        if (strcmp(start, words[--count]) != 0)
            return false;
        if (start == text)
            return count == 0;
        end = start - 1;
    }
    return true;
}

pid_t cli_process_find(const char *const *words)
{
    DIR *directory = opendir("/proc");
    pid_t found = 0;
    if (!directory)
        return 0;
    for (struct dirent *entry; !found && (entry = readdir(directory)) != NULL;) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid > 0 && !*end && pid != (long)getpid() && is_such((pid_t)pid, words))
            found = (pid_t)pid;
    }
    closedir(directory);
    return found;
}

bool cli_process_end(pid_t pid, const char *const *words, int grace_ms)
{
    /* The descriptor stays that process, whoever may have its number later. */
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return errno == ESRCH;
    bool ended = !is_such(pid, words);
    static const int numbers[] = {SIGTERM, SIGKILL};
    for (size_t i = 0; !ended && i < sizeof numbers / sizeof *numbers; i++) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        ended = pidfd_send_signal(fd, numbers[i], NULL, 0) && errno == ESRCH;
        for (int64_t until_ms = cli_mono_ms() + grace_ms; !ended && cli_mono_ms() < until_ms;)
            ended = poll(&waiting, 1, CHECK_MS) > 0;
    }
    close(fd);
    if (!ended)
        errno = ETIMEDOUT;
    return ended;
}

void cli_process_describe(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, size, "exit code %d", WEXITSTATUS(status));
}

bool cli_find_program(const char *name, const char *home, char *out, size_t size)
{
    if (home && *home && (size_t)snprintf(out, size, "%s/bin/%s", home, name) < size && !access(out, X_OK))
        return true;
    const char *path = getenv("PATH");
    for (path = path ? path : "/usr/local/bin:/usr/bin:/bin"; *path;) {
        size_t length = strcspn(path, ":");
        if (length && (size_t)snprintf(out, size, "%.*s/%s", (int)length, path, name) < size &&
            !access(out, X_OK))
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

bool cli_make_directories(const char *path, mode_t mode)
{
    char part[PATH_MAX];
    if (!*path || (size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part) {
        errno = *path ? ENAMETOOLONG : ENOENT;
        return false;
    }
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(part, mode) && errno != EEXIST)
            return false;
        *slash = '/';
    }
    struct stat existing;
    if (mkdir(part, mode) && (errno != EEXIST || stat(part, &existing)))
        return false;
    if (stat(part, &existing) || !S_ISDIR(existing.st_mode)) {
        errno = ENOTDIR;
        return false;
    }
    return true;
}

bool cli_write_file(const char *path, const char *text, mode_t mode)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return false;
    }
    /* A file that somebody else put there must not lend its mode. */
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return false;
    size_t size = strlen(text), written = 0;
    bool ok = true;
    while (ok && written < size) {
        ssize_t count = write(fd, text + written, size - written);
        ok = count > 0 || (count < 0 && errno == EINTR);
        written += count > 0 ? (size_t)count : 0;
    }
    ok = ok && !fsync(fd);
    ok = !close(fd) && ok && !rename(temporary, path);
    int failure = errno;
    if (!ok)
        unlink(temporary);
    errno = failure;
    return ok;
}

void cli_file_tail(const char *path, char *out, size_t size)
{
    out[0] = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    bool cut = !fseek(file, -(long)(size - 1), SEEK_END);
    if (!cut)
        rewind(file);
    size_t got = fread(out, 1, size - 1, file);
    out[got] = 0;
    fclose(file);
    char *newline = cut ? strchr(out, '\n') : NULL;
    if (newline)
        memmove(out, newline + 1, strlen(newline + 1) + 1);
}

void cli_remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    rmdir(path);
}
