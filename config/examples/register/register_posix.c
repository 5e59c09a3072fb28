/*
 * etims_register.c on Linux and other POSIX systems, as a command:
 *
 *     cc -o register register_posix.c etims_register.c
 *     ./register /dev/ttyUSB0 9600 < requests
 *
 * Each line of standard input is a request, its type and its DATA: `S {"trdInvcNo":"1",...}` or `T`. Each gets a line on
 * standard output: the reply's type and DATA, or `! ` and why there is none. HELLO is said first. The exit code is 0 if all
 * were answered.
 */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "etims_register.h"

static int send_all(void *user, const unsigned char *bytes, size_t count)
{
    int fd = *(int *)user;
    while (count > 0) {
        ssize_t wrote = write(fd, bytes, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return -1;
        bytes += wrote;
        count -= (size_t)wrote;
    }
    return 0;
}

static int take(void *user, unsigned char *byte, unsigned long wait_ms)
{
    struct pollfd ready = {.fd = *(int *)user, .events = POLLIN};
    int found = poll(&ready, 1, (int)wait_ms);
    if (found == 0)
        return 0;
    return found > 0 && read(ready.fd, byte, 1) == 1 ? 1 : -1;
}

static unsigned long now_ms(void *user)
{
    struct timespec now;
    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long)now.tv_sec * 1000UL + (unsigned long)now.tv_nsec / 1000000UL;
}

static void sleep_ms(void *user, unsigned long ms)
{
    struct timespec span = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L};
    (void)user;
    nanosleep(&span, NULL);
}

static int open_port(const char *path, const char *baud)
{
    static const struct {
        const char *name;
        speed_t speed;
    } speeds[] = {{"1200", B1200},   {"2400", B2400},   {"4800", B4800},   {"9600", B9600},
                  {"19200", B19200}, {"38400", B38400}, {"57600", B57600}, {"115200", B115200}};
    struct termios mode;
    size_t i;
    int fd = open(path, O_RDWR | O_NOCTTY);
    if (fd < 0 || tcgetattr(fd, &mode) != 0) {
        perror(path);
        exit(2);
    }
    cfmakeraw(&mode);
    mode.c_cflag |= CLOCAL | CREAD;
    for (i = 0; i < sizeof speeds / sizeof *speeds; i++)
        if (strcmp(speeds[i].name, baud) == 0 && cfsetspeed(&mode, speeds[i].speed) == 0 &&
            tcsetattr(fd, TCSANOW, &mode) == 0)
            return fd;
    fprintf(stderr, "%s: this speed cannot be set\n", baud);
    exit(2);
}

/* One line for a request; true if it was answered. */
static int tell(enum etims_result result, const struct etims_register *reg, char kind)
{
    static const char *const why[] = {"", "in doubt: send it again later", "no gateway: cable, power or settings?",
                                      "the reply has no room", "the request cannot be sent"};
    if (result == ETIMS_ANSWERED)
        printf("%c %s\n", kind, reg->reply);
    else
        printf("! %s\n", why[result]);
    fflush(stdout);
    return result == ETIMS_ANSWERED;
}

int main(int argc, char **argv)
{
    static char reply[0x10000], request[0x10004];
    struct etims_register reg = {{NULL, send_all, take, now_ms, sleep_ms}, 0, reply, sizeof reply - 1};
    int fd, good;
    if (argc != 3) {
        fprintf(stderr, "usage: %s DEVICE BAUD < requests\n", argv[0]);
        return 2;
    }
    fd = open_port(argv[1], argv[2]);
    reg.line.user = &fd;
    good = tell(etims_hello(&reg), &reg, 'h');
    while (fgets(request, sizeof request, stdin)) {
        size_t length = strcspn(request, "\r\n");
        size_t skip = length > 1 ? 2 : 1;
        enum etims_result result;
        char kind = 0;
        if (length == 0)
            continue;
        result = etims_ask(&reg, request[0], request + skip, length > skip ? length - skip : 0, &kind);
        good &= tell(result, &reg, kind);
    }
    return good ? 0 : 1;
}
