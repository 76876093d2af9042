// A hostile program: tries, as nobody, what no program may do. Each line says what was tried and what came of it; the
// last but one says that the kernel still does its work.
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "../support/test.hpp"

namespace {

constexpr int kNobody = 65534;

bool kernel_works() {
  const int child = fork();
  if (child == 0) {
    _exit(42);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

}  // namespace

int main(int count, char** arguments) {
  if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0)) {
    std::puts("not ok: root could not become nobody");
    return 1;
  }
  const int status = guest::run_cases(count, arguments);
  std::puts(kernel_works() ? "the kernel stays up" : "the kernel does not work any more");
  return status;
}
