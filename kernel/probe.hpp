// Single accesses by the kernel that may fault, to see whether they do.
#pragma once

#include <vellum/base/prot.hpp>
#include <vellum/pc/trap.hpp>

namespace vellum::kernel {

enum class ProbeOutcome : std::uint8_t { done, faulted };

// Makes one access of the kernel at `address`: reads 4 bytes; reads and writes them back; or executes what must be
// `ret`. A page fault there, or a general-protection fault, ends the probe, whoever else might have resolved it.
[[nodiscard]] ProbeOutcome probe(Access access, VirtAddr address);

// For the trap handler: whether the fault is a probe's; it then goes on at the probe's end.
[[nodiscard]] bool end_probe(pc::TrapFrame& frame);

}  // namespace vellum::kernel
