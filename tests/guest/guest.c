/* Copyright (c) 2026, the ganeti.cluster authors
 * GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The whole of a test's guest: the first and only process of a virtual machine. It keeps a log on its disks, so that
 * after a move it can tell by itself whether anything was lost.
 *
 * On each writable disk (/dev/vd?, /dev/sd?), in blocks of 4 KiB, every one of which carries its own place and a checksum:
 *
 *   first MiB   "edge" blocks: whose log this is, how large the disk was; a copy that lost its beginning lacks them
 *   then        the log: a ring of records, one a block; record N is in slot N mod SLOTS
 *   then        what the command `fill` wrote
 *   last MiB    edge blocks again: a copy that was cut off lacks them
 *
 * A disk that is neither new (zeros at both ends) nor the guest's own is left alone. The log is the same on all disks.
 *
 * Records are written in batches of at most BATCH blocks; a batch is acknowledged, on the console, when all disks have
 * flushed it. A death may therefore leave a batch in pieces, but only slots of numbers that were never acknowledged:
 * the BATCH slots after the last whole record are nobody's, and every other slot must hold its record. At each start the
 * guest reads all of the log, says what it found, and goes on behind it. It judges only what is whole; whether what it
 * once acknowledged is still there is for the test to compare.
 *
 * The console speaks lines of JSON. {"event": ...}: "ready" once, "wrote" four times a second at most, "stopped", "failed",
 * "ignored". {"answer": COMMAND, ...} answers one line of input, "COMMAND [NUMBER] [#TAG]", and repeats the tag.
 *
 *   ready      the event again            status     what goes on
 *   verify     read all of it again       rate N     write N KiB/s from now on
 *   free       discard what fill wrote    fill N     write N MiB of noise (to each disk), which `verify` then checks as well
 *   poweroff   write the last record and switch off; the power button does the same
 *
 * Kernel arguments: guest.rate=N. For tests without a virtual machine the program also runs as an ordinary process,
 * `guest RATE FILE...`, with the files as its disks; `poweroff` or the end of its input end it.
 */
#define _GNU_SOURCE /* fallocate */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t u64;

#define BLOCK 4096
#define MIB (1024 * 1024)
#define EDGE (MIB / BLOCK)  /* blocks in each edge */
#define BATCH (MIB / BLOCK) /* records written between two flushes, at most */
#define LOG_MOST (32 * MIB)
#define SMALLEST (8 * MIB) /* of disks */
#define DISKS 16
#define INTERVAL 250 /* milliseconds between two acknowledgements, at least */
#define SECTOR_DISCARD _IO(0x12, 119) /* BLKDISCARD; musl has no linux/fs.h */
#define INSECURE 4                    /* GRND_INSECURE: do not wait for entropy */
#define EVENT_KEY 1
#define KEY_POWER 116

enum kind { EDGE_BLOCK = 1, DATA, STARTED, STOPPED, FILL };

/* 512 words. What a field means depends on the kind, but no two uses share one. */
struct block {
    u64 magic, kind;
    u64 log;      /* random, made when the first disk was new */
    u64 disk;     /* the disk's number */
    u64 place;    /* offset of this block on the disk */
    u64 number;   /* of the record or of the block of `fill`, from 1 */
    u64 batch;    /* the first number of the record's batch: all before it was flushed when it was written */
    u64 boot;     /* how many times the guest had started */
    u64 uptime, time; /* milliseconds since the start; since 1970 */
    u64 filled;   /* how many blocks of `fill` there were */
    u64 filling;  /* which `fill` they are from */
    u64 size;     /* edge: the disk's size */
    u64 start;    /* edge: the first record that this disk could have had */
    u64 spare;
    u64 checksum;
    u64 payload[496];
};

static const u64 magic = 0x6775657374206c67; /* "guest lg" */

static struct disk {
    int file;
    int device;     /* a block device, not a file */
    char name[64];
    u64 size;       /* as its edges tell */
    u64 really;     /* as it is */
    u64 start;
    u64 slots;
    u64 first, last; /* records found */
} disks[DISKS];
static int count;

static u64 log_id, boot = 1, last, filled, filling, rate, owed; /* owed: bytes times 1000 */
static u64 fill_wanted, fill_done, fill_sum;
static char fill_tag[32];
static int machine; /* whether this is a virtual machine */
static int failed, finished;
static struct block *buffer; /* BATCH blocks */
static char problem[200];    /* what is wrong with a disk, in words */
static char found[700];      /* what was found at the start, as JSON */

