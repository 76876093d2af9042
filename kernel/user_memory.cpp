// Copies between the kernel and the program that runs: through the program's own mappings, so that what it may not
// touch faults here too.
#include <vellum/unix/user_memory.hpp>

#include "processor.hpp"

extern "C" {
std::size_t user_copy(void* to, const void* from, std::size_t size);
std::size_t user_copy_string(char* to, const char* from, std::size_t room);
}

namespace vellum::unix {

namespace {

constexpr std::size_t kFailed = ~std::size_t{0};

// Opens user memory to the kernel for its life, where the processor keeps it shut.
class UserAccess {
 public:
  UserAccess() {
    if (kernel::processor().features.smap) {
      pc::allow_user_access();
    }
  }
  ~UserAccess() {
    if (kernel::processor().features.smap) {
      pc::forbid_user_access();
    }
  }
  UserAccess(const UserAccess&) = delete;
  UserAccess& operator=(const UserAccess&) = delete;
};

[[nodiscard]] bool may_name(VirtAddr address, std::size_t size) {
  const AddressSpace<Format>* const space = kernel::running_space();
  const Result<VirtRange> range = VirtRange::checked(address, ByteCount(size));
  return space != nullptr && range.ok() && space->layout().contains(range.value());
}

template <class T>
T* user_pointer(VirtAddr address) {
  return reinterpret_cast<T*>(address.value());
}

}  // namespace

Result<void> copy_in(std::span<std::byte> to, VirtAddr from) {
  if (!may_name(from, to.size())) {
    return Errno::bad_address;
  }
  const UserAccess access;
  return user_copy(to.data(), user_pointer<const void>(from), to.size()) == 0 ? Result<void>() : Errno::bad_address;
}

Result<void> copy_out(VirtAddr to, std::span<const std::byte> from) {
  if (!may_name(to, from.size())) {
    return Errno::bad_address;
  }
  const UserAccess access;
  return user_copy(user_pointer<void>(to), from.data(), from.size()) == 0 ? Result<void>() : Errno::bad_address;
}

Result<void> clear_out(VirtAddr to, ByteCount size) {
  static constexpr std::byte kZeros[256] = {};
  for (ByteCount done{0}; done < size;) {
    const ByteCount piece = std::min(size - done, ByteCount(sizeof(kZeros)));
    VELLUM_TRY(copy_out(to + done, std::span(kZeros).first(piece.value())));
    done += piece;
  }
  return {};
}

Result<std::size_t> copy_in_string(std::span<char> to, VirtAddr from) {
  if (!may_name(from, 1)) {
    return Errno::bad_address;
  }
  // The string may end before a bound that reading on would cross.
  const SpaceLayout& layout = kernel::running_space()->layout();
  const VirtRange& part = layout.user[0].contains(from) ? layout.user[0] : layout.user[1];
  const std::size_t room = std::min<std::size_t>(to.size(), (part.end() - from).value());
  const UserAccess access;
  const std::size_t left = user_copy_string(to.data(), user_pointer<const char>(from), room);
  if (left == kFailed) {
    return Errno::bad_address;
  }
  if (left == 0) {
    return room == to.size() ? Errno::name_too_long : Errno::bad_address;
  }
  return room - left;
}

}  // namespace vellum::unix
