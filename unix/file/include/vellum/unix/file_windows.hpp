// How reads and writes reach the bytes of a file's pages: a port that a kernel's segmap implements.
#pragma once

#include <span>

#include <vellum/object/object.hpp>
#include <vellum/space/space.hpp>
#include <vellum/unix/format.hpp>

namespace vellum::unix {

// A view of some bytes of an object, in the kernel's address space, whose pages are held meanwhile. The holder may
// sleep (it copies from and to programs).
struct FileWindow {
  std::span<std::byte> bytes;
  MemoryObject<Format>* object = nullptr;
  PageIndex first;              // the page that bytes.front() lies in
  std::uint64_t token[2] = {};  // the implementation's
};

enum class Changed : bool { no, yes };

class FileWindows {
 public:
  // Shows bytes from `offset` on: at least one, at most `size`, none beyond the object's end; the pages are brought in.
  // Errors: out_of_range (offset not before the end), no_memory, io_error.
  [[nodiscard]] virtual Result<FileWindow> acquire(MemoryObject<Format>& object, ByteCount offset, ByteCount size) = 0;
  // `changed`: bytes were written; the pages become dirty.
  virtual void release(const FileWindow& window, Changed changed) = 0;
  // The bytes from `from` to `to` are cut off, or nobody will ask for them: no page is kept for the next who does.
  virtual void forget(MemoryObject<Format>& object, ByteCount from, ByteCount to) = 0;

 protected:
  ~FileWindows() = default;
};

// For machines that map all memory linearly: the page's own place there. A page at a time.
class LinearWindows final : public FileWindows {
 public:
  explicit LinearWindows(VirtualMemory<Format>& virtual_memory) : virtual_memory_(virtual_memory) {}
  Result<FileWindow> acquire(MemoryObject<Format>& object, ByteCount offset, ByteCount size) override;
  void release(const FileWindow& window, Changed changed) override;
  void forget(MemoryObject<Format>& /*object*/, ByteCount /*from*/, ByteCount /*to*/) override {}

 private:
  [[nodiscard]] std::optional<Pfn> lookup(MemoryObject<Format>& object, PageIndex index, Access access);
  void release_frame(Pfn frame);

  VirtualMemory<Format>& virtual_memory_;
};

}  // namespace vellum::unix
