// The channel to `vellum run` on the host: the run protocol over a virtio console.
#pragma once

#include <vellum/run/channel.hpp>

#include "kernel.hpp"

namespace vellum::kernel {

// Opens it, once; the devices were found. Errors: no_device: there is no console device; no_memory; what its driver
// says.
[[nodiscard]] Result<void> open_run_channel(run::Listener& listener);

// Once it is open.
[[nodiscard]] run::Channel& run_channel();

}  // namespace vellum::kernel
