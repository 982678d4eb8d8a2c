// Latency at a fixed rate, open loop: a query is due when the clock says so, whether or not the server has answered the ones before, and its
// latency counts from then. Prints the median, p99, p99.9 and the maximum in microseconds, and how many were lost.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { SOCKETS = 16, IDS = 65536, NAMES_MAX = 1 << 20 };

static int64_t due_ns[SOCKETS][IDS];
static uint8_t *queries[NAMES_MAX];
static uint16_t lengths[NAMES_MAX];

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int by_value(const void *a, const void *b) { return (*(int32_t *)a > *(int32_t *)b) - (*(int32_t *)a < *(int32_t *)b); }

static int encode(uint8_t *out, const char *name) {
    static const uint8_t head[12] = {0, 0, 1, 0, 0, 1};
    memcpy(out, head, 12);
    int at = 12;
    for (const char *label = name; *label;) {
        int length = strcspn(label, ".");
        out[at++] = length;
        memcpy(out + at, label, length);
        at += length;
        label += length + (label[length] == '.');
    }
    memcpy(out + at, "\0\0\1\0\1", 5);
    return at + 5;
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "usage: latency PORT QUERIES-A-SECOND SECONDS FILE-OF-NAMES\n"), 2;
    int64_t rate = atoi(argv[2]), total = rate * atoi(argv[3]), step = 1000000000LL / rate;
    FILE *file = fopen(argv[4], "r");
    char line[512];
    int names = 0;
    while (file && names < NAMES_MAX && fgets(line, sizeof line, file)) {
        uint8_t packet[600];
        line[strcspn(line, " \r\n")] = 0;
        if (!*line || strlen(line) > 250) continue;
        lengths[names] = encode(packet, line);
        memcpy(queries[names] = malloc(lengths[names]), packet, lengths[names]);
        names++;
    }
    if (!names) return fprintf(stderr, "no names\n"), 1;
    int socks[SOCKETS];
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < SOCKETS; i++) {
        socks[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (connect(socks[i], (struct sockaddr *)&server, sizeof server)) return perror("connect"), 1;
    }
    int32_t *latencies = malloc(total * sizeof *latencies);
    int64_t sent = 0, got = 0, start = now_ns(), end = start + step * total + 1000000000LL;
    while (now_ns() < end && (sent < total || got < total)) {
        for (int64_t now = now_ns(); sent < total && start + sent * step <= now; sent++) {
            int s = sent % SOCKETS;
            uint16_t id = sent / SOCKETS;
            uint8_t *packet = queries[sent % names];
            packet[0] = id >> 8, packet[1] = id;
            due_ns[s][id] = start + sent * step;
            send(socks[s], packet, lengths[sent % names], 0);
        }
        for (int s = 0; s < SOCKETS; s++) {
            uint8_t reply[4096];
            while (recv(socks[s], reply, sizeof reply, 0) >= 12) {
                int64_t *due = &due_ns[s][reply[0] << 8 | reply[1]];
                if (*due) latencies[got++] = (now_ns() - *due) / 1000;
                *due = 0;
            }
        }
    }
    qsort(latencies, got, sizeof *latencies, by_value);
    if (!got) return printf("no answers\n"), 1;
    printf("p50 %d p99 %d p99.9 %d max %d us, sent %ld lost %ld\n", latencies[got / 2], latencies[got * 99 / 100], latencies[got * 999 / 1000],
           latencies[got - 1], (long)sent, (long)(sent - got));
}
