// A file and a swap device kept in host memory, and a way to push a page out: what a pager will do.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include <vellum/space/space.hpp>

#include "model.hpp"

namespace vellum::test {

// A device that holds what a FileModel says, and is told what the model will be told later.
class FilePager final : public Pager {
 public:
  FilePager(std::uint64_t number, ByteCount size) : content_(number, size), size_(size) {}

  Result<void> read(PageIndex index, std::span<std::byte> page) override {
    if (failing) {
      ++failures;
      return Errno::io_error;
    }
    std::memset(page.data(), 0, page.size());
    const PageWords words = content_.page(index);
    for (const std::uint64_t offset : PageWords::kOffsets) {
      const std::uint64_t word = words.at(offset);
      std::memcpy(page.data() + offset, &word, sizeof word);
    }
    return {};
  }
  Result<void> write(PageIndex index, std::span<const std::byte> page) override {
    if (failing) {
      ++failures;
      return Errno::no_space;
    }
    PageWords words;
    for (const std::uint64_t offset : PageWords::kOffsets) {
      std::uint64_t word = 0;
      std::memcpy(&word, page.data() + offset, sizeof word);
      words.set(offset, word);
    }
    words.cut(size_.value() - (index.value() << kPageShift));
    content_.set(index, words);
    return {};
  }

  PageIndex zeros_from() override { return content_.zeros_from(); }

  [[nodiscard]] const FileModel& content() const { return content_; }
  void resize(ByteCount size) {
    size_ = size;
    content_.cut(size);
  }

  bool failing = false;
  std::uint64_t failures = 0;

 private:
  FileModel content_;
  ByteCount size_;
};

// Slots count who names them; a slot that nobody names is free.
class SwapDevice final : public SwapStore {
 public:
  using Page = std::array<std::byte, kPageSize>;

  void retain(SwapSlot slot) override { ++at(slot).references; }
  void release(SwapSlot slot) override {
    if (--at(slot).references == 0) {
      free_.push_back(slot.value());
    }
  }
  Result<void> read(SwapSlot slot, std::span<std::byte> page) override {
    if (failing) {
      ++failures;
      return Errno::io_error;
    }
    std::memcpy(page.data(), at(slot).page->data(), page.size());
    return {};
  }

  // A slot named once.
  [[nodiscard]] SwapSlot put(std::span<const std::byte> page) {
    if (free_.empty()) {
      free_.push_back(slots_.size());
      slots_.push_back({.page = std::make_unique<Page>(), .references = 0});
    }
    const SwapSlot slot(free_.back());
    free_.pop_back();
    Slot& chosen = slots_[slot.value()];
    std::memcpy(chosen.page->data(), page.data(), page.size());
    chosen.references = 1;
    return slot;
  }
  [[nodiscard]] std::size_t used() const { return slots_.size() - free_.size(); }

  bool failing = false;
  std::uint64_t failures = 0;

 private:
  struct Slot {
    std::unique_ptr<Page> page;
    std::uint64_t references;
  };
  [[nodiscard]] Slot& at(SwapSlot slot) {
    VELLUM_CHECK(slot.value() < slots_.size() && slots_[slot.value()].references > 0);
    return slots_[slot.value()];
  }

  std::vector<Slot> slots_;
  std::vector<std::uint64_t> free_;
};

// Moves a page of private memory that one entry names to swap; a large page around it is split. `forget` makes all CPUs
// forget all translations. False where there is no such page.
template <PageTableFormat F, class Forget>
[[nodiscard]] bool swap_out(AddressSpace<F>& space, Vpn page, SwapDevice& device, Forget forget) {
  const Tables<F> tables(space.system().nodes);
  PhysicalMemory& memory = space.system().memory;
  const TreeSection section(space.tree);
  Node* node = space.tree.root;
  while (node->level > 1) {
    const unsigned slot = tables.slot_of(*node, page);
    const Entry entry = tables.load(*node, slot);
    if (entry.bits == 0) {
      return false;
    }
    if (tables.is_large(entry, *node)) {
      TlbGather<F> gather(space.tree, section.cpu());
      Result<Node*> split = Errno::no_memory;
      {
        const LockGuard guard(node->lock);
        split = tables.split(*node, slot, gather);
      }
      gather.finish();
      if (!split.ok()) {
        return false;
      }
      node = split.value();
      continue;
    }
    node = &tables.child(entry, *node);
  }
  Pfn frame;
  {
    const LockGuard guard(node->lock);
    const unsigned slot = tables.slot_of(*node, page);
    const Entry entry = tables.load(*node, slot);
    if (node->object_owned || tables.state(entry, *node) != EntryState::page) {
      return false;
    }
    frame = EntryCodec<F>::frame(entry, 1);
    if (memory.frame(frame).kind() != FrameKind::anonymous || memory.frame(frame).share() != 1) {
      return false;
    }
    const auto window = memory.machine().window(frame);
    tables.set(*node, slot, EntryCodec<F>::swapped(device.put(std::span(window.data(), kPageSize))));
    --node->resident;
  }
  forget();
  VELLUM_CHECK(memory.frame(frame).release());
  memory.free(frame);
  return true;
}

}  // namespace vellum::test
