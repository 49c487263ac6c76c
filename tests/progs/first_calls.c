// SPDX-License-Identifier: Apache-2.0
// Hard case 31: a probe that is attached while a thread sleeps in a call sees the end of that call and all that the
// thread does next, and the call never learns of it. Where nobody may probe, the counts are what they should be.
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tracepoint.h"

enum { kCalls = 3, kPipe = 1 << 16, kMuch = 8 << 16 };

static int pipe_[2], pair[2], listener, queue, semaphore, lock;
static char fifo[40], file[64];
static struct shared { atomic_int word, woken, done; } * shared;

static char much[kMuch];
static const struct timespec kLong = {100, 0}, kShort = {0, 300000000};

static void nothing(int signal) {
  (void)signal;
}

// The calls that sleep, by the child, and what wakes it, by the parent.
static int byte_of_pipe(void) {
  char byte;
  return syscall(SYS_read, pipe_[0], &byte, 1) == 1;
}
static void write_byte(void) {
  CHECK(write(pipe_[1], "x", 1) == 1);
}
static int byte_of_socket(void) {
  char byte;
  return syscall(SYS_recvfrom, pair[0], &byte, 1, 0, NULL, NULL) == 1;
}
static int bytes_of_socket(void) {
  char bytes[8];
  return syscall(SYS_recvfrom, pair[0], bytes, 8, MSG_WAITALL, NULL, NULL) == 8;
}
static int message_of_socket(void) {
  char byte;
  struct iovec at = {&byte, 1};
  struct msghdr message = {.msg_iov = &at, .msg_iovlen = 1};
  return syscall(SYS_recvmsg, pair[0], &message, 0) == 1;
}
static int byte_in_time(void) {
  const struct timeval timeout = {100, 0};
  setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  return byte_of_socket();
}
static void send_byte(void) {
  CHECK(send(pair[1], "x", 1, 0) == 1);
}
static void send_rest(void) {
  CHECK(send(pair[1], "1234567", 7, 0) == 7);
}
static int accepted(void) {
  return syscall(SYS_accept4, listener, NULL, NULL, 0) >= 0;
}
static void connect_to(void) {
  struct sockaddr_un address;
  socklen_t size = sizeof address;
  getsockname(listener, (struct sockaddr*)&address, &size);
  CHECK(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)&address, size) == 0);
}
static int futex_woken(void) {
  return syscall(SYS_futex, &shared->word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0;
}
static int futex_in_time(void) {
  return syscall(SYS_futex, &shared->word, FUTEX_WAIT, 0, &kLong, NULL, 0) == 0;
}
// Whoever is being disturbed is not asleep for a moment.
static void wake_futex(void) {
  int woken = 0;
  for (int tries = 0; tries < 1000 && woken == 0; ++tries) {
    if (tries) sleep_ms(1);
    woken = (int)syscall(SYS_futex, &shared->word, FUTEX_WAKE, 1, NULL, NULL, 0);
  }
  CHECK(woken == 1);
}
static int polled(void) {
  struct pollfd ready = {pipe_[0], POLLIN, 0};
  return syscall(SYS_poll, &ready, 1, -1) == 1;
}
static int polled_in_time(void) {
  struct pollfd ready = {pipe_[0], POLLIN, 0};
  return syscall(SYS_ppoll, &ready, 1, &kLong, NULL, 8) == 1;
}
static int selected(void) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(pipe_[0], &set);
  return syscall(SYS_select, pipe_[0] + 1, &set, NULL, NULL, NULL) == 1;
}
static int epoll_of_pipe(void) {
  struct epoll_event event = {.events = EPOLLIN};
  const int fd = epoll_create1(0);
  epoll_ctl(fd, EPOLL_CTL_ADD, pipe_[0], &event);
  return fd;
}
static int epolled(void) {
  struct epoll_event event;
  return syscall(SYS_epoll_wait, epoll_of_pipe(), &event, 1, -1) == 1;
}
static int epolled_in_time(void) {
  struct epoll_event event;
  return syscall(SYS_epoll_pwait2, epoll_of_pipe(), &event, 1, &kLong, NULL, 8) == 1;
}
static int slept(void) {
  return syscall(SYS_nanosleep, &kShort, NULL) == 0;
}
static int slept_until(void) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += kShort.tv_nsec;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0;
}
static void wait_for_it(void) {}
static int fork_sleeper(void) {
  const int child = fork();
  if (child == 0) _exit(byte_of_pipe() ? 7 : 1);
  return child;
}
static int child_ended(void) {
  int status;
  const pid_t child = fork_sleeper();
  return syscall(SYS_wait4, -1, &status, 0, NULL) == child && WEXITSTATUS(status) == 7;
}
static int child_told(void) {
  siginfo_t info;
  fork_sleeper();
  return syscall(SYS_waitid, P_ALL, 0, &info, WEXITED, NULL) == 0 && info.si_status == 7;
}
static int child_of_vfork_ended(void) {
  const pid_t child = vfork();
  if (child == 0) {
    char byte;
    syscall(SYS_exit_group, syscall(SYS_read, pipe_[0], &byte, 1) == 1 ? 7 : 1);
  }
  int status;
  return waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7;
}
static pid_t sleeper;
static int paused(void) {
  return syscall(SYS_pause) < 0 && errno == EINTR;
}
static int suspended(void) {
  const uint64_t none = 0;
  return syscall(SYS_rt_sigsuspend, &none, 8) < 0 && errno == EINTR;
}
static int signal_taken(void) {
  const uint64_t set = 1 << (SIGUSR2 - 1);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  return syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8) == SIGUSR2;
}
static void handled_signal(void) {
  kill(sleeper, SIGUSR1);
}
static void waited_signal(void) {
  kill(sleeper, SIGUSR2);
}
static int file_locked(void) {
  const int own = open(file, O_RDONLY);
  return syscall(SYS_flock, own, LOCK_EX) == 0;
}
static int range_locked(void) {
  struct flock whole = {.l_type = F_WRLCK};
  return syscall(SYS_fcntl, lock, F_SETLKW, &whole) == 0;
}
static void unlock(void) {
  struct flock whole = {.l_type = F_UNLCK};
  CHECK(fcntl(lock, F_SETLK, &whole) == 0 && flock(lock, LOCK_UN) == 0);
}
static int fifo_opened(void) {
  return syscall(SYS_openat, AT_FDCWD, fifo, O_WRONLY) >= 0;
}
static void open_fifo(void) {
  CHECK(open(fifo, O_RDONLY | O_NONBLOCK) >= 0);
}
static int much_written(void) {
  return syscall(SYS_write, pipe_[1], much, kMuch) == kMuch;
}
static void read_much(void) {
  size_t all = 0;
  for (ssize_t n = 1; all < kMuch && n > 0; all += n) n = read(pipe_[0], much, kPipe);
  CHECK(all == kMuch);
}
static int much_sent(void) {
  return syscall(SYS_sendto, pair[0], much, kMuch, 0, NULL, 0) == kMuch;
}
static void receive_much(void) {
  CHECK(recv(pair[1], much, kMuch, MSG_WAITALL) == kMuch);
}
struct text {
  long type;
  char byte;
};
static int message_taken(void) {
  struct text text;
  return syscall(SYS_msgrcv, queue, &text, 1, 0, 0) == 1;
}
static void send_message(void) {
  const struct text text = {1, 'x'};
  CHECK(msgsnd(queue, &text, 1, 0) == 0);
}
static int semaphore_down(void) {
  struct sembuf down = {0, -1, 0};
  return syscall(SYS_semop, semaphore, &down, 1) == 0;
}
static int semaphore_in_time(void) {
  struct sembuf down = {0, -1, 0};
  return syscall(SYS_semtimedop, semaphore, &down, 1, &kLong) == 0;
}
static void semaphore_up(void) {
  struct sembuf up = {0, 1, 0};
  CHECK(semop(semaphore, &up, 1) == 0);
}

