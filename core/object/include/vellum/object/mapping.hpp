// One mmap of an object: what the runs of tables name as their backing, and what the object knows of who maps it.
#pragma once

#include <atomic>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/pagetable/format.hpp>
#include <vellum/pagetable/meaning.hpp>

namespace vellum {

template <PageTableFormat F>
class MemoryObject;
template <PageTableFormat F>
class Mapping;

// Whoever can find the tables that a mapping's pages stand in: the spaces related by fork, which have them at the same
// addresses. Called by the object with its own lock held.
template <PageTableFormat F>
class MappingOwner {
 public:
  // Takes pages of the mapping out of all tables, private copies too, and out of all TLBs.
  virtual void unmap(Mapping<F>& mapping, VpnRange pages) = 0;
  // Takes the object's own pages of the mapping out of all tables and all TLBs; private copies stay.
  virtual void unmap_shown(Mapping<F>& mapping, VpnRange pages) = 0;
  // Takes the right to write pages of the mapping out of all tables and all TLBs.
  virtual void write_protect(Mapping<F>& mapping, VpnRange pages) = 0;

  virtual void retain() = 0;
  virtual void release() = 0;

 protected:
  ~MappingOwner() = default;
};

// Pages `pages` of the owner's spaces, where their runs name this mapping, are the object's pages from `first` on. The
// range is that of the mmap: parts of it may have been unmapped since, or mean something else.
template <PageTableFormat F>
class Mapping final : public Backing {
 public:
  Mapping(MemoryObject<F>& mapped, MappingOwner<F>& mapping_owner, VpnRange range, PageIndex first_page, bool writes)
      : object(mapped), owner(mapping_owner), pages(range), first(first_page), may_write(writes) {}

  [[nodiscard]] PageIndex index_of(Vpn page) const { return first + (page - pages.start()); }
  // Whether the object's own tables of `level` can stand in for tables of the mapping.
  [[nodiscard]] bool is_congruent(unsigned level) const {
    const std::uint64_t table_pages = entry_span<F>(level + 1).value();
    return ((pages.start().value() - first.value()) & (table_pages - 1)) == 0;
  }

  void unreferenced() override;

  MemoryObject<F>& object;
  MappingOwner<F>& owner;
  const VpnRange pages;
  const PageIndex first;
  const bool may_write;  // the object's own pages, now or after an mprotect
  ListLink link;         // in the object's list
};

}  // namespace vellum
