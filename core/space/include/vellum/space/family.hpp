// Spaces related by fork. What was mapped before a fork has the same address in all of them, so the family and the
// address are the reverse map of a page: there is none for each page.
#pragma once

#include <atomic>
#include <optional>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/object/mapping.hpp>
#include <vellum/pagetable/gather.hpp>

namespace vellum {

template <PageTableFormat F>
class VirtualMemory;

// How a space stands in its family's list.
template <PageTableFormat F>
struct FamilyMember {
  explicit FamilyMember(NodeStore& store) : tree(store) {}
  Tree tree;
  ListLink family_link;
};

template <PageTableFormat F>
class Family final : public MappingOwner<F> {
 public:
  explicit Family(VirtualMemory<F>& system) : system_(system) {}

  void unmap(Mapping<F>& mapping, VpnRange pages) override;
  void unmap_shown(Mapping<F>& mapping, VpnRange pages) override;
  void write_protect(Mapping<F>& mapping, VpnRange pages) override;
  void retain() override { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() override;

  Spinlock lock{LockRank::family};
  void add(FamilyMember<F>& member) VELLUM_REQUIRES(lock);
  void remove(FamilyMember<F>& member);
  [[nodiscard]] bool has_one_member();

 private:
  enum class Change : std::uint8_t { unmap, unmap_shown, write_protect };
  void change(Mapping<F>& mapping, VpnRange pages, Change change);
  // Below a locked node, what `meaning` (of the node's whole range, where it is content only) gives to the mapping.
  void change_in(Node& node, VpnRange pages, const Mapping<F>& mapping, Change change, TlbGather<F>& gather)
      VELLUM_REQUIRES(lock, node.lock);
  // Makes all members forget some pages or, without, everything.
  void flush(std::optional<VpnRange> pages, CpuIndex cpu) VELLUM_REQUIRES(lock);
  void change_entry(Node& node, unsigned slot, Entry entry, Change change, TlbGather<F>& gather)
      VELLUM_REQUIRES(node.lock);

  VirtualMemory<F>& system_;
  std::atomic<std::uint32_t> references_{1};
  IntrusiveList<FamilyMember<F>, &FamilyMember<F>::family_link> members_ VELLUM_GUARDED_BY(lock);
};

}  // namespace vellum
