#include "inspect/live_view.hpp"

#include <fmt/core.h>

#include <vellum/layout/text.hpp>

namespace vellum::tool {

namespace {

char letter_of(Access access) {
  switch (access) {
    case Access::write:
      return 'w';
    case Access::execute:
      return 'x';
    case Access::read:
      break;
  }
  return 'r';
}

// Whether the tables let the access through as they are now.
bool passes(const TablePath& path, Privilege privilege, Access access) {
  const auto rights = path.rights();
  return rights.has_value() && (privilege == Privilege::kernel || rights->user) &&
         (access == Access::read || (access == Access::write ? rights->write : rights->execute));
}

// What the fault does that an access meets which the mapping permits and the tables do not.
std::string what_the_fault_does(const TablePath& path, const Mapping& mapping, Access access) {
  const EntryState state = path.entries.empty() ? EntryState::empty : path.entries.back().state();
  if (state == EntryState::swapped) {
    return "the page comes back from swap";
  }
  if (state != EntryState::page) {
    return mapping.is_file() ? "the page of the file comes in" : "a page of zeros is put there";
  }
  return access == Access::write ? reason_of_denied_write(path) : "the right is added";
}

std::string outcome_for_program(const LiveView& view, Outcome fixed, Access access) {
  if (fixed != Outcome::as_mapped && fixed != Outcome::grows_stack && fixed != Outcome::signal_denied) {
    return describe(fixed);
  }
  const Mapping* const mapping = view.neighbours().at;
  if (mapping == nullptr) {
    return fixed == Outcome::grows_stack ? fmt::format("faults, and {}", describe(fixed))
                                         : std::string(describe(Outcome::signal_unmapped));
  }
  if (mapping->rights.find(letter_of(access)) == std::string::npos) {
    return fixed == Outcome::signal_denied ? describe(fixed) : "SIGSEGV (SEGV_ACCERR): the mapping does not permit it";
  }
  if (passes(view.path, Privilege::user, access)) {
    return "works: the page is there, and every table permits it";
  }
  return fmt::format("faults, and works then: {}", what_the_fault_does(view.path, *mapping, access));
}

std::string outcome_for_kernel(const LiveView& view, const LayoutRegion& region, Outcome fixed, Access access) {
  if (region.row->accessor == Accessor::user) {
    const Mapping* const mapping = view.neighbours().at;
    const bool grows = mapping == nullptr && outcome_of(region, Privilege::user, access) == Outcome::grows_stack;
    const bool permits = grows || (mapping != nullptr && mapping->rights.find(letter_of(access)) != std::string::npos);
    return describe(permits || access == Access::execute ? fixed : Outcome::copy_fails_or_panics);
  }
  if (region.row->accessor != Accessor::kernel || fixed == Outcome::panics) {
    return describe(fixed);
  }
  if (passes(view.path, Privilege::kernel, access)) {
    return fixed == Outcome::touches_device ? describe(fixed) : "works: the page is mapped";
  }
  const bool comes_by_fault = fixed == Outcome::pages_in || fixed == Outcome::reads_file;
  return fmt::format("{}: {}", view.path.is_mapped() ? "the tables deny it" : "nothing is mapped there now",
                     describe(comes_by_fault ? fixed : Outcome::panics));
}

}  // namespace

std::string live_outcome(const LiveView& view, const LayoutRegion& region, Privilege privilege, Access access) {
  const Outcome fixed = outcome_of(region, privilege, access);
  return privilege == Privilege::user ? outcome_for_program(view, fixed, access)
                                      : outcome_for_kernel(view, region, fixed, access);
}

}  // namespace vellum::tool
