// /proc: the formats that programs parse, and that what they say is true.
#include <dirent.h>
#include <regex.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <vector>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

bool matches(const std::string& text, const std::string& pattern) {
  regex_t expression;
  EXPECT_EQ(regcomp(&expression, ("^" + pattern + "$").c_str(), REG_EXTENDED | REG_NOSUB), 0);
  const bool found = regexec(&expression, text.c_str(), 0, nullptr, 0) == 0;
  regfree(&expression);
  return found;
}

#define EXPECT_MATCH(text, pattern)                                                 \
  do {                                                                              \
    if (!matches((text), (pattern))) {                                              \
      guest::fail(__FILE__, __LINE__, "'" + (text) + "' is not like " + (pattern)); \
    }                                                                               \
  } while (false)

std::vector<std::string> lines_of(const std::string& path) {
  const std::string text = read_file(path);
  EXPECT(!text.empty() && text.back() == '\n');
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// --- maps

struct MapsLine {
  std::uintptr_t start = 0;
  std::uintptr_t end = 0;
  std::string rights;
  std::uint64_t offset = 0;
  unsigned long inode = 0;
  std::string name;
  std::string text;
};

MapsLine parse(const std::string& text) {
  MapsLine line;
  char rights[8] = {};
  unsigned major = 0;
  unsigned minor = 0;
  int read = 0;
  EXPECT_EQ(std::sscanf(text.c_str(), "%lx-%lx %4s %lx %x:%x %lu%n", &line.start, &line.end, rights, &line.offset,
                        &major, &minor, &line.inode, &read),
            7);
  line.rights = rights;
  line.text = text;
  const std::size_t name = text.find_first_not_of(' ', static_cast<std::size_t>(read));
  line.name = name == std::string::npos ? "" : text.substr(name);
  return line;
}

std::vector<MapsLine> maps(const std::string& path = "/proc/self/maps") {
  std::vector<MapsLine> all;
  for (const std::string& text : lines_of(path)) {
    all.push_back(parse(text));
  }
  return all;
}

// The line that holds the address; its `end` is 0 where there is none.
MapsLine line_at(const void* address) {
  for (const MapsLine& line : maps()) {
    if (value_of(address) >= line.start && value_of(address) < line.end) {
      return line;
    }
  }
  return {};
}

CASE("maps", "the format: widths, and the name at column 73") {
  for (const std::string& line : lines_of("/proc/self/maps")) {
    EXPECT_MATCH(
        line,
        "[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][ps] [0-9a-f]{8,} [0-9a-f]{2,}:[0-9a-f]{2,} [0-9]+ ( *[^ ].*)?");
    const std::size_t name = line.find_first_of("/[");
    EXPECT(name == std::string::npos ? line.size() < 73 : name == 73);
  }
}

CASE("maps", "in order and apart, at pages") {
  std::uintptr_t last = 0;
  for (const MapsLine& line : maps()) {
    EXPECT(line.start >= last && line.end > line.start);
    EXPECT_EQ((line.start | line.end) % kPage, 0U);
    last = line.end;
  }
}

CASE("maps", "text, data, heap and stack are what they are") {
  static int variable = 1;
  char local = 0;
  char path[4096] = {};
  MUST(readlink("/proc/self/exe", path, sizeof path - 1));
  const MapsLine text = line_at(reinterpret_cast<const void*>(&parse));
  EXPECT_EQ(text.rights, std::string("r-xp"));
  EXPECT_EQ(text.name, std::string(path));
  EXPECT(text.inode != 0);
  EXPECT_EQ(line_at(&variable).rights, std::string("rw-p"));
  const MapsLine stack = line_at(&local);
  EXPECT_EQ(stack.rights, std::string("rw-p"));
  EXPECT_EQ(stack.name, std::string("[stack]"));
  const MapsLine heap = line_at(static_cast<char*>(sbrk(0)) - 1);
  EXPECT_EQ(heap.rights, std::string("rw-p"));
  EXPECT_EQ(heap.name, std::string("[heap]"));
}

CASE("maps", "an anonymous mapping, its rights, its end") {
  char* pages = map(5 * kPage, PROT_READ | PROT_EXEC);
  MapsLine line = line_at(pages);
  EXPECT(line.start <= value_of(pages) && line.end >= value_of(pages) + 5 * kPage);
  EXPECT_EQ(line.rights, std::string("r-xp"));
  EXPECT_EQ(line.offset, 0U);
  EXPECT_EQ(line.inode, 0U);
  EXPECT_EQ(line.name, std::string());
  MUST(mprotect(pages + 2 * kPage, kPage, PROT_NONE));
  line = line_at(pages + 2 * kPage);
  EXPECT_EQ(line.start, value_of(pages) + 2 * kPage);
  EXPECT_EQ(line.end, value_of(pages) + 3 * kPage);
  EXPECT_EQ(line.rights, std::string("---p"));
  MUST(mprotect(pages + 2 * kPage, kPage, PROT_READ | PROT_EXEC));
  line = line_at(pages);
  EXPECT(line.start <= value_of(pages) && line.end >= value_of(pages) + 5 * kPage);  // one again
  MUST(munmap(pages, 5 * kPage));
  EXPECT_EQ(line_at(pages).end, 0U);
}

CASE("maps", "neighbours that mean the same are one line") {
  char* place = free_place(8 * kPage);
  for (std::size_t i = 0; i < 8; i++) {
    map(kPage, PROT_READ, kPrivate | MAP_FIXED, -1, 0, place + i * kPage);
  }
  const MapsLine line = line_at(place);
  EXPECT(line.start <= value_of(place) && line.end >= value_of(place) + 8 * kPage);
}

CASE("maps", "a file's mapping: offset, inode, path, and whether it was deleted") {
  const Folder folder;
  const int file = folder.file("name with spaces", std::string(4 * kPage, 'x'));
  const std::string path = folder.path("name with spaces");
  char* pages = map(2 * kPage, PROT_READ, MAP_SHARED, file, kPage);
  struct stat status = {};
  MUST(fstat(file, &status));
  MapsLine line = line_at(pages);
  EXPECT_EQ(line.rights, std::string("r--s"));
  EXPECT_EQ(line.offset, kPage);
  EXPECT_EQ(line.inode, status.st_ino);
  EXPECT_EQ(line.name, path);
  MUST(mprotect(pages + kPage, kPage, PROT_NONE));
  EXPECT_EQ(line_at(pages + kPage).offset, 2 * kPage);
  MUST(unlink(path.c_str()));
  EXPECT_EQ(line_at(pages).name, path + " (deleted)");
}

CASE("maps", "shared anonymous memory has a name") {
  const MapsLine line = line_at(map(kPage, kReadWrite, kShared));
  EXPECT_EQ(line.rights, std::string("rw-s"));
  EXPECT_EQ(line.name, std::string("/dev/zero (deleted)"));
}

CASE("maps", "of another process") {
  char* pages = map(3 * kPage, PROT_READ, kShared);
  const Turns turns;
  const pid_t child = start_child([&turns] { turns.await_parent(); });
  bool found = false;
  for (const MapsLine& line : maps("/proc/" + std::to_string(child) + "/maps")) {
    found = found || line.start == value_of(pages);
  }
  EXPECT(found);
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

CASE("maps", "a long list, read in small pieces, is whole") {
  char* pages = map(600 * kPage);
  for (std::size_t i = 0; i < 600; i += 2) {
    MUST(mprotect(pages + i * kPage, kPage, PROT_READ));
  }
  const int file = static_cast<int>(MUST(open("/proc/self/maps", O_RDONLY)));
  std::string text;
  char buffer[100];
  for (ssize_t n = 0; (n = read(file, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  EXPECT(std::count(text.begin(), text.end(), '\n') >= 600);
}

// --- status, stat, statm

std::string value_in(const std::string& path, const std::string& name) {
  for (const std::string& line : lines_of(path)) {
    if (line.compare(0, name.size() + 1, name + ":") == 0) {
      return line.substr(name.size() + 1);
    }
  }
  fail(__FILE__, __LINE__, path + " has no " + name);
}

CASE("status", "who I am") {
  const std::string path = "/proc/self/status";
  EXPECT_EQ(lines_of(path)[0],
            "Name:\t" + read_file("/proc/self/comm").substr(0, 15).erase(read_file("/proc/self/comm").size() - 1));
  EXPECT_EQ(value_in(path, "State"), std::string("\tR (running)"));
  EXPECT_EQ(value_in(path, "Tgid"), "\t" + std::to_string(getpid()));
  EXPECT_EQ(value_in(path, "Pid"), "\t" + std::to_string(getpid()));
  EXPECT_EQ(value_in(path, "PPid"), "\t" + std::to_string(getppid()));
  const std::string uid = "\t" + std::to_string(getuid());
  EXPECT_EQ(value_in(path, "Uid"), uid + uid + uid + uid);
  const std::string gid = "\t" + std::to_string(getgid());
  EXPECT_EQ(value_in(path, "Gid"), gid + gid + gid + gid);
  EXPECT_EQ(value_in(path, "Threads"), std::string("\t1"));
}

CASE("status", "sizes have their width") {
  for (const char* name : {"VmPeak", "VmSize", "VmHWM", "VmRSS", "VmData", "VmStk", "VmExe"}) {
    EXPECT_MATCH(value_in("/proc/self/status", name), "\t[ 0-9]{7}[0-9] kB");
  }
}

CASE("status", "signals blocked, ignored, caught") {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  MUST(sigprocmask(SIG_SETMASK, &set, nullptr));
  std::signal(SIGUSR1, SIG_IGN);
  std::signal(SIGUSR2, [](int) {});
  MUST(kill(getpid(), SIGHUP));
  const std::string path = "/proc/self/status";
  const auto bits = [&path](const char* name) {
    const std::string value = value_in(path, name);
    EXPECT_MATCH(value, "\t[0-9a-f]{16}");
    return std::stoull(value.substr(1), nullptr, 16);
  };
  EXPECT_EQ(bits("SigBlk"), 1ULL << (SIGHUP - 1));
  EXPECT_EQ(bits("ShdPnd"), 1ULL << (SIGHUP - 1));
  EXPECT(bits("SigIgn") & (1ULL << (SIGUSR1 - 1)));
  EXPECT(bits("SigCgt") & (1ULL << (SIGUSR2 - 1)));
  EXPECT(!(bits("SigCgt") & (1ULL << (SIGHUP - 1))));
}

std::vector<std::string> stat_fields(const std::string& path) {
  const std::string text = read_file(path);
  EXPECT_MATCH(text, "[0-9]+ \\(.*\\) [RSDTZ] [0-9 -]+\n");
  std::vector<std::string> fields = {text.substr(0, text.find(' ')), "name"};
  std::size_t at = text.rfind(')') + 2;
  while (at < text.size()) {
    const std::size_t end = text.find_first_of(" \n", at);
    fields.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return fields;
}

CASE("stat", "52 fields in one line") {
  const std::vector<std::string> fields = stat_fields("/proc/self/stat");
  EXPECT_EQ(fields.size(), 52U);
  EXPECT_EQ(fields[0], std::to_string(getpid()));
  EXPECT_EQ(fields[2], std::string("R"));
  EXPECT_EQ(fields[3], std::to_string(getppid()));
  EXPECT_EQ(fields[4], std::to_string(getpgrp()));
  EXPECT_EQ(fields[5], std::to_string(getsid(0)));
  EXPECT_EQ(fields[19], std::string("1"));  // threads
}

CASE("stat", "the virtual size is that of statm and status, and grows with a mapping") {
  const auto size = [] { return std::stoul(stat_fields("/proc/self/stat")[22]); };
  const unsigned long before = size();
  char* pages = map(100 * kPage);
  EXPECT_EQ(size(), before + 100 * kPage);
  const std::string statm = read_file("/proc/self/statm");
  EXPECT_MATCH(statm, "[0-9]+ [0-9]+ [0-9]+ [0-9]+ 0 [0-9]+ 0\n");
  EXPECT_EQ(std::stoul(statm) * kPage, before + 100 * kPage);
  EXPECT_EQ(std::stoul(value_in("/proc/self/status", "VmSize").substr(1)), (before + 100 * kPage) / 1024);
  MUST(munmap(pages, 100 * kPage));
  EXPECT_EQ(size(), before);
}

CASE("stat", "the resident size grows with touching, and minor faults count") {
  const auto resident = [] {
    const std::string statm = read_file("/proc/self/statm");
    return std::stol(statm.substr(statm.find(' ')));
  };
  char* pages = map(1000 * kPage);
  const long before = resident();
  const unsigned long faults = std::stoul(stat_fields("/proc/self/stat")[9]);
  for (std::size_t i = 0; i < 1000; i++) {
    poke(pages + i * kPage, 'x');
  }
  const long grown = resident() - before;
  EXPECT(grown >= 900 && grown <= 1200);
  EXPECT(std::stoul(stat_fields("/proc/self/stat")[9]) > faults);
}

CASE("stat", "a zombie is told as one, and goes") {
  const pid_t child = start_child([] {});
  const std::string path = "/proc/" + std::to_string(child) + "/stat";
  for (int i = 0; i < 1000 && stat_fields(path)[2] != "Z"; i++) {
    usleep(1000);
  }
  EXPECT_EQ(stat_fields(path)[2], std::string("Z"));
  status_of(child);
  EXPECT_ERRNO(open(path.c_str(), O_RDONLY), ENOENT);
}

CASE("stat", "one who sleeps is told as such") {
  const Turns turns;
  const pid_t child = start_child([&turns] { turns.await_parent(); });
  usleep(20000);
  EXPECT_EQ(stat_fields("/proc/" + std::to_string(child) + "/stat")[2], std::string("S"));
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

// --- the rest

CASE("proc", "exe leads to the program") {
  char path[4096] = {};
  EXPECT(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
  struct stat by_link = {};
  struct stat by_path = {};
  MUST(stat("/proc/self/exe", &by_link));
  MUST(stat(path, &by_path));
  EXPECT_EQ(by_link.st_ino, by_path.st_ino);
  EXPECT_EQ(read_file("/proc/self/exe").substr(1, 3), std::string("ELF"));
}

CASE("proc", "cmdline and environ are as exec was given them") {
  const std::string line = read_file("/proc/self/cmdline");
  EXPECT(!line.empty() && line.back() == '\0');
  EXPECT(std::string(line.c_str()).find("semantics") != std::string::npos);
  const std::string environment = read_file("/proc/self/environ");
  EXPECT(environment.empty() || environment.back() == '\0');
}

CASE("proc", "self is the process itself") {
  char target[32] = {};
  EXPECT(readlink("/proc/self", target, sizeof target - 1) > 0);
  EXPECT_EQ(std::string(target), std::to_string(getpid()));
  in_child([] { EXPECT_EQ(value_in("/proc/self/status", "Pid"), "\t" + std::to_string(getpid())); });
}

CASE("proc", "fd lists the open files and leads to them") {
  const Folder folder;
  const int file = folder.file("file", "text");
  int ends[2];
  MUST(pipe(ends));
  std::set<std::string> numbers;
  DIR* list = opendir("/proc/self/fd");
  EXPECT(list != nullptr);
  while (const dirent* entry = readdir(list)) {
    numbers.insert(entry->d_name);
  }
  closedir(list);
  for (const int one : {file, ends[0], ends[1]}) {
    EXPECT(numbers.contains(std::to_string(one)));
  }
  EXPECT(!numbers.contains("99"));
  const std::string path = "/proc/self/fd/" + std::to_string(file);
  char target[4096] = {};
  EXPECT(readlink(path.c_str(), target, sizeof target - 1) > 0);
  EXPECT_EQ(std::string(target), folder.path("file"));
  EXPECT_EQ(read_file(path), std::string("text"));
  std::memset(target, 0, sizeof target);
  EXPECT(readlink(("/proc/self/fd/" + std::to_string(ends[0])).c_str(), target, sizeof target - 1) > 0);
  EXPECT_MATCH(std::string(target), "pipe:\\[[0-9]+\\]");
}

CASE("proc", "cwd leads to the current folder") {
  const Folder folder;
  MUST(chdir(folder.path().c_str()));
  char target[4096] = {};
  EXPECT(readlink("/proc/self/cwd", target, sizeof target - 1) > 0);
  EXPECT_EQ(std::string(target), folder.path());
  MUST(chdir("/"));
}

CASE("proc", "lists the processes") {
  std::set<std::string> names;
  DIR* list = opendir("/proc");
  while (const dirent* entry = readdir(list)) {
    names.insert(entry->d_name);
  }
  closedir(list);
  EXPECT(names.contains(std::to_string(getpid())));
  EXPECT(names.contains(std::to_string(getppid())));
  EXPECT(names.contains("meminfo") && names.contains("self"));
}

// What a write to /proc/self/oom_score_adj gives: 0, or its error.
int adjust(const char* text) {
  const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  MUST(file);
  const ssize_t written = write(file, text, std::strlen(text));
  const int error = written < 0 ? errno : 0;
  close(file);
  return error;
}

CASE("proc", "oom_score_adj: how much rather a process is ended, and who may say less") {
  in_child([] {
    EXPECT_EQ(read_file("/proc/self/oom_score_adj"), std::string("0\n"));
    const int usual = std::stoi(read_file("/proc/self/oom_score"));
    EXPECT(usual >= 666 && usual < 700);
    EXPECT_EQ(adjust("1000"), 0);
    EXPECT_EQ(read_file("/proc/self/oom_score_adj"), std::string("1000\n"));
    EXPECT(std::stoi(read_file("/proc/self/oom_score")) > 1200);
    in_child([] { EXPECT_EQ(read_file("/proc/self/oom_score_adj"), std::string("1000\n")); });
    EXPECT_EQ(adjust("-500\n"), 0);
    EXPECT(std::stoi(read_file("/proc/self/oom_score")) < 400);
    EXPECT_EQ(adjust("-1000"), 0);
    EXPECT_EQ(read_file("/proc/self/oom_score"), std::string("0\n"));
    EXPECT_EQ(adjust("1001"), EINVAL);
    EXPECT_EQ(adjust("-1001"), EINVAL);
    EXPECT_EQ(adjust("much"), EINVAL);
    EXPECT_EQ(adjust("-200"), 0);
    MUST(setgid(12345));
    MUST(setuid(12345));
    MUST(prctl(PR_SET_DUMPABLE, 1));
    EXPECT_EQ(adjust("-300"), EACCES);
    EXPECT_EQ(adjust("300"), 0);
    EXPECT_EQ(adjust("-200"), 0);
    EXPECT_EQ(read_file("/proc/self/oom_score_adj"), std::string("-200\n"));
  });
}

CASE("meminfo", "the format, and the first lines") {
  const std::vector<std::string> lines = lines_of("/proc/meminfo");
  for (const std::string& line : lines) {
    if (line.compare(0, 9, "HugePages") != 0) {
      EXPECT_MATCH(line, "[A-Za-z0-9_()]+: +[0-9]+ kB");
      EXPECT(line.size() == 27 || line.find(':') >= 15 || line.size() > 27);
    }
  }
  const char* const first[] = {
      "MemTotal:       ", "MemFree:        ", "MemAvailable:   ", "Buffers:        ", "Cached:         "};
  for (std::size_t i = 0; i < std::size(first); i++) {
    EXPECT_EQ(lines[i].substr(0, 16), std::string(first[i]));
    EXPECT_EQ(lines[i].size(), 27U);
  }
}

CASE("meminfo", "free is less than all, and less after touching") {
  const auto number = [](const char* name) { return std::stol(value_in("/proc/meminfo", name)); };
  EXPECT(number("MemTotal") > number("MemFree"));
  EXPECT(number("MemTotal") >= number("MemAvailable"));
  const long before = number("MemFree");
  char* pages = map(2000 * kPage);
  for (std::size_t i = 0; i < 2000; i++) {
    poke(pages + i * kPage, 'x');
  }
  const long taken = before - number("MemFree");
  EXPECT(taken > 4000 && taken < 20000);
}

}  // namespace
}  // namespace guest