/* ---- console ---- */

static u64 now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (u64)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Writes a line. If nobody takes it for five seconds it is lost: a client that does not read must not stop the guest. */
static void say(const char *line)
{
    char text[1024];
    int length = snprintf(text, sizeof text, "%s\n", line), done = 0;
    while (done < length) {
        int wrote = write(1, text + done, length - done);
        if (wrote > 0)
            done += wrote;
        else if (errno == EAGAIN) {
            struct pollfd out = {1, POLLOUT, 0};
            if (poll(&out, 1, 5000) < 1)
                return;
        } else if (errno != EINTR)
            return;
    }
}

#define SAY(...) do { char line_[900]; snprintf(line_, sizeof line_, __VA_ARGS__); say(line_); } while (0)

static void fail(const char *what)
{
    failed = 1;
    SAY("{\"event\": \"failed\", \"what\": \"%s: %s\"}", what, strerror(errno));
}

static const char *word(int value) { return value ? "true" : "false"; }

/* ---- blocks ---- */

static u64 mixed(u64 x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

static u64 seed(const struct block *b) { return mixed(b->log ^ mixed(b->disk << 56 ^ b->kind << 48 ^ mixed(b->number ^ b->place << 20 ^ b->filling << 60))); }

static u64 checksum(const struct block *b)
{
    const u64 *words = (const u64 *)b;
    u64 sum = 0;
    for (int i = 0; i < 512; i++)
        if (words + i != &b->checksum)
            sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15 + (sum >> 29);
    return mixed(sum);
}

/* Gives a block its payload, which follows from what it is and cannot be compressed, and its checksum. */
static void seal(struct block *b)
{
    u64 at = seed(b);
    b->magic = magic;
    for (int i = 0; i < 496; i++)
        b->payload[i] = at = mixed(at + 0x9e3779b97f4a7c15);
    b->checksum = checksum(b);
}

static int intact(const struct block *b, u64 kind, u64 disk, u64 place)
{
    if (b->magic != magic || b->kind != kind || b->log != log_id || b->disk != disk || b->place != place || b->checksum != checksum(b))
        return 0;
    u64 at = seed(b);
    for (int i = 0; i < 496; i++)
        if (b->payload[i] != (at = mixed(at + 0x9e3779b97f4a7c15)))
            return 0;
    return 1;
}

static int zeros(const struct block *b)
{
    const u64 *words = (const u64 *)b;
    for (int i = 0; i < 512; i++)
        if (words[i])
            return 0;
    return 1;
}

static int is_record(u64 kind) { return kind == DATA || kind == STARTED || kind == STOPPED; }

/* ---- disks ---- */

static u64 slot(const struct disk *d, u64 number) { return MIB + number % d->slots * BLOCK; }

static u64 log_bytes(u64 size)
{
    u64 half = (size - 2 * MIB) / 2 / MIB * MIB;
    return half < LOG_MOST ? half : LOG_MOST;
}

static u64 fill_begin(const struct disk *d) { return MIB + d->slots * BLOCK; }
static u64 fill_room(const struct disk *d) { return (d->size - MIB - fill_begin(d)) / BLOCK; }

static int read_at(const struct disk *d, void *into, u64 length, u64 place)
{
    for (u64 done = 0; done < length;) {
        ssize_t got = pread(d->file, (char *)into + done, length - done, place + done);
        if (got <= 0)
            return 0;
        done += got;
    }
    return 1;
}

static int write_at(const struct disk *d, const void *from, u64 length, u64 place)
{
    for (u64 done = 0; done < length;) {
        ssize_t got = pwrite(d->file, (const char *)from + done, length - done, place + done);
        if (got <= 0)
            return 0;
        done += got;
    }
    return 1;
}

static void make_edge(int disk, u64 place)
{
    struct block *b = buffer;
    memset(b, 0, sizeof *b);
    b->kind = EDGE_BLOCK, b->log = log_id, b->disk = disk, b->place = place, b->size = disks[disk].size, b->start = disks[disk].start;
    seal(b);
}

static u64 edge_place(const struct disk *d, int index) { return index < EDGE ? (u64)index * BLOCK : d->size - MIB + (u64)(index - EDGE) * BLOCK; }

/* A disk is new if its first block is zeros, the others of its edges are zeros or what an interrupted make_new left, and it has no log. */
static int is_new(int disk)
{
    struct disk *d = &disks[disk];
    for (int i = 0; i < 2 * EDGE; i++) {
        u64 place = edge_place(d, i);
        if (!read_at(d, buffer, BLOCK, place))
            return 0;
        if (zeros(buffer))
            continue;
        log_id = buffer->log; /* of a log that was never begun */
        if (!i || !intact(buffer, EDGE_BLOCK, disk, place))
            return 0;
    }
    return read_at(d, buffer, BLOCK, MIB + BLOCK) && buffer->magic != magic; /* no record number 1: only its first block was lost */
}

/* Writes the edges; the block that makes the disk the guest's own comes last. */
static int make_new(int disk)
{
    struct disk *d = &disks[disk];
    for (int i = 2 * EDGE - 1; i >= 0; i--) {
        make_edge(disk, edge_place(d, i));
        if (!i && fsync(d->file))
            return 0;
        if (!write_at(d, buffer, BLOCK, edge_place(d, i)))
            return 0;
    }
    return !fsync(d->file);
}

static int wrong(int disk, const char *what, u64 number)
{
    snprintf(problem, sizeof problem, "disk %s: %s %" PRIu64, disks[disk].name, what, number);
    return 0;
}

static int check_edges(int disk)
{
    struct disk *d = &disks[disk];
    if (d->really < d->size)
        return wrong(disk, "it was cut off at byte", d->really);
    for (int i = 0; i < 2 * EDGE; i++) {
        u64 place = edge_place(d, i);
        if (!read_at(d, buffer, BLOCK, place) || !intact(buffer, EDGE_BLOCK, disk, place) || buffer->size != d->size)
            return wrong(disk, "the known pattern is missing at byte", place);
    }
    return 1;
}

/* Calls `each` with every block of a range that is read in pieces of a MiB; 0 if it could not be read. */
static int walk(int disk, u64 begin, u64 blocks, int (*each)(int disk, struct block *, u64 index))
{
    for (u64 i = 0; i < blocks; i += BATCH) {
        u64 n = blocks - i < BATCH ? blocks - i : BATCH;
        if (!read_at(&disks[disk], buffer, n * BLOCK, begin + i * BLOCK))
            return wrong(disk, "it cannot be read at byte", begin + i * BLOCK);
        for (u64 j = 0; j < n; j++)
            if (!each(disk, buffer + j, i + j))
                return 0;
    }
    return 1;
}

/* Where the log ends: numbers of its whole records by slot, then the newest batch that is there. */
static u64 numbers[LOG_MOST / BLOCK], newest, newest_batch, newest_boot, newest_kind, newest_time, newest_filled, newest_filling;

static int note(int disk, struct block *b, u64 index)
{
    numbers[index] = 0;
    if (b->magic != magic || !is_record(b->kind) || b->number % disks[disk].slots != index || !intact(b, b->kind, disk, MIB + index * BLOCK))
        return 1;
    numbers[index] = b->number;
    if (b->number > newest)
        newest = b->number, newest_batch = b->batch;
    return 1;
}

/* Finds first and last record of a disk's log and checks all in between. */
static int read_log(int disk)
{
    struct disk *d = &disks[disk];
    newest = newest_batch = 0;
    d->first = d->start, d->last = d->start - 1;
    if (!walk(disk, MIB, d->slots, note))
        return 0;
    if (!newest)
        return 1; /* died before the first record was complete, or its disk is new */
    for (d->last = newest_batch - 1; numbers[(d->last + 1) % d->slots] == d->last + 1;)
        d->last++;
    if (d->last + 1 + BATCH > d->slots && d->last + 1 + BATCH - d->slots > d->first)
        d->first = d->last + 1 + BATCH - d->slots;
    for (u64 n = d->first; n <= d->last; n++)
        if (numbers[n % d->slots] != n)
            return wrong(disk, "the log lacks record", n);
    return 1;
}

static int check_fill(int disk, struct block *b, u64 index)
{
    if (!intact(b, FILL, disk, fill_begin(&disks[disk]) + index * BLOCK) || b->number != index + 1 || b->filling != filling)
        return wrong(disk, "what fill wrote is damaged in block", index);
    fill_sum = mixed(fill_sum ^ b->checksum);
    return 1;
}

/* Reads the edges and the log of every disk. Finds each disk's first and last record. */
static int verify_log(void)
{
    for (int i = 0; i < count; i++)
        if (!check_edges(i) || !read_log(i))
            return 0;
    return 1;
}

static int verify_fill(void)
{
    fill_sum = 0;
    for (int i = 0; i < count; i++)
        if (!walk(i, fill_begin(&disks[i]), filled, check_fill))
            return 0;
    return 1;
}

static u64 first_record(void)
{
    u64 first = 0;
    for (int i = 0; i < count; i++)
        if (disks[i].first > first)
            first = disks[i].first;
    return first;
}

/* Opens a disk; tells whether it is one to write to. */
static int open_disk(const char *path)
{
    struct disk *d = &disks[count];
    struct stat about;
    int read_only = 0;
    if (stat(path, &about))
        return 0;
    d->device = S_ISBLK(about.st_mode);
    /* Past the caches of this kernel, where it has one of its own. */
    d->file = open(path, O_RDWR | O_CLOEXEC | (d->device ? O_DIRECT : 0));
    if (d->file < 0)
        return 0;
    if (d->device && (ioctl(d->file, BLKROGET, &read_only) || read_only || ioctl(d->file, BLKGETSIZE64, &d->really)))
        return 0;
    if (!d->device)
        d->really = about.st_size;
    const char *base = strrchr(path, '/');
    snprintf(d->name, sizeof d->name, "%s", base ? base + 1 : path);
    return 1;
}

/* Takes a disk as the guest's own, if it is: 1; or as a new one: 2; or leaves it alone: 0. */
static int take_disk(const char *path)
{
    struct disk *d = &disks[count];
    u64 known = log_id;
    int own = 0;
    if (!open_disk(path) || !read_at(d, buffer, BLOCK, 0))
        return 0;
    d->size = d->really / BLOCK * BLOCK;
    d->start = 1;
    if (buffer->magic == magic && buffer->kind == EDGE_BLOCK) {
        log_id = buffer->log;
        own = intact(buffer, EDGE_BLOCK, count, 0) && buffer->size >= SMALLEST;
        d->size = buffer->size, d->start = buffer->start;
    } else if (d->size >= SMALLEST && is_new(count))
        own = 2;
    if (known || own != 1)
        log_id = known; /* of the first disk; another's shows as damage */
    d->slots = log_bytes(d->size) / BLOCK;
    return own;
}

/* Finds the disks, makes new ones the guest's own, reads what is there. Returns whether all is whole; says what was found. */
static void take_all(char **paths, int number)
{
    int fresh[DISKS], any = 0, whole = 1;
    for (int i = 0; i < number && count < DISKS; i++) {
        int own = take_disk(paths[i]);
        if (!own) {
            SAY("{\"event\": \"ignored\", \"disk\": \"%s\"}", paths[i]);
            continue;
        }
        fresh[count++] = own == 2;
        any |= own == 1;
    }
    if (!count)
        whole = 0, snprintf(problem, sizeof problem, "no disk that is new or the guest's own");
    if (!log_id)
        while (!getrandom(&log_id, sizeof log_id, INSECURE) || !log_id)
            ;
    for (int i = 0; i < count && whole; i++) /* those with a log first */
        if (!fresh[i]) {
            whole = check_edges(i) && read_log(i);
            if (whole && (!last || disks[i].last < last))
                last = disks[i].last; /* what all have: a death can leave one ahead of another, by one batch */
        }
    if (whole && last) { /* what the last record tells */
        struct disk *d = disks;
        while (fresh[d - disks])
            d++;
        if (read_at(d, buffer, BLOCK, slot(d, last)))
            newest_boot = buffer->boot, newest_kind = buffer->kind, newest_time = buffer->time, filled = buffer->filled, filling = buffer->filling;
        boot = newest_boot + 1;
    }
    for (int i = 0; i < count && whole; i++)
        if (fresh[i]) {
            disks[i].start = disks[i].first = last + 1, disks[i].last = last;
            filled = 0;
            if (!make_new(i))
                whole = wrong(i, "it cannot be written; error", errno);
        }
    if (whole)
        whole = verify_fill();
    /* What a death left behind the last record must not be taken for records later on. */
    memset(buffer, 0, BLOCK);
    for (int i = 0; i < count && whole; i++) {
        for (u64 n = last + 1; n <= last + BATCH; n++)
            if (!write_at(&disks[i], buffer, BLOCK, slot(&disks[i], n)))
                whole = wrong(i, "it cannot be written; error", errno);
        if (fsync(disks[i].file))
            whole = wrong(i, "it cannot be flushed; error", errno);
    }
    failed = !whole;
    snprintf(found, sizeof found, "\"ok\": %s, \"what\": \"%s\", \"log\": \"%016" PRIx64 "\", \"new\": %s, \"disks\": %d, \"first\": %" PRIu64 ", \"last\": %" PRIu64
        ", \"stopped\": %s, \"boot\": %" PRIu64 ", \"filled_mib\": %" PRIu64 ", \"digest\": \"%016" PRIx64 "\", \"uptime_ms\": %" PRIu64 ", \"silent_ms\": %" PRIu64,
        word(whole), problem, log_id, word(!any), count, first_record(), last, word(newest_kind == STOPPED), boot, filled / (MIB / BLOCK), fill_sum,
        now(CLOCK_MONOTONIC), newest_time && now(CLOCK_REALTIME) > newest_time ? now(CLOCK_REALTIME) - newest_time : 0);
    SAY("{\"event\": \"ready\", %s}", found);
}

/* ---- writing ---- */

/* Writes the next n records to all disks and flushes them; only then is `last` theirs. */
static void append(enum kind kind, u64 n)
{
    for (int i = 0; i < count && !failed; i++) {
        struct disk *d = &disks[i];
        for (u64 done = 0; done < n && !failed;) {
            u64 place = slot(d, last + 1 + done), run = 0;
            for (; done + run < n && slot(d, last + 1 + done + run) == place + run * BLOCK; run++) {
                struct block *b = buffer + run;
                memset(b, 0, sizeof *b);
                b->kind = kind, b->log = log_id, b->disk = i, b->place = place + run * BLOCK, b->number = last + 1 + done + run, b->batch = last + 1;
                b->boot = boot, b->uptime = now(CLOCK_MONOTONIC), b->time = now(CLOCK_REALTIME), b->filled = filled, b->filling = filling;
                seal(b);
            }
            if (!write_at(d, buffer, run * BLOCK, place))
                fail("a record cannot be written");
            done += run;
        }
    }
    for (int i = 0; i < count && !failed; i++)
        if (fdatasync(disks[i].file))
            fail("a disk cannot be flushed");
    if (!failed)
        last += n;
}

static void fill_more(void)
{
    u64 n = fill_wanted - fill_done < BATCH ? fill_wanted - fill_done : BATCH;
    for (int i = 0; i < count && !failed; i++) {
        u64 place = fill_begin(&disks[i]) + fill_done * BLOCK;
        for (u64 j = 0; j < n; j++) {
            struct block *b = buffer + j;
            memset(b, 0, sizeof *b);
            b->kind = FILL, b->log = log_id, b->disk = i, b->place = place + j * BLOCK, b->number = fill_done + j + 1, b->filling = filling;
            seal(b);
        }
        if (!write_at(&disks[i], buffer, n * BLOCK, place))
            fail("what is to be filled cannot be written");
    }
    fill_done += n;
    if (fill_done < fill_wanted || failed)
        return;
    filled = fill_wanted, fill_wanted = 0;
    append(DATA, 1); /* flushes, and has the log tell of it */
    int whole = !failed && verify_fill();
    SAY("{\"answer\": \"fill\", \"to\": \"%s\", \"ok\": %s, \"what\": \"%s\", \"mib\": %" PRIu64 ", \"digest\": \"%016" PRIx64 "\"}",
        fill_tag, word(whole), problem, filled / (MIB / BLOCK), fill_sum);
}

/* Gives back what fill wrote. Whether a disk's provider takes it is another matter: asked for, not proven. */
static int discard(void)
{
    int all = 1;
    for (int i = 0; i < count; i++) {
        struct disk *d = &disks[i];
        u64 range[2] = {fill_begin(d), fill_room(d) * BLOCK};
        if (d->device ? ioctl(d->file, SECTOR_DISCARD, range) : fallocate(d->file, 3 /* punch, keep the size */, range[0], range[1]))
            all = 0;
    }
    return all;
}

static void stop(const char *why)
{
    if (!failed)
        append(STOPPED, 1);
    SAY("{\"event\": \"stopped\", \"why\": \"%s\", \"ok\": %s, \"last\": %" PRIu64 "}", why, word(!failed), last);
    finished = 1;
}

/* ---- commands ---- */

static void obey(char *line)
{
    char name[16] = "", tag[32] = "";
    u64 number = 0;
    char *mark = strchr(line, '#');
    if (mark) {
        *mark = 0;
        if (strspn(mark + 1, "0123456789abcdef") == strlen(mark + 1))
            snprintf(tag, sizeof tag, "%s", mark + 1);
    }
    int words = sscanf(line, "%15[a-z] %" SCNu64, name, &number);
    if (words < 1)
        return;
    if (!strcmp(name, "status"))
        SAY("{\"answer\": \"status\", \"to\": \"%s\", \"ok\": %s, \"log\": \"%016" PRIx64 "\", \"disks\": %d, \"last\": %" PRIu64 ", \"boot\": %" PRIu64
            ", \"rate\": %" PRIu64 ", \"filled_mib\": %" PRIu64 ", \"uptime_ms\": %" PRIu64 "}",
            tag, word(!failed), log_id, count, last, boot, rate, filled / (MIB / BLOCK), now(CLOCK_MONOTONIC));
    else if (!strcmp(name, "ready"))
        SAY("{\"answer\": \"ready\", \"to\": \"%s\", %s}", tag, found);
    else if (!strcmp(name, "rate") && words == 2) {
        rate = number, owed = 0;
        SAY("{\"answer\": \"rate\", \"to\": \"%s\", \"ok\": true, \"rate\": %" PRIu64 "}", tag, rate);
    } else if (!strcmp(name, "verify")) {
        int whole = !failed && verify_log() && verify_fill();
        if (whole && disks[0].last != last)
            whole = wrong(0, "its log ends at record", disks[0].last);
        SAY("{\"answer\": \"verify\", \"to\": \"%s\", \"ok\": %s, \"what\": \"%s\", \"log\": \"%016" PRIx64 "\", \"first\": %" PRIu64 ", \"last\": %" PRIu64
            ", \"filled_mib\": %" PRIu64 ", \"digest\": \"%016" PRIx64 "\"}",
            tag, word(whole), problem, log_id, first_record(), last, filled / (MIB / BLOCK), fill_sum);
    } else if (!strcmp(name, "fill") && words == 2 && !fill_wanted && !failed) {
        u64 blocks = number > 1 << 24 ? (u64)1 << 40 : number * (MIB / BLOCK), room = blocks;
        for (int i = 0; i < count; i++)
            room = fill_room(&disks[i]) < room ? fill_room(&disks[i]) : room;
        if (room < blocks || !blocks) {
            SAY("{\"answer\": \"fill\", \"to\": \"%s\", \"ok\": false, \"what\": \"from 1 to %" PRIu64 " MiB, please\"}", tag, room / (MIB / BLOCK));
            return;
        }
        filled = 0, filling++;
        append(DATA, 1); /* from now on nothing there need be whole */
        snprintf(fill_tag, sizeof fill_tag, "%s", tag);
        fill_wanted = blocks, fill_done = 0;
    } else if (!strcmp(name, "free") && !fill_wanted && !failed) {
        filled = 0;
        append(DATA, 1);
        SAY("{\"answer\": \"free\", \"to\": \"%s\", \"ok\": %s}", tag, word(discard()));
    } else if (!strcmp(name, "poweroff")) {
        SAY("{\"answer\": \"poweroff\", \"to\": \"%s\", \"ok\": true}", tag);
        stop("asked");
    } else
        SAY("{\"answer\": \"%s\", \"to\": \"%s\", \"ok\": false, \"what\": \"not now, or not known\"}", name, tag);
}

/* Takes what the console has; returns 0 when there will be no more. */
static int listen(void)
{
    static char line[128];
    static int length;
    char text[64];
    int got = read(0, text, sizeof text);
    if (got <= 0)
        return machine || (got < 0 && (errno == EAGAIN || errno == EINTR));
    for (int i = 0; i < got; i++) {
        if (text[i] == '\n' || text[i] == '\r') {
            line[length] = 0, length = 0;
            obey(line);
        } else if (length < (int)sizeof line - 1)
            line[length++] = text[i];
    }
    return 1;
}

static int pressed(int file)
{
    struct { u64 time[2]; uint16_t type, code; int32_t value; } event;
    int power = 0;
    while (read(file, &event, sizeof event) == sizeof event)
        power |= event.type == EVENT_KEY && event.code == KEY_POWER && event.value == 1;
    return power;
}

/* ---- the machine ---- */

/* Loads what /modules names, a file and its parameters a line, in this order. */
static void load_modules(void)
{
    char line[256];
    FILE *list = fopen("/modules", "r");
    while (list && fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = 0;
        char *parameters = strchr(line, ' ');
        if (parameters)
            *parameters++ = 0;
        int file = open(line, O_RDONLY | O_CLOEXEC);
        if (syscall(SYS_finit_module, file, parameters ? parameters : "", 0) && errno != EEXIST)
            SAY("{\"event\": \"ignored\", \"module\": \"%s\", \"what\": \"%s\"}", line, strerror(errno));
        close(file);
    }
}

static void begin_machine(glob_t *found)
{
    struct termios mode;
    char arguments[4096] = "";
    mount("proc", "/proc", "proc", 0, "");
    mount("dev", "/dev", "devtmpfs", 0, "");
    if (!tcgetattr(0, &mode)) {
        cfmakeraw(&mode);
        tcsetattr(0, TCSANOW, &mode);
    }
    int file = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    if (file >= 0 && read(file, arguments, sizeof arguments - 1) > 0) {
        char *given = strstr(arguments, "guest.rate=");
        rate = given ? strtoull(given + strlen("guest.rate="), NULL, 10) : 0;
    }
    load_modules();
    for (int tries = 0; tries < 500; tries++) { /* drivers find disks by themselves; ten seconds at most */
        glob("/dev/vd?", 0, NULL, found);
        glob("/dev/sd?", GLOB_APPEND, NULL, found);
        if (found->gl_pathc)
            return;
        usleep(20000);
    }
}

static void run(glob_t *keys)
{
    struct pollfd wait[DISKS + 1] = {{0, POLLIN, 0}};
    int waiting = 1;
    for (; waiting <= (int)keys->gl_pathc && waiting <= DISKS; waiting++)
        wait[waiting] = (struct pollfd){open(keys->gl_pathv[waiting - 1], O_RDONLY | O_NONBLOCK | O_CLOEXEC), POLLIN, 0};
    u64 before = now(CLOCK_MONOTONIC), written = before, told = before, told_last = last;
    while (!finished) {
        u64 at = now(CLOCK_MONOTONIC);
        owed += (at - before) * rate * 1024;
        before = at;
        u64 n = owed / 1000 / BLOCK;
        if (n > 2 * BATCH) /* the disks are slower than asked, or time stood still: no catching up */
            n = 2 * BATCH, owed = n * BLOCK * 1000;
        if (n && !failed && (n >= BATCH || at - written >= INTERVAL)) {
            n = n < BATCH ? n : BATCH;
            append(DATA, n);
            owed -= n * BLOCK * 1000, written = at;
        }
        if (last != told_last && at - told >= INTERVAL && !failed) {
            SAY("{\"event\": \"wrote\", \"last\": %" PRIu64 ", \"uptime_ms\": %" PRIu64 "}", last, now(CLOCK_MONOTONIC));
            told = at, told_last = last;
        }
        if (fill_wanted && !failed)
            fill_more();
        poll(wait, waiting, fill_wanted || owed / 1000 / BLOCK >= BATCH ? 0 : 50);
        if (wait[0].revents && !listen())
            return;
        for (int i = 1; i < waiting && !finished; i++)
            if (wait[i].revents && pressed(wait[i].fd))
                stop("power button");
    }
}

int main(int argc, char **argv)
{
    glob_t found = {0}, keys = {0};
    buffer = mmap(NULL, BATCH * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    machine = getpid() == 1;
    fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK);
    if (machine) {
        begin_machine(&found);
        glob("/dev/input/event*", 0, NULL, &keys);
        take_all(found.gl_pathv, found.gl_pathc);
    } else if (argc > 2) {
        rate = strtoull(argv[1], NULL, 10);
        take_all(argv + 2, argc - 2);
    } else
        return 2;
    if (!failed)
        append(STARTED, 1);
    run(&keys);
    if (machine) {
        tcdrain(1);
        reboot(RB_POWER_OFF);
    }
    return failed;
}
