/*
 * A register's side of etims-gateway's serial frames.
 *
 * C99, no dependencies, no heap, no globals: it runs on a microcontroller. What it needs of the machine are four small
 * functions (struct etims_line). One request at a time; each is sent again with the same bytes until it is answered, so
 * a sale is never lost and never doubled by the line. A sale that stays without an answer is in doubt, not failed: keep
 * it, and send it again later with the same trdInvcNo and the same content.
 *
 * Licence: MIT OR Apache-2.0, as the gateway's. Copy it.
 */
#ifndef ETIMS_REGISTER_H
#define ETIMS_REGISTER_H

#include <stddef.h>

/* The machine. All times are in milliseconds; now_ms may wrap. */
struct etims_line {
    void *user;
    /* Sends all bytes; not 0: the line is gone. */
    int (*send)(void *user, const unsigned char *bytes, size_t count);
    /* Takes one byte: 1; none within the time: 0; the line is gone: -1. */
    int (*take)(void *user, unsigned char *byte, unsigned long wait_ms);
    unsigned long (*now_ms)(void *user);
    void (*sleep_ms)(void *user, unsigned long ms);
};

struct etims_register {
    struct etims_line line;
    /* The count of the last request, 1 to 255. Start with 0 and etims_hello. */
    unsigned char seq;
    /* Where replies go, and how many bytes fit; one byte more is kept for a closing 0. 2000 are enough for sales. */
    char *reply;
    size_t room;
};

enum etims_result {
    /* The reply is there: etims_register.reply, closed with 0. */
    ETIMS_ANSWERED = 0,
    /* Nothing came back that could be read, but the gateway is there. A sale is in doubt: send it again later. */
    ETIMS_IN_DOUBT = 1,
    /* Nothing at all came back: cable, power or settings. A sale is in doubt here too. */
    ETIMS_NO_GATEWAY = 2,
    /* The reply is longer than the room for it. A sale was taken all the same: ask with Q. */
    ETIMS_NO_ROOM = 3,
    /* The request has more than 65535 bytes, or control characters: nothing was sent. */
    ETIMS_BAD_REQUEST = 4
};

/*
 * Asks, and waits for the reply: up to a minute. `type` is one of S Q L P N T, `data` the JSON of the request (empty for L
 * and T). `kind`, where it is wanted, gets the reply's type: the request's letter in lower case, or 'e' for "no". The
 * reply's first member is the status, {"st":201,...
 */
enum etims_result etims_ask(struct etims_register *reg, char type, const char *data, size_t length, char *kind);

/* To be asked first after each start of the register; compare `last` in its reply with your own last sale. */
enum etims_result etims_hello(struct etims_register *reg);

/* The status of the reply that is in etims_register.reply: 201, 202, ...; 0: it has none. */
int etims_status(const struct etims_register *reg);

#endif
