// The memory of another process, for calls that reach into it (process_vm_readv and its like).
#pragma once

#include <span>

#include <vellum/unix/process_system.hpp>

namespace vellum::unix {

class RemoteMemory {
 public:
  RemoteMemory() = default;
  ~RemoteMemory();
  RemoteMemory(const RemoteMemory&) = delete;
  RemoteMemory& operator=(const RemoteMemory&) = delete;

  // From now on this is the process's memory, which stays as long as this lives; the calling thread may reach into it
  // if its process has the same users and groups in all roles as the caller's real ones, may be dumped, and has no
  // capability that the caller is not permitted; or if the caller may trace all. Once. Errors: no_process,
  // not_permitted.
  [[nodiscard]] Result<void> open(ProcessId id);

  // Copies bytes that lie in one page, with the rights that the process itself has there. Error: bad_address.
  [[nodiscard]] Result<void> read(VirtAddr from, std::span<std::byte> into);
  [[nodiscard]] Result<void> write(VirtAddr to, std::span<const std::byte> from);

 private:
  Program* program_ = nullptr;
};

}  // namespace vellum::unix
