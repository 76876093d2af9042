// What several processors must agree on. One static binary that holds on Linux and on Vellum, with any number of them.
#include "roles.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include "../support/memory.hpp"
#include "../support/test.hpp"
#include "crew.hpp"

namespace guest {

void play_role() {
  if (std::getenv("PROCESSORS_ROLE") == nullptr) {
    return;
  }
  char* const page = map(kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE, -1, 0, pointer_to(kExecPage));
  for (int i = 0; i < 5; i++) {
    linger();
  }
  _exit(all_bytes(page, kPage, 0) ? 0 : 1);
}

void execute_role(const char* role) {
  const std::string variable = std::string("PROCESSORS_ROLE=") + role;
  const char* const arguments[] = {"processors", nullptr};
  const char* const environment[] = {variable.c_str(), nullptr};
  execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(environment));
  _exit(100);
}

}  // namespace guest

int main(int count, char** arguments) {
  guest::play_role();
  return guest::run_cases(count, arguments);
}
