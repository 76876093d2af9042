// Whether QEMU emulates the processor or KVM lends the host's.
//
// /dev/kvm may open and be of no use: where the host is a virtual machine itself, KVM may fail at an instruction, or be
// slower than emulation. So it is tried once: the kernel's self-test runs emulated and then under KVM, which must pass
// in less time. What came of it is kept in the user's cache folder, for this processor, this host kernel and this QEMU;
// where nothing can be kept, nothing is tried.
#pragma once

#include <string>

#include "run/options.hpp"

namespace vellum::tool {

// `tcg` or `kvm`. Takes up to two seconds where it tries, else nothing.
[[nodiscard]] Engine choose_engine(Engine wanted, const std::string& kernel);
// Why, where it was tried; else empty.
[[nodiscard]] std::string engine_reason();

}  // namespace vellum::tool
