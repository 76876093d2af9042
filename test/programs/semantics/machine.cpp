// What /proc and /sys say about the machine: its processors, its memory as a whole, what was counted since boot.
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdlib>
#include <map>
#include <sstream>
#include <vector>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

const std::string kCpus = "/sys/devices/system/cpu/";

void need_sys() {
  mkdir("/sys", 0755);
  struct stat status;
  if (stat(kCpus.c_str(), &status) != 0) {
    MUST(mount("sys", "/sys", "sysfs", 0, nullptr));
  }
}

unsigned cpu_count() {
  cpu_set_t set;
  MUST(sched_getaffinity(0, sizeof set, &set));
  return static_cast<unsigned>(CPU_COUNT(&set));
}

// "0-3" or "0", with its newline.
std::string range_of(unsigned count) { return count == 1 ? "0\n" : "0-" + std::to_string(count - 1) + "\n"; }

std::map<std::string, std::uint64_t> figures_of(const std::string& path) {
  std::istringstream text(read_file(path));
  std::map<std::string, std::uint64_t> figures;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t value = 0;
    EXPECT(static_cast<bool>(words >> name >> value));
    figures[name] = value;
  }
  return figures;
}

CASE("sys", "the processors that there are, as nproc and lscpu read them") {
  need_sys();
  const unsigned count = cpu_count();
  for (const char* const set : {"online", "possible", "present"}) {
    EXPECT_EQ(read_file(kCpus + set), range_of(count));
  }
  EXPECT_EQ(read_file(kCpus + "offline").back(), '\n');
  EXPECT(std::atoi(read_file(kCpus + "kernel_max").c_str()) >= static_cast<int>(count) - 1);
  unsigned folders = 0;
  DIR* const directory = opendir(kCpus.c_str());
  MUST(directory != nullptr ? 0 : -1);
  while (const dirent* const entry = readdir(directory)) {
    unsigned number = 0;
    int read = 0;
    folders += std::sscanf(entry->d_name, "cpu%u%n", &number, &read) == 1 && entry->d_name[read] == '\0' ? 1U : 0U;
  }
  closedir(directory);
  EXPECT_EQ(folders, count);
  struct stat status;
  EXPECT_ERRNO(stat((kCpus + "cpu" + std::to_string(count)).c_str(), &status), ENOENT);
  EXPECT_ERRNO(stat((kCpus + "0").c_str(), &status), ENOENT);
}

CASE("sys", "the topology of each processor") {
  need_sys();
  const unsigned count = cpu_count();
  for (unsigned cpu = 0; cpu < count; ++cpu) {
    const std::string folder = kCpus + "cpu" + std::to_string(cpu) + "/topology/";
    EXPECT_EQ(read_file(folder + "physical_package_id"), std::string("0\n"));
    EXPECT_EQ(read_file(folder + "core_id"), std::to_string(cpu) + "\n");
    EXPECT_EQ(read_file(folder + "thread_siblings_list"), std::to_string(cpu) + "\n");
    EXPECT_EQ(read_file(folder + "core_cpus_list"), std::to_string(cpu) + "\n");
    EXPECT_EQ(read_file(folder + "core_siblings_list"), range_of(count));
    EXPECT_EQ(read_file(folder + "package_cpus_list"), range_of(count));
    EXPECT_EQ(std::strtoul(read_file(folder + "thread_siblings").c_str(), nullptr, 16), 1UL << cpu);
    EXPECT_EQ(std::strtoul(read_file(folder + "core_siblings").c_str(), nullptr, 16), (1UL << count) - 1);
  }
}

CASE("sys", "where large pages are made is shown, and can be chosen") {
  need_sys();
  const std::string folder = "/sys/kernel/mm/transparent_hugepage/";
  EXPECT_EQ(read_file(folder + "hpage_pmd_size"), std::string("2097152\n"));
  const std::string before = read_file(folder + "enabled");
  EXPECT(before == "[always] madvise never\n" || before == "always [madvise] never\n" ||
         before == "always madvise [never]\n");
  const auto choose = [&](const char* word) {
    const int file = open((folder + "enabled").c_str(), O_WRONLY | O_CLOEXEC);
    MUST(file);
    const int error = write(file, word, std::strlen(word)) < 0 ? errno : 0;
    close(file);
    return error;
  };
  EXPECT_EQ(choose("never\n"), 0);
  EXPECT_EQ(read_file(folder + "enabled"), std::string("always madvise [never]\n"));
  EXPECT_EQ(choose("sometimes"), EINVAL);
  const int file = open((folder + "enabled").c_str(), O_WRONLY | O_CLOEXEC);
  EXPECT_ERRNO(fallocate(file, 0, 0, 4096), EOPNOTSUPP);
  EXPECT_ERRNO(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EOPNOTSUPP);
  close(file);
  EXPECT_EQ(choose("madvise"), 0);
  EXPECT_EQ(read_file(folder + "enabled"), std::string("always [madvise] never\n"));
  const std::size_t start = before.find('[') + 1;
  EXPECT_EQ(choose(before.substr(start, before.find(']') - start).c_str()), 0);
  EXPECT_EQ(read_file(folder + "enabled"), before);
}

