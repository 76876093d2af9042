// What lies at an address, and what an access to it would mean: as data first (explain), then as words (text.hpp), so
// that the `vellum` command and a kernel's fault report say the same.
#pragma once

#include <cstdint>
#include <optional>

#include <vellum/base/prot.hpp>
#include <vellum/layout/address_map.hpp>

namespace vellum {

// What the number itself gives away about the mistake, with the meaning of Explanation::clue_value.
enum class Clue : std::uint8_t {
  none,
  null_pointer,       // a null pointer plus so many bytes
  negative_number,    // minus so much, taken for a pointer: often an error number
  on_stack,           // bytes below the top of the stack
  stack_overflow,     // bytes below the lowest place that the stack may reach
  tagged_pointer,     // non-canonical; this address is what remains without its upper 17 bits
  end_of_low_half,    // bytes from the hole
  overran_user_half,  // bytes above USERLIMIT, in the gap or the red zone
  physical_memory,    // the direct map of this physical address
  beyond_memory,      // the direct map of this physical address, which is above all memory
  device_registers,   // 0
  kernel_stack,       // 0: the lowest page of an allocation here is its red zone
};

// What an access leads to.
enum class Outcome : std::uint8_t {
  as_mapped,             // as the space's mappings say
  grows_stack,           // the stack grows down to the page, if its limit allows
  works_where_used,      // what is in use is mapped; elsewhere a panic
  works_on_memory,       // succeeds wherever there is memory at the physical address; otherwise a panic
  touches_device,        // succeeds, and the device may notice
  pages_in,              // a page that was paged out comes back; on a red zone or a free page, a panic
  reads_file,            // the page of the file comes in; an I/O error in a slot without a file
  only_in_user_copy,     // succeeds in the routines that copy from and to user memory, if mapped; elsewhere a panic
  copy_fails_or_panics,  // EFAULT from the routines that copy from and to user memory; elsewhere a panic
  signal_unmapped,       // SIGSEGV, SEGV_MAPERR
  signal_denied,         // SIGSEGV, SEGV_ACCERR
  signal_non_canonical,  // SIGSEGV, SI_KERNEL, without an address: a general-protection fault
  panics,
};

struct Explanation {
  VirtAddr address;
  const LayoutRegion* region;  // never nullptr; lives as long as the map
  // The nearest regions that are not `unused`, nullptr at the ends of the space, and the bytes from the address to the
  // first byte of the one above, and to one past the last byte of the one below (0: the address is the one after it).
  const LayoutRegion* above;
  const LayoutRegion* below;
  ByteCount to_above;
  ByteCount to_below;
  Clue clue;
  std::uint64_t clue_value;
};

// Nothing for an address that the processor cannot form: at 4 GB or above on i386.
[[nodiscard]] std::optional<Explanation> explain(const AddressMap& map, VirtAddr address);

// What happens when a program or the kernel itself reads, writes or executes somewhere in a region.
[[nodiscard]] Outcome outcome_of(const LayoutRegion& region, Privilege privilege, Access access);

}  // namespace vellum
