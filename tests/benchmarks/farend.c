/* The media far end of the benchmarks: telephones without a head.
 *
 * usage: farend PORT_CALLERS PORT_AGENTS
 *
 * Each port stands for many telephones: whoever sends RTP there is answered from there with PCMU, 50 packets a
 * second, and its arrivals are judged: packets lost, gaps between arrivals, the largest of them. One line of
 * JSON on SIGUSR1, after which counting begins anew; the end on SIGTERM. The sending clock ticks every 5 ms and
 * serves a quarter of the legs each time, so that packets of many legs do not leave in one burst.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { SIDES = 2, BATCH = 64, PHASES = 4, FRAME = 160, PACKET = 12 + FRAME, SILENT_NS = 1000000000 };

typedef struct {
    uint32_t live;        /* something came within the last second */
    uint32_t source;      /* SSRC heard */
    uint16_t heard, said; /* sequence numbers */
    uint32_t stamp, own;
    int64_t last, worst;
    uint64_t packets, lost, late; /* late: gaps over 40 ms */
    int phase;
} Leg;

typedef struct {
    int fd;
    Leg *legs; /* by source port; loopback only */
    uint16_t order[65536];
    int count;
} Side;

static volatile sig_atomic_t ask, stop;
static void on_signal(int number) { if (number == SIGUSR1) ask = 1; else stop = 1; }

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void open_side(Side *side, int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int bytes = 8 << 20;
    inet_aton("127.0.0.1", &at.sin_addr);
    side->fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(side->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(side->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (bind(side->fd, (struct sockaddr *)&at, sizeof at)) { perror("bind"); exit(1); }
    side->legs = calloc(65536, sizeof(Leg));
}

static void hear(Side *side, const uint8_t *data, int size, int port, int64_t at) {
    Leg *leg = &side->legs[port];
    if (size < 12 || (data[0] >> 6) != 2 || (data[1] & 0x7f) > 34) return; /* RTP audio only, no RTCP */
    uint16_t number = data[2] << 8 | data[3];
    uint32_t source;
    memcpy(&source, data + 8, 4);
    if (!leg->live) {
        leg->live = 1;
        leg->own = rand();
        leg->phase = side->count % PHASES;
        side->order[side->count++] = port;
    } else if (leg->source == source && at - leg->last < SILENT_NS) {
        int ahead = (int16_t)(number - leg->heard);
        if (ahead > 1) leg->lost += ahead - 1;
        int64_t gap = at - leg->last;
        if (gap > leg->worst) leg->worst = gap;
        leg->late += gap > 40000000;
    }
    leg->source = source;
    leg->heard = number;
    leg->last = at;
    leg->packets++;
}

static void receive(Side *side) {
    static uint8_t data[BATCH][2048];
    struct sockaddr_in from[BATCH];
    struct iovec parts[BATCH];
    struct mmsghdr heads[BATCH];
    for (int round = 0; round < 8; round++) {
        memset(heads, 0, sizeof heads);
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){data[i], sizeof data[i]};
            heads[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1, .msg_name = &from[i],
                                               .msg_namelen = sizeof from[i]};
        }
        int got = recvmmsg(side->fd, heads, BATCH, MSG_DONTWAIT, NULL);
        int64_t at = now();
        for (int i = 0; i < got; i++) hear(side, data[i], heads[i].msg_len, ntohs(from[i].sin_port), at);
        if (got < BATCH) return;
    }
}

static void speak(Side *side, int phase, int64_t at) {
    static uint8_t data[BATCH][PACKET];
    struct sockaddr_in to[BATCH];
    struct iovec parts[BATCH];
    struct mmsghdr heads[BATCH];
    int filled = 0;
    for (int i = 0; i <= side->count; i++) {
        if (i < side->count) {
            int port = side->order[i];
            Leg *leg = &side->legs[port];
            if (at - leg->last > SILENT_NS) { /* hung up: forget, the last one takes its place */
                leg->live = 0;
                side->order[i--] = side->order[--side->count];
                continue;
            }
            if (leg->phase != phase) continue;
            uint8_t *p = data[filled];
            uint16_t number = htons(leg->said++);
            uint32_t stamp = htonl(leg->stamp += FRAME);
            p[0] = 0x80; p[1] = 0;
            memcpy(p + 2, &number, 2); memcpy(p + 4, &stamp, 4); memcpy(p + 8, &leg->own, 4);
            memset(p + 12, 0xd5 ^ (leg->said & 0x1f), FRAME);
            to[filled] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
            to[filled].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            parts[filled] = (struct iovec){p, PACKET};
            memset(&heads[filled], 0, sizeof heads[filled]);
            heads[filled].msg_hdr = (struct msghdr){.msg_iov = &parts[filled], .msg_iovlen = 1,
                                                    .msg_name = &to[filled], .msg_namelen = sizeof to[filled]};
            filled++;
        }
        if (filled == BATCH || (i >= side->count && filled)) {
            sendmmsg(side->fd, heads, filled, 0);
            filled = 0;
        }
    }
}

static void tell(Side *sides, int64_t own_worst) {
    uint64_t packets = 0, lost = 0, late = 0;
    int64_t worst = 0;
    int legs = 0;
    for (int s = 0; s < SIDES; s++)
        for (int i = 0; i < sides[s].count; i++) {
            Leg *leg = &sides[s].legs[sides[s].order[i]];
            packets += leg->packets; lost += leg->lost; late += leg->late; legs++;
            if (leg->worst > worst) worst = leg->worst;
            leg->packets = leg->lost = leg->late = 0;
            leg->worst = 0;
        }
    printf("{\"legs\": %d, \"packets\": %lu, \"lost\": %lu, \"gaps_over_40ms\": %lu, \"worst_gap_ms\": %.1f, "
           "\"own_delay_ms\": %.1f}\n", legs, packets, lost, late, worst / 1e6, own_worst / 1e6);
    fflush(stdout);
}

int main(int count, char **words) {
    static Side sides[SIDES];
    if (count != 3) { fprintf(stderr, "usage: farend PORT_CALLERS PORT_AGENTS\n"); return 2; }
    signal(SIGUSR1, on_signal);
    signal(SIGTERM, on_signal);
    for (int s = 0; s < SIDES; s++) open_side(&sides[s], atoi(words[1 + s]));
    puts("{}");
    fflush(stdout);
    int64_t next = now(), own_worst = 0;
    for (int phase = 0; !stop;) {
        struct pollfd both[SIDES] = {{sides[0].fd, POLLIN, 0}, {sides[1].fd, POLLIN, 0}};
        int64_t left = next - now();
        if (left > 0) {
            struct timespec t = {0, left};
            ppoll(both, SIDES, &t, NULL);
        }
        for (int s = 0; s < SIDES; s++) receive(&sides[s]);
        if (ask) { ask = 0; tell(sides, own_worst); own_worst = 0; }
        int64_t at = now();
        if (at < next) continue;
        if (at - next > own_worst) own_worst = at - next;
        for (int s = 0; s < SIDES; s++) speak(&sides[s], phase, at);
        phase = (phase + 1) % PHASES;
        next += 5000000;
    }
    return 0;
}