// `next`: a call that the sleeper makes then, another one each time, so that its filter must be widened.
static const struct {
  const char* name;
  long number;
  int (*sleeps)(void);
  void (*wake)(void);
  const char* next;
  long next_number;
  const char* how;
} cases[] = {
    {"read", SYS_read, byte_of_pipe, write_byte, "getpgid", SYS_getpgid, ""},
    {"recvfrom", SYS_recvfrom, byte_of_socket, send_byte, "getsid", SYS_getsid, ""},
    {"recvfrom", SYS_recvfrom, byte_in_time, send_byte, "getpriority", SYS_getpriority, ", in time"},
    {"recvfrom", SYS_recvfrom, bytes_of_socket, send_rest, "timer_delete", SYS_timer_delete, ", all of it"},
    {"recvmsg", SYS_recvmsg, message_of_socket, send_byte, "times", SYS_times, ""},
    {"accept4", SYS_accept4, accepted, connect_to, "umask", SYS_umask, ""},
    {"futex", SYS_futex, futex_woken, wake_futex, "personality", SYS_personality, ""},
    {"futex", SYS_futex, futex_in_time, wake_futex, "sysinfo", SYS_sysinfo, ", in time"},
    {"poll", SYS_poll, polled, write_byte, "getrusage", SYS_getrusage, ""},
    {"ppoll", SYS_ppoll, polled_in_time, write_byte, "getitimer", SYS_getitimer, ", in time"},
    {"select", SYS_select, selected, write_byte, "alarm", SYS_alarm, ""},
    {"epoll_wait", SYS_epoll_wait, epolled, write_byte, "getgroups", SYS_getgroups, ""},
    {"epoll_pwait2", SYS_epoll_pwait2, epolled_in_time, write_byte, "capget", SYS_capget, ", in time"},
    {"nanosleep", SYS_nanosleep, slept, wait_for_it, "sched_getparam", SYS_sched_getparam, ""},
    {"clock_nanosleep", SYS_clock_nanosleep, slept_until, wait_for_it, "sched_getattr", SYS_sched_getattr, ", until"},
    {"wait4", SYS_wait4, child_ended, write_byte, "sched_getscheduler", SYS_sched_getscheduler, ""},
    {"waitid", SYS_waitid, child_told, write_byte, "sched_get_priority_max", SYS_sched_get_priority_max, ""},
    {"vfork", SYS_vfork, child_of_vfork_ended, write_byte, "sched_get_priority_min", SYS_sched_get_priority_min, ""},
    {"pause", SYS_pause, paused, handled_signal, "sched_rr_get_interval", SYS_sched_rr_get_interval, ""},
    {"rt_sigsuspend", SYS_rt_sigsuspend, suspended, handled_signal, "timer_getoverrun", SYS_timer_getoverrun, ""},
    {"rt_sigtimedwait", SYS_rt_sigtimedwait, signal_taken, waited_signal, "mincore", SYS_mincore, ""},
    {"flock", SYS_flock, file_locked, unlock, "readahead", SYS_readahead, ""},
    {"fcntl", SYS_fcntl, range_locked, unlock, "getcpu", SYS_getcpu, ""},
    {"openat", SYS_openat, fifo_opened, open_fifo, "fadvise64", SYS_fadvise64, ""},
    {"write", SYS_write, much_written, read_much, "sync_file_range", SYS_sync_file_range, ", more than fits"},
    {"sendto", SYS_sendto, much_sent, receive_much, "timer_gettime", SYS_timer_gettime, ", more than fits"},
    {"msgrcv", SYS_msgrcv, message_taken, send_message, "inotify_rm_watch", SYS_inotify_rm_watch, ""},
    {"semop", SYS_semop, semaphore_down, semaphore_up, "ioprio_get", SYS_ioprio_get, ""},
    {"semtimedop", SYS_semtimedop, semaphore_in_time, semaphore_up, "get_robust_list", SYS_get_robust_list,
     ", in time"},
};

