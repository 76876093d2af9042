// The standard streams of a program where they are no terminal on the host: to the program each is one end of a pipe,
// whose other end `vellum run` has.
#pragma once

#include <vellum/run/channel.hpp>
#include <vellum/unix/files.hpp>

#include "run_host.hpp"

namespace vellum::kernel {

// What streams need, for all of them.
struct RunStreams {
  run::Channel& channel;
  RunHost& host;
  // Bytes on their way from a program, kMostBody of them at once: one write after the other.
  std::span<std::byte> output_room;
  unix::Mutex output_lock;
  unix::Mutex input_lock;
};

enum class StreamEnd : std::uint8_t { input, output, error_output };

// An open file for one of them. `streams` outlives it. Error: no_memory.
[[nodiscard]] Result<unix::Ref<unix::OpenFile>> open_run_stream(unix::Files& files, RunStreams& streams, StreamEnd end);

}  // namespace vellum::kernel
