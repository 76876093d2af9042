// How much memory is promised, and what is refused because of it (vm.overcommit_memory).
#include <sys/ipc.h>
#include <sys/shm.h>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr std::size_t kMegabyte = std::size_t{1} << 20;

const std::string kMode = "/proc/sys/vm/overcommit_memory";
const std::string kRatio = "/proc/sys/vm/overcommit_ratio";
const std::string kKilobytes = "/proc/sys/vm/overcommit_kbytes";

// A figure of /proc/meminfo, in kB.
long figure(const std::string& name) {
  const std::string text = read_file("/proc/meminfo");
  const std::size_t at = text.find(name + ":");
  EXPECT(at != std::string::npos);
  return std::atol(text.c_str() + at + name.size() + 1);
}

// What write(2) says.
int error_of_write(const std::string& path, const std::string& text) {
  const int file = static_cast<int>(MUST(open(path.c_str(), O_WRONLY)));
  const ssize_t written = write(file, text.data(), text.size());
  const int error = written < 0 ? errno : 0;
  EXPECT(error != 0 || written == static_cast<ssize_t>(text.size()));
  close(file);
  return error;
}
void set(const std::string& path, const std::string& text) { EXPECT_EQ(error_of_write(path, text), 0); }

// Runs `body` in a child, and then makes the settings what they were.
template <class Body>
void with_settings(Body body) {
  const std::string mode = read_file(kMode);
  const std::string ratio = read_file(kRatio);
  const pid_t child = start_child(body);
  const int status = status_of(child);
  set(kMode, mode);
  set(kRatio, ratio);
  EXPECT_EQ(status, 0);
}

// Permits so many megabytes more than are promised now.
void permit_more(long megabytes) {
  set(kKilobytes, std::to_string(figure("Committed_AS") + (megabytes << 10)));
  set(kMode, "2");
}

int error_of_map(std::size_t bytes, int prot = kReadWrite, int flags = kPrivate) {
  void* const at = mmap(nullptr, bytes, prot, flags, -1, 0);
  if (at == MAP_FAILED) {
    return errno;
  }
  MUST(munmap(at, bytes));
  return 0;
}

// How much more is promised after `action`, in megabytes.
template <class Action>
long promised_by(Action action) {
  const long before = figure("Committed_AS");
  action();
  return (figure("Committed_AS") - before + 8 * 1024 + 512 * 1024) / (16 * 1024) * 16 - 512;  // of steps of 16
}

CASE("overcommit", "modes are 0, 1 and 2") {
  with_settings([] {
    for (const char* const wrong : {"3", "-1", "x", "", " ", "1x", "99999999999999999999"}) {
      EXPECT_EQ(error_of_write(kMode, wrong), *wrong == '\0' ? 0 : EINVAL);
    }
    for (const char* const right : {"1", "0\n", " 1", "0x1 ", "01"}) {
      set(kMode, right);
    }
    EXPECT_EQ(read_file(kMode), "1\n");
  });
}

CASE("overcommit", "settings are for root") {
  in_child([] {
    MUST(setuid(65534));
    EXPECT_EQ(open(kMode.c_str(), O_WRONLY), -1);
    EXPECT_EQ(errno, EACCES);
    EXPECT(!read_file(kMode).empty());
  });
}

CASE("overcommit", "the limit is a part of memory, or a number") {
  with_settings([] {
    set(kRatio, "30");
    const long pages = figure("MemTotal") / 4;
    EXPECT_EQ(figure("CommitLimit"), pages * 30 / 100 * 4 + figure("SwapTotal"));
    set(kKilobytes, "40960\n");
    EXPECT_EQ(figure("CommitLimit"), 40960 + figure("SwapTotal"));
    EXPECT_EQ(read_file(kRatio), "0\n");
    EXPECT_EQ(read_file(kKilobytes), "40960\n");
    EXPECT_EQ(error_of_write(kKilobytes, "many"), EINVAL);
    set(kRatio, "70");
    EXPECT_EQ(read_file(kKilobytes), "0\n");
    EXPECT_EQ(figure("CommitLimit"), pages * 70 / 100 * 4 + figure("SwapTotal"));
  });
}

