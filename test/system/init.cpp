// The first process of a test's guest: mounts what programs expect, runs each line of /commands, powers the machine
// off. guest.py reads the lines that it prints.

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

void mount_at(const char* type, const char* folder) {
  ::mkdir(folder, 0755);
  if (::mount(type, folder, type, 0, nullptr) != 0) {
    std::printf("init: no %s at %s: %s\n", type, folder, std::strerror(errno));
  }
}

[[noreturn]] void execute(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const auto& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  std::printf("init: %s: %s\n", arguments[0], std::strerror(errno));
  std::_Exit(127);
}

// The exit status, or 128 + the signal, as a shell would say.
int run(const std::vector<std::string>& words) {
  const pid_t child = ::fork();
  if (child < 0) {
    std::printf("init: fork: %s\n", std::strerror(errno));
    return 126;
  }
  if (child == 0) {
    ::setsid();
    execute(words);
  }
  int status = 0;
  for (pid_t ended = 0; ended != child;) {  // orphans come here too
    ended = ::wait(&status);
    if (ended < 0 && errno != EINTR) {
      return 126;
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  mount_at("proc", "/proc");
  mount_at("devtmpfs", "/dev");
  mount_at("tmpfs", "/dev/shm");
  mount_at("tmpfs", "/tmp");
  ::setenv("PATH", "/bin", 1);
  std::ifstream commands("/commands");
  int number = 0;
  for (std::string line; std::getline(commands, line); ++number) {
    std::istringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) {
      words.push_back(word);
    }
    std::printf("init: run %d\n", number);
    const int status = run(words);
    std::printf("init: end %d %d\n", number, status);
  }
  ::reboot(RB_POWER_OFF);
  ::reboot(RB_AUTOBOOT);
  std::printf("init: the machine does not go off: %s\n", std::strerror(errno));
  return 1;
}
