// Pipes: bytes that go from writers to readers, with a name (FIFO) or without.
#pragma once

#include <vellum/unix/open_file.hpp>

namespace vellum::unix {

// The bytes of one pipe and who has it open. Its memory is taken as bytes come and given back as they go.
//
// Locks: lock_ (Mutex): all; programs' memory is copied under it.
class Pipe {
 public:
  static constexpr std::size_t kCapacity = 65536;
  static constexpr std::size_t kAtomic = 4096;  // PIPE_BUF: so many bytes are written at once or not at all

  explicit Pipe(FileMemory& memory) : memory_(memory) {}
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  // Which ends a file has open.
  struct Ends {
    bool read = false;
    bool write = false;
  };
  void open(Ends ends) VELLUM_EXCLUDES(lock_);
  void close(Ends ends) VELLUM_EXCLUDES(lock_);
  // FIFOs: waits until somebody has the other end open. Error: interrupted.
  [[nodiscard]] Result<void> wait_for_reader();
  [[nodiscard]] Result<void> wait_for_writer();
  [[nodiscard]] bool has_readers() VELLUM_EXCLUDES(lock_);

  [[nodiscard]] Result<void> read(Transfer& to, bool non_blocking);
  [[nodiscard]] Result<void> write(Transfer& from, bool non_blocking);
  [[nodiscard]] Events poll(Ends ends, Poller* poller);
  [[nodiscard]] std::size_t readable() VELLUM_EXCLUDES(lock_);

 private:
  static constexpr unsigned kPages = kCapacity / kPageSize;
  // True: the read or write is done, with `result`; false: it must wait.
  [[nodiscard]] bool try_read(Transfer& to, Result<void>& result) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] bool try_write(Transfer& from, Result<void>& result) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<void> take(Transfer& to) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<void> add(Transfer& from, std::size_t size) VELLUM_REQUIRES(lock_);
  void free_pages(unsigned keep) VELLUM_REQUIRES(lock_);

  FileMemory& memory_;
  WaitQueue readers_queue_;
  WaitQueue writers_queue_;
  Mutex lock_;
  std::byte* pages_[kPages] VELLUM_GUARDED_BY(lock_) = {};
  std::size_t first_ VELLUM_GUARDED_BY(lock_) = 0;
  std::size_t count_ VELLUM_GUARDED_BY(lock_) = 0;
  unsigned readers_ VELLUM_GUARDED_BY(lock_) = 0;
  unsigned writers_ VELLUM_GUARDED_BY(lock_) = 0;
  // How often an end was opened: who waits for the other end sees that it came, though it be gone again.
  std::uint64_t reader_opens_ VELLUM_GUARDED_BY(lock_) = 0;
  std::uint64_t writer_opens_ VELLUM_GUARDED_BY(lock_) = 0;
};

struct PipePair {
  Ref<OpenFile> read_end;
  Ref<OpenFile> write_end;
};
// pipe2(2); `flags`: non-blocking, direct. Error: no_memory.
[[nodiscard]] Result<PipePair> create_pipe(Files& files, std::uint32_t flags);

}  // namespace vellum::unix
