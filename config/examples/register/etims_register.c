/* See etims_register.h. */
#include "etims_register.h"

#define RS 0x1E
#define ETX 0x03
#define LF 0x0A
#define ENQ 0x05
#define ACK 0x06
#define NAK 0x15
#define SYN 0x16
#define CAN 0x18

/* Nothing received at all; a pause inside a reply; the whole exchange. */
#define IDLE_MS 3000UL
#define BYTE_MS 500UL
#define EXCHANGE_MS 60000UL
/* Tries, and the pauses before them. */
#define TRIES 5
static const unsigned long PAUSE_MS[TRIES] = {0, 500, 1000, 2000, 4000};

/* CRC-32 of zip and Ethernet, one more byte of it. Start with 0xFFFFFFFF, invert at the end. */
static unsigned long crc_more(unsigned long crc, unsigned char byte)
{
    int bit;
    crc ^= byte;
    for (bit = 0; bit < 8; bit++)
        crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320UL : crc >> 1;
    return crc;
}

static void put_hex(unsigned char *at, unsigned long value, int digits)
{
    while (digits-- > 0) {
        at[digits] = (unsigned char)"0123456789ABCDEF"[value & 15];
        value >>= 4;
    }
}

/* A digit's value; lower case is none. */
static int hex_value(unsigned char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* The same bytes each time: RS LLLL SS T DATA ETX CCCCCCCC LF. */
static int send_frame(const struct etims_line *line, unsigned char seq, char type, const char *data, size_t length)
{
    unsigned char head[8], tail[10];
    unsigned long crc = 0xFFFFFFFFUL;
    size_t i;
    head[0] = RS;
    put_hex(head + 1, (unsigned long)length, 4);
    put_hex(head + 5, seq, 2);
    head[7] = (unsigned char)type;
    for (i = 1; i < sizeof head; i++)
        crc = crc_more(crc, head[i]);
    for (i = 0; i < length; i++)
        crc = crc_more(crc, (unsigned char)data[i]);
    crc = crc_more(crc, ETX) ^ 0xFFFFFFFFUL;
    tail[0] = ETX;
    put_hex(tail + 1, crc, 8);
    tail[9] = LF;
    if (line->send(line->user, head, sizeof head))
        return -1;
    if (length > 0 && line->send(line->user, (const unsigned char *)data, length))
        return -1;
    return line->send(line->user, tail, sizeof tail);
}

enum heard { HEARD_REPLY, HEARD_AGAIN, HEARD_NOTHING, HEARD_GONE, HEARD_TOO_LONG };

/*
 * Waits for the reply to `seq`. NAK, a damaged reply or silence: to be sent again. SYN, frames of another count and our own
 * echo (upper case) only show that the line lives.
 */
static enum heard hear(struct etims_register *reg, unsigned char seq, unsigned long began, char *kind)
{
    const struct etims_line *line = &reg->line;
    /* Of the frame in hand: how many bytes after RS came, its length, count and type, and the check so far. */
    size_t came = 0, length = 0;
    unsigned count = 0;
    unsigned char type = 0;
    unsigned long crc = 0, check = 0;
    int inside = 0, any = 0, too_long = 0;

    while (line->now_ms(line->user) - began < EXCHANGE_MS) {
        unsigned char byte;
        int value;
        int got = line->take(line->user, &byte, inside ? BYTE_MS : IDLE_MS);
        if (got < 0)
            return HEARD_GONE;
        if (got == 0)
            return inside || any ? HEARD_AGAIN : HEARD_NOTHING;
        any = 1;
        if (byte == RS) {
            inside = 1;
            came = length = 0;
            count = 0;
            check = 0;
            crc = 0xFFFFFFFFUL;
            too_long = 0;
            continue;
        }
        if (!inside) {
            if (byte == NAK)
                return HEARD_AGAIN;
            continue;
        }
        came++;
        if (came <= 7 + length + 1)
            crc = crc_more(crc, byte);
        if (came <= 6) {
            if ((value = hex_value(byte)) < 0)
                return HEARD_AGAIN;
            if (came <= 4)
                length = length * 16 + (size_t)value;
            else
                count = count * 16 + (unsigned)value;
        } else if (came == 7) {
            type = byte;
            too_long = length > reg->room;
        } else if (came <= 7 + length) {
            if (byte < 0x20)
                return HEARD_AGAIN;
            if (type >= 'a' && count == seq && !too_long)
                reg->reply[came - 8] = (char)byte;
        } else if (came == 8 + length) {
            if (byte != ETX)
                return HEARD_AGAIN;
        } else if (came <= 16 + length) {
            if ((value = hex_value(byte)) < 0)
                return HEARD_AGAIN;
            check = (check << 4 | (unsigned long)value) & 0xFFFFFFFFUL;
        } else {
            if (byte != LF || check != (crc ^ 0xFFFFFFFFUL))
                return HEARD_AGAIN;
            inside = 0;
            if (type < 'a' || count != seq)
                continue;
            if (too_long)
                return HEARD_TOO_LONG;
            reg->reply[length] = 0;
            *kind = (char)type;
            return HEARD_REPLY;
        }
    }
    return HEARD_AGAIN;
}

/* After the last try: is anybody there? Noise that never ends is no answer. */
static int is_there(const struct etims_line *line)
{
    static const unsigned char enquiry = ENQ;
    unsigned long began = line->now_ms(line->user);
    unsigned char byte;
    if (line->send(line->user, &enquiry, 1))
        return 0;
    while (line->now_ms(line->user) - began < IDLE_MS && line->take(line->user, &byte, IDLE_MS) == 1)
        if (byte == ACK || byte == SYN || byte == CAN)
            return 1;
    return 0;
}

static enum etims_result exchange(struct etims_register *reg, unsigned char seq, char type, const char *data,
                                  size_t length, char *kind)
{
    const struct etims_line *line = &reg->line;
    unsigned long began = line->now_ms(line->user);
    char ignored;
    size_t i;
    int attempt;

    if (length > 0xFFFF)
        return ETIMS_BAD_REQUEST;
    for (i = 0; i < length; i++)
        if ((unsigned char)data[i] < 0x20)
            return ETIMS_BAD_REQUEST;
    for (attempt = 0; attempt < TRIES; attempt++) {
        if (line->now_ms(line->user) - began >= EXCHANGE_MS)
            break;
        if (PAUSE_MS[attempt] > 0)
            line->sleep_ms(line->user, PAUSE_MS[attempt]);
        if (send_frame(line, seq, type, data, length))
            continue;
        switch (hear(reg, seq, began, kind ? kind : &ignored)) {
        case HEARD_REPLY:
            return ETIMS_ANSWERED;
        case HEARD_TOO_LONG:
            return ETIMS_NO_ROOM;
        case HEARD_AGAIN:
        case HEARD_NOTHING:
        case HEARD_GONE:
            break;
        }
    }
    return is_there(line) ? ETIMS_IN_DOUBT : ETIMS_NO_GATEWAY;
}

enum etims_result etims_ask(struct etims_register *reg, char type, const char *data, size_t length, char *kind)
{
    reg->seq = reg->seq == 255 ? 1 : (unsigned char)(reg->seq + 1);
    return exchange(reg, reg->seq, type, data, length, kind);
}

enum etims_result etims_hello(struct etims_register *reg)
{
    static const char hello[] = "{\"proto\":1}";
    return exchange(reg, 0, 'H', hello, sizeof hello - 1, 0);
}

int etims_status(const struct etims_register *reg)
{
    static const char begins[] = "{\"st\":";
    const char *at = reg->reply;
    int status = 0;
    size_t i;
    for (i = 0; i < sizeof begins - 1; i++)
        if (at[i] != begins[i])
            return 0;
    for (at += i; *at >= '0' && *at <= '9' && status < 1000; at++)
        status = status * 10 + (*at - '0');
    return status;
}
