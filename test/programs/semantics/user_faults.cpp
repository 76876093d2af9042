// userfaultfd: pages that another thread supplies.
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <atomic>
#include <functional>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

int open_faults(int flags = 0) { return static_cast<int>(syscall(SYS_userfaultfd, flags)); }
// With the handshake done.
int agreed_faults(int flags = 0, unsigned long long features = 0) {
  const int faults = open_faults(flags);
  MUST(faults);
  uffdio_api api = {};
  api.api = UFFD_API;
  api.features = features;
  MUST(ioctl(faults, UFFDIO_API, &api));
  return faults;
}
int enrol(int faults, const char* at, std::size_t bytes, unsigned long long mode = UFFDIO_REGISTER_MODE_MISSING) {
  uffdio_register wanted = {};
  wanted.range = {value_of(at), bytes};
  wanted.mode = mode;
  return ioctl(faults, UFFDIO_REGISTER, &wanted);
}
int dismiss(int faults, const char* at, std::size_t bytes) {
  uffdio_range range = {value_of(at), bytes};
  return ioctl(faults, UFFDIO_UNREGISTER, &range);
}
uffdio_copy copy_of(const char* to, const char* from, std::size_t bytes, unsigned long long mode = 0) {
  uffdio_copy copy = {};
  copy.dst = value_of(to);
  copy.src = value_of(from);
  copy.len = bytes;
  copy.mode = mode;
  return copy;
}
int supply(int faults, const char* to, const char* from, std::size_t bytes = kPage) {
  uffdio_copy copy = copy_of(to, from, bytes);
  return ioctl(faults, UFFDIO_COPY, &copy);
}
int supply_zeros(int faults, const char* to, std::size_t bytes = kPage) {
  uffdio_zeropage zeros = {};
  zeros.range = {value_of(to), bytes};
  return ioctl(faults, UFFDIO_ZEROPAGE, &zeros);
}
uffd_msg message_of(int faults) {
  uffd_msg message = {};
  if (read(faults, &message, sizeof(message)) != sizeof(message)) {
    fail(__FILE__, __LINE__, "no message");
  }
  return message;
}
char* filled(char value) {
  char* const page = map(kPage);
  std::memset(page, value, kPage);
  return page;
}

class Thread {
 public:
  explicit Thread(std::function<void()> body) : body_(std::move(body)) {
    if (pthread_create(&thread_, nullptr, run, this) != 0) {
      fail(__FILE__, __LINE__, "pthread_create");
    }
  }
  ~Thread() { pthread_join(thread_, nullptr); }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  [[nodiscard]] pthread_t id() const { return thread_; }

 private:
  static void* run(void* self) {
    static_cast<Thread*>(self)->body_();
    return nullptr;
  }
  std::function<void()> body_;
  pthread_t thread_{};
};

CASE("userfaultfd", "a page is supplied to who reads it") {
  const int faults = agreed_faults();
  char* const memory = map(4 * kPage);
  char* const source = filled('s');
  EXPECT_EQ(enrol(faults, memory, 4 * kPage), 0);
  std::atomic<char> seen{0};
  {
    const Thread reader([&] { seen = peek(memory + kPage + 7); });
    const uffd_msg message = message_of(faults);
    EXPECT_EQ(message.event, UFFD_EVENT_PAGEFAULT);
    EXPECT_EQ(message.arg.pagefault.address, value_of(memory + kPage));
    EXPECT_EQ(message.arg.pagefault.flags, 0U);
    EXPECT_EQ(seen.load(), 0);
    uffdio_copy copy = copy_of(memory + kPage, source, kPage);
    EXPECT_EQ(ioctl(faults, UFFDIO_COPY, &copy), 0);
    EXPECT_EQ(copy.copy, static_cast<long long>(kPage));
  }
  EXPECT_EQ(seen.load(), 's');
  EXPECT(all_bytes(memory + kPage, kPage, 's'));
  poke(memory + kPage, 'w');
  EXPECT_EQ(peek(source), 's');
}

CASE("userfaultfd", "who writes says so, and may get zeros") {
  const int faults = agreed_faults();
  char* const memory = map(2 * kPage);
  EXPECT_EQ(enrol(faults, memory, 2 * kPage), 0);
  {
    const Thread writer([&] { poke(memory + 5, 'w'); });
    const uffd_msg message = message_of(faults);
    EXPECT_EQ(message.arg.pagefault.address, value_of(memory));
    EXPECT_EQ(message.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WRITE);
    EXPECT_EQ(supply_zeros(faults, memory), 0);
  }
  EXPECT_EQ(peek(memory + 5), 'w');
  EXPECT_EQ(peek(memory + 6), 0);
}

