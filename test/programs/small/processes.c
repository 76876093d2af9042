// A pipeline of processes, signals, and an exit handler.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t signals = 0;

static void count(int signal) { signals += signal == SIGUSR1; }

static void at_exit(void) { puts("at exit"); }

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "child") == 0) {
    printf("child with %s\n", getenv("GIVEN"));
    return 5;
  }
  atexit(at_exit);
  signal(SIGUSR1, count);
  int first[2];
  int second[2];
  if (pipe(first) != 0 || pipe(second) != 0) {
    perror("pipe");
    return 1;
  }
  fflush(stdout);
  if (fork() == 0) {
    close(first[1]);
    char c;
    while (read(first[0], &c, 1) == 1) {
      c = c == '\n' ? c : (char)(c + 1);
      if (write(second[1], &c, 1) != 1) {
        _exit(1);
      }
    }
    kill(getppid(), SIGUSR1);
    _exit(7);
  }
  close(first[0]);
  close(second[1]);
  if (write(first[1], "HAL\n", 4) != 4) {
    return 1;
  }
  close(first[1]);
  char text[16] = {0};
  size_t n = 0;
  for (ssize_t got; n < sizeof text - 1;) {
    got = read(second[0], text + n, sizeof text - 1 - n);
    if (got > 0) {
      n += (size_t)got;
    } else if (got == 0 || errno != EINTR) {
      break;
    }
  }
  printf("%s", text);
  int status = 0;
  while (wait(&status) < 0 && errno == EINTR) {
  }
  printf("status %d, signals %d\n", WEXITSTATUS(status), (int)signals);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    char option[] = "child";
    char name[] = "processes";
    char given[] = "GIVEN=something";
    char* arguments[] = {name, option, NULL};
    char* environment[] = {given, NULL};
    execve("/proc/self/exe", arguments, environment);
    _exit(99);
  }
  waitpid(child, &status, 0);
  printf("status %d\n", WEXITSTATUS(status));
  return 0;
}
