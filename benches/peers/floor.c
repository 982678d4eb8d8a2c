// What two system calls and loopback cost: a batched UDP echo that sets QR. One thread; nothing of DNS but that bit.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BATCH = 64, OCTETS = 512 };

static char packets[BATCH][OCTETS];
static struct sockaddr_in peers[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr headers[BATCH];

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: floor PORT\n"), 2;
    int sock = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(sock, (struct sockaddr *)&here, sizeof here)) return perror("bind"), 1;
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){packets[i], OCTETS};
            headers[i].msg_hdr = (struct msghdr){&peers[i], sizeof peers[i], &parts[i], 1, 0, 0, 0};
        }
        int got = recvmmsg(sock, headers, BATCH, MSG_WAITFORONE, 0);
        for (int i = 0; i < got; i++) {
            packets[i][2] |= 0x80;
            parts[i].iov_len = headers[i].msg_len;
        }
        for (int sent = 0, more; sent < got && (more = sendmmsg(sock, headers + sent, got - sent, 0)) > 0;) sent += more;
    }
}