CASE("overcommit", "what counts as promised") {
  char* memory = nullptr;
  EXPECT_EQ(promised_by([&] { memory = map(32 * kMegabyte); }), 32);
  EXPECT_EQ(promised_by([&] { MUST(mprotect(memory, 32 * kMegabyte, PROT_READ)); }), 0);
  EXPECT_EQ(promised_by([&] { MUST(mprotect(memory, 32 * kMegabyte, kReadWrite)); }), 0);
  EXPECT_EQ(promised_by([&] { MUST(munmap(memory, 16 * kMegabyte)); }), -16);
  EXPECT_EQ(promised_by([&] { memory = map(32 * kMegabyte, PROT_READ); }), 0);
  EXPECT_EQ(promised_by([&] { MUST(mprotect(memory, 16 * kMegabyte, kReadWrite)); }), 16);
  EXPECT_EQ(promised_by([&] { MUST(munmap(memory, 32 * kMegabyte)); }), -16);
  EXPECT_EQ(promised_by([&] { memory = map(32 * kMegabyte, kReadWrite, kPrivate | MAP_NORESERVE); }), 0);
  EXPECT_EQ(promised_by([&] { MUST(mprotect(memory, 32 * kMegabyte, PROT_READ)); }), 0);
  EXPECT_EQ(promised_by([&] { MUST(mprotect(memory, 32 * kMegabyte, kReadWrite)); }), 0);
}

CASE("overcommit", "shared memory counts by its size, files in memory by their pages") {
  char* memory = nullptr;
  EXPECT_EQ(promised_by([&] { memory = map(32 * kMegabyte, PROT_READ, kShared); }), 32);
  EXPECT_EQ(promised_by([&] { MUST(munmap(memory, 16 * kMegabyte)); }), 0);
  EXPECT_EQ(promised_by([&] { MUST(munmap(memory + 16 * kMegabyte, 16 * kMegabyte)); }), -32);
  EXPECT_EQ(promised_by([&] { memory = map(32 * kMegabyte, kReadWrite, kShared | MAP_NORESERVE); }), 0);
  EXPECT_EQ(promised_by([&] { std::memset(memory, 1, 16 * kMegabyte); }), 16);
  MUST(munmap(memory, 32 * kMegabyte));
  const int file = static_cast<int>(MUST(memfd_create("promised", 0)));
  EXPECT_EQ(promised_by([&] { MUST(ftruncate(file, 64 * kMegabyte)); }), 0);
  EXPECT_EQ(promised_by([&] { memory = map(64 * kMegabyte, kReadWrite, MAP_SHARED, file); }), 0);
  EXPECT_EQ(promised_by([&] { std::memset(memory, 1, 32 * kMegabyte); }), 32);
  EXPECT_EQ(promised_by([&] { MUST(ftruncate(file, 16 * kMegabyte)); }), -16);
  EXPECT_EQ(promised_by([&] { (void)map(16 * kMegabyte, kReadWrite, MAP_PRIVATE, file); }), 16);
  int segment = -1;
  EXPECT_EQ(promised_by([&] { segment = static_cast<int>(MUST(shmget(IPC_PRIVATE, 32 * kMegabyte, 0600))); }), 32);
  EXPECT_EQ(promised_by([&] { MUST(shmctl(segment, IPC_RMID, nullptr)); }), -32);
}