CASE("userfaultfd", "a system call waits for the page too") {
  const int faults = agreed_faults();
  char* const memory = map(kPage);
  char* const source = filled('s');
  EXPECT_EQ(enrol(faults, memory, kPage), 0);
  int ends[2];
  MUST(pipe(ends));
  std::atomic<long> written{-1};
  {
    const Thread writer([&] { written = write(ends[1], memory + 100, 50); });
    EXPECT_EQ(message_of(faults).arg.pagefault.address, value_of(memory));
    EXPECT_EQ(supply(faults, memory, source), 0);
  }
  EXPECT_EQ(written.load(), 50);
  char bytes[50];
  EXPECT_EQ(read(ends[0], bytes, sizeof(bytes)), 50);
  EXPECT(all_bytes(bytes, 50, 's'));
}

CASE("userfaultfd", "of a system call only where that is wanted") {
  const int faults = agreed_faults(UFFD_USER_MODE_ONLY);
  char* const memory = map(kPage);
  EXPECT_EQ(enrol(faults, memory, kPage), 0);
  int ends[2];
  MUST(pipe(ends));
  EXPECT_ERRNO(write(ends[1], memory, 50), EFAULT);
}

CASE("userfaultfd", "pages that are there are used as ever; what is discarded is missing") {
  const int faults = agreed_faults(O_NONBLOCK);
  char* const memory = map(2 * kPage);
  char* const source = filled('s');
  poke(memory, 'a');
  EXPECT_EQ(enrol(faults, memory, 2 * kPage), 0);
  EXPECT_EQ(peek(memory), 'a');
  uffd_msg message;
  EXPECT_ERRNO(read(faults, &message, sizeof(message)), EAGAIN);
  pollfd wanted = {faults, POLLIN, 0};
  EXPECT_EQ(poll(&wanted, 1, 0), 0);
  MUST(madvise(memory, kPage, MADV_DONTNEED));
  {
    std::atomic<char> seen{0};
    const Thread reader([&] { seen = peek(memory); });
    EXPECT_EQ(poll(&wanted, 1, 60'000), 1);
    EXPECT_EQ(wanted.revents, POLLIN);
    EXPECT_EQ(message_of(faults).arg.pagefault.address, value_of(memory));
    EXPECT_ERRNO(read(faults, &message, sizeof(message)), EAGAIN);
    EXPECT_EQ(supply(faults, memory, source), 0);
  }
  EXPECT_EQ(peek(memory), 's');
}

CASE("userfaultfd", "is waited for only where it does not block") {
  const int faults = agreed_faults();
  pollfd wanted = {faults, POLLIN, 0};
  EXPECT_EQ(poll(&wanted, 1, 0), 1);
  EXPECT_EQ(wanted.revents, POLLERR);
}

CASE("userfaultfd", "supplying: what is there stays, what is not registered is refused") {
  const int faults = agreed_faults();
  char* const memory = map(4 * kPage);
  char* const source = filled('s');
  poke(memory + kPage, 'a');
  EXPECT_EQ(enrol(faults, memory, 3 * kPage), 0);
  uffdio_copy copy = copy_of(memory + kPage, source, kPage);
  EXPECT_ERRNO(ioctl(faults, UFFDIO_COPY, &copy), EEXIST);
  EXPECT_EQ(copy.copy, -EEXIST);
  EXPECT_EQ(peek(memory + kPage), 'a');
  char* const more = map(2 * kPage);
  copy = copy_of(memory, more, 2 * kPage);
  EXPECT_ERRNO(ioctl(faults, UFFDIO_COPY, &copy), EAGAIN);  // the first one only
  EXPECT_EQ(copy.copy, static_cast<long long>(kPage));
  EXPECT_ERRNO(supply_zeros(faults, memory + kPage), EEXIST);
  EXPECT_ERRNO(supply(faults, memory + 3 * kPage, source), ENOENT);
  EXPECT_ERRNO(supply(faults, memory + 2 * kPage, more, 2 * kPage), ENOENT);
  EXPECT_ERRNO(supply(faults, memory + 2 * kPage + 8, source), EINVAL);
  EXPECT_ERRNO(supply(faults, memory + 2 * kPage, source, 100), EINVAL);
  EXPECT_ERRNO(supply(faults, memory + 2 * kPage, source, 0), EINVAL);
  EXPECT_ERRNO(supply(faults, memory + 2 * kPage, pointer_to(16)), EFAULT);
  copy = copy_of(memory + 2 * kPage, source, kPage, 64);
  EXPECT_ERRNO(ioctl(faults, UFFDIO_COPY, &copy), EINVAL);
  EXPECT_EQ(supply_zeros(faults, memory + 2 * kPage), 0);
  EXPECT_EQ(peek(memory + 2 * kPage), 0);
}

CASE("userfaultfd", "the handshake comes first, once") {
  const int faults = open_faults();
  MUST(faults);
  char* const memory = map(kPage);
  uffd_msg message;
  EXPECT_ERRNO(read(faults, &message, sizeof(message)), EINVAL);
  EXPECT_ERRNO(enrol(faults, memory, kPage), EINVAL);
  uffdio_api api = {};
  api.api = UFFD_API + 1;
  EXPECT_ERRNO(ioctl(faults, UFFDIO_API, &api), EINVAL);
  api = {};
  api.api = UFFD_API;
  api.features = 1ULL << 60;
  EXPECT_ERRNO(ioctl(faults, UFFDIO_API, &api), EINVAL);
  EXPECT_EQ(api.api, 0U);
  api.api = UFFD_API;
  api.features = 0;
  EXPECT_EQ(ioctl(faults, UFFDIO_API, &api), 0);
  EXPECT_EQ(api.ioctls & UFFD_API_IOCTLS, UFFD_API_IOCTLS);
  EXPECT_EQ(api.features & UFFD_FEATURE_SIGBUS, static_cast<unsigned long long>(UFFD_FEATURE_SIGBUS));
  api.api = UFFD_API;
  api.features = 0;
  EXPECT_ERRNO(ioctl(faults, UFFDIO_API, &api), EINVAL);
  EXPECT_ERRNO(read(faults, &message, 8), EINVAL);
  EXPECT_ERRNO(ioctl(faults, 12345, &api), EINVAL);
}

CASE("userfaultfd", "registering checks what is there") {
  const int faults = agreed_faults();
  char* const memory = map(4 * kPage);
  EXPECT_ERRNO(enrol(faults, memory, kPage, 0), EINVAL);
  EXPECT_ERRNO(enrol(faults, memory, kPage, 1ULL << 40), EINVAL);
  EXPECT_ERRNO(enrol(faults, memory + 1, kPage), EINVAL);
  EXPECT_ERRNO(enrol(faults, memory, kPage + 1), EINVAL);
  EXPECT_ERRNO(enrol(faults, memory, 0), EINVAL);
  EXPECT_ERRNO(enrol(faults, pointer_to(0), kPage), EINVAL);
  MUST(munmap(memory + kPage, kPage));
  EXPECT_ERRNO(enrol(faults, memory + kPage, kPage), EINVAL);
  EXPECT_EQ(enrol(faults, memory, 4 * kPage), 0);  // holes are passed over
  const int other = agreed_faults();
  EXPECT_ERRNO(enrol(other, memory + 2 * kPage, kPage), EBUSY);
  EXPECT_EQ(enrol(faults, memory + 2 * kPage, kPage), 0);
  EXPECT_EQ(dismiss(faults, memory + 2 * kPage, kPage), 0);
  EXPECT_EQ(enrol(other, memory + 2 * kPage, kPage), 0);
  char* const source = filled('s');
  EXPECT_EQ(supply(faults, memory + 3 * kPage, source), 0);
  EXPECT_EQ(supply(other, memory + 2 * kPage, source), 0);
}

CASE("userfaultfd", "pages with two files are each their own's") {
  const int one = agreed_faults();
  const int other = agreed_faults();
  char* const memory = map(3 * kPage);
  char* const source = filled('s');
  EXPECT_EQ(enrol(one, memory, 3 * kPage), 0);
  EXPECT_EQ(dismiss(one, memory + kPage, kPage), 0);
  EXPECT_EQ(enrol(other, memory + kPage, kPage), 0);
  for (const auto& [page, faults] : {std::pair(2, one), std::pair(1, other), std::pair(0, one)}) {
    char* const at = memory + static_cast<std::size_t>(page) * kPage;
    const Thread reader([&] { (void)peek(at); });
    EXPECT_EQ(message_of(faults).arg.pagefault.address, value_of(at));
    EXPECT_EQ(supply(faults, at, source), 0);
  }
}

CASE("userfaultfd", "unregistering lets those go on who wait") {
  const int faults = agreed_faults();
  char* const memory = map(kPage);
  EXPECT_EQ(enrol(faults, memory, kPage), 0);
  std::atomic<char> seen{1};
  {
    const Thread reader([&] { seen = peek(memory); });
    (void)message_of(faults);
    EXPECT_EQ(dismiss(faults, memory, kPage), 0);
  }
  EXPECT_EQ(seen.load(), 0);
}

CASE("userfaultfd", "closing does, too") {
  const int faults = agreed_faults();
  char* const memory = map(kPage);
  EXPECT_EQ(enrol(faults, memory, kPage), 0);
  std::atomic<char> seen{1};
  {
    const Thread reader([&] { seen = peek(memory); });
    (void)message_of(faults);
    MUST(close(faults));
  }
  EXPECT_EQ(seen.load(), 0);
}

CASE("userfaultfd", "who is woken without a page asks again") {
  const int faults = agreed_faults();
  char* const memory = map(kPage);
  char* const source = filled('s');
  EXPECT_EQ(enrol(faults, memory, kPage), 0);
  const Thread reader([&] { (void)peek(memory); });
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(message_of(faults).arg.pagefault.address, value_of(memory));
    uffdio_range range = {value_of(memory), kPage};
    EXPECT_EQ(ioctl(faults, UFFDIO_WAKE, &range), 0);
  }
  (void)message_of(faults);
  uffdio_copy copy = copy_of(memory, source, kPage, UFFDIO_COPY_MODE_DONTWAKE);
  EXPECT_EQ(ioctl(faults, UFFDIO_COPY, &copy), 0);
  uffdio_range range = {value_of(memory), kPage};
  EXPECT_EQ(ioctl(faults, UFFDIO_WAKE, &range), 0);
}

CASE("userfaultfd", "a signal where messages are not wanted") {
  const int faults = agreed_faults(0, UFFD_FEATURE_SIGBUS);
  char* const memory = map(kPage);
  EXPECT_EQ(enrol(faults, memory, kPage), 0);
  EXPECT_FAULT(read_fault(memory), SIGBUS, BUS_ADRERR, memory);
  EXPECT_FAULT(write_fault(memory + 9), SIGBUS, BUS_ADRERR, memory + 9);
  EXPECT_EQ(supply_zeros(faults, memory), 0);
  EXPECT_EQ(peek(memory), 0);
}

std::atomic<int> caught{0};

CASE("userfaultfd", "signals come while a thread waits") {
  const int faults = agreed_faults();
  char* const memory = map(kPage);
  char* const source = filled('s');
  EXPECT_EQ(enrol(faults, memory, kPage), 0);
  caught = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) { caught = caught + 1; };
  MUST(sigaction(SIGUSR1, &action, nullptr));
  std::atomic<char> seen{0};
  {
    const Thread reader([&] { seen = peek(memory); });
    (void)message_of(faults);
    MUST(pthread_kill(reader.id(), SIGUSR1));
    (void)message_of(faults);  // it tries again after the handler
    EXPECT_EQ(caught.load(), 1);
    EXPECT_EQ(supply(faults, memory, source), 0);
  }
  EXPECT_EQ(seen.load(), 's');
}

