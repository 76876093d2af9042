// The entries that a directory keeps: found by name, listed in the order in which they came.
#pragma once

#include <vellum/unix/node.hpp>

namespace vellum::unix {

// Where a directory's entry came from, where the directory lies over a lower one.
enum class Origin : std::uint8_t {
  own,    // made here; the lower directory has no such name
  lower,  // the lower directory lists it
  hides,  // made here, in place of a name that the lower directory has
};

// Not synchronised: the directory's lock guards it, and the links that lie in its entries. An entry without a node says
// that a name which a lower layer has is gone (a whiteout).
class EntryTable {
 public:
  explicit EntryTable(FileMemory& memory) : memory_(memory) {}
  // Must have been cleared.
  ~EntryTable();
  EntryTable(const EntryTable&) = delete;
  EntryTable& operator=(const EntryTable&) = delete;

  [[nodiscard]] Entry* find(std::string_view name);
  // Makes room, so that the next insert cannot fail. Error: no_memory.
  [[nodiscard]] Result<void> reserve();
  // Keeps an entry. After reserve().
  void insert(Ref<Entry> entry, Origin origin);
  // Gives an entry up.
  [[nodiscard]] Ref<Entry> remove(Entry& entry);
  // Gives all entries up, to be taken one by one from a chain that may grow meanwhile.
  void move_all(Entry*& chain);
  [[nodiscard]] static Ref<Entry> pop(Entry*& chain);

  [[nodiscard]] static bool is_whiteout(const Entry& entry) { return !entry.node_; }
  [[nodiscard]] static Origin origin_of(const Entry& entry) { return entry.origin_; }
  // The first entry listed behind `position`; null at the end.
  [[nodiscard]] Entry* after(std::uint64_t position);
  [[nodiscard]] static std::uint64_t position_of(const Entry& entry) { return entry.position_; }
  // Whether it keeps nothing at all, whiteouts neither.
  [[nodiscard]] bool is_empty() const { return used_ == 0; }
  // Entries that have a node.
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::string_view name_of(Entry& entry);

  template <class Visitor>
  void for_each(Visitor visit) {
    entries_.for_each(visit);
  }

 private:
  [[nodiscard]] Entry** chain_of(std::string_view name);
  [[nodiscard]] Result<void> grow();

  FileMemory& memory_;
  Entry** chains_ = nullptr;  // a power of two of them
  std::uint32_t chain_count_ = 0;
  std::uint32_t used_ = 0;  // entries, whiteouts too
  std::uint64_t size_ = 0;
  std::uint64_t next_position_ = 1;
  IntrusiveList<Entry, &Entry::table_link_> entries_;
};

}  // namespace vellum::unix
