// Memory objects: what can be mapped by several spaces, and what a file's cached pages are kept in.
//
// Concepts. An object is a sequence of pages: anonymous (shared memory; a page is zeros until somebody writes it) or of
// a file (a Pager reads and writes pages). There is one copy of each page in memory: this is the page cache.
//
// Implementation. An object keeps its pages in a page-table tree of its own: content without meaning, page index in
// place of address. So there is no second index of pages beside the tables, and where a space maps a congruent,
// table-sized piece of the object, the object's table is linked into the space's tree, not copied. Entries of the
// object's tables permit all that a page of the object can permit; the entry above, in the space, takes away what the
// mapping does not. A page of a file may be written only when it is marked dirty, which is what the write bit of the
// object's own entry says; so the first write to a clean page always faults (write notify).
//
// Truncation: first the size, then unmapping through all mappings (private copies past the end too), then freeing; what
// puts a page in looks at the size again under the lock of the table that it goes into.
//
// Locks: lock_ (rank object): list of mappings, changes of size; root_lock_ (rank object_node, above all nodes): the
// tree's height; the nodes' locks (rank object_node): entries. A space's fault comes with its own node's lock held.
//
// Never: asks the pager with a lock held; knows addresses (mappings do); reclaims pages by itself.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/object/mapping.hpp>
#include <vellum/object/pager.hpp>
#include <vellum/pagetable/gather.hpp>
#include <vellum/pagetable/tables.hpp>
#include <vellum/pagetable/tree.hpp>
#include <vellum/phys/commitment.hpp>

namespace vellum {

template <PageTableFormat F>
class ObjectStore;

// How the memory of an object's pages is promised.
enum class Promise : std::uint8_t {
  none,    // not at all: somebody can be asked for them again
  whole,   // all that its size could hold, from the beginning
  by_page  // each page as it comes into memory; where that is refused: no_space
};

template <PageTableFormat F>
class alignas(16) MemoryObject {  // as owner of frames
 public:
  // Made by ObjectStore. `pager` null: anonymous.
  MemoryObject(ObjectStore<F>& store, Pager* pager, ByteCount size, Promise promise);
  MemoryObject(const MemoryObject&) = delete;
  MemoryObject& operator=(const MemoryObject&) = delete;

  // Pages beyond this have no index in any tree of the format.
  static constexpr PageCount kMaxPages = PageCount(entry_span<F>(F::kLevels).value() << F::index_bits(F::kLevels));

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  // With the last reference the object and its pages end; dirty pages are lost (write_back first).
  void release();
  // For who finds the object without holding it, at its pager: false where its last reference is gone.
  [[nodiscard]] bool try_retain();

  [[nodiscard]] ByteCount size() const { return ByteCount(size_.load(std::memory_order_acquire)); }
  [[nodiscard]] PageCount page_count() const { return pages_for(size()); }
  [[nodiscard]] bool is_file() const { return pager_ != nullptr; }
  // Whether its pages are nowhere but in memory; then it is the owner of their frames, otherwise they have none.
  [[nodiscard]] bool is_memory() const { return pager_ == nullptr || pager_->is_memory(); }
  // Null: anonymous.
  [[nodiscard]] Pager* pager() const { return pager_; }

