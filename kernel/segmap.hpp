// segmap: reads and writes of files go through windows of 8 KB, which show the pages of the file's object.
#pragma once

#include <vellum/heap/file_windows.hpp>
#include <vellum/unix/file_windows.hpp>

#include "format.hpp"

namespace vellum::kernel {

// Where no window is free, a page is shown at its place in the direct map instead, so that nobody waits for another.
class Segmap final : public unix::FileWindows {
 public:
  using Windows = vellum::FileWindows<HardwareFormat>;
  using Object = MemoryObject<HardwareFormat>;

  Segmap(VirtualMemory<HardwareFormat>& system, Windows& windows) : system_(system), windows_(windows) {}

  Result<unix::FileWindow> acquire(Object& object, ByteCount offset, ByteCount size) override;
  void release(const unix::FileWindow& window, unix::Changed changed) override;
  void forget(Object& object, ByteCount from, ByteCount to) override;

 private:
  [[nodiscard]] std::optional<Pfn> lookup(Object& object, PageIndex index, Access access);
  [[nodiscard]] Result<Pfn> bring_in(Object& object, PageIndex index);
  void release_frame(Pfn frame);
  [[nodiscard]] bool show_next(Object& object, Windows::Window& window, PageIndex index);

  VirtualMemory<HardwareFormat>& system_;
  Windows& windows_;
};

}  // namespace vellum::kernel
