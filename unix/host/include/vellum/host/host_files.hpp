// The host's files as a lower layer: read-only, through a 9P server.
//
// A handle is a fid. A file is opened when it is first read. Reads fetch whole windows of 128 KB around what is asked
// for, because a round trip to the host costs more than the bytes: the pages that are asked for next are mostly among
// them. Listings keep the directory open between calls: the server's own positions may be any 64-bit numbers, so a
// position here is the number of the entry.
//
// Locks: a mutex, held while the server works.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <vellum/host/client.hpp>
#include <vellum/host/fid_table.hpp>
#include <vellum/unix/lower.hpp>
#include <vellum/unix/mutex.hpp>

namespace vellum::host {

class HostFiles final : public unix::Lower {
 public:
  static constexpr std::size_t kWindow = 131072;
  static constexpr unsigned kMostWindows = 16;
  // Request, reply of a listing.
  static constexpr std::size_t kMessages = 65536;

  // `memory` holds kMessages bytes and then windows, at least one; the transport can reach it. `source` gives memory
  // for tables. All outlive this.
  HostFiles(Transport& transport, std::span<std::byte> memory, PageSource& source);
  HostFiles(const HostFiles&) = delete;
  HostFiles& operator=(const HostFiles&) = delete;

  // Reaches the server; before anything else. Errors: not_supported, io_error, no_memory.
  [[nodiscard]] Result<void> start();

  [[nodiscard]] Result<unix::LowerNode> root() override VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<unix::LowerNode> lookup(unix::LowerHandle directory, std::string_view name) override
      VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<void> list(unix::LowerHandle directory, std::uint64_t position,
                                  unix::LowerListing& listing) override VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<std::size_t> read_link(unix::LowerHandle link, std::span<char> into) override
      VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<std::size_t> read(unix::LowerHandle file, ByteCount offset, std::span<std::byte> into) override
      VELLUM_EXCLUDES(lock_);
  void release(unix::LowerHandle handle) override VELLUM_EXCLUDES(lock_);
  [[nodiscard]] ByteCount piece_size() const override { return ByteCount(kWindow); }

 private:
  struct Window {
    std::optional<std::uint32_t> fid;
    std::uint64_t start = 0;  // in the file, a multiple of kWindow
    std::size_t size = 0;     // fewer than kWindow only at the end of the file
    std::uint64_t last_use = 0;
    std::span<std::byte> bytes;
  };
  // A directory that is being listed.
  struct Cursor {
    std::optional<std::uint32_t> directory;
    std::uint32_t fid = 0;       // open
    std::uint64_t position = 0;  // of the next entry
    std::uint64_t offset = 0;    // the same to the server
    std::uint64_t last_use = 0;
  };

  [[nodiscard]] Result<unix::LowerNode> describe(std::uint32_t fid) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<std::uint32_t> walk(std::uint32_t from, std::string_view name) VELLUM_REQUIRES(lock_);
  void drop(std::uint32_t fid) VELLUM_REQUIRES(lock_);

  [[nodiscard]] Result<Window*> window_at(std::uint32_t fid, std::uint64_t start) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<std::size_t> fill(std::uint32_t fid, std::uint64_t start, std::span<std::byte> into)
      VELLUM_REQUIRES(lock_);

  [[nodiscard]] Result<Cursor*> cursor_at(std::uint32_t directory, std::uint64_t position) VELLUM_REQUIRES(lock_);
  void close(Cursor& cursor) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<bool> list_more(Cursor& cursor, std::uint64_t from, unix::LowerListing& listing)
      VELLUM_REQUIRES(lock_);

  unix::Mutex lock_;
  Client client_ VELLUM_GUARDED_BY(lock_);
  FidTable fids_ VELLUM_GUARDED_BY(lock_);
  std::uint32_t root_fid_ VELLUM_GUARDED_BY(lock_) = 0;
  std::uint64_t uses_ VELLUM_GUARDED_BY(lock_) = 0;
  Window windows_[kMostWindows] VELLUM_GUARDED_BY(lock_);
  unsigned window_count_ VELLUM_GUARDED_BY(lock_) = 0;
  Cursor cursors_[4] VELLUM_GUARDED_BY(lock_);
};

}  // namespace vellum::host
