// The metrics by subject; each runs in a process of its own. bench/operations.py says what their names mean.
#pragma once

#include <span>

#include "counting.hpp"

namespace vellum::bench {

std::span<const Metric> fault_metrics();
std::span<const Metric> mapping_metrics();
std::span<const Metric> process_metrics();
std::span<const Metric> thread_metrics();

// Pages of an anonymous or other mapping in an order in which no two neighbours follow each other, nor share a table
// entry that a kernel would fill on suspicion: only one in 64, and the tables that hold them exist (a page of each was
// touched).
template <typename Visit>
void isolated_pages(Word mapping, std::size_t bytes, Visit visit) {
  constexpr std::size_t kTable = 2 * kMegabyte;
  constexpr std::size_t kStride = 64 * kPage;
  for (std::size_t at = kTable - kPage; at < bytes; at += kTable) {
    *reinterpret_cast<Page>(mapping + static_cast<Word>(at)) = 1;
  }
  for (std::size_t at = kStride / 2; at < bytes; at += kStride) {
    visit(reinterpret_cast<Page>(mapping + static_cast<Word>(at)));
  }
}

inline void touch(Word mapping, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += kPage) {
    *reinterpret_cast<Page>(mapping + static_cast<Word>(at)) = 1;
  }
}

inline void read_pages(Word mapping, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += kPage) {
    static_cast<void>(*reinterpret_cast<Page>(mapping + static_cast<Word>(at)));
  }
}

}  // namespace vellum::bench