CASE("userfaultfd", "a child has the memory without the waiting, and may supply its parent's") {
  const int faults = agreed_faults();
  char* const memory = map(2 * kPage);
  char* const source = filled('s');
  EXPECT_EQ(enrol(faults, memory, 2 * kPage), 0);
  in_child([&] {
    EXPECT_EQ(peek(memory), 0);
    EXPECT_EQ(supply(faults, memory + kPage, source), 0);
    EXPECT_EQ(peek(memory + kPage), 0);
  });
  EXPECT_EQ(peek(memory + kPage), 's');
}

CASE("userfaultfd", "outlives its program") {
  int ends[2];
  MUST(pipe(ends));
  const int faults = agreed_faults();
  char* const memory = map(kPage);
  char* const source = filled('s');
  MUST(enrol(faults, memory, kPage));
  in_child([&] {
    const pid_t middle = start_child([&] { pause(); });
    kill(middle, SIGKILL);
    EXPECT_EQ(status_of(middle), SIGKILL);
    EXPECT_EQ(supply(faults, memory, source), 0);
  });
  EXPECT_EQ(peek(memory), 's');
}

CASE("userfaultfd", "pages that are moved are memory as any other") {
  const int faults = agreed_faults();
  char* const memory = map(2 * kPage);
  EXPECT_EQ(enrol(faults, memory, 2 * kPage), 0);
  char* const place = free_place(2 * kPage);
  EXPECT_EQ(mremap(memory, 2 * kPage, 2 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, place), static_cast<void*>(place));
  EXPECT_EQ(peek(place), 0);
  poke(place + kPage, 1);
}

CASE("userfaultfd", "is for who may") {
  EXPECT_ERRNO(open_faults(1 << 20), EINVAL);
  in_child([] {
    MUST(setgid(12345));
    MUST(setuid(12345));
    EXPECT_ERRNO(open_faults(), EPERM);
    const int faults = open_faults(UFFD_USER_MODE_ONLY);
    EXPECT(faults >= 0);
  });
}

}  // namespace
}  // namespace guest
