// The semantics suite: what a program can observe of the kernel through system calls, signals and /proc. One static
// binary that holds on Linux and on Vellum alike; so it assumes no address below 2^47.
#include "../support/test.hpp"
#include "role.hpp"

int main(int count, char** arguments, char** environment) {
  guest::play_role(count, arguments, environment);
  return guest::run_cases(count, arguments);
}