CASE("proc", "cpuinfo: a paragraph for each processor, with what lscpu reads") {
  const std::string text = read_file("/proc/cpuinfo");
  unsigned processors = 0;
  for (std::size_t at = text.find("processor\t: "); at != std::string::npos; at = text.find("processor\t: ", at + 1)) {
    EXPECT_EQ(text.substr(at + 12, text.find('\n', at) - at - 12), std::to_string(processors));
    ++processors;
  }
  EXPECT_EQ(processors, cpu_count());
  for (const char* const name :
       {"vendor_id\t: ", "cpu family\t: ", "model\t\t: ", "model name\t: ", "stepping\t: ", "physical id\t: 0\n",
        "siblings\t: ", "core id\t\t: 0\n", "cpu cores\t: ", "fpu\t\t: yes\n", "wp\t\t: yes\n", "flags\t\t: ", " sse2 ",
        " fxsr ", " syscall ", " nx ", "clflush size\t: 64\n", "address sizes\t: ", " bits virtual\n"}) {
    EXPECT(text.find(name) != std::string::npos);
  }
}

CASE("proc", "stat: the processors' times add up to the first line") {
  std::istringstream text(read_file("/proc/stat"));
  std::vector<std::uint64_t> whole(10);
  std::vector<std::uint64_t> sum(10);
  unsigned processors = 0;
  std::map<std::string, std::uint64_t> others;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (!name.starts_with("cpu")) {
      words >> others[name];
      continue;
    }
    for (std::size_t column = 0; column < whole.size(); ++column) {
      std::uint64_t value = 0;
      EXPECT(static_cast<bool>(words >> value));
      (name == "cpu" ? whole : sum)[column] += value;
    }
    processors += name == "cpu" ? 0 : 1;
  }
  EXPECT_EQ(processors, cpu_count());
  for (std::size_t column = 0; column < whole.size(); ++column) {
    EXPECT(whole[column] <= sum[column] + 10 && sum[column] <= whole[column] + 10);  // rounded, and one after the other
  }
  for (const char* const name : {"intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked", "softirq"}) {
    EXPECT(others.contains(name));
  }
  EXPECT(others["processes"] > 0 && others["procs_running"] > 0 && others["ctxt"] > 0);
}

CASE("proc", "vmstat: faults and pages as they come and go") {
  const auto before = figures_of("/proc/vmstat");
  for (const char* const name :
       {"nr_free_pages", "nr_anon_pages", "nr_file_pages", "nr_shmem", "nr_page_table_pages", "nr_dirty", "pgpgin",
        "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault", "pgreuse"}) {
    EXPECT(before.contains(name));
  }
  constexpr std::size_t kPages = 512;
  char* const pages = map(kPages * kPage);
  MUST(madvise(pages, kPages * kPage, MADV_NOHUGEPAGE) == 0 || errno == EINVAL ? 0 : -1);
  for (std::size_t page = 0; page < kPages; page += 2) {
    pages[page * kPage] = 1;
  }
  const auto after = figures_of("/proc/vmstat");
  EXPECT(after.at("pgfault") >= before.at("pgfault") + kPages / 2);
  EXPECT(after.at("nr_anon_pages") + 64 >= before.at("nr_anon_pages") + kPages / 2);  // Linux counts late
  MUST(munmap(pages, kPages * kPage));
}

CASE("proc", "interrupts: a column for each processor, a row for the timer") {
  std::istringstream text(read_file("/proc/interrupts"));
  std::string line;
  EXPECT(static_cast<bool>(std::getline(text, line)));
  std::istringstream heads(line);
  unsigned columns = 0;
  for (std::string head; heads >> head;) {
    EXPECT_EQ(head, "CPU" + std::to_string(columns));
    ++columns;
  }
  EXPECT_EQ(columns, cpu_count());
  bool timer = false;
  while (std::getline(text, line)) {
    if (const std::size_t at = line.find("LOC:"); at <= 3) {
      timer = true;
      EXPECT(line.ends_with("   Local timer interrupts"));
      EXPECT_EQ(line.size(), at + 5 + 11 * columns + sizeof("  Local timer interrupts") - 1);
    }
  }
  EXPECT(timer);
}

}  // namespace
}  // namespace guest