// Asleep in the very call: its state alone would also show a stop on the way.
static void until_asleep(pid_t pid) {
  for (int calm = 0; calm < 5; sleep_ms(5)) {
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE* file = fopen(path, "r");
    if (file && fscanf(file, "%*d %*s %c", &state) != 1) state = 0;
    if (file) fclose(file);
    calm = state == 'S' || state == 'D' ? calm + 1 : 0;
  }
}

static void prepare(void) {
  shared->word = shared->woken = shared->done = 0;
  CHECK(pipe(pipe_) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK(write(pair[1], "", 0) == 0);
  listener = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {AF_UNIX, ""};
  CHECK(bind(listener, (struct sockaddr*)&address, sizeof address.sun_family) == 0 && listen(listener, 1) == 0);
  struct flock whole = {.l_type = F_WRLCK};
  CHECK(flock(lock, LOCK_EX) == 0 && fcntl(lock, F_SETLK, &whole) == 0);
}

static void close_all(void) {
  kill(sleeper, SIGKILL);
  ended(sleeper);
  const int all[] = {pipe_[0], pipe_[1], pair[0], pair[1], listener};
  for (size_t n = 0; n < sizeof all / sizeof all[0]; ++n) close(all[n]);
}

// What takes hold of a return when the function is entered does not see the end of a call that began before.
static void returns_of_read(void) {
  prepare();
  sleeper = fork();
  if (sleeper == 0) {
    for (shared->done = 0; byte_of_pipe();) ++shared->done;
    _exit(1);
  }
  until_asleep(sleeper);
  const struct counter returns = count_returns(sleeper, "ksys_read");
  for (int n = 1; n <= 3; ++n) {
    write_byte();
    for (int ms = 0; shared->done < n && ms < 20000; ++ms) sleep_ms(1);
    until_asleep(sleeper);
  }
  printf("read: %ld of 3 returns\n", end_count(returns, 2));
  close_all();
}

static void one_case(size_t i) {
  prepare();
  sleeper = fork();
  if (sleeper == 0) {
    if (cases[i].sleeps == bytes_of_socket) send_byte();
    shared->woken = cases[i].sleeps();
    for (int n = 0; n < kCalls; ++n) syscall(cases[i].next_number, -1, -1, 0, 0, 0, 0);
    shared->done = 1;
    for (;;) pause();
  }
  until_asleep(sleeper);
  const struct counter end = count(sleeper, "exit", cases[i].name), begin = count(sleeper, "enter", cases[i].name);
  const struct counter entries = count(sleeper, "enter", cases[i].next), exits = count(sleeper, "exit", cases[i].next);
  until_asleep(sleeper);  // a futex that changes while it is on its way there would be EAGAIN, as after any signal
  cases[i].wake();
  for (int ms = 0; !shared->done && ms < 20000; ++ms) sleep_ms(1);
  const int again = cases[i].number == SYS_pause;  // the sleeper pauses at its end, too
  if (again) until_asleep(sleeper);
  printf("%s%s: %s, %ld entries, %ld exits; then %ld entries, %ld exits\n", cases[i].name, cases[i].how,
         shared->woken ? "as if nothing had happened" : "disturbed", end_count(begin, again) - again, end_count(end, 1),
         end_count(entries, kCalls), end_count(exits, kCalls));
  close_all();
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGUSR1, nothing);
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  snprintf(fifo, sizeof fifo, "/tmp/first_calls.%d", getpid());
  snprintf(file, sizeof file, "%s.lock", fifo);
  CHECK(mkfifo(fifo, 0600) == 0 && (lock = open(file, O_RDWR | O_CREAT, 0600)) >= 0);
  queue = msgget(IPC_PRIVATE, 0600);
  semaphore = semget(IPC_PRIVATE, 1, 0600);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) one_case(i);
  returns_of_read();
  msgctl(queue, IPC_RMID, NULL);
  semctl(semaphore, 0, IPC_RMID);
  unlink(fifo);
  unlink(file);
}
