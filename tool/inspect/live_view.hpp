// What a running kernel has at an address, and what an access to it would do now.
#pragma once

#include <string>
#include <vector>

#include <vellum/layout/explain.hpp>

#include "inspect/table_path.hpp"
#include "run/maps.hpp"

namespace vellum::tool {

struct LiveView {
  TablePath path;
  std::vector<Mapping> maps;  // of the process; none of the kernel

  [[nodiscard]] Neighbours neighbours() const { return neighbours_of(maps, path.address.value()); }
};

// What happens, a clause, in the words of core/layout where the layout decides it. `region` is the row that the address
// lies in.
[[nodiscard]] std::string live_outcome(const LiveView& view, const LayoutRegion& region, Privilege privilege,
                                       Access access);

}  // namespace vellum::tool
