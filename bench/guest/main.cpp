// A guest's /init that measures: each metric in a child, so that one that fails or crashes spoils no other. Prints a
// line for each and powers the machine off. Words of /metrics, if there is such a file, choose metrics by name.

#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "metrics.hpp"

namespace vellum::bench {
namespace {

std::vector<std::string> chosen_names() {
  std::vector<std::string> names;
  std::ifstream file("/metrics");
  for (std::string name; file >> name;) {
    names.push_back(name);
  }
  return names;
}

void run(const Metric& metric) {
  const pid_t pid = ::fork();
  if (pid < 0) {
    std::printf("metric %s failed fork\n", metric.name);
    return;
  }
  if (pid == 0) {
    ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // the unit of all metrics is the page of 4 KiB
    std::printf("begin %s\n", metric.name);
    metric.measure().print(metric.name);
    std::fflush(stdout);
    _Exit(0);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) != pid) {
  }
  if (WIFSIGNALED(status)) {
    std::printf("failed signal %d\n", WTERMSIG(status));
  }
}

}  // namespace
}  // namespace vellum::bench

int main(int count, char** words) {
  using namespace vellum::bench;
  if (count == 2 && std::strcmp(words[1], "--exit") == 0) {
    return 0;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 256);
  const auto names = chosen_names();
  for (const auto metrics : {process_metrics(), thread_metrics(), fault_metrics(), mapping_metrics()}) {
    for (const Metric& metric : metrics) {
      if (names.empty() || std::ranges::find(names, metric.name) != names.end()) {
        run(metric);
      }
    }
  }
  std::printf("done\n");
  ::reboot(RB_POWER_OFF);
  ::reboot(RB_AUTOBOOT);
  return 1;
}
