// Objects of a machine of format F, and files whose contents are a caller's functions.
#pragma once

#include <vellum/object/object.hpp>

#include "typed_machine.hpp"

namespace libvellum::detail {

inline constexpr std::uint64_t kMostObjectBytes = std::uint64_t{1} << 62;

// Ends itself when its object has ended.
class CallbackPager final : public vellum::Pager {
 public:
  CallbackPager(Reader reader, Writer writer, std::uint64_t size)
      : reader_(std::move(reader)), writer_(std::move(writer)), size_(size) {}

  [[nodiscard]] vellum::Result<void> read(vellum::PageIndex index, std::span<std::byte> page) override;
  [[nodiscard]] vellum::Result<void> write(vellum::PageIndex index, std::span<const std::byte> page) override;
  void object_ended() override { delete this; }

  [[nodiscard]] bool has_writer() const { return writer_ != nullptr; }
  void resize(std::uint64_t size) { size_.store(size, std::memory_order_relaxed); }

 private:
  // How much of a page lies before the end.
  [[nodiscard]] std::size_t inside(std::uint64_t offset) const;

  const Reader reader_;
  const Writer writer_;
  std::atomic<std::uint64_t> size_;
};

template <class F>
class TypedObject final : public Object {
 public:
  using CoreObject = vellum::MemoryObject<F>;
  using OnCpu = typename TypedMachine<F>::OnCpu;

  // `pager` null: shared memory.
  TypedObject(std::shared_ptr<TypedMachine<F>> machine, CoreObject& core, CallbackPager* pager, std::uint64_t id)
      : Object(*machine, id), owner_(std::move(machine)), core_(core), pager_(pager) {}
  ~TypedObject() override;

  [[nodiscard]] std::uint64_t size() const override { return core_.size().value(); }
  [[nodiscard]] Result<void> resize(std::uint64_t size) override;
  [[nodiscard]] Result<std::uint64_t> read(std::uint64_t offset, std::span<std::byte> into) override;
  [[nodiscard]] Result<std::uint64_t> write(std::uint64_t offset, std::span<const std::byte> from) override;
  [[nodiscard]] Result<void> write_back() override;
  [[nodiscard]] std::uint64_t resident_pages() override;

  [[nodiscard]] CoreObject& core() { return core_; }

 private:
  const std::shared_ptr<TypedMachine<F>> owner_;
  CoreObject& core_;
  CallbackPager* const pager_;
};

extern template class TypedObject<vellum::Amd64>;
extern template class TypedObject<vellum::I386Pae>;

}  // namespace libvellum::detail