  // A page that is in memory, retained once for the caller; for a write it is marked dirty. Does not sleep; callable
  // with a space's node lock held, inside an epoch section. Nothing where the page is not in memory or beyond the end.
  [[nodiscard]] std::optional<Pfn> lookup(PageIndex index, Access access);
  // The same for reading, of each page of a range that one table holds: visit(PageIndex, Pfn) for those in memory,
  // with the table locked; what it keeps, it is to retain. It does not sleep.
  template <class Visit>
  void look_up_each(IndexRange range, Visit visit) {
    Node* const leaf = find_table(range.start(), 1);
    if (leaf == nullptr) {
      return;
    }
    const LockGuard guard(leaf->lock);
    const PageIndex end = std::min(range.end(), PageIndex(page_count().value()));
    for (PageIndex index = range.start(); index < end; index += PageCount(1)) {
      const Entry entry = tables_.load(*leaf, tables_.slot_of(*leaf, Vpn(index.value())));
      if (entry.bits != 0) {
        visit(index, EntryCodec<F>::frame(entry, 1));
      }
    }
  }
  // Whether a page is in memory. Inside an epoch section.
  [[nodiscard]] bool is_resident(PageIndex index) const;
  // Brings a page into memory (or finds it there), and its pager's neighbours of it where memory is plenty. Outside of
  // sections. Errors: out_of_range beyond the end, no_memory, io_error from the pager.
  [[nodiscard]] Result<void> populate(PageIndex index);
  // The object's own table of `level` that holds page `index`, one reference more for the caller, to be linked into a
  // space. Inside an epoch section. Errors: no_memory; out_of_range where the object's tree cannot be that high.
  [[nodiscard]] Result<Node*> table_for(PageIndex index, unsigned level);

  // Copies from or to the object's pages, as read(2) and write(2) would: bounded by the size, through the cache.
  // Return the bytes copied: fewer where the rest failed. Errors, with nothing copied: as populate().
  [[nodiscard]] Result<ByteCount> read(ByteCount offset, std::span<std::byte> into);
  [[nodiscard]] Result<ByteCount> write(ByteCount offset, std::span<const std::byte> from);

  // Makes the object larger (with zeros, or what the pager has) or smaller. Outside of sections; one at a time.
  void resize(ByteCount size);
  // Makes pages zeros for all who map them, but for private copies, and gives back the memory of those that the pager
  // would make zeros again. Outside of sections. Errors: no_memory, io_error; then the rest is as it was.
  [[nodiscard]] Result<void> punch(IndexRange range);
  // Hands the dirty pages of a range to the pager; until it fails. Outside of sections. Errors: the pager's.
  [[nodiscard]] Result<void> write_back(IndexRange range);
  // Gives the memory of clean pages back, lowest first, up to `most` of them, where nobody holds them and no space maps
  // the object: the pager can bring them again. Returns how many. Outside of sections.
  [[nodiscard]] PageCount drop_clean(PageCount most);
  // The same for a range that nobody but `owner` maps, whose tables and TLBs forget it first. Only where the pager may
  // be asked again. Outside of sections.
  [[nodiscard]] PageCount page_out(IndexRange range, const MappingOwner<F>& owner);

  [[nodiscard]] ObjectStore<F>& store() { return store_; }
  // Whether a space maps it, or has not yet forgotten that it did.
  [[nodiscard]] bool is_mapped();
  // No mapping may write the object's pages from now on. Error: busy, while there is one that may.
  [[nodiscard]] Result<void> deny_writers();
  // Error: not_permitted, where it may write and that was denied.
  [[nodiscard]] Result<void> add_mapping(Mapping<F>& mapping);
  void remove_mapping(Mapping<F>& mapping);
  // Calls action() -> anything while nobody adds a mapping or goes through them: pages may then move from one mapping
  // to another. Neither action nor what it waits for may use the object's lock.
  template <class Action>
  auto while_mappings_stay(Action action) {
    const LockGuard guard(lock_);
    return action();
  }

  // Pages that are promised to it.
  [[nodiscard]] PageCount promised() const { return PageCount(promised_.load(std::memory_order_relaxed)); }
  // Pages in memory. Exact when quiescent.
  [[nodiscard]] PageCount resident();
  [[nodiscard]] PageCount dirty();

