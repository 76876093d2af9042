// The slab layer: equal objects cut from blocks of pages [Bonwick 1994, "The Slab Allocator"].
//
// A slab is one block, aligned to its size, that begins with its bookkeeping; masking an object's address finds it. A
// bitmap tells the free objects: no link lies in a free object, so what a freed object contains stays as it was left.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

// How objects lie in the slabs of a pool.
struct SlabGeometry {
  std::uint32_t stride;   // from one object to the next
  std::uint32_t first;    // offset of the first object
  std::uint32_t objects;  // in each slab
  unsigned order;         // a slab is 2^order pages

  // Objects of `size` bytes, each aligned to `alignment` (a power of two, at most a page), in slabs of the smallest
  // order that wastes no more than an eighth.
  [[nodiscard]] static SlabGeometry of(ByteCount size, ByteCount alignment);

  // Calls visit(std::byte*) for each object of the slab that `block` is or will be.
  template <class Visitor>
  void for_each_object(std::byte* block, Visitor visit) const {
    for (std::uint32_t i = 0; i < objects; ++i) {
      visit(block + first + std::size_t{i} * stride);
    }
  }
};

// Not synchronised and never allocates: the owner brings blocks and takes empty ones away, under its own lock.
class SlabPool {
 public:
  static constexpr unsigned kMaxObjects = 256;  // in one slab
  static constexpr unsigned kMaxOrder = 4;

  explicit SlabPool(const SlabGeometry& geometry) : geometry_(geometry) {}
  // Every slab must have been taken away.
  ~SlabPool() { VELLUM_ASSERT(slabs_ == 0); }
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;

  // A free object of a slab in use if there is one, or nullptr when no slab has any.
  [[nodiscard]] std::byte* take();
  void put(std::byte* object);

  // Makes a block of 2^order pages, aligned to its size, into a slab.
  void add_slab(std::byte* block);
  // Takes away a slab none of whose objects is taken; nullptr when there is none.
  [[nodiscard]] std::byte* remove_empty_slab();

  [[nodiscard]] std::uint64_t taken() const { return taken_; }
  [[nodiscard]] PageCount pages() const { return PageCount(slabs_ << geometry_.order); }

  // Whether `object` is where a slab of `pool` has an object. Needs no lock while that slab stays; reads the head of
  // the slab that `object` would lie in.
  [[nodiscard]] static bool is_object(const SlabPool* pool, const SlabGeometry& geometry, const std::byte* object);

 private:
  friend struct SlabGeometry;
  struct Slab {
    const SlabPool* owner;
    ListLink link;  // in partial_ or empty_; unlinked while every object is taken
    std::uint32_t free_count;
    std::uint64_t free_map[kMaxObjects / 64];
  };

  [[nodiscard]] static Slab* slab_of(const SlabGeometry& geometry, const std::byte* object);

  SlabGeometry geometry_;
  std::uint64_t slabs_ = 0;
  std::uint64_t taken_ = 0;
  IntrusiveList<Slab, &Slab::link> partial_;
  IntrusiveList<Slab, &Slab::link> empty_;
};

}  // namespace vellum
