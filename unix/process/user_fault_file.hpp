// The open file of userfaultfd(2).
#pragma once

#include <vellum/unix/program.hpp>
#include <vellum/unix/user_faults.hpp>

namespace vellum::unix {

class UserFaultFile final : public OpenFile {
 public:
  // UFFD_FEATURE_*: a fault is SIGBUS instead of a message; messages name the thread; and the very address.
  static constexpr std::uint64_t kSignals = 1U << 7;
  static constexpr std::uint64_t kThreadIds = 1U << 8;
  static constexpr std::uint64_t kExactAddresses = 1U << 11;

  // A thread that waits for a page, on its own stack.
  struct Waiting {
    VirtAddr address;
    std::uint64_t flags;
    std::uint32_t thread;
    bool was_read = false;
    bool is_woken = false;
    ListLink link{};
  };

  UserFaultFile(FileMemory& memory, Path path, std::uint32_t flags, UserFaults& all, Program& program, bool user_only)
      : OpenFile(memory, std::move(path), flags), user_only_(user_only), all_(all), maker_{.program = &program} {
    all_.makers_.push_back(maker_);
  }

  Result<void> read(Transfer& to, ByteCount position) override;
  Result<std::uint64_t> ioctl(std::uint32_t request, std::uint64_t argument) override;
  Events poll(Poller* poller) override;

 private:
  friend UserFaults;
  friend FileMemory;
  ~UserFaultFile() = default;
  void destroy() override;

  [[nodiscard]] bool has(std::uint64_t feature) const { return (features_ & feature) != 0; }
  [[nodiscard]] Waiting* first_unread();
  // Lets those that wait for pages of a range try again.
  void wake(VirtRange range);
  [[nodiscard]] Result<VirtRange> checked_range(std::uint64_t start, std::uint64_t length) const;
  [[nodiscard]] Result<std::uint64_t> agree(VirtAddr argument);
  [[nodiscard]] Result<std::uint64_t> enrol(VirtAddr argument);
  [[nodiscard]] Result<void> permits_enrolling(VirtRange range, const UserFaultFile* only) const;
  [[nodiscard]] Result<std::uint64_t> dismiss(VirtAddr argument);
  [[nodiscard]] Result<std::uint64_t> wake_range(VirtAddr argument);
  [[nodiscard]] Result<std::uint64_t> copy(VirtAddr argument);
  [[nodiscard]] Result<std::uint64_t> fill_with_zeros(VirtAddr argument);
  // Pages of the calling program's memory from `source` on, or zeros; bytes supplied, or the error of the first page.
  [[nodiscard]] Result<std::uint64_t> supply(VirtRange range, std::optional<VirtAddr> source);
  [[nodiscard]] Result<std::uint64_t> finish(VirtRange range, Result<std::uint64_t> done, bool wakes, VirtAddr told);

  const bool user_only_;
  UserFaults& all_;
  UserFaults::Maker maker_;
  bool agreed_ = false;
  std::uint64_t features_ = 0;
  WaitQueue readers_;
  IntrusiveList<Waiting, &Waiting::link> waiting_;
};

}  // namespace vellum::unix