 private:
  struct Leaf {
    Node* node;
    unsigned slot;
  };
  [[nodiscard]] Node* find_table(PageIndex index, unsigned level) const;
  [[nodiscard]] Result<Node*> make_table(PageIndex index, unsigned level);
  [[nodiscard]] Result<void> grow_to(unsigned level, PageIndex index);
  [[nodiscard]] Result<void> bring_in(PageIndex index);
  [[nodiscard]] Result<void> promise_page();
  void forget_promises(PageCount pages);
  void bring_in_neighbours(PageIndex index);
  [[nodiscard]] Result<void> insert(PageIndex index, Pfn frame);
  // Pages on their way out.
  struct Batch {
    static constexpr unsigned kMost = 64;
    Pfn frames[kMost];
    unsigned count = 0;
    PageIndex first;
    PageIndex last;
    [[nodiscard]] IndexRange range() const { return IndexRange::must(first, last - first + PageCount(1)); }
  };
  void take_pages(IndexRange range, Batch& batch);
  void take_clean(IndexRange range, std::uint64_t most, Batch& batch) VELLUM_REQUIRES(lock_);
  void release(const Batch& batch);
  void unmap(IndexRange pages);
  void unmap_shown(IndexRange pages) VELLUM_REQUIRES(lock_);
  void free_pages(IndexRange range);
  [[nodiscard]] Result<void> clear_page(PageIndex index);
  void clear_tail(ByteCount size);
  [[nodiscard]] bool clear_rest(PageIndex index, std::uint64_t used);
  void mark_dirty(PageIndex index, TlbGather<F>& gather);
  [[nodiscard]] Result<void> write_back_page(PageIndex index);
  [[nodiscard]] std::optional<Pfn> clean(PageIndex index);
  template <class Visitor>
  void for_each_mapping_of(IndexRange range, Visitor visit) VELLUM_REQUIRES(lock_);
  [[nodiscard]] PageCount resident_below(Node& node);
  template <class Visitor>
  bool for_each_page(Node& node, IndexRange range, Visitor& visit);

  ObjectStore<F>& store_;
  Tree tree_;
  Tables<F> tables_;
  Pager* const pager_;
  const Promise promise_;
  std::atomic<std::uint64_t> promised_{0};  // pages
  std::atomic<std::uint32_t> references_{1};
  std::atomic<std::uint64_t> size_;
  Spinlock lock_{LockRank::object};
  Spinlock root_lock_{LockRank::object_node};
  std::atomic<Node*> root_{nullptr};  // written under root_lock_
  IntrusiveList<Mapping<F>, &Mapping<F>::link> mappings_ VELLUM_GUARDED_BY(lock_);
  bool denies_writers_ VELLUM_GUARDED_BY(lock_) = false;
};

// Where objects and mappings come from.
template <PageTableFormat F>
class ObjectStore {
 public:
  explicit ObjectStore(NodeStore& nodes)
      : nodes_(nodes),
        objects_("memory object", nodes.source(), nodes.machine()),
        mappings_("mapping", nodes.source(), nodes.machine()),
        commitment_(nodes.memory().total_count()) {}

  // Anonymous memory of a fixed size. Error: no_memory, also where so much cannot be promised.
  [[nodiscard]] Result<MemoryObject<F>*> create_anonymous(ByteCount size, Promise promise = Promise::whole) {
    return create(nullptr, size, promise);
  }
  // The pages of a file of this size. Errors as above. The pager must outlive the object, which tells it its end.
  [[nodiscard]] Result<MemoryObject<F>*> create_file(Pager& pager, ByteCount size, Promise promise = Promise::none) {
    return create(&pager, size, promise);
  }
  // A mapping, held once, that holds the object and the owner; `may_write`: shared, and not for reading only for good.
  // Errors: no_memory, not_permitted (deny_writers).
  [[nodiscard]] Result<Mapping<F>*> create_mapping(MemoryObject<F>& object, MappingOwner<F>& owner, VpnRange pages,
                                                   PageIndex first, bool may_write = true);

  [[nodiscard]] NodeStore& nodes() { return nodes_; }
  // What is promised to objects, and to whoever maps memory.
  [[nodiscard]] Commitment& commitment() { return commitment_; }
  void reap() {
    objects_.reap();
    mappings_.reap();
  }

 private:
  friend class MemoryObject<F>;
  friend class Mapping<F>;

  [[nodiscard]] Result<MemoryObject<F>*> create(Pager* pager, ByteCount size, Promise promise);

  NodeStore& nodes_;
  TypedCache<MemoryObject<F>> objects_;
  TypedCache<Mapping<F>> mappings_;
  Commitment commitment_;
};

}  // namespace vellum
