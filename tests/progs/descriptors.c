// SPDX-License-Identifier: Apache-2.0
// Hard case 16: a descriptor means the same open file over dup, fork, SCM_RIGHTS, close_range and exec.
#include <sys/socket.h>
#include <sys/stat.h>

#include "check.h"

static ino_t inode(int fd) {
  struct stat st;
  return fstat(fd, &st) ? 0 : st.st_ino;
}

static int send_fd(int over, int fd) {
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(over, &message, 0) == 1 ? 0 : -1;
}

static int receive_fd(int from) {
  char byte, control[CMSG_SPACE(sizeof(int))];
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int fd = -1;
  if (recvmsg(from, &message, 0) == 1) memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

int main(int argc, char** argv) {
  if (argc > 1) {
    const int fd = atoi(argv[1]);
    return inode(fd) == strtoul(argv[2], NULL, 10) ? 4 : inode(fd) == 0 ? 5 : 6;
  }
  int ends[2], sockets[2];
  CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  const ino_t ino = inode(ends[0]);
  CHECK(inode(dup(ends[0])) == ino && inode(dup2(ends[0], 100)) == ino);
  CHECK(inode(fcntl(ends[0], F_DUPFD_CLOEXEC, 50)) == ino);

  pid_t child = fork();
  if (child == 0) _exit(send_fd(sockets[1], ends[0]) == 0 && inode(ends[0]) == ino ? 3 : 1);
  CHECK(ended(child) == 3);
  CHECK(inode(receive_fd(sockets[0])) == ino);

  char number[16], text[32];
  snprintf(text, sizeof text, "%lu", (unsigned long)ino);
  for (int cloexec = 0; cloexec < 2; ++cloexec) {
    const int fd = fcntl(ends[0], cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, 60);
    snprintf(number, sizeof number, "%d", fd);
    child = fork();
    if (child == 0) execl(argv[0], argv[0], number, text, NULL);
    CHECK(ended(child) == (cloexec ? 5 : 4));
  }
  child = fork();
  if (child == 0) {
    syscall(SYS_close_range, 3, ~0U, 0);
    _exit(inode(ends[0]) == 0 && open("/dev/null", O_RDONLY) == 3 ? 3 : 1);
  }
  CHECK(ended(child) == 3);
  printf("done\n");
}
