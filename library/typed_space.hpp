// Spaces of a machine of format F.
#pragma once

#include <vellum/hosted/mmu.hpp>

#include "typed_machine.hpp"

namespace libvellum::detail {

template <class F>
class TypedSpace final : public Space {
 public:
  using CoreSpace = vellum::AddressSpace<F>;
  using OnCpu = typename TypedMachine<F>::OnCpu;

  TypedSpace(std::shared_ptr<TypedMachine<F>> machine, CoreSpace& core, std::shared_ptr<const vellum::AddressMap> map)
      : Space(*machine), owner_(std::move(machine)), core_(core), map_(std::move(map)) {}
  ~TypedSpace() override { owner_->end(core_); }

  [[nodiscard]] Result<std::uint64_t> map(std::uint64_t length, const MapOptions& options, Object* object) override;
  [[nodiscard]] Result<void> unmap(std::uint64_t address, std::uint64_t length) override;
  [[nodiscard]] Result<void> protect(std::uint64_t address, std::uint64_t length, Rights rights) override;
  [[nodiscard]] Result<std::uint64_t> remap(std::uint64_t address, std::uint64_t old_length, std::uint64_t new_length,
                                            const RemapOptions& options) override;
  [[nodiscard]] Result<void> advise(std::uint64_t address, std::uint64_t length, Advice advice) override;
  [[nodiscard]] Result<void> lock(std::uint64_t address, std::uint64_t length, std::optional<Lock> how) override;
  [[nodiscard]] Result<std::shared_ptr<Space>> fork() override;
  [[nodiscard]] Result<std::shared_ptr<Space>> snapshot() override;
  [[nodiscard]] Result<void> restore(Space& snapshot) override;

  // access.cpp
  [[nodiscard]] Result<std::uint64_t> load(std::uint64_t address, unsigned size) override;
  [[nodiscard]] Result<void> store(std::uint64_t address, std::uint64_t value, unsigned size) override;
  [[nodiscard]] Result<std::uint8_t> fetch(std::uint64_t address) override;
  [[nodiscard]] Result<void> read(std::uint64_t address, std::span<std::byte> into) override;
  [[nodiscard]] Result<void> write(std::uint64_t address, std::span<const std::byte> from) override;

  // look.cpp
  [[nodiscard]] std::optional<Region> region_at_or_after(std::uint64_t address) override;
  [[nodiscard]] Result<Walk> walk(std::uint64_t address) override;
  [[nodiscard]] Result<Explanation> explain(std::uint64_t address) override;
  [[nodiscard]] std::vector<LayoutRegion> layout() override;
  [[nodiscard]] SpaceUse use() override;

 private:
  class Access;

  [[nodiscard]] Result<std::shared_ptr<Space>> space_of(vellum::Result<CoreSpace*> made);
  [[nodiscard]] Meaning meaning_of(const vellum::Meaning& meaning, vellum::Vpn page) const;
  [[nodiscard]] WalkLevel look_at(vellum::Node& node, vellum::Vpn page) const;

  const std::shared_ptr<TypedMachine<F>> owner_;
  CoreSpace& core_;
  const std::shared_ptr<const vellum::AddressMap> map_;
};

extern template class TypedSpace<vellum::Amd64>;
extern template class TypedSpace<vellum::I386Pae>;

}  // namespace libvellum::detail