CASE("overcommit", "heaps, moves and children count") {
  EXPECT_EQ(promised_by([] { EXPECT(sbrk(16 * kMegabyte) != pointer_to(~std::uintptr_t{0})); }), 16);
  EXPECT_EQ(promised_by([] { EXPECT(sbrk(-static_cast<long>(16 * kMegabyte)) != nullptr); }), -16);
  void* memory = map(16 * kMegabyte);
  EXPECT_EQ(promised_by([&] { memory = mremap(memory, 16 * kMegabyte, 48 * kMegabyte, MREMAP_MAYMOVE); }), 32);
  EXPECT_EQ(promised_by([&] { memory = mremap(memory, 48 * kMegabyte, 32 * kMegabyte, 0); }), -16);
  const Turns turns;
  pid_t child = 0;
  EXPECT_EQ(promised_by([&] {
              child = start_child([&] {
                turns.await_parent();
                MUST(munmap(memory, 16 * kMegabyte));
                turns.give_parent();
                turns.await_parent();
              });
            }),
            32);
  EXPECT_EQ(promised_by([&] {
              turns.give_child();
              turns.await_child();
            }),
            -16);
  EXPECT_EQ(promised_by([&] {
              turns.give_child();
              EXPECT_EQ(status_of(child), 0);
            }),
            -16);
  MUST(madvise(memory, 32 * kMegabyte, MADV_DONTFORK));
  EXPECT_EQ(promised_by([&] { child = start_child([&] { turns.await_parent(); }); }), 0);
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

CASE("overcommit", "mode 0 refuses what is larger than memory, mode 1 nothing") {
  constexpr std::size_t kMuch = std::size_t{1} << 40;
  with_settings([] {
    set(kMode, "0");
    EXPECT_EQ(error_of_map(kMuch), ENOMEM);
    EXPECT_EQ(error_of_map(kMuch, PROT_READ), 0);
    EXPECT_EQ(error_of_map(kMuch, kReadWrite, kPrivate | MAP_NORESERVE), 0);
    EXPECT_EQ(error_of_map(kMuch, kReadWrite, kShared), ENOMEM);
    EXPECT_EQ(shmget(IPC_PRIVATE, kMuch, 0600), -1);
    EXPECT_EQ(errno, ENOMEM);
    set(kMode, "1");
    EXPECT_EQ(error_of_map(kMuch), 0);
    EXPECT_EQ(error_of_map(kMuch, kReadWrite, kShared), 0);
  });
}

CASE("overcommit", "mode 2 refuses what is beyond the limit") {
  with_settings([] {
    permit_more(64);
    EXPECT_EQ(error_of_map(32 * kMegabyte), 0);
    EXPECT_EQ(error_of_map(96 * kMegabyte), ENOMEM);
    EXPECT_EQ(error_of_map(96 * kMegabyte, PROT_READ), 0);
    EXPECT_EQ(error_of_map(96 * kMegabyte, PROT_NONE), 0);
    EXPECT_EQ(error_of_map(96 * kMegabyte, kReadWrite, kPrivate | MAP_NORESERVE), ENOMEM);
    EXPECT_EQ(error_of_map(96 * kMegabyte, PROT_READ, kShared), ENOMEM);
    EXPECT_EQ(error_of_map(96 * kMegabyte, kReadWrite, kShared | MAP_NORESERVE), ENOMEM);
    EXPECT_EQ(shmget(IPC_PRIVATE, 96 * kMegabyte, 0600), -1);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(shmget(IPC_PRIVATE, 96 * kMegabyte, 0600 | SHM_NORESERVE), -1);
    char* const memory = map(96 * kMegabyte, PROT_READ);
    EXPECT_EQ(mprotect(memory, 96 * kMegabyte, kReadWrite), -1);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(sbrk(96 * kMegabyte), pointer_to(~std::uintptr_t{0}));
    MUST(mprotect(memory, 40 * kMegabyte, kReadWrite));
    EXPECT_EQ(mremap(memory, 40 * kMegabyte, 96 * kMegabyte, MREMAP_MAYMOVE), MAP_FAILED);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(fork(), -1);
    EXPECT_EQ(errno, ENOMEM);
    MUST(munmap(memory, 40 * kMegabyte));
    in_child([] {});
  });
}

CASE("overcommit", "mode 2 ends files in memory") {
  with_settings([] {
    permit_more(32);
    const int file = static_cast<int>(MUST(memfd_create("promised", 0)));
    MUST(ftruncate(file, 96 * kMegabyte));
    char* const memory = map(96 * kMegabyte, kReadWrite, MAP_SHARED, file);
    const pid_t child = start_child([&] { std::memset(memory, 1, 96 * kMegabyte); });
    const int status = status_of(child);
    EXPECT(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGBUS);
    off_t at = 64 * static_cast<off_t>(kMegabyte);
    while (pwrite(file, "x", 1, at) == 1) {  // as much as the child left
      at += kPage;
      EXPECT(at < 80 * static_cast<off_t>(kMegabyte));
    }
    EXPECT_EQ(errno, ENOSPC);
  });
}

}  // namespace
}  // namespace guest
